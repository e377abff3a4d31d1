//! Holds that end while much else is to be done.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::place::{Place, placed};
use crate::config::Config;
use crate::orders::{BATCH, begin, due, sweep_once};

/// For anything that comes by itself; a question to the gateway hangs for longer.
const LIMIT: Duration = Duration::from_secs(20);

/// Waits until something is so.
pub(super) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let looking = async {
        while !is_so().await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LIMIT, looking).await.unwrap_or_else(|_| panic!("it never is: {what}"));
}

pub(super) async fn a_gateway_that_hangs_keeps_no_stock_from_coming_back(place: Place) {
    let (_, variant) = place.product("a", 3).await;
    let paying = placed(&place, &variant).await;
    assert_eq!(place.pay(&paying, "pm_sim_timeout").await.0, 202);
    place.clock.advance(Duration::from_millis(place.shop.config.turn_ms() + 1));
    place.gateway.hang(true);
    let mut shop = place.shop.clone();
    shop.config = Arc::new(Config { sweep_ms: 10, ..Config::clone(&shop.config) });
    begin(&shop, &place.drain);
    until("the gateway is asked", async || place.gateway.waiting() == 1).await;

    let (one, other) = (placed(&place, &variant).await, placed(&place, &variant).await);
    assert_eq!(place.counts(&variant).await, [0, 3, 0]);
    place.clock.advance(Duration::from_millis(place.shop.config.reserve_ms));
    let stock = format!("/v1/shop/stock/{variant}");
    until("the stock is back", async || place.get(&stock, None).await.2["available"] == 3).await;
    assert_eq!(place.counts(&variant).await, [3, 0, 0]);
    assert_eq!(place.gateway.waiting(), 1, "it has said nothing yet");
    for (id, state) in [(&one, "released"), (&other, "released"), (&paying, "paying")] {
        assert_eq!(place.state(id).await, state);
    }
    place.gateway.hang(false);
    until("the gateway has said", async || place.state(&paying).await == "confirmed").await;
    assert_eq!((place.counts(&variant).await, place.unbalanced().await), ([2, 0, 1], json!(0)));
    place.drain.begin();
    assert_eq!(place.drain.finish().await.cut, 0, "whoever looks has ended with the process");
}

pub(super) async fn all_that_is_due_is_done_in_one_look(place: Place) {
    // More than two pages of holds, and more than one of payments.
    let (holds, payments) = (2 * BATCH + 10, BATCH + 2);
    let units = i64::try_from(holds).unwrap();
    let (_, variant) = place.product("a", units).await;
    let orders = join_all((0..holds).map(|_| placed(&place, &variant))).await;
    let paid = join_all(orders.iter().take(payments).map(|id| place.pay(id, "pm_sim_timeout"))).await;
    assert!(paid.iter().all(|(status, ..)| *status == 202));
    place.clock.advance(Duration::from_millis(place.shop.config.reserve_ms));
    place.shop.expire_all().await;
    assert_eq!(place.counts(&variant).await, [units, 0, 0]);
    assert_eq!(due(&place.shop).await, payments);
    sweep_once(&place.shop).await.unwrap();
    let sold = i64::try_from(payments).unwrap();
    assert_eq!((place.counts(&variant).await, due(&place.shop).await), ([units - sold, 0, sold], 0));
    assert_eq!(place.unbalanced().await, json!(0));
}
