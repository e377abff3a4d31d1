//! Orders that their buyers do not want, and payments that the gateway says nothing of.

use std::time::Duration;

use serde_json::json;

use super::place::{Place, SECRET, placed, version_of};
use super::webhooks::sent;
use crate::orders::{Step, Told, due, sweep_once};

impl Place {
    /// Until payments are given up, and a look after it.
    async fn give_up(&self) {
        self.clock.advance(Duration::from_millis(self.shop.config.give_up_ms));
        sweep_once(&self.shop).await.unwrap();
    }
}

pub(super) async fn a_buyer_cancels_what_is_not_paid(place: Place) {
    let (_, variant) = place.product("a", 2).await;
    let id = placed(&place, &variant).await;
    let (status, _, told) = place.cancel(&id, Some("one")).await;
    assert_eq!(
        (status, &told["state"], &told["reason"]),
        (200, &json!("canceled"), &json!("buyer")),
        "{told}"
    );
    assert_eq!(version_of(&told, &format!("order:{id}")), 2, "reserved, canceled");
    assert_eq!(told["lines"][0]["variant"], json!(variant));
    assert_eq!(place.counts(&variant).await, [2, 0, 0]);
    let (status, headers, again) = place.cancel(&id, Some("one")).await;
    assert!(headers["idempotency-replayed"] == "true" && (status, &again) == (200, &told), "{again}");
    let (status, _, again) = place.cancel(&id, None).await;
    assert_eq!((status, &again["state"], &again["reason"]), (200, &json!("canceled"), &json!("buyer")));
    let (status, _, told) = place.pay(&id, "pm_card_visa").await;
    assert_eq!((status, &told["type"]), (409, &json!("/problems/canceled")));
    let listed = place.get("/v1/shop/orders", Some(&place.buyer)).await.2;
    assert_eq!(
        (&listed["orders"][0]["state"], &listed["orders"][0]["reason"]),
        (&json!("canceled"), &json!("buyer"))
    );

    // What is paid, or over, cannot be canceled; nor another's.
    let id = placed(&place, &variant).await;
    let other =
        place.ask("POST", &format!("/v1/shop/orders/{id}/cancel"), Some(&place.admin), None, None).await;
    assert_eq!(other.0, 404);
    assert_eq!(place.pay(&id, "pm_card_visa").await.2["state"], "confirmed");
    let (status, headers, told) = place.cancel(&id, Some("two")).await;
    assert_eq!((status, &told["type"]), (409, &json!("/problems/too-late")));
    assert_eq!(headers["content-type"], "application/problem+json");
    let id = placed(&place, &variant).await;
    assert_eq!(place.pay(&id, "pm_card_chargeDeclined").await.2["state"], "released");
    assert_eq!(place.cancel(&id, None).await.0, 409);
    assert_eq!((place.counts(&variant).await, place.gateway.counts()), ([1, 0, 1], (1, 0)));
    assert_eq!(due(&place.shop).await, 0);
}

pub(super) async fn money_taken_while_a_buyer_canceled_is_given_back(place: Place) {
    let (_, variant) = place.product("a", 2).await;
    // The gateway has the money and did not say so; then, it failed before it took any.
    for (method, end, counts) in
        [("pm_sim_timeout", "refunded", (1, 1)), ("pm_sim_error", "canceled", (1, 1))]
    {
        let id = placed(&place, &variant).await;
        assert_eq!(place.pay(&id, method).await.0, 202);
        let (status, _, told) = place.cancel(&id, None).await;
        assert_eq!((status, &told["state"]), (200, &json!("canceled")));
        assert_eq!((place.state(&id).await.as_str(), place.gateway.counts()), (end, counts), "{method}");
        assert_eq!((place.reason(&id).await.as_str(), place.counts(&variant).await), ("buyer", [2, 0, 0]));
        assert_eq!(sent(&place, SECRET, method, "payment_intent.succeeded", &id).await, 200);
        place.clock.advance(Duration::from_millis(place.shop.config.turn_ms() + 1));
        sweep_once(&place.shop).await.unwrap();
        assert_eq!((place.state(&id).await.as_str(), place.gateway.counts()), (end, counts), "{method}");
    }
    assert_eq!((place.unbalanced().await, due(&place.shop).await), (json!(0), 0));
}

/// Whoever heard no answer asks again, wherever its money is by then.
pub(super) async fn canceling_again_is_answered_whatever_became_of_the_money(place: Place) {
    let (_, variant) = place.product("a", 1).await;
    let id = placed(&place, &variant).await;
    assert_eq!(place.pay(&id, "pm_sim_timeout").await.0, 202);
    place.gateway.be_gone(true);
    let again = async |wanted: &str| {
        let (status, _, told) = place.cancel(&id, None).await;
        assert_eq!(
            (status, &told["state"], &told["reason"]),
            (200, &json!(wanted), &json!("buyer")),
            "{told}"
        );
        assert_eq!(told["lines"][0]["variant"], json!(variant));
    };
    again("canceled").await;
    again("canceled").await;
    let (decided, _) = place.at_once(&[place.ask_for(&id, Step::Tell(Told::Charged))]).await;
    assert!(decided[0].is_ok());
    again("refunding").await;
    place.gateway.be_gone(false);
    // It is taken further by that, too.
    again("refunding").await;
    again("refunded").await;
    assert_eq!((place.gateway.counts(), place.counts(&variant).await), ((1, 1), [1, 0, 0]));
    assert_eq!((place.unbalanced().await, due(&place.shop).await), (json!(0), 0));
}

