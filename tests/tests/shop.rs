//! The shop from outside: a catalog, an order, a payment, the books; and an origin that is killed between any two steps.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use serde_json::json;
use sluice_storage::testing::Postgres;
use sluice_tests::client::{client, header};
use sluice_tests::shop::{Shop, balance, counts, get, post, product, rested, sign_up};
use sluice_tests::stripe::Stripe;

#[tokio::test]
async fn what_is_ordered_is_paid_and_sold_on_sqlite() {
    an_order_from_catalog_to_books(Shop::sqlite()).await;
}

#[tokio::test]
async fn what_is_ordered_is_paid_and_sold_on_postgres() {
    let server = Postgres::start().await;
    an_order_from_catalog_to_books(Shop::at(server.fresh_database().await)).await;
}

async fn an_order_from_catalog_to_books(shop: Shop) {
    let stripe = Stripe::start().await;
    let mut origin = shop.origin("origin", &format!("http://{}", stripe.at));
    origin.start().await;
    stripe.tell(vec![format!("{}/v1/shop/webhooks/payments", origin.url())]);
    let url = origin.url();
    let (boss, ann, ben) =
        (sign_up(&url, "boss").await, sign_up(&url, "ann").await, sign_up(&url, "ben").await);
    let (product, variant) = product(&url, &boss, 3).await;
    assert_eq!(
        post(&format!("{url}/v1/shop/products"), &ann, &json!({ "title": "x", "variants": [] })).await.0,
        403
    );

    let shown = client().get(format!("{url}/v1/shop/products/{product}?market=de")).send().await.unwrap();
    assert_eq!(header(&shown, "surrogate-key"), format!("product:{product}"));
    assert!(header(&shown, "sluice-cache-control").contains("max-age"));
    let listed = client().get(format!("{url}/v1/shop/products?market=de")).send().await.unwrap();
    assert_eq!(listed.json::<serde_json::Value>().await.unwrap()["products"][0]["from"], 1_190);

    // An order that is asked for twice under one key is one order.
    let order = async || {
        let body = json!({ "market": "de", "lines": [{ "variant": variant, "quantity": 2 }] });
        let asked = client().post(format!("{url}/v1/shop/orders")).bearer_auth(&ann);
        let answer = asked.header("idempotency-key", "one").json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<serde_json::Value>().await.unwrap())
    };
    let (first, second) = (order().await, order().await);
    assert_eq!((first.0, &first.1["state"], &first.1["id"]), (201, &json!("reserved"), &second.1["id"]));
    let id = first.1["id"].as_str().unwrap();
    assert_eq!(get(&format!("{url}/v1/shop/orders/{id}"), &ben).await.0, 404, "another's order");
    let (status, channel) = post(&format!("{url}/v1/shop/orders/{id}/channel"), &ann, &json!(null)).await;
    assert_eq!((status, &channel["channel"]), (200, &json!(format!("order:{id}"))));

    let pay = format!("{url}/v1/shop/orders/{id}/payment");
    let (status, paid) = post(&pay, &ann, &json!({ "method": "pm_card_visa" })).await;
    assert_eq!((status, &paid["state"], &paid["tax"]), (200, &json!("confirmed"), &json!(380)), "{paid}");
    let (refused, _) = post(&pay, &ann, &json!({ "method": "4242424242424242" })).await;
    assert_eq!(refused, 422);
    assert_eq!(counts(&url, &boss, &variant).await, [1, 0, 2]);
    assert_eq!(balance(&url, &boss, "gateway", "EUR").await, 2_380);
    assert_eq!(balance(&url, &boss, "buyers", "EUR").await, 0);
    assert_eq!(balance(&url, &boss, "tax", "EUR").await, -380);

    // Refused, or of no card that the gateway knows: the stock goes back, and nothing was charged.
    for method in ["pm_card_chargeDeclined", "pm_nobody"] {
        let body = json!({ "market": "de", "lines": [{ "variant": variant, "quantity": 1 }] });
        let (_, order) = post(&format!("{url}/v1/shop/orders"), &ben, &body).await;
        let pay = format!("{url}/v1/shop/orders/{}/payment", order["id"].as_str().unwrap());
        let (status, told) = post(&pay, &ben, &json!({ "method": method })).await;
        assert_eq!((status, &told["state"]), (200, &json!("released")), "{told}");
    }
    assert_eq!(counts(&url, &boss, &variant).await, [1, 0, 2]);
    let charges: Vec<u32> = stripe.intents().values().map(|intent| intent.charges).collect();
    assert_eq!(charges, [1, 0]);
}

#[tokio::test]
async fn a_kill_between_any_two_steps_loses_and_doubles_nothing_on_sqlite() {
    kills_between_steps(Shop::sqlite()).await;
}

#[tokio::test]
async fn a_kill_between_any_two_steps_loses_and_doubles_nothing_on_postgres() {
    let server = Postgres::start().await;
    kills_between_steps(Shop::at(server.fresh_database().await)).await;
}

async fn kills_between_steps(mut shop: Shop) {
    let stripe = Stripe::start().await;
    shop.flags = vec![
        ("apps.commerce.sweep_ms", "50".to_owned()),
        ("apps.commerce.gateway.timeout_ms", "300".to_owned()),
    ];
    let mut origin = shop.origin("origin", &format!("http://{}", stripe.at));
    origin.start().await;
    let url = origin.url();
    let (boss, ann) = (sign_up(&url, "boss").await, sign_up(&url, "ann").await);
    let (_, variant) = product(&url, &boss, 10).await;
    let steps = ["shop-before-charge", "shop-opened", "shop-after-charge", "shop-charged", "shop-settled"];
    for (n, step) in steps.into_iter().enumerate() {
        origin.kill9();
        origin.crash_at(Some(step));
        origin.start().await;
        let body = json!({ "market": "de", "lines": [{ "variant": variant, "quantity": 1 }] });
        let (status, order) = post(&format!("{url}/v1/shop/orders"), &ann, &body).await;
        assert_eq!(status, 201, "{step}: {order}");
        let id = order["id"].as_str().unwrap();
        let pay = client().post(format!("{url}/v1/shop/orders/{id}/payment")).bearer_auth(&ann);
        pay.json(&json!({ "method": "pm_card_visa" })).send().await.unwrap_err();
        origin.ended().await;
        origin.crash_at(None);
        origin.start().await;
        assert_eq!(rested(&url, &ann, id).await["state"], "confirmed", "{step}");
        let sold = i64::try_from(n).unwrap() + 1;
        assert_eq!(counts(&url, &boss, &variant).await, [10 - sold, 0, sold], "{step}");
        assert_eq!(balance(&url, &boss, "gateway", "EUR").await, 1_190 * sold, "{step}");
        let intents = stripe.intents();
        assert!(intents.values().all(|intent| intent.charges == 1), "{step}: {intents:?}");
        assert_eq!(intents.len(), n + 1, "{step}");
    }
}
