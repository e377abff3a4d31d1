//! The library: 100,000 videos, listed and searched over HTTP at an origin, on SQLite and on PostgreSQL.
//!
//! One client asks one question after the other; what is measured is what it waits, connection kept, body read.

mod make;

use crate::args::{Bench, Options};
use crate::engines::{Engine, Engines};
use crate::fleet::Node;
use crate::pages::{Took, ask_all, table};
use crate::report::{Report, progress};
use anyhow::{Context, ensure};
use bytes::Bytes;
use reqwest::Client;
use serde_json::Value;
use sluice_storage::Storage;
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs it.
pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    crate::run_alone(bench(options))
}

async fn bench(options: &Options) -> anyhow::Result<Report> {
    let engines = Engines::start().await?;
    let (mut all, mut made) = (vec![], vec![]);
    for engine in &engines.all {
        progress(format!("library: {} videos on {}", options.videos, engine.name));
        let make = async |storage: &Storage| make::library(storage, options.videos).await;
        let (deep, making) = engine.filled(make).await.context("making the library")?;
        made.push((engine.name, making));
        all.extend(asked(engine, options, &deep).await?);
    }
    Ok(report(options, &all, &made))
}

/// Asks every question at an origin.
async fn asked(engine: &Engine, options: &Options, deep: &str) -> anyhow::Result<Vec<Took>> {
    let storage =
        ["--storage.database", &engine.config.database, "--storage.objects", &engine.config.objects];
    let flags = [&["--listen.http", "127.0.0.1:0"][..], &storage].concat();
    let origin = Node::start("origin", "origin", &flags, None, &engine.folder).await?;
    let client = Client::builder().timeout(PATIENCE).build()?;
    let base = format!("{}/v1/videos", origin.url()?);
    let questions = make::questions(deep).into_iter().map(|(name, query)| (name, format!("{base}?{query}")));
    let (about, ask) = (format!("library: {}", engine.name), async |url: &str| page(&client, url).await);
    let found = |body: &Bytes| {
        let page: Value = serde_json::from_slice(body)?;
        Ok(page["videos"].as_array().map_or(0, Vec::len))
    };
    let all = ask_all((&about, engine.name), questions, options.questions, ask, found).await?;
    origin.stop().await;
    Ok(all)
}

async fn page(client: &Client, url: &str) -> anyhow::Result<Bytes> {
    let answer = client.get(url).send().await?;
    ensure!(answer.status() == 200, "{} for {url}", answer.status());
    Ok(answer.bytes().await?)
}

fn report(options: &Options, all: &[Took], made: &[(&str, Duration)]) -> Report {
    let mut report = Report::new(Bench::Library.name(), "The library: lists and searches");
    report.fact(format!(
        "{} videos; {} questions of each kind, one after the other",
        options.videos, options.questions
    ));
    for (engine, took) in made {
        report.fact(format!("{engine}: the library was made in {:.0} s", took.as_secs_f64()));
    }
    let page = "a page of the origin over HTTP, on a kept connection";
    table(&mut report, page, (Some("engine"), "videos"), all);
    report
}
