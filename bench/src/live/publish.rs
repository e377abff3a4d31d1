//! Messages at a steady rate, whether or not answers come in time; or as fast as they are answered.

use super::stamp::{Clock, Stamp};
use super::tally::Times;
use anyhow::ensure;
use reqwest::RequestBuilder;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Messages under way at most: more means that whoever takes them does not keep up by far.
const UNDER_WAY: usize = 2_000;

/// Makes the request that sends a message of this number and text.
pub(super) type Request = Arc<dyn Fn(u64, String) -> RequestBuilder + Send + Sync>;

/// Sends messages; their numbers go up over the whole run.
pub(super) struct Publisher {
    clock: Clock,
    request: Request,
    next: Arc<AtomicU64>,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("next", &self.next).finish_non_exhaustive()
    }
}

/// What became of what was sent.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// The messages that were taken.
    pub(super) numbers: Vec<u64>,
    pub(super) failed: u64,
    /// What the first that was not taken was answered.
    pub(super) why: Option<String>,
    /// From sent to answered.
    pub(super) answers: Times,
    /// Until the last was answered.
    pub(super) took: Duration,
}

impl Sent {
    fn note(&mut self, one: Result<(u64, u64), String>) {
        match one {
            Ok((number, us)) => {
                self.numbers.push(number);
                self.answers.note(us);
            }
            Err(why) => {
                self.failed += 1;
                self.why.get_or_insert(why);
            }
        }
    }

    /// Messages taken in a second.
    pub(super) fn rate(&self) -> f64 {
        self.numbers.len() as f64 / self.took.as_secs_f64().max(1e-9)
    }
}

impl Publisher {
    pub(super) fn new(clock: Clock, request: Request) -> Self {
        Self { clock, request, next: Arc::default() }
    }

    /// Sends at a rate for a time, and waits for all answers.
    pub(super) async fn paced(&self, step: usize, rate: f64, time: Duration) -> anyhow::Result<Sent> {
        let count = (rate * time.as_secs_f64()).ceil() as u64;
        let (mut sent, mut sending, begun) = (Sent::default(), JoinSet::new(), Instant::now());
        let mut tick = interval(Duration::from_secs_f64(1.0 / rate));
        tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for _ in 0..count {
            tick.tick().await;
            sending.spawn(self.one(step));
            while let Some(done) = sending.try_join_next() {
                sent.note(done?);
            }
            ensure!(sending.len() < UNDER_WAY, "{UNDER_WAY} messages wait for their answers");
        }
        while let Some(done) = sending.join_next().await {
            sent.note(done?);
        }
        sent.took = begun.elapsed();
        Ok(sent)
    }

    /// Sends with so many under way for a time.
    pub(super) async fn at_once(&self, step: usize, senders: usize, time: Duration) -> anyhow::Result<Sent> {
        let (mut sent, mut sending, begun) = (Sent::default(), JoinSet::new(), Instant::now());
        (0..senders).for_each(|_| _ = sending.spawn(self.one(step)));
        while let Some(done) = sending.join_next().await {
            sent.note(done?);
            if begun.elapsed() < time {
                sending.spawn(self.one(step));
            }
        }
        sent.took = begun.elapsed();
        Ok(sent)
    }

    /// Sends one: its number, and the microseconds until it was answered.
    fn one(&self, step: usize) -> impl Future<Output = Result<(u64, u64), String>> + use<> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (clock, request) = (self.clock, Arc::clone(&self.request));
        async move {
            let sent_us = clock.us();
            let text = Stamp { step, number, sent_us }.text();
            let answer = request(number, text).send().await.map_err(|error| format!("{error:?}"))?;
            let status = answer.status();
            // The connection is free for the next once the body is read.
            let body = answer.bytes().await.map_err(|error| error.to_string())?;
            match status.is_success() {
                true => Ok((number, clock.us() - sent_us)),
                false => Err(format!("{status}: {}", String::from_utf8_lossy(&body))),
            }
        }
    }
}
