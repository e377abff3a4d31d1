//! A sale that everybody comes to at once: some units, two origins on one database, a gateway that errs, and buyers who ask
//! until they are told something that counts.

use crate::client::plain;
use crate::process::Process;
use crate::shop::{Shop, all_rested, are_charged_once, balance, counts, product, sign_up};
use crate::stripe::{Faults, Stripe};
use futures::StreamExt;
use rand::Rng;
use reqwest::Client;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long an order holds its stock.
const RESERVE: Duration = Duration::from_secs(6);
/// What looking, and a gateway that answers late, may take beyond that on a busy machine.
const SLACK: Duration = Duration::from_secs(30);
/// Between two looks for orders that hold theirs for too long, and how late after one such an order gives it back at the most: origins are killed meanwhile.
const SWEEP: Duration = Duration::from_millis(200);
const PROMPT: Duration = Duration::from_secs(10);
/// How long one try goes on asking, and how long one question may take.
pub const PATIENCE: Duration = Duration::from_secs(60);
const REQUEST: Duration = Duration::from_secs(20);
/// How late a gateway answers that is late: later than it is waited for.
const LATENESS: Duration = Duration::from_millis(1_500);
/// Accounts that all buyers share.
const ACCOUNTS: usize = 8;
/// How often what came back may be offered anew.
const ROUNDS: usize = 20;
/// Where orders are placed.
pub const ORDERS: &str = "/v1/shop/orders";

/// Who buys.
#[derive(Debug)]
pub struct Buyers {
    /// What they ask with.
    pub http: Client,
    /// The two servers that they ask: the origins, or edges in front of them.
    pub at: [String; 2],
    /// An order for one unit.
    pub order: Value,
    /// How often one of them had to ask again.
    pub again: AtomicUsize,
    tokens: Vec<String>,
}

impl Buyers {
    /// The `n`th posts at one server or the other until one of them says something that counts; status and document. Without an
    /// admission where that is empty.
    pub async fn asked(
        &self,
        path: &str,
        n: usize,
        key: &str,
        admission: &str,
        body: &Value,
    ) -> Option<(u16, Value)> {
        let (begun, mut pause) = (Instant::now(), 50);
        let mut at = rand::rng().random_range(0..2);
        while begun.elapsed() < PATIENCE {
            let token = &self.tokens[n % self.tokens.len()];
            let mut request = self.http.post(format!("{}{path}", self.at[at])).bearer_auth(token);
            if !admission.is_empty() {
                request = request.header("sluice-admission", admission);
            }
            if let Ok(answer) = request.header("idempotency-key", key).json(body).send().await {
                let status = answer.status().as_u16();
                let told: Value = answer.json().await.unwrap_or_default();
                let under_way = status == 409 && told["type"] == "/problems/conflict";
                if status < 500 && status != 429 && !under_way {
                    return Some((status, told));
                }
            }
            self.again.fetch_add(1, Ordering::Relaxed);
            at = 1 - at;
            sleep(Duration::from_millis(rand::rng().random_range(pause / 2..pause))).await;
            pause = 1_000.min(pause * 2);
        }
        None
    }

    /// The `n`th pays for an order: of twenty one walks off, and one has a card that is refused.
    pub async fn pay(&self, n: usize, key: &str, order: &Value) {
        if n.is_multiple_of(20) {
            return;
        }
        let path = format!("{ORDERS}/{}/payment", order["id"].as_str().unwrap());
        let method = if n % 20 == 1 { "pm_card_chargeDeclined" } else { "pm_card_visa" };
        let key = format!("{key}-paid");
        let paid = self.asked(&path, n, &key, "", &json!({ "method": method })).await;
        // Paid, refused, not known yet; or its time was over when an origin heard of it.
        assert!(paid.is_none_or(|(status, _)| matches!(status, 200 | 202 | 409)), "{order}");
    }
}

/// The sale.
#[derive(Debug)]
pub struct Sale {
    /// The gateway: of twenty questions one fails, and of twenty payments one is answered too late.
    pub stripe: Stripe,
    /// The origins, which may be killed and started again.
    pub origins: [Process; 2],
    /// The administrator's token.
    pub boss: String,
    /// What is sold.
    pub variant: String,
    /// Who buys; of the origins, unless told otherwise.
    pub buyers: Buyers,
    shop: Shop,
    units: i64,
}

