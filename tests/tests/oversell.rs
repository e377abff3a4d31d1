//! A thousand tries on a hundred units, through two origins, with a gateway that errs, clients that ask again and one origin
//! that is killed: a hundred are sold, each is paid once, and what the dead had reserved comes back.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use futures::StreamExt;
use rand::Rng;
use reqwest::Client;
use serde_json::{Value, json};
use sluice_storage::testing::Postgres;
use sluice_tests::shop::{Shop, all_rested, are_charged_once, balance, counts, product, sign_up};
use sluice_tests::stripe::{Faults, Stripe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Who tries, and what there is.
const TRIES: usize = 1_000;
const UNITS: i64 = 100;
/// Tries at a time.
const AT_ONCE: usize = 32;
/// How long an order holds its stock here.
const RESERVE: Duration = Duration::from_secs(6);
/// What looking, and a gateway that answers late, may take beyond that on a busy machine.
const SLACK: Duration = Duration::from_secs(20);
/// How long one try goes on asking.
const PATIENCE: Duration = Duration::from_secs(40);
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

/// What a buyer of the story needs.
struct Buyers<'a> {
    http: Client,
    origins: [String; 2],
    tokens: Vec<String>,
    variant: &'a str,
}

impl Buyers<'_> {
    /// Asks one origin or the other until one of them says something that counts; status and document.
    async fn asked(&self, path: &str, token: &str, key: &str, body: &Value) -> Option<(u16, Value)> {
        let begun = Instant::now();
        let mut at = rand::rng().random_range(0..2);
        while begun.elapsed() < PATIENCE {
            let request = self.http.post(format!("{}{path}", self.origins[at])).bearer_auth(token);
            let answer = request.header("idempotency-key", key).json(body).send().await;
            if let Ok(answer) = answer {
                let status = answer.status().as_u16();
                let told: Value = answer.json().await.unwrap_or_default();
                let under_way = status == 409 && told["type"] == "/problems/conflict";
                if status < 500 && !under_way {
                    return Some((status, told));
                }
            }
            at = 1 - at;
            sleep(Duration::from_millis(rand::rng().random_range(5..60))).await;
        }
        None
    }

    /// One try: an order, and a payment, by one who may walk off, or lose patience and order under a new key.
    async fn try_to_buy(&self, n: usize, key: &str) {
        let token = &self.tokens[n % self.tokens.len()];
        let body = json!({ "market": "de", "lines": [{ "variant": self.variant, "quantity": 1 }] });
        let mut asked = self.asked("/v1/shop/orders", token, key, &body).await;
        if n % 10 == 3 {
            asked = self.asked("/v1/shop/orders", token, &format!("{key}-again"), &body).await;
        }
        let Some((status, order)) = asked else { return };
        assert!(status == 201 || order["type"] == "/problems/sold-out", "{status} {order}");
        if status != 201 || n.is_multiple_of(20) {
            return;
        }
        let path = format!("/v1/shop/orders/{}/payment", order["id"].as_str().unwrap());
        let method = if n % 20 == 1 { "pm_card_chargeDeclined" } else { "pm_card_visa" };
        let paid = self.asked(&path, token, key, &json!({ "method": method })).await;
        // Paid, refused, not known yet; or its time was over when an origin heard of it.
        assert!(paid.is_none_or(|(status, _)| matches!(status, 200 | 202 | 409)), "{order}");
    }

    /// What was reserved and not paid comes back, and those who come later have it: to the last unit.
    async fn buy_the_rest(&self, url: &str, boss: &str) {
        for round in 0..10 {
            let [available, reserved, sold] = settled(url, boss, self.variant).await;
            assert_eq!((available + reserved + sold, reserved), (UNITS, 0));
            if available == 0 {
                return;
            }
            let late = futures::stream::iter(0..usize::try_from(available).unwrap());
            late.for_each_concurrent(AT_ONCE, |n| async move {
                // None of those who walk off, whose card is refused, or who order twice.
                self.try_to_buy(4 + n % 6, &format!("late-{round}-{n}")).await;
            })
            .await;
        }
        panic!("some units are never sold");
    }
}

async fn a_sale(mut shop: Shop) {
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
    let url = &origins[0];
    let boss = sign_up(url, "boss").await;
    let mut tokens = vec![];
    for n in 0..8 {
        tokens.push(sign_up(url, &format!("buyer{n}")).await);
    }
    let (_, variant) = product(url, &boss, UNITS).await;
    stripe.err(Faults { before: 0.05, late: 0.05, lateness: Duration::from_millis(1_500) });
    let http = Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    let buyers = Buyers { http, origins: origins.clone(), tokens, variant: &variant };

    // The crowd; one origin is killed in the middle of it.
    let begun = AtomicUsize::new(0);
    let crowd = futures::stream::iter(0..TRIES).for_each_concurrent(AT_ONCE, |n| {
        begun.fetch_add(1, Ordering::Relaxed);
        let buyers = &buyers;
        async move { buyers.try_to_buy(n, &format!("try-{n}")).await }
    });
    let killer = async {
        until(|| begun.load(Ordering::Relaxed) >= KILLED.0).await;
        second.kill9();
        until(|| begun.load(Ordering::Relaxed) >= KILLED.1).await;
        second.start().await;
    };
    tokio::join!(crowd, killer);

    buyers.buy_the_rest(url, &boss).await;
    assert_eq!(counts(url, &boss, &variant).await, [0, 0, UNITS]);
    are_charged_once(&all_rested(url, &buyers.tokens).await, &stripe, UNITS);
    assert_eq!(balance(url, &boss, "gateway", "EUR").await, 1_190 * UNITS);
    assert_eq!(balance(url, &boss, "buyers", "EUR").await, 0);
    let (before, late) = stripe.erred();
    assert!(before > 0 && late > 0, "the gateway was to err: {before} and {late} times");
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
