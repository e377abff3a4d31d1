//! Searches in chats: 1,000,000 messages (`--said`), asked for over HTTP at an origin, on SQLite and on PostgreSQL.
//!
//! One client asks one question after the other; what is measured is what it waits, connection kept, body read.

mod make;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::Value;
use sluice_storage::testing::Postgres;
use sluice_storage::{Storage, StorageConfig};

use crate::args::{Bench, Options};
use crate::fleet::{Fleet, Wanted, good};
use crate::pages::{AIM, Took, Waits, table};
use crate::report::{Report, progress};

/// Runs it.
pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    crate::run_alone(bench(options))
}

async fn bench(options: &Options) -> anyhow::Result<Report> {
    let (folder, server) = (tempfile::tempdir()?, Postgres::start().await);
    let sqlite = format!("sqlite:{}", folder.path().join("sluice.db").display());
    let (mut all, mut made) = (vec![], vec![]);
    for (engine, database) in [("SQLite", sqlite), ("PostgreSQL", server.fresh_database().await)] {
        let (took, making) = on(engine, &database, folder.path(), options).await?;
        all.extend(took);
        made.push((engine, making));
    }
    Ok(report(options, &all, &made))
}

/// Says it all, and asks every question.
async fn on(
    engine: &'static str,
    database: &str,
    folder: &Path,
    options: &Options,
) -> anyhow::Result<(Vec<Took>, Duration)> {
    let wanted = Wanted { origin: &["--apps.run", "chat"], database: Some(database), ..Wanted::default() };
    let fleet = Fleet::start(folder, &wanted).await?;
    let ann = fleet.account("ann").await?;
    progress(format!("messages: {} on {engine}", options.said));
    let objects = format!("file:{}", folder.join("objects").display());
    let config = StorageConfig { database: database.to_owned(), objects, ..StorageConfig::default() };
    let (begun, storage) = (Instant::now(), Storage::open(&config).await?);
    let said = make::messages(&storage, options.said, &ann).await.context("saying the messages")?;
    storage.database.close().await?;
    let making = begun.elapsed();
    let url = format!("{}/v1/chat/search", fleet.origin.url()?);
    let mut all = vec![];
    for (name, question) in said.questions() {
        progress(format!("messages: {engine}: {name}"));
        let asked = format!("{url}?q={}", question.replace(' ', "+"));
        let ask = async || -> anyhow::Result<Value> {
            good(fleet.client.get(&asked).bearer_auth(&ann.token).send().await?).await
        };
        let (waits, page) = Waits::of(options.questions, ask).await?;
        let found = page["hits"].as_array().context("no hits")?.len();
        all.push(Took { engine, name, found, waits });
    }
    fleet.stop().await;
    Ok((all, making))
}

fn report(options: &Options, all: &[Took], made: &[(&str, Duration)]) -> Report {
    let mut report = Report::new(Bench::Messages.name(), "Searches in chats");
    report.fact(format!(
        "{} messages of 3 to 14 words in 200 conversations, of which who asks is in {}; {} questions of each kind, one after the other",
        options.said,
        make::JOINED,
        options.questions
    ));
    for (engine, took) in made {
        report.fact(format!("{engine}: said in {:.0} s", took.as_secs_f64()));
    }
    report.paragraph(format!(
        "Milliseconds that a client waits for a page of at most 20 hits, of the origin over HTTP, on a kept connection, past no edge. \
         Aim: p99 below {} ms.",
        AIM.as_millis()
    ));
    table(&mut report, "database", "hits", all);
    report
}
