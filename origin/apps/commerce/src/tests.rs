//! The shop over its own routes, with a clock that the tests move and a gateway that does what it is told.

mod crashes;
mod place;
mod rooms;
mod statements;
mod webhooks;

use place::Place;
use serde_json::json;
use sluice_storage::testing::Postgres;

/// From a product to the money for it, and each version that is told on the way.
async fn from_catalog_to_books(place: Place) {
    let (product, variant) = place.product("shirt", 5).await;
    let (status, headers, shown) = place.get(&format!("/v1/shop/products/{product}?market=de"), None).await;
    assert_eq!(
        (status, &shown["currency"], &shown["variants"][0]["price"]),
        (200, &json!("EUR"), &json!(1_190))
    );
    assert_eq!(headers["surrogate-key"], format!("product:{product}"));
    assert_eq!(headers["sluice-version"], format!("product:{product}=1"));
    let (_, headers, _) = place.get(&format!("/v1/shop/stock/{variant}"), None).await;
    assert_eq!(headers["sluice-version"], format!("stock:{variant}=1"));

    let order = place.order(&variant, 2, Some("first")).await;
    assert_eq!((order.0, &order.2["state"], &order.2["tax"]), (201, &json!("reserved"), &json!(380)));
    assert_eq!(order.2["versions"][format!("stock:{variant}")], 2);
    let again = place.order(&variant, 2, Some("first")).await;
    assert_eq!((again.0, &again.2["id"]), (201, &order.2["id"]), "one order for one key");
    assert_eq!(place.counts(&variant).await, [3, 2, 0]);

    let id = order.2["id"].as_str().unwrap().to_owned();
    let (status, _, paid) = place.pay(&id, "pm_card_visa").await;
    assert_eq!((status, &paid["state"]), (200, &json!("confirmed")), "{paid}");
    assert_eq!(paid["versions"][format!("order:{id}")], 4, "reserved, paying, paid, confirmed");
    let (status, _, again) = place.pay(&id, "pm_card_visa").await;
    assert_eq!((status, &again["state"]), (200, &json!("confirmed")));
    assert_eq!((place.counts(&variant).await, place.gateway.counts()), ([3, 0, 2], (1, 0)));

    let books = place.get("/v1/shop/ledger/balance", Some(&place.admin)).await.2;
    assert_eq!(books["unbalanced"], 0);
    let of = |name: &str| {
        let all = books["accounts"].as_array().unwrap();
        all.iter().find(|sum| sum["name"] == name).unwrap()["amount"].as_i64().unwrap()
    };
    assert_eq!([of("gateway"), of("buyers"), of("sales"), of("tax")], [2_380, 0, -2_000, -380]);
    let other = place.get(&format!("/v1/shop/orders/{id}"), Some(&place.admin)).await.0;
    assert_eq!(other, 404, "another's order is not there");
    assert_eq!(place.get("/v1/shop/ledger/balance", Some(&place.buyer)).await.0, 403);
}

async fn a_shortage_is_an_error_and_keeps_nothing(place: Place) {
    let (_, full) = place.product("full", 5).await;
    let (_, scarce) = place.product("scarce", 1).await;
    let lines = json!([{ "variant": full, "quantity": 1 }, { "variant": scarce, "quantity": 2 }]);
    let body = json!({ "market": "de", "lines": lines });
    let (status, _, told) = place.post("/v1/shop/orders", Some(&place.buyer), None, &body).await;
    assert_eq!((status, &told["type"]), (409, &json!("/problems/sold-out")));
    assert_eq!((place.counts(&full).await, place.counts(&scarce).await), ([5, 0, 0], [1, 0, 0]));
    let body = json!({ "market": "us", "lines": [{ "variant": full, "quantity": 1 }] });
    assert_eq!(place.post("/v1/shop/orders", Some(&place.buyer), None, &body).await.0, 404, "no price there");
}

async fn a_cart_becomes_an_order_and_is_empty(place: Place) {
    let (_, variant) = place.product("mug", 5).await;
    let made = place.post("/v1/shop/carts", None, None, &json!(null)).await.2;
    let at = format!("/v1/shop/carts/{}", made["cart"].as_str().unwrap());
    let lines =
        json!({ "lines": [{ "variant": variant, "quantity": 1 }, { "variant": variant, "quantity": 1 }] });
    let (status, _, put) = place.ask("PUT", &at, None, None, Some(&lines)).await;
    assert_eq!((status, &put["lines"]), (200, &json!([{ "variant": variant, "quantity": 2 }])));
    assert_eq!(place.get("/v1/shop/carts/mine", None).await.0, 401);
    let body = json!({ "market": "de", "cart": made["cart"] });
    let (status, _, order) = place.post("/v1/shop/orders", Some(&place.buyer), None, &body).await;
    assert_eq!((status, &order["lines"][0]["quantity"]), (201, &json!(2)));
    assert_eq!(place.get(&at, None).await.2, json!({ "lines": [] }));
    assert_eq!(place.post("/v1/shop/orders", Some(&place.buyer), None, &body).await.0, 422);
}

async fn its_tables_go_and_come_again(place: Place) {
    place.product("a", 1).await;
    let database = &place.shop.storage.database;
    database.uninstall(&crate::SCHEMA).await.unwrap();
    database.install(&crate::SCHEMA).await.unwrap();
    let listed = place.get("/v1/shop/products?market=de", None).await.2;
    assert_eq!(listed["products"], json!([]));
    // The SKU is free again, and the versions that edges know go on.
    let (id, _) = place.product("again", 1).await;
    let (_, headers, _) = place.get("/v1/shop/products?market=de", None).await;
    assert_eq!(headers["sluice-version"], "products=2", "{id}");
}

/// Makes each story a test on SQLite, and all of them one on PostgreSQL, whose server takes a while to start.
macro_rules! stories {
    ($($module:ident: $($story:ident),+;)+) => {
        mod on_sqlite {
            $($(#[tokio::test]
            async fn $story() {
                crate::tests::$module::$story(crate::tests::place::Place::sqlite().await).await;
            })+)+
        }

        #[tokio::test]
        async fn every_story_on_postgres() {
            let server = Postgres::start().await;
            $($(
                println!("{}", stringify!($story));
                Box::pin(crate::tests::$module::$story(Place::postgres(&server).await)).await;
            )+)+
        }
    };
}

stories! {
    own: from_catalog_to_books, a_shortage_is_an_error_and_keeps_nothing, a_cart_becomes_an_order_and_is_empty,
        its_tables_go_and_come_again;
    crashes: a_reservation_goes_back_when_its_time_is_over, a_refused_payment_gives_the_stock_back,
        what_a_crash_left_is_taken_to_its_end, money_for_stock_that_is_gone_is_given_back,
        money_that_came_late_takes_the_stock_again;
    rooms: an_admission_is_good_once_for_what_there_is, a_room_is_opened_anew_and_closed;
    webhooks: an_event_is_signed_and_counts_once;
    statements: reads_cost_three_statements_at_most;
}

mod own {
    pub(super) use super::{
        a_cart_becomes_an_order_and_is_empty, a_shortage_is_an_error_and_keeps_nothing,
        from_catalog_to_books, its_tables_go_and_come_again,
    };
}
