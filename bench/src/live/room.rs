//! One room: every message to every client, at two steady rates and at the highest that is kept up.

use super::chat::{Chats, address};
use super::crowd::Crowd;
use super::ear::Wish;
use super::publish::{Publisher, Sent};
use super::pushpin::Pushpin;
use super::stamp::Clock;
use super::{Ground, SOCKET};
use crate::cpu;
use crate::fleet::{Fleet, Wanted};
use crate::report::progress;
use anyhow::ensure;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::time::sleep;

/// Messages a second that each side is measured at.
pub(super) const RATES: [f64; 2] = [10.0, 50.0];
/// How much more is offered in each try for the highest rate, and tries at most.
const MORE: f64 = 1.4;
const TRIES: usize = 12;
/// What a rate that is kept up has: a 99th percentile below this, and this share of all deliveries.
pub(super) const AIM_MS: f64 = 100.0;
pub(super) const SHARE: f64 = 0.999;
/// How long deliveries may go on after the last message, and how long none may come.
const TAIL: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_secs(3);
/// Time for a crowd to come in.
const ENTRY: Duration = Duration::from_secs(60);

/// One side of the comparison, with its crowd inside.
pub(super) struct Side {
    name: Name,
    server: Server,
    crowd: Crowd,
    publisher: Publisher,
    /// Time and the server's processor time in which all came in.
    entry: (Duration, Duration),
    steps: usize,
    /// Files of the server's.
    _folder: TempDir,
}

#[derive(Debug, Clone, Copy)]
enum Name {
    Sluice,
    Pushpin,
}

impl Name {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Sluice => "Sluice",
            Self::Pushpin => "Pushpin",
        }
    }
}

enum Server {
    Sluice(Fleet),
    Pushpin(Pushpin),
}

/// What a step was.
#[derive(Debug, Default)]
pub(super) struct Measured {
    pub(super) side: &'static str,
    /// Messages a second that were offered.
    pub(super) offered: f64,
    /// Messages a second that were taken, and those that were not.
    pub(super) taken: f64,
    pub(super) failed: u64,
    pub(super) delivered: u64,
    pub(super) missing: u64,
    pub(super) duplicates: u64,
    /// Clients cut, and gaps that they were told of.
    pub(super) cut: u64,
    pub(super) gaps: u64,
    /// From sent to delivered, milliseconds: p50, p99, the last.
    pub(super) delays: [f64; 3],
    /// From the first message to the last delivery.
    pub(super) wall: Duration,
    /// Processor time of the server, of the origin behind it, of this program.
    pub(super) server: Duration,
    pub(super) origin: Duration,
    pub(super) driver: Duration,
}

impl Measured {
    pub(super) fn share(&self) -> f64 {
        self.delivered as f64 / ((self.delivered + self.missing) as f64).max(1.0)
    }

    /// Deliveries in a second.
    pub(super) fn rate(&self) -> f64 {
        self.delivered as f64 / self.wall.as_secs_f64().max(1e-9)
    }

    /// True when a rate is kept up.
    fn is_kept(&self) -> bool {
        self.delays[1] < AIM_MS
            && self.share() >= SHARE
            && self.failed == 0
            && self.taken > 0.95 * self.offered
    }
}

/// What was found of a side.
pub(super) struct Found {
    pub(super) name: &'static str,
    pub(super) entry: (Duration, Duration),
    pub(super) clients: usize,
    /// The steady rates, the tries for the highest, which of them was the highest kept.
    pub(super) steady: Vec<Measured>,
    pub(super) tries: Vec<Measured>,
    pub(super) notes: Vec<String>,
}

impl Found {
    /// The try with the most deliveries that was kept up.
    pub(super) fn highest(&self) -> Option<&Measured> {
        let kept = self.steady.iter().chain(&self.tries).filter(|step| step.is_kept());
        kept.max_by(|a, b| a.rate().total_cmp(&b.rate()))
    }
}

/// Measures both sides, one after the other, each with its processes alone.
pub(super) async fn run(ground: &Ground<'_>) -> anyhow::Result<Vec<Found>> {
    let mut found = vec![];
    for name in [Name::Sluice, Name::Pushpin] {
        match (name, enter(ground, name).await) {
            (_, Ok(side)) => found.push(measure(ground, side).await?),
            (Name::Pushpin, Err(why)) => progress(format!("live: no Pushpin: {why:#}")),
            (Name::Sluice, Err(why)) => return Err(why),
        }
    }
    Ok(found)
}

/// A server, who speaks to it, where it listens, and what those who come in wish for.
type Begun = (Server, Publisher, SocketAddr, Vec<Wish>);

