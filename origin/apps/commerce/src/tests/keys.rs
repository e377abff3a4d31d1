//! What is asked again under the same `Idempotency-Key`.

use std::time::Duration;

use http::HeaderMap;
use serde_json::{Value, json};

use super::holds::until;
use super::place::{Place, placed};
use crate::orders::sweep_once;

impl Place {
    async fn pay_under(&self, key: &str, order: &str, method: &str) -> (u16, HeaderMap, Value) {
        let at = format!("/v1/shop/orders/{order}/payment");
        self.post(&at, Some(&self.buyer), Some(key), &json!({ "method": method })).await
    }
}

fn is_replayed(headers: &HeaderMap) -> bool {
    headers.get("idempotency-replayed").is_some_and(|value| value == "true")
}

pub(super) async fn a_payment_is_answered_once_for_its_key(place: Place) {
    let (_, variant) = place.product("a", 3).await;
    let (id, other) = (placed(&place, &variant).await, placed(&place, &variant).await);
    let (status, headers, paid) = place.pay_under("one", &id, "pm_card_visa").await;
    assert_eq!((status, &paid["state"], is_replayed(&headers)), (200, &json!("confirmed"), false), "{paid}");
    let (status, headers, again) = place.pay_under("one", &id, "pm_card_visa").await;
    assert_eq!((status, &again, is_replayed(&headers)), (200, &paid, true));
    // The key came with another request: another method, another order.
    for (order, method) in [(&id, "pm_card_mastercard"), (&other, "pm_card_visa")] {
        let (status, _, told) = place.pay_under("one", order, method).await;
        assert_eq!((status, &told["type"]), (422, &json!("/problems/key-reused")), "{told}");
    }
    assert_eq!((place.state(&other).await.as_str(), place.gateway.counts()), ("reserved", (1, 0)));

    // While the gateway is asked, the second is told so.
    place.gateway.hang(true);
    let first = place.pay_under("two", &other, "pm_card_visa");
    let second = async {
        until("the gateway is asked", async || place.gateway.waiting() == 1).await;
        let told = place.pay_under("two", &other, "pm_card_visa").await;
        place.gateway.hang(false);
        told
    };
    let (first, second) = futures::future::join(first, second).await;
    assert_eq!((first.0, &first.2["state"]), (200, &json!("confirmed")));
    assert_eq!((second.0, &second.2["type"]), (409, &json!("/problems/conflict")));
    assert!(is_replayed(&place.pay_under("two", &other, "pm_card_visa").await.1));

    // What was not known yet is answered so again; the order itself says what became of it.
    let last = placed(&place, &variant).await;
    assert_eq!(place.pay_under("three", &last, "pm_sim_timeout").await.0, 202);
    place.clock.advance(Duration::from_millis(place.shop.config.turn_ms() + 1));
    sweep_once(&place.shop).await.unwrap();
    let (status, headers, told) = place.pay_under("three", &last, "pm_sim_timeout").await;
    assert_eq!((status, &told["state"], is_replayed(&headers)), (202, &json!("paying"), true));
    assert_eq!((place.state(&last).await.as_str(), place.gateway.counts()), ("confirmed", (3, 0)));
    assert_eq!((place.counts(&variant).await, place.unbalanced().await), ([0, 0, 3], json!(0)));
}

pub(super) async fn a_cart_and_a_channel_are_named_once_for_a_key(place: Place) {
    let cart = async |token: Option<&str>| place.post("/v1/shop/carts", token, Some("key"), &json!({})).await;
    let (mine, again) = (cart(Some(place.buyer.as_str())).await, cart(Some(place.buyer.as_str())).await);
    assert_eq!((mine.0, is_replayed(&mine.1)), (201, false));
    assert_eq!((again.0, &again.2, is_replayed(&again.1)), (201, &mine.2, true));
    // Keys of those who have no account are nobody's own: each is given another cart.
    let names = [cart(Some(place.admin.as_str())).await, cart(None).await, cart(None).await, mine];
    for (n, (status, _, made)) in names.iter().enumerate() {
        assert!(*status == 201 && names.iter().skip(n + 1).all(|other| other.2 != *made), "{names:?}");
    }

    let (_, variant) = place.product("a", 2).await;
    let (id, other) = (placed(&place, &variant).await, placed(&place, &variant).await);
    let listen = async |order: &str| {
        let at = format!("/v1/shop/orders/{order}/channel");
        place.post(&at, Some(&place.buyer), Some("ear"), &Value::Null).await
    };
    let first = listen(&id).await;
    place.clock.advance(Duration::from_secs(1));
    let again = listen(&id).await;
    assert_eq!((first.0, again.0, is_replayed(&first.1), is_replayed(&again.1)), (200, 200, false, true));
    assert_eq!(first.2["channel"], json!(format!("order:{id}")));
    assert_eq!(again.2["channel"], first.2["channel"]);
    assert!(
        again.2["token"].is_string() && again.2["token"] != first.2["token"],
        "a token is as good as new"
    );
    assert_eq!(listen(&other).await.0, 422);
}