impl Sale {
    /// Opens a shop that sells so many units.
    pub async fn of(mut shop: Shop, units: usize) -> Self {
        let stripe = Stripe::start().await;
        shop.flags = vec![
            ("apps.commerce.reserve_ms", RESERVE.as_millis().to_string()),
            ("apps.commerce.sweep_ms", SWEEP.as_millis().to_string()),
            ("apps.commerce.gateway.timeout_ms", "1000".to_owned()),
            ("accounts.access_ttl_s", "3600".to_owned()),
        ];
        let gateway = format!("http://{}", stripe.at);
        let mut origins = ["first", "second"].map(|name| shop.origin(name, &gateway));
        for origin in &mut origins {
            origin.start().await;
        }
        let at = [origins[0].url(), origins[1].url()];
        stripe.tell(at.iter().map(|url| format!("{url}/v1/shop/webhooks/payments")).collect());
        let boss = sign_up(&at[0], "boss").await;
        let mut tokens = vec![];
        for n in 0..ACCOUNTS {
            tokens.push(sign_up(&at[0], &format!("buyer{n}")).await);
        }
        let units = i64::try_from(units).unwrap();
        let (_, variant) = product(&at[0], &boss, units).await;
        stripe.err(Faults { before: 0.05, late: 0.05, lateness: LATENESS, ..Faults::default() });
        let order = json!({ "market": "de", "lines": [{ "variant": variant, "quantity": 1 }] });
        let http = plain().timeout(REQUEST).build().unwrap();
        let buyers = Buyers { http, at, order, again: AtomicUsize::default(), tokens };
        Self { stripe, origins, boss, variant, buyers, shop, units }
    }

    /// An edge in front of both origins, not started yet.
    #[must_use]
    pub fn edge(&self, name: &str) -> Process {
        self.shop.edge(name, &self.origins.each_ref().map(Process::url))
    }

    /// What was reserved and not paid comes back, and those who come later have it, to the last unit: each buys as the buyer of
    /// this number, under this key. None of them walks off, has a card that is refused, or orders twice.
    pub async fn to_the_last_unit(&self, at_once: usize, buys: impl AsyncFn(usize, String)) {
        let buys = &buys;
        for round in 0..ROUNDS {
            let [available, reserved, sold] = self.settled().await;
            assert_eq!((available + reserved + sold, reserved), (self.units, 0));
            if available == 0 {
                return;
            }
            let late = futures::stream::iter(0..usize::try_from(available).unwrap());
            late.for_each_concurrent(at_once, |n| async move {
                buys(4 + n % 6, format!("late-{round}-{n}")).await;
            })
            .await;
        }
        panic!("some units are never sold");
    }

    /// Waits until nothing is reserved any more, as long as that may take and no longer; the counts.
    async fn settled(&self) -> [i64; 3] {
        let begun = Instant::now();
        loop {
            let counts = counts(&self.url(), &self.boss, &self.variant).await;
            if counts[1] == 0 {
                return counts;
            }
            assert!(begun.elapsed() < RESERVE + SLACK, "reservations do not come back: {counts:?}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// All units are sold, each was charged once, and the books say so.
    pub async fn is_right(&self) {
        let (url, boss, units) = (&self.url(), &self.boss, self.units);
        let orders = all_rested(url, &self.buyers.tokens).await;
        are_charged_once(&orders, &self.stripe, units);
        come_back_in_time(&orders);
        assert_eq!(counts(url, boss, &self.variant).await, [0, 0, units]);
        assert_eq!(balance(url, boss, "gateway", "EUR").await, 1_190 * units);
        assert_eq!(balance(url, boss, "buyers", "EUR").await, 0);
    }

    fn url(&self) -> String {
        self.origins[0].url()
    }
}

/// Each order that was not paid has given its stock back as soon as its time was over, whatever others were about.
fn come_back_in_time(orders: &BTreeMap<String, Value>) {
    for order in orders.values().filter(|order| order["state"] == "released" && order["reason"] == "expired")
    {
        // It does not say any more until when it held something: for as long as it could, from when it was placed.
        let [created, changed] = ["created_ms", "changed_ms"].map(|at| order[at].as_u64().unwrap());
        let late = Duration::from_millis(changed - created).saturating_sub(RESERVE);
        assert!(late <= SWEEP + PROMPT, "{late:?} late: {order}");
    }
}

/// Waits until something is so that others bring about.
pub async fn until(good: impl Fn() -> bool) {
    while !good() {
        sleep(Duration::from_millis(5)).await;
    }
}