async fn sluice(ground: &Ground<'_>, folder: &Path) -> anyhow::Result<Begun> {
    let wanted = Wanted { edges: &["near-a"], edge_cpu: ground.plan.server, ..Wanted::default() };
    let fleet = Fleet::start(folder, &wanted).await?;
    let chats = Chats::make(&fleet, 1).await?;
    let wishes = chats.wishes(&fleet, ground.clients)?;
    let publisher = Publisher::new(ground.clock, chats.request(&fleet, &fleet.origin.url()?));
    let at = address(fleet.edges[0].http()?)?;
    Ok((Server::Sluice(fleet), publisher, at, wishes))
}

async fn pushpin(ground: &Ground<'_>, folder: &Path) -> anyhow::Result<Begun> {
    let pushpin = Pushpin::start(folder, ground.plan.server).await?;
    let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
    let publisher = Publisher::new(ground.clock, Arc::new(pushpin.request(&client)));
    let wishes = vec![Wish { channel: None, token: None }; ground.clients];
    let at = pushpin.address;
    Ok((Server::Pushpin(pushpin), publisher, at, wishes))
}

/// Starts a side and has its crowd come in.
async fn enter(ground: &Ground<'_>, name: Name) -> anyhow::Result<Side> {
    let folder = tempfile::tempdir()?;
    let (server, publisher, at, wishes) = match name {
        Name::Sluice => sluice(ground, folder.path()).await?,
        Name::Pushpin => pushpin(ground, folder.path()).await?,
    };
    let (begun, before) = (Instant::now(), server.time()?);
    let crowd = Crowd::gather(ground.clock, at, SOCKET, wishes, ground.plan.driver.len())?;
    crowd.all_inside(ENTRY).await?;
    let entry = (begun.elapsed(), server.time()?.saturating_sub(before));
    progress(format!("live: {} clients are in at {} after {:?}", crowd.size(), name.as_str(), entry.0));
    Ok(Side { name, server, crowd, publisher, entry, steps: 0, _folder: folder })
}

async fn measure(ground: &Ground<'_>, mut side: Side) -> anyhow::Result<Found> {
    // Connections are made, statements prepared.
    let first = side.step(ground.clock, RATES[0], Duration::from_secs(2).min(ground.window)).await?;
    ensure!(first.delivered > 0, "nothing is delivered by {}", side.name.as_str());
    let (entry, clients) = (side.entry, side.crowd.size());
    let (mut steady, mut tries): (Vec<Measured>, Vec<Measured>) = (vec![], vec![]);
    for rate in RATES {
        side = side.recovered(ground, steady.last()).await?;
        steady.push(side.step(ground.clock, rate, ground.window).await?);
    }
    let (mut rates, short) = (Climb::from(RATES[1]), ground.window.div_f64(3.0));
    rates.tried(steady.last().is_some_and(Measured::is_kept));
    while let Some(rate) = rates.next() {
        side = side.recovered(ground, tries.last().or_else(|| steady.last())).await?;
        let step = side.step(ground.clock, rate, short).await?;
        rates.tried(step.is_kept());
        tries.push(step);
    }
    let notes = side.server.notes();
    let found = Found { name: side.name.as_str(), entry, clients, steady, tries, notes };
    side.end().await?;
    Ok(found)
}

/// The way to the highest rate that is kept up: up by steps until one is not, or down until one is; then once between.
#[derive(Debug)]
struct Climb {
    rate: f64,
    kept: Option<f64>,
    lost: Option<f64>,
    left: usize,
}

impl Climb {
    const fn from(rate: f64) -> Self {
        Self { rate, kept: None, lost: None, left: TRIES }
    }

    /// Whether the last rate was kept up.
    fn tried(&mut self, is_kept: bool) {
        if is_kept {
            self.kept = Some(self.kept.map_or(self.rate, |kept| kept.max(self.rate)));
        } else {
            self.lost = Some(self.lost.map_or(self.rate, |lost| lost.min(self.rate)));
        }
    }

    /// What to try next.
    fn next(&mut self) -> Option<f64> {
        self.left = self.left.checked_sub(1)?;
        self.rate = match (self.kept, self.lost) {
            (Some(kept), Some(lost)) => {
                self.left = 0;
                f64::midpoint(kept, lost)
            }
            (Some(kept), None) => kept * MORE,
            (None, Some(lost)) if lost > RATES[0] => lost / MORE,
            // What is less was measured, or says nothing.
            (None, Some(_)) => return None,
            (None, None) => self.rate,
        };
        Some(self.rate)
    }
}

impl Side {
    /// The same side, begun anew where the last step was more than it bore: what waits in it still is not of the next step.
    async fn recovered(self, ground: &Ground<'_>, last: Option<&Measured>) -> anyhow::Result<Self> {
        if last.is_none_or(|step| step.missing == 0) {
            return Ok(self);
        }
        let name = self.name;
        self.end().await?;
        enter(ground, name).await
    }

