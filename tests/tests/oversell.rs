//! A thousand tries on a hundred units, through two origins, with a gateway that errs, clients that ask again and one origin
//! that is killed: a hundred are sold, each is paid once, and what the dead had reserved comes back.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use futures::StreamExt;
use sluice_storage::testing::Postgres;
use sluice_tests::sale::{Buyers, ORDERS, Sale, until};
use sluice_tests::shop::Shop;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Who tries, and what there is.
const TRIES: usize = 1_000;
const UNITS: usize = 100;
/// Tries at a time.
const AT_ONCE: usize = 32;
/// The try at which an origin is killed, and the one at which it is there again.
const KILLED: (usize, usize) = (60, 300);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_units_are_sold_a_hundred_times_on_sqlite() {
    a_sale(Shop::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_units_are_sold_a_hundred_times_on_postgres() {
    let server = Postgres::start().await;
    a_sale(Shop::at(server.fresh_database().await)).await;
}

/// One try: an order, and a payment, by one who may walk off, or lose patience and order under a new key.
async fn try_to_buy(buyers: &Buyers, n: usize, key: &str) {
    let mut asked = buyers.asked(ORDERS, n, key, "", &buyers.order).await;
    if n % 10 == 3 {
        asked = buyers.asked(ORDERS, n, &format!("{key}-again"), "", &buyers.order).await;
    }
    let Some((status, order)) = asked else { return };
    assert!(status == 201 || order["type"] == "/problems/sold-out", "{status} {order}");
    if status == 201 {
        buyers.pay(n, key, &order).await;
    }
}

async fn a_sale(shop: Shop) {
    let mut sale = Sale::of(shop, UNITS).await;
    // The crowd; one origin is killed in the middle of it.
    let ([_, second], buyers, begun) = (&mut sale.origins, &sale.buyers, AtomicUsize::new(0));
    let crowd = futures::stream::iter(0..TRIES).for_each_concurrent(AT_ONCE, |n| {
        begun.fetch_add(1, Ordering::Relaxed);
        async move { try_to_buy(buyers, n, &format!("try-{n}")).await }
    });
    let killer = async {
        until(|| begun.load(Ordering::Relaxed) >= KILLED.0).await;
        second.kill9();
        until(|| begun.load(Ordering::Relaxed) >= KILLED.1).await;
        second.start().await;
    };
    tokio::join!(crowd, killer);

    sale.to_the_last_unit(AT_ONCE, async |n, key: String| try_to_buy(buyers, n, &key).await).await;
    sale.is_right().await;
    let (before, late) = sale.stripe.erred();
    assert!(before > 0 && late > 0, "the gateway was to err: {before} and {late} times");
}
