//! Waiting rooms: the crowd in front of something scarce, held here (see [`sluice_wire::room`]).
//!
//! ```text
//! log    -> what is open, what is left      -> hall
//! client -> ticket, and where it is in line -> line
//! origin <- the first in line               -> their admissions
//! client -> what a room guards, admission   -> guard -> origin
//! ```
//!
//! - `line`: who waits, in order, a pure structure; `hall`: one room; `follow`: what origins are asked
//! - `serve`: tickets; `guard`: nobody passes without an admission while a room is open
//!
//! A ticket says where in line it is, and is signed with the room's secret: this edge after a restart, or another one, puts its
//! holder back where he was. Origins are asked for few tickets at a time, and never while nothing is left.
//!
//! What it leaves to others: what a room is about, and how many may be let in (origins).

mod follow;
mod guard;
mod hall;
mod line;
mod serve;

pub(crate) use follow::follow;
pub(crate) use guard::{concerns, pass};
pub(crate) use serve::{Door, is_inner, serve};

use crate::metrics::RoomCounts;
use crate::shares::Share;
use hall::{Hall, MAX_WAITING};
use sluice_wire::room::{Ask, Given, MAX_ROOMS, Room, Said, Ticket};
use sluice_wire::{Problem, Version};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Rooms that are known, those that were closed among them.
const MAX_HALLS: usize = 4 * MAX_ROOMS;

/// The rooms at this edge.
#[derive(Debug)]
pub(crate) struct Rooms {
    inner: Mutex<Inner>,
    /// True while any is open: all else is looked at then alone.
    any: AtomicBool,
    /// An origin must be asked for the list.
    must_list: AtomicBool,
    /// Whose log is followed.
    origin: Mutex<Option<String>>,
    /// Who let somebody in last, or said that nobody may be: asked first.
    answered: Mutex<Option<String>>,
    /// An origin has answered, or has none.
    listed: AtomicBool,
    wanted: Notify,
    counts: RoomCounts,
    /// Which process gives tickets.
    giver: u32,
}

#[derive(Debug, Default)]
struct Inner {
    halls: HashMap<String, Hall>,
    /// The last ticket that was given.
    last: (u64, u32),
}

