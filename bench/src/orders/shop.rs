//! An origin that has nothing but the shop, with something in stock and people who want it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::fleet::{Fleet, Wanted, good};

/// Accounts that buy; whose order it is makes no difference to what an order costs.
const BUYERS: usize = 16;
/// Units of each variant: more than any run sells.
const UNITS: i64 = 100_000_000;

/// The running shop.
#[derive(Debug)]
pub(super) struct Shop {
    /// Tokens of those who buy.
    pub(super) buyers: Vec<String>,
    /// What is sold.
    pub(super) variants: Vec<String>,
    fleet: Fleet,
    /// The administrator's token.
    boss: String,
}

impl Shop {
    /// Starts it on a database, with `together` orders a transaction at most and so many variants on sale.
    pub(super) async fn start(
        folder: &Path,
        database: &str,
        together: usize,
        variants: usize,
    ) -> anyhow::Result<Self> {
        let together = together.to_string();
        let origin =
            ["--accounts.admins", "boss", "--apps.run", "commerce", "--apps.commerce.together", &together];
        let wanted = Wanted { origin: &origin, database: Some(database), ..Wanted::default() };
        let fleet = Fleet::start(folder, &wanted).await?;
        let boss = fleet.account("boss").await?.token;
        let mut shop = Self { buyers: vec![], variants: vec![], fleet, boss };
        for number in 0..BUYERS {
            shop.buyers.push(shop.fleet.account(&format!("buyer{number}")).await?.token);
        }
        for number in 0..variants {
            shop.variants.push(shop.variant(number).await?);
        }
        Ok(shop)
    }

    /// Where it listens: host and port.
    pub(super) fn at(&self) -> anyhow::Result<&str> {
        self.fleet.origin.http()
    }

    /// Processor time of its origin so far.
    pub(super) fn time(&self) -> anyhow::Result<Duration> {
        self.fleet.origin.time()
    }

    /// How it was started.
    pub(super) fn command(&self) -> String {
        self.fleet.origin.command.clone()
    }

    async fn variant(&self, number: usize) -> anyhow::Result<String> {
        let (_, variant) = self.fleet.product(&self.boss, number).await?;
        self.post(&format!("/v1/shop/stock/{variant}"), &json!({ "quantity": UNITS })).await?;
        Ok(variant)
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.fleet.origin.url()?);
        good(self.fleet.client.post(url).bearer_auth(&self.boss).json(body).send().await?).await
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.fleet.origin.url()?);
        good(self.fleet.client.get(url).bearer_auth(&self.boss).send().await?).await
    }

    /// Units reserved and sold in all, and orders whose books are not zero.
    pub(super) async fn audit(&self) -> anyhow::Result<(i64, i64, i64)> {
        let (mut reserved, mut sold) = (0, 0);
        for variant in &self.variants {
            let told = self.get(&format!("/v1/shop/stock/{variant}/entries")).await?;
            let of = |name: &str| told[name].as_i64().with_context(|| format!("no {name}"));
            let (available, held, gone) = (of("available")?, of("reserved")?, of("sold")?);
            ensure!(available + held + gone == UNITS, "units appeared or vanished: {told}");
            (reserved, sold) = (reserved + held, sold + gone);
        }
        let books = self.get("/v1/shop/ledger/balance").await?;
        Ok((reserved, sold, books["unbalanced"].as_i64().context("no balance")?))
    }

    pub(super) async fn stop(self) {
        self.fleet.stop().await;
    }
}
