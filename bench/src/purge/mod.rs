//! Purges: how long after a purge is committed nothing old is served any more.
//!
//! A control plane, an origin and three edges, each a process, on one SQLite file. One purge after the other at a steady
//! rate; the control plane says when the last edge has applied it, and for some of them a client of each edge asks for
//! what was purged until it gets what is new.

mod fleet;
mod table;

use crate::args::{Bench, Options};
use crate::look::{self, LIMIT};
use crate::report::{Report, progress};
use crate::statistics::millis;
use anyhow::{Context, ensure};
use fleet::{EDGES, Fleet, PAGE};
use futures::future::try_join_all;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval};

/// One of so many purges is looked at by clients of the edges.
const SAMPLED: usize = 5;
/// Purges before those that count: connections are made, statements prepared.
const WARM_UP: usize = 20;

/// Milliseconds that purges took.
#[derive(Debug, Default)]
struct Delays {
    /// From the commit until the last edge said that it has applied it.
    commit_to_applied: Vec<f64>,
    /// The same from the call.
    call_to_applied: Vec<f64>,
    /// From the call until the client of an edge had something new.
    call_to_fresh: Vec<f64>,
}

/// Runs it.
pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    crate::run_alone(bench(options))
}

async fn bench(options: &Options) -> anyhow::Result<Report> {
    let folder = tempfile::tempdir()?;
    let fleet = Fleet::start(folder.path()).await?;
    progress(format!("purge: {} purges at {} a second", options.purges, options.rate));
    let mut delays = Delays::default();
    let mut tick = interval(Duration::from_secs_f64(1.0 / options.rate));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0..WARM_UP + options.purges {
        tick.tick().await;
        let sampled = number % SAMPLED == 0;
        let mut of_warm_up = Delays::default();
        let into = if number < WARM_UP { &mut of_warm_up } else { &mut delays };
        purge(&fleet, number, sampled, into).await.with_context(|| format!("purge {number}"))?;
    }
    let counted = fleet.counted().await?;
    let report = table::report(Bench::Purge.name(), options, &delays, &counted, &fleet.commands());
    fleet.stop().await;
    Ok(report)
}

/// One purge, and what it took.
async fn purge(fleet: &Fleet, number: usize, sampled: bool, delays: &mut Delays) -> anyhow::Result<()> {
    if sampled {
        fleet.write(number)?;
    }
    let begun = Instant::now();
    let call = async {
        let url = format!("{}/v1/purge?wait={}", fleet.control, LIMIT.as_millis());
        let answer =
            fleet.client.post(url).json(&json!({ "urls": [PAGE] })).timeout(LIMIT * 2).send().await?;
        ensure!(answer.status() == 200, "{} for a purge: {}", answer.status(), answer.text().await?);
        let answer: Value = answer.json().await?;
        Ok((answer, millis(begun)))
    };
    let looks = async {
        let looking = fleet.edges.iter().filter(|_| sampled).map(|edge| fresh(fleet, edge, number, begun));
        try_join_all(looking).await
    };
    let ((answer, called), fresh) = tokio::try_join!(call, looks)?;
    let nodes = answer["applied"]["nodes"].as_array().map_or(0, Vec::len);
    ensure!(nodes == EDGES.len(), "applied by {nodes} edges: {answer}");
    let applied = answer["applied"]["after_ms"].as_f64().context("no after_ms")?;
    delays.commit_to_applied.push(applied);
    delays.call_to_applied.push(called);
    delays.call_to_fresh.extend(fresh);
    Ok(())
}

/// Asks an edge until it answers with this number.
async fn fresh(fleet: &Fleet, edge: &str, number: usize, begun: Instant) -> anyhow::Result<f64> {
    look::until(begun, look::EVERY, edge, async || anyhow::Ok(fleet.page(edge).await? == number.to_string()))
        .await
}
