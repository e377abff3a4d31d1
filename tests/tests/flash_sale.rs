//! A flash sale: a crowd through two edges and a waiting room, with origins that are killed, a gateway that errs, and clients
//! that ask again: as many are sold as there are, each is paid once, and origins see little of it.
//!
//! `SALE_TRIES` and `SALE_UNITS` make it larger: 100,000 tries on 500 units take some minutes. Where `SALE_RESULTS` is set to a file,
//! from the top folder on, what became of it is a row there for each database.
#![allow(clippy::print_stdout, reason = "what was done and what it took is for whoever reads along")]
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use futures::StreamExt;
use serde_json::json;
use sluice_storage::testing::Postgres;
use sluice_tests::crowd::take;
use sluice_tests::process::Process;
use sluice_tests::results;
use sluice_tests::sale::{Buyers, ORDERS, PATIENCE, Sale, until};
use sluice_tests::shop::{Shop, open_room};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Who tries, and what there is, unless told otherwise.
const TRIES: usize = 2_000;
const UNITS: usize = 50;
/// Tries at a time: this many wait in line at once.
const AT_ONCE: usize = 400;
/// How long one who is let in may take to order. Whoever went when he was told that nothing is left counts as present for twenty
/// seconds more; what comes back in that time is held for him, and this long.
const HOLD: Duration = Duration::from_secs(8);
/// Who is let in within a second: what a database commits on a busy machine. More only lose to one another.
const RATE: usize = 30;
/// Origins that are killed.
const CRASHES: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_there_is_is_sold_and_no_more_on_sqlite() {
    a_sale("SQLite", Shop::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_there_is_is_sold_and_no_more_on_postgres() {
    let server = Postgres::start().await;
    a_sale("PostgreSQL", Shop::at(server.fresh_database().await)).await;
}

/// A number out of the environment.
fn told(name: &str, usual: usize) -> usize {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

/// What became of the tries.
#[derive(Debug, Default)]
struct Ends {
    /// Told at the door that nothing is left, and in line.
    at_the_door: AtomicUsize,
    in_line: AtomicUsize,
    ordered: AtomicUsize,
    /// Let in and too late, or an admission that was used by the same buyer before.
    refused: AtomicUsize,
}

fn count(of: &AtomicUsize) {
    of.fetch_add(1, Ordering::Relaxed);
}

/// Who comes to the sale.
struct Crowd<'a> {
    buyers: &'a Buyers,
    room: &'a str,
    ends: Ends,
}

impl Crowd<'_> {
    /// One try: a ticket, a wait, an order and a payment, by one who may walk off, or lose patience and order under a new key.
    async fn try_to_buy(&self, n: usize, key: &str) {
        let (buyers, http) = (self.buyers, &self.buyers.http);
        let Ok(place) = take(http, &buyers.at[n % 2], self.room).await else {
            return count(&self.ends.at_the_door);
        };
        let Ok(admission) = place.let_in(http, self.room, 4 * PATIENCE).await else {
            return count(&self.ends.in_line);
        };
        let mut asked = buyers.asked(ORDERS, n, key, &admission, &buyers.order).await;
        if n % 10 == 3 {
            // The admission was for one order, whatever the key.
            let again = buyers.asked(ORDERS, n, &format!("{key}-again"), &admission, &buyers.order).await;
            if asked.as_ref().is_none_or(|(status, _)| *status != 201) {
                asked = again;
            } else if let Some((status, told)) = again {
                assert!(status != 201, "two orders for one admission: {told}");
            }
        }
        let Some((status, order)) = asked else { return count(&self.ends.refused) };
        if status != 201 {
            let refused = ["sold-out", "admission-expired", "admission-used"];
            let kind = order["type"].as_str().unwrap_or_default().trim_start_matches("/problems/");
            assert!(refused.contains(&kind), "{status} {order}");
            return count(&self.ends.refused);
        }
        count(&self.ends.ordered);
        buyers.pay(n, key, &order).await;
    }
}

/// Orders that edges have let pass.
async fn passed(edges: &[Process]) -> f64 {
    let mut sum = 0.0;
    for edge in edges {
        sum += edge.metric("sluice_edge_room_guarded_total", &["passed"]).await;
    }
    sum
}

/// Leaves what became of it, where that is wanted: all units are sold, and each is paid once.
fn leave(file: &str, database: &str, (tries, units): (usize, usize), (again, took): (usize, Duration)) {
    let build = if cfg!(debug_assertions) { "" } else { " --release" };
    let command = format!(
        "SALE_TRIES={tries} SALE_UNITS={units} SALE_RESULTS=FILE cargo nextest run{build} --workspace --locked --test flash_sale"
    );
    let columns = ["database", "tries", "units", "crashes", "retries", "sold", "seconds"];
    let seconds = format!("{:.1}", took.as_secs_f64());
    let row = [tries, units, CRASHES, again, units].map(|count| count.to_string());
    let row = [vec![database.to_owned()], row.to_vec(), vec![seconds]].concat();
    results::put(file, ("A flash sale", &command), &columns, &row);
}

async fn a_sale(database: &str, shop: Shop) {
    let (tries, units) = (told("SALE_TRIES", TRIES), told("SALE_UNITS", UNITS));
    let mut sale = Sale::of(shop, units).await;
    let mut edges = ["near-a", "near-b"].map(|name| sale.edge(name));
    for edge in &mut edges {
        edge.start().await;
    }
    sale.buyers.at = [edges[0].url(), edges[1].url()];
    let room = json!({ "rate": RATE, "hold_ms": HOLD.as_millis() as u64 });
    let room = open_room(&sale.buyers.at, &sale.boss, &sale.variant, &room).await;
    let ([first, second], buyers) = (&mut sale.origins, &sale.buyers);
    let crowd = Crowd { buyers, room: &room, ends: Ends::default() };

    // One origin is killed while the first buy, and the other one after it has come back.
    let begun = Instant::now();
    let tries_under_way = futures::stream::iter(0..tries).for_each_concurrent(AT_ONCE, |n| {
        let crowd = &crowd;
        async move { crowd.try_to_buy(n, &format!("try-{n}")).await }
    });
    let killer = async {
        let ordered = |share: usize| crowd.ends.ordered.load(Ordering::Relaxed) * 10 >= units * share;
        until(|| ordered(2)).await;
        second.kill9();
        until(|| ordered(4)).await;
        second.start().await;
        until(|| ordered(6)).await;
        first.kill9();
        sleep(Duration::from_millis(500)).await;
        first.start().await;
    };
    tokio::join!(tries_under_way, killer);
    let (took, again) = (begun.elapsed(), buyers.again.load(Ordering::Relaxed));
    sale.to_the_last_unit(AT_ONCE, async |n, key: String| crowd.try_to_buy(n, &key).await).await;
    // Of so many, origins have seen twice what there was at the most.
    let passed = passed(&edges).await;
    println!("{tries} tries on {units} units in {took:.1?}, {:?}; {passed} orders passed", crowd.ends);
    assert!(passed <= 2.0 * f64::from(u32::try_from(units).unwrap()), "{passed} orders passed");
    sale.is_right().await;
    if let Ok(file) = std::env::var("SALE_RESULTS") {
        leave(&file, database, (tries, units), (again, took));
    }
}