pub(super) async fn a_payment_whose_gateway_is_gone_is_given_up(place: Place) {
    let (_, variant) = place.product("a", 1).await;
    let id = placed(&place, &variant).await;
    assert_eq!(place.pay(&id, "pm_sim_timeout").await.0, 202);
    place.gateway.be_gone(true);
    // Asked again and again, in vain; its stock goes back when its time is over, as ever.
    place.clock.advance(Duration::from_millis(place.shop.config.reserve_ms));
    sweep_once(&place.shop).await.unwrap();
    assert_eq!((place.state(&id).await.as_str(), place.counts(&variant).await), ("paying", [1, 0, 0]));
    place.give_up().await;
    assert_eq!((place.state(&id).await.as_str(), place.reason(&id).await.as_str()), ("canceled", "gateway"));
    assert_eq!((place.counts(&variant).await, place.unbalanced().await), ([1, 0, 0], json!(0)));
    assert_eq!(
        place.pay(&id, "pm_card_visa").await.2["state"],
        "canceled",
        "it is paid once, and that is over"
    );

    // It is there again, and tells: the money was taken after all. It goes back, though there is stock.
    assert_eq!(sent(&place, SECRET, "evt_1", "payment_intent.succeeded", &id).await, 200);
    assert_eq!(place.state(&id).await, "canceled", "it does not answer yet");
    place.gateway.be_gone(false);
    assert_eq!(sent(&place, SECRET, "evt_2", "payment_intent.succeeded", &id).await, 200);
    assert_eq!((place.state(&id).await.as_str(), place.gateway.counts()), ("refunded", (1, 1)));
    assert_eq!((place.counts(&variant).await, place.reason(&id).await.as_str()), ([1, 0, 0], "gateway"));
    assert_eq!(place.cancel(&id, None).await.0, 409, "its buyer had not canceled it");
    let books = place.get("/v1/shop/ledger/balance", Some(&place.admin)).await.2;
    assert_eq!((&books["unbalanced"], &books["accounts"][1]["amount"]), (&json!(0), &json!(0)), "{books}");
    assert_eq!(due(&place.shop).await, 0);
}

/// Where the gateway sends no webhook, it is asked, ever more rarely.
pub(super) async fn what_the_gateway_took_after_all_is_asked_for_until_it_is_given_back(place: Place) {
    let (_, variant) = place.product("a", 2).await;
    let mut all = vec![];
    for method in ["pm_sim_timeout", "pm_sim_error"] {
        let id = placed(&place, &variant).await;
        assert_eq!(place.pay(&id, method).await.0, 202);
        all.push(id);
    }
    place.gateway.be_gone(true);
    // Each look comes after as long again as it has been.
    for _ in 0..2 {
        place.give_up().await;
        assert_eq!(place.state(&all[0]).await, "canceled");
        assert_eq!(due(&place.shop).await, 2);
    }
    place.gateway.be_gone(false);
    place.give_up().await;
    assert_eq!(
        (place.state(&all[0]).await.as_str(), place.state(&all[1]).await.as_str()),
        ("refunded", "canceled")
    );
    assert_eq!((place.gateway.counts(), place.counts(&variant).await), ((1, 1), [2, 0, 0]));
    assert_eq!((place.unbalanced().await, due(&place.shop).await), (json!(0), 0));
}

pub(super) async fn what_was_given_up_before_it_had_a_name_is_over(place: Place) {
    let (_, variant) = place.product("a", 1).await;
    place.gateway.be_gone(true);
    let id = placed(&place, &variant).await;
    assert_eq!(place.pay(&id, "pm_card_visa").await.0, 202);
    place.give_up().await;
    assert_eq!((place.state(&id).await.as_str(), due(&place.shop).await), ("canceled", 1));
    place.give_up().await;
    assert_eq!(
        (place.state(&id).await.as_str(), due(&place.shop).await),
        ("canceled", 0),
        "nobody was asked"
    );
    place.gateway.be_gone(false);
    assert_eq!(sent(&place, SECRET, "evt_1", "payment_intent.created", &id).await, 200);
    assert_eq!((place.state(&id).await.as_str(), place.gateway.counts()), ("canceled", (0, 0)));
    assert_eq!((place.counts(&variant).await, due(&place.shop).await), ([1, 0, 0], 0));
}
