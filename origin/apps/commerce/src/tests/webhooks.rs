//! What the gateway tells by itself.

use std::time::Duration;

use axum::body::Body;
use hmac::{Hmac, KeyInit, Mac};
use http::Request;
use serde_json::{Value, json};
use sha2::Sha256;
use sluice_storage::Clock;

use super::place::{Place, SECRET, placed};

/// An event of an order, as the gateway sends it.
pub(super) async fn sent(place: &Place, secret: &[u8], id: &str, kind: &str, order: &str) -> u16 {
    let metadata = json!({ "order": order, "account": place.account() });
    let event = json!({ "id": id, "type": kind, "data": { "object": { "metadata": metadata } } });
    told(place, secret, &event).await
}

/// Any event, as the gateway sends it.
async fn told(place: &Place, secret: &[u8], event: &Value) -> u16 {
    let body = event.to_string();
    let at = place.clock.now_ms() / 1_000;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(format!("{at}.{body}").as_bytes());
    let signature = format!("t={at},v1={}", hex::encode(mac.finalize().into_bytes()));
    let request = Request::post("/v1/shop/webhooks/payments").header("stripe-signature", signature);
    place.send(request.body(Body::from(body)).unwrap()).await.0
}

pub(super) async fn an_event_is_signed_and_counts_once(place: Place) {
    let (_, variant) = place.product("a", 3).await;
    let order = async || place.order(&variant, 1, None).await.2["id"].as_str().unwrap().to_owned();
    let id = order().await;
    assert_eq!(place.pay(&id, "pm_sim_timeout").await.0, 202);
    assert_eq!(sent(&place, b"other", "evt_1", "payment_intent.succeeded", &id).await, 400);
    assert_eq!(place.state(&id).await, "paying");
    for _ in 0..2 {
        assert_eq!(sent(&place, SECRET, "evt_1", "payment_intent.succeeded", &id).await, 200);
        assert_eq!((place.state(&id).await.as_str(), place.gateway.counts()), ("confirmed", (1, 0)));
    }
    // A refusal that comes after is of a try before.
    assert_eq!(sent(&place, SECRET, "evt_2", "payment_intent.payment_failed", &id).await, 200);
    assert_eq!(place.state(&id).await, "confirmed");
    // And one that comes before what it is about does not count: the gateway is asked, and has the money.
    let id = order().await;
    assert_eq!(place.pay(&id, "pm_sim_timeout").await.0, 202);
    assert_eq!(sent(&place, SECRET, "evt_3", "payment_intent.payment_failed", &id).await, 200);
    assert_eq!(place.state(&id).await, "confirmed");
    // An order that nobody pays is nothing to the gateway.
    let id = order().await;
    assert_eq!(sent(&place, SECRET, "evt_4", "payment_intent.succeeded", &id).await, 200);
    assert_eq!((place.state(&id).await.as_str(), place.gateway.counts()), ("reserved", (2, 0)));
    // Of an order that was given up, it is asked again, and looked after no more.
    assert_eq!(place.pay(&id, "pm_card_chargeDeclined").await.2["state"], "released");
    assert_eq!(sent(&place, SECRET, "evt_5", "payment_intent.succeeded", &id).await, 200);
    assert_eq!((place.state(&id).await.as_str(), place.gateway.counts()), ("released", (2, 0)));
    place.clock.advance(Duration::from_secs(700));
    assert_eq!(crate::orders::due(&place.shop).await, 0);
}

/// Others use the same account of the gateway's, and name their orders as they like.
pub(super) async fn an_event_of_others_is_taken_and_means_nothing(place: Place) {
    let (_, variant) = place.product("a", 1).await;
    let id = placed(&place, &variant).await;
    let of = |metadata: Value| json!({ "object": { "metadata": metadata } });
    let others = [
        of(json!({ "order": "1001", "account": place.account() })),
        of(json!({ "order": id, "account": "a customer" })),
        of(json!({ "order": 1_001, "account": { "id": 7 } })),
        of(json!({ "order": null })),
        of(json!({})),
        of(json!(null)),
        of(json!("none")),
        json!({ "object": { "id": "cus_1" } }),
        json!({ "object": [] }),
        json!(null),
    ];
    for (n, data) in others.iter().enumerate() {
        for kind in ["payment_intent.succeeded", "invoice.paid", "refund.updated"] {
            let event = json!({ "id": format!("evt_{n}_{kind}"), "type": kind, "data": data });
            assert_eq!(told(&place, SECRET, &event).await, 200, "{event}");
            assert_eq!(told(&place, b"other", &event).await, 400, "not signed by the gateway: {event}");
        }
    }
    assert_eq!(told(&place, SECRET, &json!({ "id": "evt", "type": "ping" })).await, 200);
    assert_eq!(told(&place, SECRET, &json!({ "type": "ping" })).await, 400, "no event");
    assert_eq!((place.state(&id).await.as_str(), place.gateway.counts()), ("reserved", (0, 0)));
}
