//! Searches in chats: 1,000,000 messages (`--said`), asked for over HTTP at an origin, on SQLite and on PostgreSQL.
//!
//! One client asks one question after the other; what is measured is what it waits, connection kept, body read.

mod make;

use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use sluice_storage::Storage;

use crate::args::{Bench, Options};
use crate::engines::{Engine, Engines};
use crate::fleet::{Fleet, Wanted, good};
use crate::pages::{Took, ask_all, table};
use crate::report::{Report, progress};

/// Runs it.
pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    crate::run_alone(bench(options))
}

async fn bench(options: &Options) -> anyhow::Result<Report> {
    let engines = Engines::start().await?;
    let (mut all, mut made) = (vec![], vec![]);
    for engine in &engines.all {
        let (took, making) = on(engine, options).await?;
        all.extend(took);
        made.push((engine.name, making));
    }
    Ok(report(options, &all, &made))
}

/// Says it all, and asks every question.
async fn on(engine: &Engine, options: &Options) -> anyhow::Result<(Vec<Took>, Duration)> {
    let database = Some(engine.config.database.as_str());
    let wanted = Wanted { origin: &["--apps.run", "chat"], database, ..Wanted::default() };
    let fleet = Fleet::start(&engine.folder, &wanted).await?;
    let ann = fleet.account("ann").await?;
    progress(format!("messages: {} on {}", options.said, engine.name));
    let say = async |storage: &Storage| make::messages(storage, options.said, &ann).await;
    let (said, making) = engine.filled(say).await.context("saying the messages")?;
    let url = format!("{}/v1/chat/search", fleet.origin.url()?);
    let asked = |question: String| format!("{url}?q={}", question.replace(' ', "+"));
    let questions = said.questions().into_iter().map(|(name, question)| (name, asked(question)));
    let ask = async |url: &str| -> anyhow::Result<Value> {
        good(fleet.client.get(url).bearer_auth(&ann.token).send().await?).await
    };
    let found = |page: &Value| Ok(page["hits"].as_array().context("no hits")?.len());
    let about = format!("messages: {}", engine.name);
    let all = ask_all((&about, engine.name), questions, options.questions, ask, found).await?;
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
    let page = "a page of at most 20 hits, of the origin over HTTP, on a kept connection, past no edge";
    table(&mut report, page, (Some("database"), "hits"), all);
    report
}
