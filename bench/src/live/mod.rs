//! Live channels: a room beside Pushpin, from edge to edge, silent sockets, a storm of returns, and how many are let in.
//!
//! ```text
//! publisher (this process) -> origin -> edge    -> crowd (threads of this process)
//! publisher (this process) ->  Pushpin          -> crowd
//! ```
//!
//! - `room`: one room beside Pushpin (`pushpin`); `across`: from sent at one edge to heard at another; `idle`: memory of
//!   silent sockets; `storm`: an edge dies; `accept`: clients let in a second
//! - `crowd` and `ear`: clients by the thousand in few threads; `frames`: their WebSocket; `tally`: what they heard
//! - `publish`: messages at a steady rate; `stamp`: what says in a message when it was sent; `chat`: where to

mod accept;
mod across;
mod chat;
mod crowd;
mod ear;
mod frames;
mod idle;
mod publish;
mod pushpin;
mod room;
mod stamp;
mod storm;
mod table;
mod tally;

use crate::args::{Bench, Options};
use crate::cpu::{self, Plan};
use crate::network;
use crate::process::raise_file_limit;
use crate::report::Report;
use stamp::Clock;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Where clients come in.
const SOCKET: &str = "/v1/live";
/// Seconds of a step, unless they are said.
const WINDOW_S: f64 = 15.0;

/// What every part needs.
#[derive(Debug)]
struct Ground<'g> {
    clock: Clock,
    plan: &'g Plan,
    window: Duration,
    clients: usize,
}

/// What was found; nothing of parts that were not wanted.
#[derive(Default)]
struct Found {
    rooms: Vec<room::Found>,
    across: Option<across::Found>,
    idle: Vec<idle::Found>,
    storm: Option<storm::Found>,
    accept: Option<accept::Found>,
}

/// Runs it.
pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    raise_file_limit()?;
    let plan = Plan::here()?;
    let control = network::enter_own();
    let window = Duration::from_secs_f64(options.seconds.unwrap_or(WINDOW_S));
    let ground = Ground { clock: Clock::start(), plan: &plan, window, clients: options.clients };
    let mut found = Found::default();
    if options.wants("room") {
        // The server under test has a processor for itself, everything else the others.
        found.rooms = cpu::pinned(&plan.driver, || {
            runtime(plan.driver.len())?.block_on(crate::until_stopped(room::run(&ground)))
        })??;
    }
    runtime(cpu::allowed()?.len())?.block_on(crate::until_stopped(others(options, &ground, &mut found)))?;
    Ok(table::report(Bench::Live.name(), options, &ground, &control, &found))
}

fn runtime(threads: usize) -> anyhow::Result<Runtime> {
    Ok(Builder::new_multi_thread().worker_threads(threads).enable_all().build()?)
}

/// The parts that have the whole machine.
async fn others(options: &Options, ground: &Ground<'_>, found: &mut Found) -> anyhow::Result<()> {
    if options.wants("across") {
        found.across = Some(across::run(ground, options.messages).await?);
    }
    if options.wants("idle") {
        found.idle = idle::run(ground, options.sockets).await?;
    }
    if options.wants("storm") {
        found.storm = Some(storm::run(ground, options.returning).await?);
    }
    if options.wants("accept") {
        found.accept = Some(accept::run(ground, options.sockets).await?);
    }
    Ok(())
}
