//! The shop's catalog: 100,000 products (`--products`), searched with all facets over HTTP at an origin.
//!
//! One client asks one question after the other; what is measured is what it waits, connection kept, body read.

mod make;

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;
use sluice_storage::{Storage, StorageConfig};
use tokio::time::sleep;

use crate::args::{Bench, Options};
use crate::fleet::{Fleet, Wanted};
use crate::pages::{AIM, HEAD, Waits};
use crate::report::{Report, progress};

/// How long the index may take to be made.
const MADE: Duration = Duration::from_secs(1_800);

/// What a question took.
#[derive(Debug)]
struct Took {
    name: &'static str,
    found: u64,
    waits: Waits,
}

/// Runs it.
pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    crate::run_alone(bench(options))
}

async fn bench(options: &Options) -> anyhow::Result<Report> {
    let folder = tempfile::tempdir()?;
    let database = format!("sqlite:{}", folder.path().join("sluice.db").display());
    let objects = format!("file:{}", folder.path().join("objects").display());
    let config = StorageConfig { database: database.clone(), objects, ..StorageConfig::default() };
    progress(format!("catalog: {} products", options.products));
    let storage = Storage::open(&config).await?;
    make::catalog(&storage, options.products).await.context("making the catalog")?;
    storage.database.close().await?;
    let index = folder.path().join("search").display().to_string();
    let origin = ["--apps.run", "commerce", "--apps.commerce.search.dir", &index];
    let wanted = Wanted { origin: &origin, database: Some(&database), ..Wanted::default() };
    let begun = Instant::now();
    let fleet = Fleet::start(folder.path(), &wanted).await?;
    while look(&fleet, "").await?.is_none() {
        ensure!(begun.elapsed() < MADE, "the index is never made");
        sleep(Duration::from_millis(20)).await;
    }
    let made = begun.elapsed();
    let mut all = vec![];
    for (name, query) in make::questions() {
        progress(format!("catalog: {name}"));
        all.push(asked(&fleet, name, &query, options.questions).await?);
    }
    let resident = fleet.origin.resident()?;
    fleet.stop().await;
    Ok(report(options, &all, made, resident))
}

/// A page of German prices; `None` while the index is made.
async fn look(fleet: &Fleet, query: &str) -> anyhow::Result<Option<Value>> {
    let url = format!("{}/v1/shop/search?market=de&{query}", fleet.origin.url()?);
    let answer = fleet.client.get(&url).send().await?;
    let status = answer.status();
    let body = answer.bytes().await?;
    ensure!(status == 200 || status == 503, "{status} for {url}");
    Ok(if status == 200 { Some(serde_json::from_slice(&body)?) } else { None })
}

async fn asked(fleet: &Fleet, name: &'static str, query: &str, times: usize) -> anyhow::Result<Took> {
    let ask = async || look(fleet, query).await?.context("the index is gone");
    let (waits, page) = Waits::of(times, ask).await?;
    Ok(Took { name, found: page["total"].as_u64().context("no total")?, waits })
}

fn report(options: &Options, all: &[Took], made: Duration, resident: u64) -> Report {
    let mut report = Report::new(Bench::Catalog.name(), "The catalog: searches with facets");
    report.fact(format!(
        "{} products on SQLite; {} questions of each kind, one after the other; the index in a folder",
        options.products, options.questions
    ));
    report.fact(format!(
        "The index was made of the rows in {:.0} s; the origin had {} MB resident at the end",
        made.as_secs_f64(),
        resident / 1_000_000
    ));
    report.paragraph(format!(
        "Milliseconds that a client waits for a page of 24 with all facets, of the origin over HTTP, on a kept connection, past no edge. \
         Aim: p99 below {} ms.",
        AIM.as_millis()
    ));
    let head = ["question", "products"].into_iter().chain(HEAD);
    let mut rows = vec![head.map(str::to_owned).collect::<Vec<_>>()];
    for took in all {
        let mut row = vec![took.name.to_owned(), took.found.to_string()];
        row.extend(took.waits.row());
        rows.push(row);
    }
    report.table(&rows);
    report
}
