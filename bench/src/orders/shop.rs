//! An origin that has nothing but the shop, with something in stock and people who want it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::Client;
use serde_json::{Value, json};
use sluice_wire::token::mint::SigningKey;
use tokio::process::Command;

use crate::process::{Process, sibling};

/// How long a question of the set-up may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Accounts that buy; whose order it is makes no difference to what an order costs.
const BUYERS: usize = 16;
/// Units of each variant: more than any run sells.
const UNITS: i64 = 100_000_000;

/// The running shop.
#[derive(Debug)]
pub(super) struct Shop {
    pub(super) at: SocketAddr,
    /// Tokens of those who buy.
    pub(super) buyers: Vec<String>,
    /// What is sold.
    pub(super) variants: Vec<String>,
    /// How it was started.
    pub(super) command: String,
    /// Its process number.
    pub(super) pid: u32,
    client: Client,
    boss: String,
    process: Process,
}

impl Shop {
    /// Starts it on a database, with `together` orders a transaction at most and so many variants on sale.
    pub(super) async fn start(
        name: &str,
        folder: &Path,
        database: &str,
        together: usize,
        variants: usize,
    ) -> anyhow::Result<Self> {
        let (key, announce) = (folder.join("key.pem"), folder.join(format!("{name}.json")));
        std::fs::write(&key, SigningKey::generate().context("a key")?)?;
        let mut command = Command::new(sibling("sluice-demo")?);
        command.args(["role", "origin", "--listen.http", "127.0.0.1:0", "--listen.admin", "127.0.0.1:0"]);
        command.args(["--log.filter", "warn", "--accounts.admins", "boss", "--apps.run", "commerce"]);
        command.args(["--apps.commerce.together", &together.to_string()]);
        let words = command.as_std().get_args().map(|word| word.to_string_lossy().into_owned());
        let words = format!("sluice-demo {} ...", words.collect::<Vec<_>>().join(" "));
        let objects = format!("file:{}", folder.join("objects").display());
        command.args(["--storage.database", database, "--storage.objects", &objects]);
        command.arg("--playback.key_file").arg(&key).arg("--listen.announce").arg(&announce);
        let mut process = Process::start(name, command, None, folder)?;
        let text = process.until(|| async { std::fs::read(&announce).ok() }).await?;
        let told: Value = serde_json::from_slice(&text).context("reading an announcement")?;
        let at: SocketAddr = told["http"].as_str().context("no listener")?.parse()?;
        let (client, pid) = (Client::builder().timeout(PATIENCE).build()?, process.pid()?);
        let (boss, buyers) = (String::new(), vec![]);
        let mut shop = Self { at, buyers, variants: vec![], command: words, pid, client, boss, process };
        shop.boss = shop.account("boss").await?;
        for number in 0..BUYERS {
            let buyer = shop.account(&format!("buyer{number}")).await?;
            shop.buyers.push(buyer);
        }
        for number in 0..variants {
            let variant = shop.variant(number).await?;
            shop.variants.push(variant);
        }
        Ok(shop)
    }

    async fn account(&self, handle: &str) -> anyhow::Result<String> {
        let body = json!({ "handle": handle, "password": "correct horse" });
        let told = self.post("/v1/accounts", None, &body).await?;
        Ok(told["access_token"].as_str().context("no token")?.to_owned())
    }

    async fn variant(&self, number: usize) -> anyhow::Result<String> {
        let variant = json!({ "sku": format!("v{number}"), "title": "M", "prices": { "de": 1_190 } });
        let body = json!({ "title": format!("Shirt {number}"), "variants": [variant] });
        let told = self.post("/v1/shop/products", Some(&self.boss), &body).await?;
        let variant = told["variants"][0].as_str().context("no variant")?.to_owned();
        let stock = format!("/v1/shop/stock/{variant}");
        self.post(&stock, Some(&self.boss), &json!({ "quantity": UNITS })).await?;
        Ok(variant)
    }

    async fn post(&self, path: &str, token: Option<&str>, body: &Value) -> anyhow::Result<Value> {
        let mut request = self.client.post(format!("http://{}{path}", self.at)).json(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{status} for {path}: {text}");
        Ok(serde_json::from_str(&text)?)
    }

    /// Units reserved and sold in all, and orders whose books are not zero.
    pub(super) async fn audit(&self) -> anyhow::Result<(i64, i64, i64)> {
        let get = async |path: String| -> anyhow::Result<Value> {
            let request = self.client.get(format!("http://{}{path}", self.at)).bearer_auth(&self.boss);
            Ok(request.send().await?.error_for_status()?.json().await?)
        };
        let (mut reserved, mut sold) = (0, 0);
        for variant in &self.variants {
            let told = get(format!("/v1/shop/stock/{variant}/entries")).await?;
            let of = |name: &str| told[name].as_i64().with_context(|| format!("no {name}"));
            let (available, held, gone) = (of("available")?, of("reserved")?, of("sold")?);
            ensure!(available + held + gone == UNITS, "units appeared or vanished: {told}");
            (reserved, sold) = (reserved + held, sold + gone);
        }
        let books = get("/v1/shop/ledger/balance".into()).await?;
        Ok((reserved, sold, books["unbalanced"].as_i64().context("no balance")?))
    }

    pub(super) async fn stop(self) {
        self.process.stop().await;
    }
}
