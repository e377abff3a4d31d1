//! An edge dies with all of its clients, who come back at another one.

use super::chat::{Chats, address};
use super::crowd::Crowd;
use super::publish::Publisher;
use super::{Ground, SOCKET};
use crate::fleet::{Fleet, Wanted};
use crate::report::progress;
use anyhow::{Context, ensure};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Channels that the clients are in.
pub(super) const CHANNELS: usize = 10;
/// Time over which they come back.
pub(super) const SPREAD: Duration = Duration::from_secs(5);
/// Messages a second meanwhile, over all channels.
pub(super) const RATE: f64 = 20.0;
/// Time for all to come in or back.
const LIMIT: Duration = Duration::from_secs(60);
/// Messages before the edge dies, and after all are back.
const QUIET: Duration = Duration::from_secs(2);
/// Time for what was said last to be heard.
const TAIL: Duration = Duration::from_secs(10);

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) clients: usize,
    /// Subscriptions that the origin saw: before, and for the return.
    pub(super) subscriptions: [f64; 2],
    /// Until all were back.
    pub(super) back: Duration,
    /// From connecting to subscribed, of those who came back, milliseconds: p50, p99, the last.
    pub(super) entries: [f64; 3],
    /// Messages said from before the death to the end; deliveries missing, twice, and gaps told or seen.
    pub(super) messages: usize,
    pub(super) missing: u64,
    pub(super) duplicates: u64,
    pub(super) gaps: u64,
    /// Who was not let in, and had to come again.
    pub(super) refused: u64,
    /// Processor time of the other edge, and of the origin, from the death on.
    pub(super) edge: Duration,
    pub(super) origin: Duration,
}

/// Measures it.
pub(super) async fn run(ground: &Ground<'_>, clients: usize) -> anyhow::Result<Found> {
    let folder = tempfile::tempdir()?;
    let wanted = Wanted { edges: &["near-a", "near-b"], ..Wanted::default() };
    let mut fleet = Fleet::start(folder.path(), &wanted).await?;
    let chats = Chats::make(&fleet, CHANNELS).await?;
    let (dying, left) = (address(fleet.edges[0].http()?)?, address(fleet.edges[1].http()?)?);
    let of_each = clients.div_ceil(CHANNELS);
    let crowd = Crowd::gather(ground.clock, dying, SOCKET, chats.wishes(&fleet, of_each)?, 1)?;
    crowd.all_inside(LIMIT).await?;
    crowd.turn_to(left, SPREAD);
    let asked =
        async |fleet: &Fleet| fleet.origin.metric(&fleet.client, "sluice_channel_subscriptions_total").await;
    let first = asked(&fleet).await?;
    let (before, times) = (crowd.tally(), [fleet.edges[1].time()?, fleet.origin.time()?]);
    let publisher = Publisher::new(ground.clock, chats.request(&fleet, &fleet.origin.url()?));
    let speaking = publisher.paced(0, RATE, QUIET * 2 + SPREAD + QUIET);
    let victim = fleet.edges.remove(0);
    let dying = async {
        sleep(QUIET).await;
        let killed_us = ground.clock.us();
        // Dropped, it is killed as by a power cut.
        drop(victim);
        wait_for_loss(&crowd).await?;
        crowd.all_inside(LIMIT).await?;
        anyhow::Ok(Duration::from_micros(crowd.last_in_us().saturating_sub(killed_us)))
    };
    let (sent, back) = tokio::try_join!(speaking, dying)?;
    ensure!(sent.failed == 0, "{} messages were not taken: {:?}", sent.failed, sent.why);
    let begun = Instant::now();
    while crowd.tally().missing(&sent.numbers, of_each as u64) > 0 && begun.elapsed() < TAIL {
        sleep(Duration::from_millis(20)).await;
    }
    let again = asked(&fleet).await? - first;
    let edge = fleet.edges.first().context("one edge is left")?;
    let (edge, origin) =
        (edge.time()?.saturating_sub(times[0]), fleet.origin.time()?.saturating_sub(times[1]));
    let tally = crowd.disperse()?;
    fleet.stop().await;
    let found = Found {
        clients: of_each * CHANNELS,
        subscriptions: [first, again],
        back,
        entries: [0.5, 0.99, 1.0].map(|share| tally.entries.ms(share)),
        messages: sent.numbers.len(),
        missing: tally.missing(&sent.numbers, of_each as u64),
        duplicates: tally.duplicates - before.duplicates,
        gaps: tally.gaps + tally.skips - before.gaps - before.skips,
        refused: tally.refused - before.refused,
        edge,
        origin,
    };
    progress(format!("live: a storm: {found:?}; refused: {:?}", tally.why));
    Ok(found)
}

/// Waits until the crowd knows that the edge is dead.
async fn wait_for_loss(crowd: &Crowd) -> anyhow::Result<()> {
    let begun = Instant::now();
    while crowd.inside() == crowd.size() {
        ensure!(begun.elapsed() < LIMIT, "nobody was cut off");
        sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}
