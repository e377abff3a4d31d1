//! A crowd that comes by a schedule, whether those before it are done or not: each takes a ticket, waits to be let in, orders and
//! pays.
//!
//! All times are milliseconds from the crowd's beginning. Since when somebody is let in is by the origin's clock, as the admission
//! says it, and not by when it is heard here: a ticket's answer that is slow is the checkout's time.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sluice_wire::headers::SLUICE_ADMISSION;
use sluice_wire::room;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use crate::shop::Shop;

/// How long an admission is good.
pub(super) const HOLD_MS: u64 = 60_000;
/// Seconds that an edge may wait with its answer: the longest that it does.
const WAIT_S: u64 = 10;
/// Where orders are placed.
const ORDERS: &str = "/v1/shop/orders";

/// When people come: at random, so many a second on average, for so many seconds. The same seed has them come at the same times.
pub(super) fn schedule(rate: f64, seconds: f64, seed: u64) -> Vec<f64> {
    let (mut random, mut at, mut all) = (StdRng::seed_from_u64(seed), 0.0, vec![]);
    loop {
        let draw: f64 = random.random();
        // The gaps of a Poisson process.
        at -= (1.0 - draw).ln() / rate * 1_000.0;
        if at >= seconds * 1_000.0 {
            return all;
        }
        all.push(at);
    }
}

/// One who came.
#[derive(Debug)]
pub(super) struct Visit {
    /// When, by the schedule.
    pub(super) came: f64,
    pub(super) end: End,
}

/// What became of it.
#[derive(Debug)]
pub(super) enum End {
    /// Bought: let in, which is when it came where nobody waits; and told that the payment is confirmed.
    Bought { let_in: f64, done: f64 },
    /// Told that nothing is left.
    SoldOut,
    /// Anything else, and no answer in time.
    Failed(anyhow::Error),
}

impl Visit {
    /// Why nothing is known of what it wanted.
    pub(super) fn failure(&self) -> Option<&anyhow::Error> {
        match &self.end {
            End::Failed(why) => Some(why),
            End::Bought { .. } | End::SoldOut => None,
        }
    }
}

/// When a crowd began, by both clocks.
#[derive(Debug, Clone, Copy)]
struct Begun {
    at: Instant,
    unix_ms: f64,
}

impl Begun {
    fn now() -> anyhow::Result<Self> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
        Ok(Self { at: Instant::now(), unix_ms: since.as_secs_f64() * 1_000.0 })
    }

    fn millis(self) -> f64 {
        self.at.elapsed().as_secs_f64() * 1_000.0
    }
}

/// Who comes, and for what.
#[derive(Debug)]
pub(super) struct Crowd {
    http: Client,
    /// The edge's URL.
    edge: String,
    /// Their tokens.
    buyers: Vec<String>,
    variant: String,
    /// The room in front of it, where one is open.
    room: Option<String>,
    /// How long one tries.
    patience: Duration,
}