impl Rooms {
    /// None yet.
    pub(crate) fn new(counts: RoomCounts) -> Self {
        Self {
            inner: Mutex::default(),
            any: AtomicBool::new(false),
            must_list: AtomicBool::new(false),
            origin: Mutex::new(None),
            answered: Mutex::new(None),
            listed: AtomicBool::new(false),
            wanted: Notify::new(),
            counts,
            giver: rand::random(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears what the log says of a room.
    pub(crate) fn hear(&self, name: String, said: Said, version: Version) {
        let (mut inner, now) = (self.lock(), Instant::now());
        match inner.halls.get_mut(&name) {
            Some(hall) => hall.hear(said, version, now),
            None => {
                inner.make_room();
                inner.halls.insert(name, Hall::of_event(said, version, now));
            }
        }
        self.changed(&inner);
    }

    /// The log has another past, or some of it was missed: what is known is asked for anew.
    pub(crate) fn list_again(&self) {
        self.must_list.store(true, Ordering::Release);
        self.wanted.notify_one();
    }

    /// The log has another past, in which rooms have other versions.
    pub(crate) fn begin_anew(&self) {
        self.lock().halls.values_mut().for_each(Hall::begin_anew);
        self.list_again();
    }

    /// An origin's log is followed: it is asked for the list from now on.
    pub(crate) fn hear_from(&self, origin: &str) {
        *self.origin.lock().unwrap_or_else(PoisonError::into_inner) = Some(origin.to_owned());
        if !self.is_listed() {
            self.list_again();
        }
    }

    fn origin(&self) -> Option<String> {
        self.origin.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Origins in the order in which they are asked to let somebody in: first the one that answered last, or whose log is
    /// followed. One that hangs holds nobody up for long then.
    fn in_order(&self, mut origins: Vec<String>) -> Vec<String> {
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let first = answered.filter(|origin| origins.contains(origin)).or_else(|| self.origin());
        origins.sort_by_key(|origin| first.as_ref() != Some(origin));
        origins
    }

    fn answered(&self, origin: &str) {
        *self.answered.lock().unwrap_or_else(PoisonError::into_inner) = Some(origin.to_owned());
    }

    /// True once an origin has said which there are.
    pub(crate) fn is_listed(&self) -> bool {
        self.listed.load(Ordering::Acquire)
    }

    fn changed(&self, inner: &Inner) {
        self.any.store(inner.halls.values().any(Hall::is_open), Ordering::Release);
        if !inner.halls.values().all(Hall::is_known) {
            self.must_list.store(true, Ordering::Release);
        }
        self.wanted.notify_one();
    }

    /// Waits while no room is open and no list is to be asked for.
    async fn wanted(&self) {
        while !self.any.load(Ordering::Acquire) && !self.must_list.load(Ordering::Acquire) {
            self.wanted.notified().await;
        }
    }

    /// When the list is to be asked for: the time that it begins.
    fn must_list(&self) -> Option<Instant> {
        self.must_list.swap(false, Ordering::AcqRel).then(Instant::now)
    }

    /// Takes what an origin lists. What it does not, and was not heard of since it was asked, is closed.
    fn list(&self, rooms: Vec<Room>, begun: Instant) {
        let (mut inner, now) = (self.lock(), Instant::now());
        for (name, hall) in &mut inner.halls {
            if hall.heard < begun && !rooms.iter().any(|room| room.name == *name) {
                hall.close();
            }
        }
        for room in rooms {
            match inner.halls.get_mut(&room.name) {
                Some(hall) => hall.list(room, now),
                None => {
                    inner.make_room();
                    inner.halls.insert(room.name.clone(), Hall::of_list(room, now));
                }
            }
        }
        self.listed.store(true, Ordering::Release);
        self.changed(&inner);
    }

    /// Whom origins are to be asked for now, whose answers are waited for so long.
    fn wants(&self, patience: Duration) -> Vec<(String, Ask)> {
        let (mut inner, now) = (self.lock(), Instant::now());
        let wants = inner.halls.iter_mut().filter_map(|(name, hall)| {
            let (opened_ms, tickets) = (hall.said.opened_ms, hall.wants(now, patience)?);
            Some((name.clone(), Ask { opened_ms, tickets }))
        });
        wants.collect()
    }

    /// Takes an origin's answer.
    fn take(&self, name: &str, opened_ms: u64, given: Given) {
        let mut inner = self.lock();
        let hall =
            inner.halls.get_mut(name).filter(|hall| hall.said.open && hall.said.opened_ms == opened_ms);
        let many = hall.map_or(0, |hall| hall.take(given, Instant::now()));
        self.counts.asked.with_label_values(&["answered"]).inc();
        self.counts.admitted.inc_by(many as u64);
        self.count(&inner);
    }

    /// No origin answered.
    fn failed(&self, name: &str, pause: Duration) {
        self.counts.asked.with_label_values(&["failed"]).inc();
        if let Some(hall) = self.lock().halls.get_mut(name) {
            hall.due = Instant::now() + pause;
        }
    }

    fn sweep(&self) {
        let (mut inner, now, now_ms) = (self.lock(), Instant::now(), unix_ms());
        inner.halls.values_mut().for_each(|hall| hall.sweep(now, now_ms));
        self.count(&inner);
    }

    fn count(&self, inner: &Inner) {
        self.counts.waiting.set(inner.waiting() as i64);
    }
}

impl Inner {
    /// Forgets a closed room if there are too many.
    fn make_room(&mut self) {
        if self.halls.len() >= MAX_HALLS {
            let closed = self.halls.iter().find(|(_, hall)| !hall.is_open()).map(|(name, _)| name.clone());
            closed.map(|name| self.halls.remove(&name));
        }
    }

    fn waiting(&self) -> usize {
        self.halls.values().map(|hall| hall.line.len()).sum()
    }

    /// Why no more can wait here, or no more of a client.
    fn full(&self, share: Share) -> Option<Problem> {
        if self.waiting() >= MAX_WAITING {
            let problem = Problem::new(503, "room-full", "Too many wait");
            return Some(problem.detail("try another edge, or later"));
        }
        let its: usize = self.halls.values().map(|hall| hall.line.of(share.client)).sum();
        (its >= share.most).then(|| {
            let problem = Problem::new(429, "too-many-tickets", "Too many wait");
            problem
                .detail(format!("at most {} wait here from one address; try again in a moment", share.most))
        })
    }

    /// The next ticket: none is before the one before it, though the clock may be.
    fn ticket(&mut self, giver: u32) -> Ticket {
        let at_ms = unix_ms().max(self.last.0);
        self.last = (at_ms, self.last.1.wrapping_add(1));
        // Within a millisecond the number decides: where it begins anew, the next millisecond does.
        if self.last.1 == 0 {
            self.last.0 += 1;
        }
        Ticket { at_ms: self.last.0, n: self.last.1, giver }
    }
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
