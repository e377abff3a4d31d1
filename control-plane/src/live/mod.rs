//! The fleet as it is, once a second, for whoever looks on: one look for all of them, and the last ten minutes for who comes
//! later.
//!
//! - `frame`: what the records, the configuration and the rates make; pure. `counted`: what this control plane counts
//! - `stream`: `GET /v1/fleet/live`

mod counted;
mod frame;
mod stream;

pub(crate) use stream::live;

use crate::fleet::Fleet;
use crate::metrics::Metrics;
use crate::steering::Steering;
use counted::Counts;
use frame::{Known, Point};
use sluice_storage::SharedClock;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Points that are kept: ten minutes.
const MAX_POINTS: usize = 600;

/// What is told to those who look on. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Live(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The newest frame, as it is sent; empty before the first.
    newest: watch::Sender<Arc<str>>,
    past: Mutex<VecDeque<Point>>,
}

impl Live {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner { newest: watch::Sender::new("".into()), past: Mutex::default() }))
    }

    /// Looks once a second until the drain begins.
    pub(crate) async fn run(
        self,
        fleet: Fleet,
        steering: Steering,
        metrics: Metrics,
        clock: SharedClock,
        stop: CancellationToken,
    ) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut counts = Counts::of(&metrics, clock.now_ms());
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            let now_ms = clock.now_ms();
            let before = std::mem::replace(&mut counts, Counts::of(&metrics, now_ms));
            let (records, table, config, steer) =
                (fleet.records(), fleet.table(), fleet.config(), steering.now());
            let known = Known {
                records: &records,
                table: &table,
                config: &config,
                view: steer.view(),
                rates: steering.rates(),
                steered: counts.since(&before),
                purges: counts.purges,
            };
            let frame = frame::frame(&known, now_ms);
            self.keep(frame.now.clone());
            let text = serde_json::to_string(&frame).unwrap_or_default();
            self.0.newest.send_replace(text.into());
        }
    }

    fn keep(&self, point: Point) {
        let mut past = self.0.past.lock().unwrap_or_else(PoisonError::into_inner);
        if past.len() >= MAX_POINTS {
            past.pop_front();
        }
        past.push_back(point);
    }

    /// The last minutes, the oldest first, as JSON.
    fn past(&self) -> String {
        let past = self.0.past.lock().unwrap_or_else(PoisonError::into_inner);
        serde_json::to_string(&*past).unwrap_or_default()
    }

    fn listen(&self) -> watch::Receiver<Arc<str>> {
        self.0.newest.subscribe()
    }
}
