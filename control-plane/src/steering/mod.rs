//! Steering: the view in force, those it replaced, and who asked lately.
//!
//! - `view`: what the table, the configuration and the loads make; pure. Deciding is `sluice_wire::steering`, pure too
//! - `rates`: what nodes send, of what they report; `client`: what is known of who asks
//! - `ask`: what players ask; `explain`: what operators ask: why somebody is where they are, and what a change would do

pub(crate) mod ask;
mod client;
pub(crate) mod explain;
mod rates;
mod view;

use crate::config::Config;
use crate::fleet::Fleet;
use crate::quality::Players;
use crate::traffic::{Traffic, Used};
pub(crate) use client::Atlas;
pub(crate) use rates::{Flow, Rates};
use sluice_service::ProcessError;
use sluice_storage::SharedClock;
use sluice_wire::steering::{Decision, Session, Steer, View};
use sluice_wire::{FleetConfig, RouteTable};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Between two looks at what nodes send.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Views that can still be asked about: a few minutes of a fleet that changes with each look, and hours of a calm one.
const MAX_PAST: usize = 256;
/// Answers that can still be asked about.
const MAX_ASKED: usize = 10_000;

/// One answer: enough to make it again.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) view: u64,
    pub(crate) session: Session,
    pub(crate) at_ms: u64,
    pub(crate) decision: Decision,
}

/// What steering knows. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Steering(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    steer: watch::Sender<Arc<Steer>>,
    past: Mutex<VecDeque<Arc<Steer>>>,
    asked: Mutex<VecDeque<Asked>>,
    atlas: Atlas,
    rates: Rates,
    players: Players,
    lease_ms: u64,
}

impl Steering {
    pub(crate) fn open(config: &Config) -> Result<Self, ProcessError> {
        let steer = watch::Sender::new(Arc::new(Steer::new(View::default())));
        let atlas = Atlas::open(config)?;
        let (past, asked) = (Mutex::default(), Mutex::default());
        Ok(Self(Arc::new(Inner {
            steer,
            past,
            asked,
            atlas,
            rates: Rates::default(),
            players: Players::default(),
            lease_ms: config.lease_ms,
        })))
    }

    /// Keeps the view true until the drain begins.
    pub(crate) async fn run(
        self,
        fleet: Fleet,
        traffic: Traffic,
        clock: SharedClock,
        stop: CancellationToken,
    ) {
        let mut table = fleet.watched();
        loop {
            self.renew(&fleet, &traffic, clock.now_ms());
            tokio::select! {
                changed = table.changed() => if changed.is_err() { return },
                () = sleep(LOOK_EVERY) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Makes the view anew, and takes it into force if it is another.
    pub(crate) fn renew(&self, fleet: &Fleet, traffic: &Traffic, now_ms: u64) {
        let (table, config, used) = (fleet.table(), fleet.config(), traffic.used());
        let view = self.made(&table, &config, &used, now_ms);
        if view.version == self.now().view().version {
            return;
        }
        let next = Arc::new(Steer::new(view));
        let mut past = self.0.past.lock().unwrap_or_else(PoisonError::into_inner);
        past.push_back(self.0.steer.send_replace(next));
        while past.len() > MAX_PAST {
            past.pop_front();
        }
    }

    /// The view that a table and a configuration make, with what is measured.
    fn made(&self, table: &RouteTable, config: &FleetConfig, used: &Used, now_ms: u64) -> View {
        let scores = self.0.players.scores(now_ms, |address| self.0.atlas.network(address));
        let (rates, scores, lease_ms) = (&self.0.rates, &scores, self.0.lease_ms);
        let known = view::Known { table, config, rates, scores, used, lease_ms };
        view::view(&known, now_ms)
    }

    /// The view in force.
    pub(crate) fn now(&self) -> Arc<Steer> {
        Arc::clone(&self.0.steer.borrow())
    }

    /// The view of a version, if it is not too long ago.
    pub(crate) fn at(&self, version: u64) -> Option<Arc<Steer>> {
        let now = self.now();
        if now.view().version == version {
            return Some(now);
        }
        let past = self.0.past.lock().unwrap_or_else(PoisonError::into_inner);
        past.iter().rev().find(|steer| steer.view().version == version).cloned()
    }

    /// What nodes send.
    pub(crate) fn rates(&self) -> &Rates {
        &self.0.rates
    }

    /// What players report.
    pub(crate) fn players(&self) -> &Players {
        &self.0.players
    }

    /// What addresses tell.
    pub(crate) fn atlas(&self) -> &Atlas {
        &self.0.atlas
    }

    fn remember(&self, asked: Asked) {
        let mut all = self.0.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_ASKED {
            all.pop_front();
        }
        all.push_back(asked);
    }

    /// The answer that a session got at a time, if it is not too long ago.
    pub(crate) fn answer(&self, session: u64, at_ms: u64) -> Option<Asked> {
        let all = self.0.asked.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().rev().find(|asked| asked.session.id == session && asked.at_ms == at_ms).cloned()
    }

    /// The newest answers, the newest first.
    pub(crate) fn asked(&self, most: usize) -> Vec<Asked> {
        let all = self.0.asked.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().rev().take(most).cloned().collect()
    }
}
