//! How many an edge lets in: connection, WebSocket, and a subscription by a token of each client's own.

use super::chat::address;
use super::crowd::Crowd;
use super::ear::Wish;
use super::{Ground, SOCKET};
use crate::cpu;
use crate::fleet::{Fleet, Wanted};
use crate::report::progress;
use std::time::{Duration, Instant};

/// Time for all.
const LIMIT: Duration = Duration::from_secs(120);
/// What is listened to.
const CHANNEL: &str = "closed:1";

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) clients: usize,
    pub(super) took: Duration,
    /// Processor time of the edge, and of this program.
    pub(super) edge: Duration,
    pub(super) driver: Duration,
    /// From connecting to subscribed, milliseconds: p50, p99.
    pub(super) entries: [f64; 2],
    pub(super) refused: u64,
}

/// Measures it.
pub(super) async fn run(ground: &Ground<'_>, clients: usize) -> anyhow::Result<Found> {
    let folder = tempfile::tempdir()?;
    let origin = ["--channels.by_token", "closed:"];
    let wanted = Wanted { edges: &["near-a"], origin: &origin, ..Wanted::default() };
    let fleet = Fleet::start(folder.path(), &wanted).await?;
    let at = address(fleet.edges[0].http()?)?;
    let one = |number: usize| {
        let token = fleet.channel_token(&format!("u{number}"), &[CHANNEL.into()])?;
        anyhow::Ok(Wish { channel: Some(CHANNEL.into()), token: Some(token.into()) })
    };
    // The channel is there, and so are the edge's threads.
    let first = Crowd::gather(ground.clock, at, SOCKET, vec![one(0)?], 1)?;
    first.all_inside(LIMIT).await?;
    let wishes = (1..=clients).map(one).collect::<anyhow::Result<Vec<_>>>()?;
    let (begun, edge, driver) = (Instant::now(), fleet.edges[0].time()?, cpu::own_time()?);
    let begun_us = ground.clock.us();
    let crowd = Crowd::gather(ground.clock, at, SOCKET, wishes, 1)?;
    crowd.all_inside(LIMIT).await?;
    let took = Duration::from_micros(crowd.last_in_us().saturating_sub(begun_us)).min(begun.elapsed());
    let (edge, driver) =
        (fleet.edges[0].time()?.saturating_sub(edge), cpu::own_time()?.saturating_sub(driver));
    let tally = crowd.disperse()?;
    first.disperse()?;
    fleet.stop().await;
    progress(format!("live: {clients} let in after {took:?}, {edge:?} of a processor"));
    let entries = [0.5, 0.99].map(|share| tally.entries.ms(share));
    Ok(Found { clients, took, edge, driver, entries, refused: tally.refused })
}
