//! Orders that somebody has to take further: time, refusals, processes that ended in between.

use std::time::Duration;

use serde_json::json;

use super::place::{Place, placed};
use crate::orders::sweep_once;

/// Longer than a reservation holds, and than a process is given for its turn.
const LATER: Duration = Duration::from_secs(601);

pub(super) async fn a_reservation_goes_back_when_its_time_is_over(place: Place) {
    let (_, variant) = place.product("a", 1).await;
    let id = placed(&place, &variant).await;
    assert_eq!(place.order(&variant, 1, None).await.0, 409);
    sweep_once(&place.shop).await.unwrap();
    assert_eq!((place.counts(&variant).await, place.state(&id).await.as_str()), ([0, 1, 0], "reserved"));
    place.clock.advance(LATER);
    assert_eq!(place.pay(&id, "pm_card_visa").await.0, 409, "its time is over, swept or not");
    // Several processes look at once.
    let (one, other) = tokio::join!(sweep_once(&place.shop), sweep_once(&place.shop));
    one.and(other).unwrap();
    assert_eq!((place.counts(&variant).await, place.state(&id).await.as_str()), ([1, 0, 0], "released"));
    assert_eq!((place.reason(&id).await, place.gateway.counts()), ("expired".into(), (0, 0)));
}

pub(super) async fn a_refused_payment_gives_the_stock_back(place: Place) {
    let (_, variant) = place.product("a", 1).await;
    let id = placed(&place, &variant).await;
    let (status, _, told) = place.pay(&id, "pm_card_chargeDeclined").await;
    assert_eq!((status, &told["state"], &told["reason"]), (200, &json!("released"), &json!("declined")));
    assert_eq!((place.counts(&variant).await, place.gateway.counts()), ([1, 0, 0], (0, 0)));
    let (status, _, told) = place.pay(&id, "4242424242424242").await;
    assert_eq!(status, 422, "{told}");
    assert!(!told.to_string().contains("4242"), "what may be a card's number is not told again");
}

/// The gateway took the money and did not say so, or failed before it did: either way, whoever looks asks again.
pub(super) async fn what_a_crash_left_is_taken_to_its_end(place: Place) {
    let (_, variant) = place.product("a", 2).await;
    for (sold, method) in [(1, "pm_sim_timeout"), (2, "pm_sim_error")] {
        let id = placed(&place, &variant).await;
        let (status, _, told) = place.pay(&id, method).await;
        assert_eq!((status, &told["state"]), (202, &json!("paying")));
        sweep_once(&place.shop).await.unwrap();
        assert_eq!(place.state(&id).await, "paying", "it is another's turn still");
        place.clock.advance(Duration::from_millis(place.shop.config.turn_ms() + 1));
        let (one, other) = tokio::join!(sweep_once(&place.shop), sweep_once(&place.shop));
        one.and(other).unwrap();
        assert_eq!((place.state(&id).await.as_str(), place.gateway.counts()), ("confirmed", (sold, 0)));
    }
    assert_eq!(place.counts(&variant).await, [0, 0, 2]);
}

pub(super) async fn money_for_stock_that_is_gone_is_given_back(place: Place) {
    let (_, variant) = place.product("a", 1).await;
    let id = placed(&place, &variant).await;
    assert_eq!(place.pay(&id, "pm_sim_timeout").await.0, 202);
    place.clock.advance(LATER);
    place.shop.expire_all().await;
    assert_eq!((place.counts(&variant).await, place.state(&id).await.as_str()), ([1, 0, 0], "paying"));
    let other = placed(&place, &variant).await;
    sweep_once(&place.shop).await.unwrap();
    assert_eq!((place.state(&id).await.as_str(), place.gateway.counts()), ("refunded", (1, 1)));
    assert_eq!(place.reason(&id).await, "sold-out");
    assert_eq!(place.pay(&other, "pm_card_visa").await.2["state"], "confirmed");
    assert_eq!(place.counts(&variant).await, [0, 0, 1]);
    let books = place.get("/v1/shop/ledger/balance", Some(&place.admin)).await.2;
    assert_eq!(books["unbalanced"], 0, "{books}");
}

pub(super) async fn money_that_came_late_takes_the_stock_again(place: Place) {
    let (_, variant) = place.product("a", 1).await;
    let id = placed(&place, &variant).await;
    assert_eq!(place.pay(&id, "pm_sim_timeout").await.0, 202);
    place.clock.advance(LATER);
    place.shop.expire_all().await;
    sweep_once(&place.shop).await.unwrap();
    assert_eq!((place.state(&id).await.as_str(), place.gateway.counts()), ("confirmed", (1, 0)));
    assert_eq!(place.counts(&variant).await, [0, 0, 1]);
}
