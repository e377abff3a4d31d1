//! An origin that has nothing but the shop, with something in stock and people who want it, behind edges where those are wanted.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::fleet::{Fleet, Wanted, good};

/// Accounts that buy; whose order it is makes no difference to what an order costs.
const BUYERS: usize = 16;
/// Flags of every such origin.
const OURS: [&str; 4] = ["--accounts.admins", "boss", "--apps.run", "commerce"];
/// How long edges may take to hear of a waiting room.
const HEARD: Duration = Duration::from_secs(10);

/// The running shop.
#[derive(Debug)]
pub(crate) struct Shop {
    /// Tokens of those who buy.
    pub(crate) buyers: Vec<String>,
    /// What is sold.
    pub(crate) variants: Vec<String>,
    pub(crate) fleet: Fleet,
    /// How many units of each variant came in.
    units: Vec<i64>,
    /// The administrator's token.
    boss: String,
}

impl Shop {
    /// Starts it as it is wanted, with a variant on sale for each number of units.
    pub(crate) async fn start(folder: &Path, wanted: &Wanted<'_>, units: &[i64]) -> anyhow::Result<Self> {
        let origin = [&OURS[..], wanted.origin].concat();
        let fleet = Fleet::start(folder, &Wanted { origin: &origin, ..*wanted }).await?;
        let boss = fleet.account("boss").await?.token;
        let mut shop = Self { buyers: vec![], variants: vec![], fleet, units: units.to_vec(), boss };
        for number in 0..BUYERS {
            shop.buyers.push(shop.fleet.account(&format!("buyer{number}")).await?.token);
        }
        for (number, units) in units.iter().enumerate() {
            shop.variants.push(shop.variant(number, *units).await?);
        }
        Ok(shop)
    }

    /// Where its origin listens: host and port.
    pub(crate) fn at(&self) -> anyhow::Result<&str> {
        self.fleet.origin.http()
    }

    /// Processor time of its origin so far.
    pub(crate) fn time(&self) -> anyhow::Result<Duration> {
        self.fleet.origin.time()
    }

    async fn variant(&self, number: usize, units: i64) -> anyhow::Result<String> {
        let (_, variant) = self.fleet.product(&self.boss, number).await?;
        let url = format!("{}/v1/shop/stock/{variant}", self.fleet.origin.url()?);
        let came_in = self.fleet.client.post(url).bearer_auth(&self.boss).json(&json!({ "quantity": units }));
        good(came_in.send().await?).await?;
        Ok(variant)
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.fleet.origin.url()?);
        good(self.fleet.client.get(url).bearer_auth(&self.boss).send().await?).await
    }

    /// Opens the waiting room in front of a variant, as `PUT /v1/shop/rooms/VARIANT` has it; its name, once every edge holds the
    /// crowd.
    pub(crate) async fn open_room(&self, variant: &str, room: &Value) -> anyhow::Result<String> {
        let at = format!("{}/v1/shop/rooms/{variant}", self.fleet.origin.url()?);
        let told = good(self.fleet.client.put(at).bearer_auth(&self.boss).json(room).send().await?).await?;
        let name = told["name"].as_str().context("a room has a name")?.to_owned();
        for edge in &self.fleet.edges {
            // No ticket of this name: nobody is put in line by asking.
            let at = format!("{}/v1/rooms/{name}/tickets/none", edge.url()?);
            let begun = Instant::now();
            loop {
                let told: Value = self.fleet.client.get(&at).send().await?.json().await?;
                if told["type"] == "/problems/unknown-ticket" {
                    break;
                }
                ensure!(begun.elapsed() < HEARD, "an edge does not know of the room: {told}");
                sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(name)
    }

    /// Units of a variant, by number, that are reserved and sold.
    pub(crate) async fn counts(&self, number: usize) -> anyhow::Result<(i64, i64)> {
        let told = self.get(&format!("/v1/shop/stock/{}/entries", self.variants[number])).await?;
        let of = |name: &str| told[name].as_i64().with_context(|| format!("no {name}"));
        let (available, held, gone) = (of("available")?, of("reserved")?, of("sold")?);
        ensure!(available + held + gone == self.units[number], "units appeared or vanished: {told}");
        Ok((held, gone))
    }

    /// Units reserved and sold in all, and orders whose books are not zero.
    pub(crate) async fn audit(&self) -> anyhow::Result<(i64, i64, i64)> {
        let (mut reserved, mut sold) = (0, 0);
        for number in 0..self.variants.len() {
            let (held, gone) = self.counts(number).await?;
            (reserved, sold) = (reserved + held, sold + gone);
        }
        Ok((reserved, sold, self.unbalanced().await?))
    }

    /// Orders whose books are not zero.
    pub(crate) async fn unbalanced(&self) -> anyhow::Result<i64> {
        let books = self.get("/v1/shop/ledger/balance").await?;
        books["unbalanced"].as_i64().context("no balance")
    }

    /// Ends it.
    pub(crate) async fn stop(self) {
        self.fleet.stop().await;
    }
}