    async fn end(self) -> anyhow::Result<()> {
        let tally = self.crowd.disperse()?;
        progress(format!("live: {}: {} were refused: {:?}", self.name.as_str(), tally.refused, tally.why));
        self.server.stop().await;
        Ok(())
    }

    /// Sends at a rate for a time, and waits for what is delivered of it.
    async fn step(&mut self, clock: Clock, rate: f64, time: Duration) -> anyhow::Result<Measured> {
        let step = self.steps;
        self.steps += 1;
        let (before, begun_us) = (self.crowd.tally(), clock.us());
        let times = || anyhow::Ok((self.server.time()?, self.server.origin_time()?, cpu::own_time()?));
        let (server, origin, driver) = times()?;
        let sent = self.publisher.paced(step, rate, time).await?;
        self.settle(&sent).await?;
        let (server_end, origin_end, driver_end) = times()?;
        let tally = self.crowd.tally();
        let clients = self.crowd.size() as u64;
        let heard = tally.steps.get(step).cloned().unwrap_or_default();
        let missing = tally.missing(&sent.numbers, clients);
        let measured = Measured {
            side: self.name.as_str(),
            offered: rate,
            taken: sent.numbers.len() as f64 / time.as_secs_f64(),
            failed: sent.failed,
            delivered: heard.delays.count(),
            missing,
            duplicates: tally.duplicates - before.duplicates,
            cut: tally.cut - before.cut,
            gaps: tally.gaps + tally.skips - before.gaps - before.skips,
            delays: [0.5, 0.99, 1.0].map(|share| heard.delays.ms(share)),
            wall: Duration::from_micros(heard.last_us.saturating_sub(begun_us)).max(time),
            server: server_end.saturating_sub(server),
            origin: origin_end.saturating_sub(origin),
            driver: driver_end.saturating_sub(driver),
        };
        progress(format!(
            "live: {} at {rate:.0} msg/s: {:.0} deliveries/s, p99 {:.1} ms, {missing} missing, {} cut",
            self.name.as_str(),
            measured.rate(),
            measured.delays[1],
            measured.cut
        ));
        Ok(measured)
    }

    /// Waits until all is delivered, or nothing has come for a while.
    async fn settle(&self, sent: &Sent) -> anyhow::Result<()> {
        let clients = self.crowd.size() as u64;
        let (begun, mut moved, mut before) = (Instant::now(), Instant::now(), u64::MAX);
        loop {
            let missing = self.crowd.tally().missing(&sent.numbers, clients);
            if missing < before {
                (moved, before) = (Instant::now(), missing);
            }
            if missing == 0 || moved.elapsed() > SILENCE || begun.elapsed() > TAIL {
                return self.crowd.all_inside(ENTRY).await;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Server {
    /// Processor time of the server under test: the edge; all of Pushpin's processes.
    fn time(&self) -> anyhow::Result<Duration> {
        match self {
            Self::Sluice(fleet) => fleet.edges[0].time(),
            Self::Pushpin(pushpin) => cpu::tree_time(pushpin.process.pid()?),
        }
    }

    /// Processor time of the origin, where it is a process of its own.
    fn origin_time(&self) -> anyhow::Result<Duration> {
        match self {
            Self::Sluice(fleet) => fleet.origin.time(),
            Self::Pushpin(_) => Ok(Duration::ZERO),
        }
    }

    /// How it was started.
    fn notes(&self) -> Vec<String> {
        match self {
            Self::Sluice(fleet) => fleet.commands(),
            Self::Pushpin(pushpin) => {
                vec![
                    format!("# {}: pushpin --config DIR/pushpin.conf --merge-output", pushpin.version),
                    pushpin.config.clone(),
                ]
            }
        }
    }

    async fn stop(self) {
        match self {
            Self::Sluice(fleet) => fleet.stop().await,
            Self::Pushpin(pushpin) => pushpin.process.stop().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rates that are tried where this is the most that can be kept up.
    fn tried(most: f64) -> Vec<f64> {
        let mut climb = Climb::from(100.0);
        climb.tried(100.0 <= most);
        std::iter::from_fn(|| {
            let rate = climb.next()?;
            climb.tried(rate <= most);
            Some(rate.round())
        })
        .collect()
    }

    #[test]
    fn the_highest_rate_is_climbed_to_from_either_side() {
        assert_eq!(tried(150.0), [140.0, 196.0, 168.0]);
        assert_eq!(tried(60.0), [71.0, 51.0, 61.0]);
        assert_eq!(tried(f64::INFINITY).len(), TRIES);
        assert_eq!(tried(0.0), [71.0, 51.0, 36.0, 26.0, 19.0, 13.0, 9.0]);
    }
}
