//! A flash sale: a crowd through two edges and a waiting room, with origins that are killed, a gateway that errs, and clients
//! that ask again: as many are sold as there are, each is paid once, and origins see little of it.
//!
//! `SALE_TRIES` and `SALE_UNITS` make it larger: 100,000 tries on 500 units take some minutes.
#![allow(clippy::print_stdout, reason = "what was done and what it took is for whoever reads along")]
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use futures::StreamExt;
use rand::Rng;
use reqwest::Client;
use serde_json::{Value, json};
use sluice_storage::testing::Postgres;
use sluice_tests::crowd::take;
use sluice_tests::process::Process;
use sluice_tests::shop::{Shop, all_rested, are_charged_once, balance, counts, open_room, product, sign_up};
use sluice_tests::stripe::{Faults, Stripe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Who tries, and what there is, unless told otherwise.
const TRIES: usize = 5_000;
const UNITS: usize = 100;
/// Tries at a time: this many wait in line at once.
const AT_ONCE: usize = 400;
/// How long an order holds its stock, and one who is let in may take to order: nobody walks off in between, but origins are killed.
const RESERVE: Duration = Duration::from_secs(6);
const HOLD: Duration = Duration::from_secs(30);
/// Who is let in within a second: what a database commits on a busy machine. More only lose to one another.
const RATE: usize = 30;
/// What looking, and a gateway that answers late, may take beyond that on a busy machine.
const SLACK: Duration = Duration::from_secs(30);
/// How long one try goes on asking.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_there_is_is_sold_and_no_more_on_sqlite() {
    a_sale(Shop::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_there_is_is_sold_and_no_more_on_postgres() {
    let server = Postgres::start().await;
    a_sale(Shop::at(server.fresh_database().await)).await;
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
    http: Client,
    edges: [String; 2],
    tokens: Vec<String>,
    variant: &'a str,
    room: &'a str,
    ends: Ends,
}

impl Crowd<'_> {
    /// Posts at one edge or the other until one of them says something that counts; status and document.
    async fn asked(
        &self,
        path: &str,
        n: usize,
        key: &str,
        admission: &str,
        body: &Value,
    ) -> Option<(u16, Value)> {
        let (begun, mut pause) = (Instant::now(), 50);
        let mut at = n % 2;
        while begun.elapsed() < PATIENCE {
            let token = &self.tokens[n % self.tokens.len()];
            let request = self.http.post(format!("{}{path}", self.edges[at])).bearer_auth(token);
            let request = request.header("sluice-admission", admission).header("idempotency-key", key);
            if let Ok(answer) = request.json(body).send().await {
                let status = answer.status().as_u16();
                let told: Value = answer.json().await.unwrap_or_default();
                let under_way = status == 409 && told["type"] == "/problems/conflict";
                if status < 500 && status != 429 && !under_way {
                    return Some((status, told));
                }
            }
            at = 1 - at;
            sleep(Duration::from_millis(rand::rng().random_range(pause / 2..pause))).await;
            pause = 1_000.min(pause * 2);
        }
        None
    }

    /// One try: a ticket, a wait, an order and a payment, by one who may walk off, or lose patience and order under a new key.
    async fn try_to_buy(&self, n: usize, key: &str) {
        let Ok(place) = take(&self.http, &self.edges[n % 2], self.room).await else {
            return count(&self.ends.at_the_door);
        };
        let Ok(admission) = place.let_in(&self.http, self.room, 4 * PATIENCE).await else {
            return count(&self.ends.in_line);
        };
        let body = json!({ "market": "de", "lines": [{ "variant": self.variant, "quantity": 1 }] });
        let (orders, admission) = ("/v1/shop/orders", admission.as_str());
        let mut asked = self.asked(orders, n, key, admission, &body).await;
        if n % 10 == 3 {
            // The admission was for one order, whatever the key.
            let again = self.asked(orders, n, &format!("{key}-again"), admission, &body).await;
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
        if n.is_multiple_of(20) {
            return;
        }
        let path = format!("{orders}/{}/payment", order["id"].as_str().unwrap());
        let method = if n % 20 == 1 { "pm_card_chargeDeclined" } else { "pm_card_visa" };
        let paid = self.asked(&path, n, key, "", &json!({ "method": method })).await;
        // Paid, refused, not known yet; or its time was over when an origin heard of it.
        assert!(paid.is_none_or(|(status, _)| matches!(status, 200 | 202 | 409)), "{order}");
    }

    /// Orders that edges have let pass.
    async fn passed(edges: &[Process]) -> f64 {
        let mut sum = 0.0;
        for edge in edges {
            sum += edge.metric("sluice_edge_room_guarded_total", &["passed"]).await;
        }
        sum
    }
}

async fn a_sale(mut shop: Shop) {
    let (tries, units) = (told("SALE_TRIES", TRIES), told("SALE_UNITS", UNITS));
    let stripe = Stripe::start().await;
    shop.flags = vec![
        ("apps.commerce.reserve_ms", RESERVE.as_millis().to_string()),
        ("apps.commerce.sweep_ms", "200".to_owned()),
        ("apps.commerce.gateway.timeout_ms", "1000".to_owned()),
        ("accounts.access_ttl_s", "3600".to_owned()),
    ];
    let gateway = format!("http://{}", stripe.at);
    let (mut first, mut second) = (shop.origin("first", &gateway), shop.origin("second", &gateway));
    first.start().await;
    second.start().await;
    let origins = [first.url(), second.url()];
    stripe.tell(origins.iter().map(|url| format!("{url}/v1/shop/webhooks/payments")).collect());
    let mut edges = ["near-a", "near-b"].map(|name| shop.edge(name, &origins));
    for edge in &mut edges {
        edge.start().await;
    }
    let url = origins[0].as_str();
    let boss = sign_up(url, "boss").await;
    let mut tokens = vec![];
    for n in 0..8 {
        tokens.push(sign_up(url, &format!("buyer{n}")).await);
    }
    let (_, variant) = product(url, &boss, i64::try_from(units).unwrap()).await;
    let at = [edges[0].url(), edges[1].url()];
    let room = json!({ "rate": RATE, "hold_ms": HOLD.as_millis() as u64 });
    let room = open_room(&at, &boss, &variant, &room).await;
    stripe.err(Faults { before: 0.05, late: 0.05, lateness: Duration::from_millis(1_500) });
    let http = Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
    let crowd = Crowd { http, edges: at, tokens, variant: &variant, room: &room, ends: Ends::default() };

    // One origin is killed while the first buy, and the other one after it has come back.
    let (begun, came) = (Instant::now(), AtomicUsize::new(0));
    let tries_under_way = futures::stream::iter(0..tries).for_each_concurrent(AT_ONCE, |n| {
        count(&came);
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
    let took = begun.elapsed();
    buy_the_rest(&crowd, url, &boss, units).await;
    // Of so many, origins have seen twice what there was at the most.
    let passed = Crowd::passed(&edges).await;
    println!("{tries} tries on {units} units in {took:.1?}, {:?}; {passed} orders passed", crowd.ends);
    assert!(passed <= 2.0 * f64::from(u32::try_from(units).unwrap()), "{passed} orders passed");
    let units = i64::try_from(units).unwrap();
    are_charged_once(&all_rested(url, &crowd.tokens).await, &stripe, units);
    assert_eq!(counts(url, &boss, &variant).await, [0, 0, units]);
    assert_eq!(balance(url, &boss, "gateway", "EUR").await, 1_190 * units);
    assert_eq!(balance(url, &boss, "buyers", "EUR").await, 0);
}

/// What was reserved and not paid comes back, and those who come later have it: to the last unit.
async fn buy_the_rest(crowd: &Crowd<'_>, url: &str, boss: &str, units: usize) {
    for round in 0..20 {
        let [available, reserved, sold] = settled(url, boss, crowd.variant).await;
        assert_eq!((available + reserved + sold, reserved), (i64::try_from(units).unwrap(), 0));
        if available == 0 {
            return;
        }
        let late = futures::stream::iter(0..usize::try_from(available).unwrap());
        late.for_each_concurrent(AT_ONCE, |n| async move {
            // None of those who walk off, whose card is refused, or who order twice.
            crowd.try_to_buy(4 + n % 6, &format!("late-{round}-{n}")).await;
        })
        .await;
    }
    panic!("some units are never sold");
}

async fn until(good: impl Fn() -> bool) {
    while !good() {
        sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until nothing is reserved any more, as long as that may take and no longer; the counts.
async fn settled(url: &str, boss: &str, variant: &str) -> [i64; 3] {
    let begun = Instant::now();
    loop {
        let counts = counts(url, boss, variant).await;
        if counts[1] == 0 {
            return counts;
        }
        assert!(begun.elapsed() < RESERVE + SLACK, "reservations do not come back: {counts:?}");
        sleep(Duration::from_millis(100)).await;
    }
}
