//! Steps of many orders in one transaction.

use std::sync::Arc;

use serde_json::json;
use sluice_platform::ApiError;
use sluice_platform::once::{Batch, Decided};
use sluice_storage::count_statements;

use super::place::{Place, placed};
use crate::ids::OrderId;
use crate::orders::{Ask, Standing, Step, Till, Told};

/// Orders of one story.
const MANY: usize = 20;

impl Place {
    pub(super) fn ask_for(&self, order: &str, step: Step) -> Ask {
        let order: OrderId = order.parse().unwrap();
        Ask { key: (self.account().as_i64(), order.as_i64()), step }
    }

    /// Does these steps in one transaction; what came of each, and the statements that it took.
    pub(super) async fn at_once(&self, asks: &[Ask]) -> (Vec<Decided<Standing>>, u64) {
        let (till, asks) = (&Till::new(Arc::clone(&self.shop.config)), &asks.iter().collect::<Vec<_>>());
        let write = self.shop.storage.database.write::<_, ApiError, _>(|tx| till.write(tx, asks));
        let (decided, sent) = count_statements(write).await;
        (decided.unwrap(), sent)
    }
}

pub(super) fn pay(method: &str) -> Step {
    Step::Pay { method: method.to_owned() }
}

pub(super) fn name(order: &str) -> Step {
    Step::Name { intent: format!("pi_{order}") }
}

pub(super) async fn what_comes_together_shares_its_statements(place: Place) {
    let (_, variant) = place.product("a", 100).await;
    let mut all = vec![];
    for _ in 0..MANY {
        all.push(placed(&place, &variant).await);
    }
    type Make<'m> = &'m dyn Fn(&str) -> Step;
    let events = place.alone.events();
    let steps: [(Make<'_>, u64, &str); 3] = [
        (&|_| pay("pm_card_visa"), 3 + events, "paying"),
        (&name, 4, "paying"),
        (&|_| Step::Tell(Told::Charged), 6 + events, "confirmed"),
    ];
    for (step, most, state) in steps {
        let asks: Vec<Ask> = all.iter().map(|order| place.ask_for(order, step(order))).collect();
        let (decided, sent) = place.at_once(&asks).await;
        assert!(sent <= most, "{sent} statements for {MANY} orders that are {state}");
        for (order, at) in all.iter().zip(decided) {
            let at = at.unwrap();
            assert!(
                at.stepped && at.row.state == state && at.row.id == place.ask_for(order, step(order)).key.1
            );
        }
    }
    let sold = i64::try_from(MANY).unwrap();
    assert_eq!((place.counts(&variant).await, place.unbalanced().await), ([100 - sold, 0, sold], json!(0)));
}

/// What one is told does not become another's; and who asks about nothing hurts nobody.
pub(super) async fn what_one_order_is_told_at_once_is_done_in_turn(place: Place) {
    let (_, variant) = place.product("a", 3).await;
    let (good, bad, last) =
        (placed(&place, &variant).await, placed(&place, &variant).await, placed(&place, &variant).await);
    let nothing = Ask { key: (1, 1), step: pay("pm_card_visa") };
    let asks = [
        place.ask_for(&good, pay("pm_card_visa")),
        nothing,
        place.ask_for(&bad, pay("pm_card_visa")),
        place.ask_for(&good, pay("pm_other")),
        place.ask_for(&good, name("1")),
        place.ask_for(&good, name("2")),
        place.ask_for(&good, Step::Tell(Told::Charged)),
        place.ask_for(&bad, Step::Tell(Told::Declined)),
        place.ask_for(&bad, Step::Tell(Told::Charged)),
        place.ask_for(&good, Step::Tell(Told::Cancel)),
        place.ask_for(&last, Step::Tell(Told::Cancel)),
        place.ask_for(&last, pay("pm_card_visa")),
    ];
    let (decided, _) = place.at_once(&asks).await;
    let told: Vec<_> = decided
        .iter()
        .map(|one| one.as_ref().map_or_else(|error| error.0.status.to_string(), |at| at.row.state.clone()))
        .collect();
    // The refused one's money came after all: its stock, which went back in this very transaction, is taken again.
    let wanted = [
        "paying",
        "404",
        "paying",
        "paying",
        "paying",
        "paying",
        "confirmed",
        "released",
        "confirmed",
        "confirmed",
        "canceled",
        "409",
    ];
    assert_eq!(told, wanted);
    let payment = decided[5].as_ref().unwrap().payment.clone().unwrap();
    assert_eq!((payment.method.as_str(), payment.intent.as_deref()), ("pm_card_visa", Some("pi_1")));
    assert_eq!((place.counts(&variant).await, place.unbalanced().await), ([1, 0, 2], json!(0)));
}

pub(super) async fn many_who_pay_at_once_have_each_their_own_end(place: Place) {
    let (_, variant) = place.product("a", 100).await;
    let methods = [
        ("pm_card_visa", 200, "confirmed"),
        ("pm_card_chargeDeclined", 200, "released"),
        ("pm_sim_timeout", 202, "paying"),
        ("pm_card_visa", 200, "confirmed"),
    ];
    let mut orders = vec![];
    for n in 0..MANY {
        orders.push((placed(&place, &variant).await, methods[n % methods.len()]));
    }
    // Each twice: an order is paid once.
    let paid = futures::future::join_all(orders.iter().chain(&orders).map(|(order, (method, ..))| {
        let place = &place;
        async move { place.pay(order, method).await }
    }));
    let paid = paid.await;
    for (n, (order, (method, status, state))) in orders.iter().enumerate() {
        let twice =
            [&paid[n], &paid[n + MANY]].map(|(status, _, told)| (*status, told["state"].as_str().unwrap()));
        let first = twice.iter().find(|told| told.1 != "paying").unwrap_or(&twice[0]);
        assert_eq!(*first, (*status, *state), "{method}: {twice:?}");
        assert_eq!(place.state(order).await, *state, "{method}");
    }
    let of = |state: &str| orders.iter().filter(|(_, (_, _, end))| *end == state).count();
    let (sold, held) = (i64::try_from(of("confirmed")).unwrap(), i64::try_from(of("paying")).unwrap());
    assert_eq!(place.counts(&variant).await, [100 - sold - held, held, sold]);
    assert_eq!(place.unbalanced().await, json!(0));
    let charges = u32::try_from(sold + held).unwrap();
    assert_eq!(
        place.gateway.counts(),
        (charges, 0),
        "the gateway has the money of those that it did not answer"
    );
}

pub(super) async fn what_was_begun_is_done_while_the_process_ends(place: Place) {
    let (_, variant) = place.product("a", 2).await;
    let (id, other) = (placed(&place, &variant).await, placed(&place, &variant).await);
    place.drain.begin();
    place.drain.finish().await;
    assert_eq!(place.order(&variant, 1, None).await.0, 503, "whoever orders now does so elsewhere");
    assert_eq!(place.pay(&id, "pm_card_visa").await.2["state"], "confirmed");
    assert_eq!(place.cancel(&other, None).await.2["state"], "canceled");
    assert_eq!((place.counts(&variant).await, place.gateway.counts()), ([1, 0, 1], (1, 0)));
}
