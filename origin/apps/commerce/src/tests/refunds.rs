//! Money that is given back, and is not there yet.

use std::time::Duration;

use serde_json::json;

use super::place::{Place, SECRET, placed};
use super::webhooks::sent;
use crate::orders::{due, sweep_once};

/// With a webhook that tells of it, and without.
pub(super) async fn money_on_its_way_back_is_asked_for_until_it_is_there(place: Place) {
    let turn = Duration::from_millis(place.shop.config.turn_ms() + 1);
    for (sku, event, counts) in [("a", Some("refund.updated"), (1, 1)), ("b", None, (2, 2))] {
        // It came for stock that is another's by then.
        let (_, variant) = place.product(sku, 1).await;
        let id = placed(&place, &variant).await;
        assert_eq!(place.pay(&id, "pm_sim_timeout").await.0, 202);
        place.clock.advance(Duration::from_millis(place.shop.config.reserve_ms));
        place.shop.expire_all().await;
        placed(&place, &variant).await;
        place.gateway.delay_refunds(true);
        for _ in 0..3 {
            sweep_once(&place.shop).await.unwrap();
            assert_eq!((place.state(&id).await.as_str(), due(&place.shop).await), ("refunding", 1));
            place.clock.advance(turn);
        }
        let kinds = ["charge.refunded", "charge.refund.updated", "refund.created"];
        for (n, kind) in kinds.into_iter().enumerate() {
            assert_eq!(sent(&place, SECRET, &format!("evt_{sku}_{n}"), kind, &id).await, 200);
            assert_eq!(place.state(&id).await, "refunding", "{kind}: the gateway says that it is on its way");
        }
        place.gateway.delay_refunds(false);
        match event {
            Some(kind) => assert_eq!(sent(&place, SECRET, sku, kind, &id).await, 200),
            None => sweep_once(&place.shop).await.unwrap(),
        }
        assert_eq!((place.state(&id).await.as_str(), place.gateway.counts()), ("refunded", counts));
        assert_eq!((place.reason(&id).await.as_str(), due(&place.shop).await), ("sold-out", 0));
    }
    assert_eq!(place.unbalanced().await, json!(0));
}