impl Crowd {
    /// Those who want a variant of a shop, by number.
    pub(super) fn of(
        shop: &Shop,
        number: usize,
        room: Option<String>,
        patience_s: f64,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            http: shop.fleet.client.clone(),
            edge: shop.fleet.edges.first().context("no edge")?.url()?,
            buyers: shop.buyers.clone(),
            variant: shop.variants[number].clone(),
            room,
            patience: Duration::from_secs_f64(patience_s),
        })
    }

    /// Has them come, and waits for the last of them.
    pub(super) async fn come(self, schedule: &[f64]) -> anyhow::Result<Vec<Visit>> {
        let (crowd, begun, mut people) = (Arc::new(self), Begun::now()?, JoinSet::new());
        for (number, came) in schedule.iter().copied().enumerate() {
            sleep_until((begun.at + Duration::from_secs_f64(came / 1_000.0)).into()).await;
            let crowd = Arc::clone(&crowd);
            people.spawn(async move { crowd.visit(begun, number, came).await });
        }
        let mut visits = vec![];
        while let Some(visit) = people.join_next().await {
            visits.push(visit?);
        }
        Ok(visits)
    }

    async fn visit(&self, begun: Begun, number: usize, came: f64) -> Visit {
        let tried = timeout(self.patience, self.buy(begun, number, came)).await;
        let end = tried.unwrap_or_else(|_| Err(anyhow!("it took more than {:?}", self.patience)));
        Visit { came, end: end.unwrap_or_else(End::Failed) }
    }

    async fn buy(&self, begun: Begun, number: usize, came: f64) -> anyhow::Result<End> {
        let (let_in, admission) = match &self.room {
            Some(room) => match self.wait(room).await? {
                Some((unix_ms, admission)) => (unix_ms - begun.unix_ms, Some(admission)),
                None => return Ok(End::SoldOut),
            },
            None => (came, None),
        };
        self.check_out(number, admission.as_deref()).await?;
        Ok(End::Bought { let_in, done: begun.millis() })
    }

    /// Waits in line: since when one is let in, in Unix milliseconds, and with what; nothing where nothing is left.
    async fn wait(&self, room: &str) -> anyhow::Result<Option<(f64, String)>> {
        let tickets = format!("{}{}/{room}/tickets", self.edge, room::PATH);
        let (status, told) = said(self.http.post(&tickets)).await?;
        if status == StatusCode::CONFLICT {
            return Ok(None);
        }
        let ticket = told["ticket"].as_str().with_context(|| format!("{status} for a ticket: {told}"))?;
        let at = format!("{tickets}/{ticket}?wait={WAIT_S}");
        loop {
            let (status, told) = said(self.http.get(&at)).await?;
            if status == StatusCode::CONFLICT {
                return Ok(None);
            }
            ensure!(status == StatusCode::OK, "{status} in line: {told}");
            if let Some(admission) = told["admission"].as_str() {
                let until = told["until_ms"].as_f64().context("an admission has an end")?;
                return Ok(Some((until - HOLD_MS as f64, admission.to_owned())));
            }
        }
    }

    /// Orders one, and pays it.
    async fn check_out(&self, number: usize, admission: Option<&str>) -> anyhow::Result<()> {
        let body = json!({ "market": "de", "lines": [{ "variant": self.variant, "quantity": 1 }] });
        let mut asked = self.post(number, ORDERS, &format!("{}-{number}", self.variant), &body);
        if let Some(admission) = admission {
            asked = asked.header(SLUICE_ADMISSION, admission);
        }
        let (status, order) = said(asked).await?;
        ensure!(status == StatusCode::CREATED, "{status} for an order: {order}");
        let id = order["id"].as_str().context("an order has an id")?;
        let (path, body) = (format!("{ORDERS}/{id}/payment"), json!({ "method": "pm_card_visa" }));
        let (status, told) = said(self.post(number, &path, id, &body)).await?;
        ensure!(status == StatusCode::OK && told["state"] == "confirmed", "{status} for a payment: {told}");
        Ok(())
    }

    fn post(&self, number: usize, path: &str, key: &str, body: &Value) -> RequestBuilder {
        let token = &self.buyers[number % self.buyers.len()];
        let asked = self.http.post(format!("{}{path}", self.edge)).bearer_auth(token);
        asked.header("idempotency-key", key).json(body)
    }
}

/// The status and the document of an answer; no document where there is none.
async fn said(asked: RequestBuilder) -> anyhow::Result<(StatusCode, Value)> {
    let answer = asked.send().await?;
    let status = answer.status();
    Ok((status, serde_json::from_slice(&answer.bytes().await?).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_come_as_often_as_is_said_and_not_evenly() {
        let all = schedule(100.0, 50.0, 1);
        assert!((4_700..5_300).contains(&all.len()), "{}", all.len());
        assert!(all.is_sorted() && all.iter().all(|at| (0.0..50_000.0).contains(at)));
        let gaps = all.windows(2).map(|two| two[1] - two[0]);
        let close = gaps.filter(|gap| *gap < 1.0).count();
        assert!((350..650).contains(&close), "of gaps of 10 ms one in ten is below 1 ms: {close}");
        assert_eq!(all, schedule(100.0, 50.0, 1));
    }
}
