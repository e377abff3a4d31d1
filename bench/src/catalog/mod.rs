//! The shop's catalog: 100,000 products (`--products`), searched with all facets over HTTP at an origin.
//!
//! One client asks one question after the other; what is measured is what it waits, connection kept, body read.

mod make;

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;
use sluice_storage::Storage;
use tokio::time::sleep;

use crate::args::{Bench, Options};
use crate::engines::Engine;
use crate::fleet::{Fleet, Wanted};
use crate::pages::{Took, ask_all, table};
use crate::report::{Report, progress};

/// How long the index may take to be made.
const MADE: Duration = Duration::from_secs(1_800);

/// Runs it.
pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    crate::run_alone(bench(options))
}

async fn bench(options: &Options) -> anyhow::Result<Report> {
    let folder = tempfile::tempdir()?;
    let engine = Engine::sqlite(folder.path());
    progress(format!("catalog: {} products", options.products));
    let make = async |storage: &Storage| make::catalog(storage, options.products).await;
    engine.filled(make).await.context("making the catalog")?;
    let index = folder.path().join("search").display().to_string();
    let origin = ["--apps.run", "commerce", "--apps.commerce.search.dir", &index];
    let wanted = Wanted { origin: &origin, database: Some(&engine.config.database), ..Wanted::default() };
    let begun = Instant::now();
    let fleet = Fleet::start(folder.path(), &wanted).await?;
    while look(&fleet, "").await?.is_none() {
        ensure!(begun.elapsed() < MADE, "the index is never made");
        sleep(Duration::from_millis(20)).await;
    }
    let made = begun.elapsed();
    let ask = async |query: &str| look(&fleet, query).await?.context("the index is gone");
    let found = |page: &Value| Ok(usize::try_from(page["total"].as_u64().context("no total")?)?);
    let all = ask_all(("catalog", engine.name), make::questions(), options.questions, ask, found).await?;
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
    let page = "a page of 24 with all facets, of the origin over HTTP, on a kept connection, past no edge";
    table(&mut report, page, (None, "products"), all);
    report
}
