//! The shop over its own routes, with a clock that the tests move and a gateway that does what it is told.

mod cancel;
mod crashes;
mod crossing;
mod holds;
mod keys;
mod languages;
mod many;
mod parcels;
mod place;
mod refunds;
mod rooms;
mod search;
mod statements;
mod together;
mod variants;
mod webhooks;

use place::{Place, version_of};
use serde_json::{Value, json};
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
    assert_eq!(version_of(&order.2, &format!("stock:{variant}")), 2);
    let again = place.order(&variant, 2, Some("first")).await;
    assert_eq!((again.0, &again.2["id"]), (201, &order.2["id"]), "one order for one key");
    assert_eq!(place.counts(&variant).await, [3, 2, 0]);

    let id = order.2["id"].as_str().unwrap().to_owned();
    let (status, _, paid) = place.pay(&id, "pm_card_visa").await;
    assert_eq!((status, &paid["state"]), (200, &json!("confirmed")), "{paid}");
    assert_eq!(version_of(&paid, &format!("order:{id}")), 3, "reserved, paying, confirmed");
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

/// Whoever has two variants of one SKU has made a mistake, in one request as in two.
async fn a_sku_is_one_variants_alone(place: Place) {
    let new = |sku: &str| json!({ "sku": sku, "title": "M", "prices": { "de": 1_190 } });
    let make = async |variants: Value| {
        let body = json!({ "title": "shirt", "variants": variants });
        place.post("/v1/shop/products", Some(&place.admin), None, &body).await
    };
    let (status, _, told) = make(json!([new("a"), new("b"), new("a")])).await;
    assert_eq!((status, &told["type"]), (409, &json!("/problems/conflict")), "{told}");
    let (status, _, made) = make(json!([new("a"), new("b")])).await;
    assert_eq!(status, 201, "nothing was kept: {made}");
    assert_eq!(make(json!([new("c"), new("b")])).await.0, 409);
    let at = format!("/v1/shop/products/{}", made["id"].as_str().unwrap());
    let add = async |variants: Value| {
        let body = json!({ "add": variants });
        place.ask("PATCH", &at, Some(&place.admin), None, Some(&body)).await.0
    };
    assert_eq!(add(json!([new("c"), new("c")])).await, 409);
    assert_eq!(add(json!([new("c"), new("d")])).await, 200);
    let shown = place.get(&format!("{at}?market=de"), None).await.2;
    assert_eq!(shown["variants"].as_array().unwrap().len(), 4, "{shown}");
}

/// A story while it is told.
type Told = std::pin::Pin<Box<dyn Future<Output = ()>>>;

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
            // Each is made in a frame of its own, and all are told from one place: together they are more than a stack holds.
            let stories: &[(&str, fn(Place) -> Told)] = &[$($(
                (stringify!($story), |place| Box::pin(crate::tests::$module::$story(place))),
            )+)+];
            for (name, story) in stories {
                println!("{name}");
                story(Place::postgres(&server).await).await;
            }
        }
    };
}

stories! {
    own: from_catalog_to_books, a_shortage_is_an_error_and_keeps_nothing, a_cart_becomes_an_order_and_is_empty,
        its_tables_go_and_come_again, a_sku_is_one_variants_alone;
    crashes: a_reservation_goes_back_when_its_time_is_over, a_refused_payment_gives_the_stock_back,
        what_a_crash_left_is_taken_to_its_end, money_for_stock_that_is_gone_is_given_back,
        money_that_came_late_takes_the_stock_again;
    cancel: a_buyer_cancels_what_is_not_paid, money_taken_while_a_buyer_canceled_is_given_back,
        canceling_again_is_answered_whatever_became_of_the_money,
        a_payment_whose_gateway_is_gone_is_given_up, what_the_gateway_took_after_all_is_asked_for_until_it_is_given_back,
        what_was_given_up_before_it_had_a_name_is_over;
    together: what_comes_together_shares_its_statements, many_who_pay_at_once_have_each_their_own_end,
        what_one_order_is_told_at_once_is_done_in_turn, what_was_begun_is_done_while_the_process_ends;
    crossing: what_is_canceled_is_not_named_after_it, who_cancels_takes_a_turn_with_the_till;
    many: all_that_orders_can_name_is_moved_at_once;
    parcels: what_is_bought_is_sent_once_from_where_it_is, a_parcel_goes_its_way_and_no_other,
        what_came_back_is_on_its_shelf_and_may_be_sent_again, a_key_makes_one_parcel,
        parcels_made_at_once_are_no_more_than_was_bought, shelves_are_of_one_moment,
        places_are_few_and_called_as_administrators_say;
    rooms: an_admission_is_good_once_for_what_there_is, a_room_is_opened_anew_and_closed;
    search: what_the_log_has_not_told_is_not_claimed, an_index_goes_on_once_its_store_is_there_again,
        a_damaged_index_is_made_anew_once;
    variants: a_variant_is_found_by_itself_and_is_what_its_product_says;
    languages: a_product_is_shown_in_the_nearest_language, a_list_says_its_language_where_it_is_one,
        words_of_every_language_find_a_product, texts_that_cannot_be_are_refused;
    holds: a_gateway_that_hangs_keeps_no_stock_from_coming_back, all_that_is_due_is_done_in_one_look;
    refunds: money_on_its_way_back_is_asked_for_until_it_is_there;
    keys: a_payment_is_answered_once_for_its_key, a_cart_and_a_channel_are_named_once_for_a_key;
    webhooks: an_event_is_signed_and_counts_once, an_event_of_others_is_taken_and_means_nothing;
    statements: reads_cost_three_statements_at_most, no_write_has_more_than_its_line_says;
}

mod own {
    pub(super) use super::{
        a_cart_becomes_an_order_and_is_empty, a_shortage_is_an_error_and_keeps_nothing,
        a_sku_is_one_variants_alone, from_catalog_to_books, its_tables_go_and_come_again,
    };
}
