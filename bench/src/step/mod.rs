//! A step: buyers come at a rate that the shop has time for, and from one moment to the next fifty times as many. How long does
//! a checkout take those whom the waiting room lets in, beside before; and, in the same run, beside all of a second such crowd
//! that comes where no room is open.
//!
//! ```text
//! buyers (this process) -> edge: a ticket, its turn; order and payment -> origin
//! ```
//!
//! Afterwards the stock is counted: what is held and sold is what buyers were told.
//!
//! - `crowd`: who comes by a schedule, and what becomes of them; `table`: the document

mod crowd;
mod table;

use std::path::Path;

use anyhow::{bail, ensure};
use crowd::{Crowd, End, Visit, schedule};
use serde_json::json;
use sluice_storage::testing::Postgres;

use crate::args::{Bench, Options};
use crate::fleet::Wanted;
use crate::process::raise_file_limit;
use crate::report::{Report, progress};
use crate::shop::Shop;

/// How many times as many come in the step.
const STEP: f64 = 50.0;
/// Seconds before it: of which nothing is measured, and which are what it is compared with.
const WARM_S: f64 = 3.0;
const CALM_S: f64 = 20.0;
/// When it begins, in milliseconds.
const BEGINS: f64 = (WARM_S + CALM_S) * 1_000.0;
/// Seconds of it, unless they are said.
const HELD_S: f64 = 8.0;
/// Who can wait at once: each is a file of this process and one of the edge, of which most systems give 20,000.
const MAX_CROWD: f64 = 15_000.0;
/// Seconds that one without a room waits for order and payment together before giving up.
const PATIENCE_S: f64 = 10.0;
/// The edges' names, and that all who wait have one address here.
const EDGES: [&str; 1] = ["near"];
const EDGE: [&str; 2] = ["--shares.tickets", "200000"];
/// Variants by number: the one with a room in front of it, and the one without, of which there are more than anybody buys.
const SCARCE: usize = 0;
const PLENTY: usize = 1;
const PLENTY_UNITS: i64 = 1_000_000;

/// How much of everything.
#[derive(Debug, Clone, Copy)]
struct Plan {
    /// Buyers that come in a second before the step.
    rate: f64,
    /// Seconds of the step.
    held_s: f64,
    /// Whom the room lets in within a second.
    let_in: usize,
}

/// What became of all on one engine.
#[derive(Debug)]
struct Took {
    engine: &'static str,
    /// Before the step, and in it; both through the room.
    calm: Vec<Visit>,
    step: Vec<Visit>,
    /// In the same step without a room.
    without: Vec<Visit>,
    /// How everything was started.
    commands: Vec<String>,
}

impl Plan {
    /// What is said on the command line, for no longer than the largest crowd takes to come.
    fn of(options: &Options) -> Self {
        let rate = options.arrivals;
        let held_s = options.seconds.unwrap_or(HELD_S).min(MAX_CROWD / (rate * STEP));
        Self { rate, held_s, let_in: options.let_in }
    }

    /// Units that are there for the step: as many as are let in for twice as long as people come, so that the others are
    /// told in line that nothing is left.
    fn units(&self) -> i64 {
        (self.let_in as f64 * self.held_s * 2.0).ceil() as i64
    }

    /// Seconds after which the last one knows.
    fn patience_s(&self) -> f64 {
        self.held_s * 2.0 + 30.0
    }
}

/// Runs it.
pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    raise_file_limit()?;
    crate::run_alone(bench(options))
}

async fn bench(options: &Options) -> anyhow::Result<Report> {
    let plan = Plan::of(options);
    let (server, mut all) = (Postgres::start().await, vec![]);
    for engine in ["SQLite", "PostgreSQL"] {
        let folder = tempfile::tempdir()?;
        let database = match engine {
            "SQLite" => format!("sqlite:{}", folder.path().join("sluice.db").display()),
            _ => server.fresh_database().await,
        };
        all.push(measure(engine, &plan, folder.path(), &database).await?);
    }
    Ok(table::report(Bench::Step.name(), &plan, &all))
}

async fn measure(engine: &'static str, plan: &Plan, folder: &Path, database: &str) -> anyhow::Result<Took> {
    let calm = schedule(plan.rate, WARM_S + CALM_S, 1);
    let crowd = schedule(plan.rate * STEP, plan.held_s, 2);
    let scarce = i64::try_from(calm.len())? + plan.units();
    let wanted = Wanted { edges: &EDGES, edge: &EDGE, database: Some(database), ..Wanted::default() };
    let shop = Shop::start(folder, &wanted, &[scarce, PLENTY_UNITS]).await?;
    let room = json!({ "rate": plan.let_in, "hold_ms": crowd::HOLD_MS });
    let room = shop.open_room(&shop.variants[SCARCE], &room).await?;
    progress(format!("step: {engine}, through a waiting room"));
    let all: Vec<f64> = calm.into_iter().chain(crowd.iter().map(|at| BEGINS + at)).collect();
    let all = Crowd::of(&shop, SCARCE, Some(room), plan.patience_s())?.come(&all).await?;
    audit(&shop, &all).await?;
    let (mut calm, step): (Vec<_>, Vec<_>) = all.into_iter().partition(|visit| visit.came < BEGINS);
    if let Some(why) = calm.iter().find_map(Visit::failure) {
        bail!("before the step, when there was time for all: {why:#}");
    }
    calm.retain(|visit| visit.came >= WARM_S * 1_000.0);
    progress(format!("step: {engine}, without one"));
    let without = Crowd::of(&shop, PLENTY, None, PATIENCE_S)?.come(&crowd).await?;
    for (what, visits) in [("through the room", &step), ("without one", &without)] {
        if let Some(why) = visits.iter().find_map(Visit::failure) {
            progress(format!("step: {engine}, {what}, the first who could not buy: {why:#}"));
        }
    }
    let commands = shop.fleet.commands();
    shop.stop().await;
    Ok(Took { engine, calm, step, without, commands })
}

/// What buyers were told is what the stock says; those who were told nothing may have bought, or not.
async fn audit(shop: &Shop, visits: &[Visit]) -> anyhow::Result<()> {
    let bought = visits.iter().filter(|visit| matches!(visit.end, End::Bought { .. })).count();
    let unsure = visits.iter().filter(|visit| visit.failure().is_some()).count();
    let (told, most) = (i64::try_from(bought)?, i64::try_from(bought + unsure)?);
    let (held, sold) = shop.counts(SCARCE).await?;
    ensure!(
        told <= sold && sold + held <= most,
        "{told} bought, {unsure} unsure, {held} held and {sold} sold"
    );
    let unbalanced = shop.unbalanced().await?;
    ensure!(unbalanced == 0, "{unbalanced} orders whose books are not zero");
    Ok(())
}
