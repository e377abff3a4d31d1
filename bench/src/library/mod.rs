//! The library: 100,000 videos, listed and searched over HTTP at an origin, on SQLite and on PostgreSQL.
//!
//! One client asks one question after the other; what is measured is what it waits, connection kept, body read.

mod make;
mod table;

use crate::args::{Bench, Options};
use crate::pages::{Took, Waits};
use crate::process::{Process, sibling};
use crate::report::{Report, progress};
use anyhow::{Context, ensure};
use reqwest::Client;
use serde_json::Value;
use sluice_storage::testing::Postgres;
use sluice_storage::{Storage, StorageConfig};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::process::Command;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs it.
pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    crate::run_alone(bench(options))
}

async fn bench(options: &Options) -> anyhow::Result<Report> {
    let folder = tempfile::tempdir()?;
    let server = Postgres::start().await;
    let sqlite = format!("sqlite:{}", folder.path().join("sluice.db").display());
    let (mut all, mut made) = (vec![], vec![]);
    for (engine, database) in [("SQLite", sqlite), ("PostgreSQL", server.fresh_database().await)] {
        let objects = format!("file:{}", folder.path().join("objects").display());
        let config = StorageConfig { database, objects, ..StorageConfig::default() };
        progress(format!("library: {} videos on {engine}", options.videos));
        let (begun, storage) = (Instant::now(), Storage::open(&config).await?);
        let deep = make::library(&storage, options.videos).await.context("making the library")?;
        made.push((engine, begun.elapsed()));
        storage.database.close().await?;
        all.extend(asked(engine, &config, folder.path(), options, &deep).await?);
    }
    Ok(table::report(Bench::Library.name(), options, &all, &made))
}

/// Asks every question at an origin.
async fn asked(
    engine: &'static str,
    config: &StorageConfig,
    folder: &Path,
    options: &Options,
    deep: &str,
) -> anyhow::Result<Vec<Took>> {
    let announce = folder.join(format!("{engine}.json"));
    let mut command = Command::new(sibling("sluice-demo")?);
    command.args(["role", "origin", "--listen.http", "127.0.0.1:0", "--listen.admin", "127.0.0.1:0"]);
    command.args(["--log.filter", "warn", "--storage.database", &config.database]);
    command.args(["--storage.objects", &config.objects]).arg("--listen.announce").arg(&announce);
    let mut process = Process::start("origin", command, None, folder)?;
    let text = process.until(|| async { std::fs::read(&announce).ok() }).await?;
    let at: Value = serde_json::from_slice(&text).context("reading an announcement")?;
    let base = format!("http://{}/v1/videos", at["http"].as_str().context("no listener")?);
    let client = Client::builder().timeout(PATIENCE).build()?;
    let mut all = vec![];
    for (name, query) in make::questions(deep) {
        progress(format!("library: {engine}: {name}"));
        let url = format!("{base}?{query}");
        let ask = async || {
            let answer = client.get(&url).send().await?;
            ensure!(answer.status() == 200, "{} for {url}", answer.status());
            Ok(answer.bytes().await?)
        };
        let (waits, body) = Waits::of(options.questions, ask).await?;
        let page: Value = serde_json::from_slice(&body)?;
        all.push(Took { engine, name, found: page["videos"].as_array().map_or(0, Vec::len), waits });
    }
    process.stop().await;
    Ok(all)
}
