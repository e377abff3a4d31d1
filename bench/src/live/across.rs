//! From sent at one edge to heard at another, over conversations on one SQLite file.

use super::chat::{Chats, address};
use super::crowd::Crowd;
use super::publish::{Publisher, Sent};
use super::{Ground, SOCKET};
use crate::fleet::{Fleet, Wanted};
use crate::report::progress;
use std::time::Duration;
use tokio::time::sleep;

/// Conversations, each with one who listens at the other edge.
pub(super) const CONVERSATIONS: usize = 16;
/// Messages under way when as many are sent as are answered.
pub(super) const SENDERS: usize = 64;
/// Shares of what can be sent at most that are offered at a steady rate.
const SHARES: [f64; 2] = [0.75, 0.5];
/// Time for what was sent last to be heard.
const TAIL: Duration = Duration::from_secs(5);

/// What a step was.
#[derive(Debug)]
pub(super) struct Step {
    /// Messages a second offered; `None` where as many were sent as were answered.
    pub(super) offered: Option<f64>,
    pub(super) taken: f64,
    pub(super) failed: u64,
    /// From sent to answered, milliseconds: p50, p99.
    pub(super) answered: [f64; 2],
    /// From sent to heard: p50, p99, the last.
    pub(super) heard: [f64; 3],
    pub(super) missing: u64,
    pub(super) duplicates: u64,
    /// Milliseconds of a processor for each message: the origin, edge A, edge B.
    pub(super) each: [f64; 3],
}

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) steps: Vec<Step>,
    pub(super) commands: Vec<String>,
}

/// Measures it.
pub(super) async fn run(ground: &Ground<'_>, rate: f64) -> anyhow::Result<Found> {
    let folder = tempfile::tempdir()?;
    let fleet =
        Fleet::start(folder.path(), &Wanted { edges: &["near-a", "near-b"], ..Wanted::default() }).await?;
    let chats = Chats::make(&fleet, CONVERSATIONS).await?;
    let publisher = Publisher::new(ground.clock, chats.request(&fleet, &fleet.edges[0].url()?));
    let at = address(fleet.edges[1].http()?)?;
    let crowd = Crowd::gather(ground.clock, at, SOCKET, chats.wishes(&fleet, 1)?, 1)?;
    crowd.all_inside(TAIL * 4).await?;
    let scene = Scene { ground, fleet: &fleet, crowd: &crowd, publisher: &publisher };
    // Connections are made, statements prepared.
    scene.step(0, None, Duration::from_secs(1)).await?;
    let mut steps = vec![scene.step(1, None, ground.window).await?];
    let most = steps[0].taken;
    let mut rates: Vec<f64> =
        SHARES.map(|share| share * most).into_iter().filter(|share| *share < rate).collect();
    // More than can be done only queues: it says nothing but that.
    if rate <= most {
        rates.insert(0, rate);
    }
    for (number, rate) in rates.into_iter().enumerate() {
        steps.push(scene.step(number + 2, Some(rate), ground.window).await?);
    }
    let commands = fleet.commands();
    crowd.disperse()?;
    fleet.stop().await;
    Ok(Found { steps, commands })
}

struct Scene<'s> {
    ground: &'s Ground<'s>,
    fleet: &'s Fleet,
    crowd: &'s Crowd,
    publisher: &'s Publisher,
}

impl Scene<'_> {
    async fn step(&self, step: usize, offered: Option<f64>, time: Duration) -> anyhow::Result<Step> {
        let times = || {
            let [a, b] = [&self.fleet.edges[0], &self.fleet.edges[1]];
            anyhow::Ok([self.fleet.origin.time()?, a.time()?, b.time()?])
        };
        let (before, duplicates) = (times()?, self.crowd.tally().duplicates);
        let sent = match offered {
            Some(rate) => self.publisher.paced(step, rate, time).await?,
            None => self.publisher.at_once(step, SENDERS, time).await?,
        };
        let missing = self.settle(&sent).await;
        let after = times()?;
        let each = |n: usize| {
            after[n].saturating_sub(before[n]).as_secs_f64() * 1e3 / sent.numbers.len().max(1) as f64
        };
        let tally = self.crowd.tally();
        let heard = tally.steps.get(step).cloned().unwrap_or_default();
        let step = Step {
            offered,
            taken: sent.rate(),
            failed: sent.failed,
            answered: [0.5, 0.99].map(|share| sent.answers.ms(share)),
            heard: [0.5, 0.99, 1.0].map(|share| heard.delays.ms(share)),
            missing,
            duplicates: tally.duplicates - duplicates,
            each: [0, 1, 2].map(each),
        };
        progress(format!(
            "live: over two edges, offered {offered:.0?}: {:.0} msg/s, heard p99 {:.1} ms, {} failed: {:?}",
            step.taken, step.heard[1], step.failed, sent.why
        ));
        Ok(step)
    }

    /// Waits until everything is heard; how much is not.
    async fn settle(&self, sent: &Sent) -> u64 {
        let end = self.ground.clock.us() + TAIL.as_micros() as u64;
        loop {
            // One listener for each conversation: each message is heard once.
            let missing = self.crowd.tally().missing(&sent.numbers, 1);
            if missing == 0 || self.ground.clock.us() > end {
                return missing;
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
}
