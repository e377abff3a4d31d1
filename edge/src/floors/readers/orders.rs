//! Whatever happens in whatever order: a writer writes, the log tells the edge late or twice, fills begin, are asked, answered
//! and kept in any order, what is kept is evicted, the feed is lost, the process is killed and goes on from its journal.

use super::*;
use crate::cache::{Fill, Permit};
use crate::feed::Kept;
use proptest::prelude::*;
use sluice_wire::{Event, EventKind};

/// Readers; each asks again when it was answered. The odd ones demand what the newest write was answered.
const READERS: usize = 4;

#[derive(Debug, Clone)]
enum Step {
    Write,
    /// The log takes up what was written.
    Log,
    Hear,
    /// An event is heard that was heard before.
    HearAgain(usize),
    /// A reader asks.
    Ask(usize),
    /// A fill's question is at the origin: first the version is read, then what it is of.
    Claim(usize),
    Answer(usize),
    /// A fill's head is there: readers that wait are answered.
    Head(usize),
    /// Its body is whole.
    Whole(usize),
    /// Somebody lost patience with a fill, and another is sent after it.
    Follow(usize),
    Evict,
    LoseFeed,
    /// The journal is on disk up to what was heard.
    Flush,
    Kill,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let n = || 0usize..4;
    let step = prop_oneof![
        4 => Just(Step::Write), 4 => Just(Step::Log), 4 => Just(Step::Hear),
        1 => n().prop_map(Step::HearAgain), 8 => n().prop_map(Step::Ask),
        6 => n().prop_map(Step::Claim), 6 => n().prop_map(Step::Answer),
        6 => n().prop_map(Step::Head), 6 => n().prop_map(Step::Whole),
        1 => n().prop_map(Step::Follow), 1 => Just(Step::Evict), 1 => Just(Step::LoseFeed),
        1 => Just(Step::Flush), 1 => Just(Step::Kill),
    ];
    prop::collection::vec(step, 1..120)
}

/// A fill under way.
struct Flight {
    permit: Permit,
    asked_at: FeedMark,
    stale: Option<Arc<Object>>,
    claims: Option<u64>,
    shows: Option<u64>,
    head: Option<Arc<Object>>,
}

/// A reader who waits for a fill.
struct Waiting {
    reader: usize,
    fill: Arc<Fill>,
    /// What the edge had heard of, and the reader knew, when it asked.
    known: u64,
    told: Vec<(Tag, Version)>,
}

struct World {
    edge: Edge,
    severity: Severity,
    versioned: bool,
    written: u64,
    /// Events of the log: each the version it tells of.
    log: Vec<u64>,
    heard: usize,
    flushed: usize,
    /// The newest version that the edge has heard of.
    known: u64,
    /// What outlives the process.
    disk: Option<Arc<Object>>,
    flights: Vec<Flight>,
    waiting: Vec<Waiting>,
}

impl World {
    fn new(severity: Severity, versioned: bool) -> Self {
        let (log, flights, waiting) = (vec![], vec![], vec![]);
        let edge = Edge::new();
        let (written, heard, flushed, known) = (0, 0, 0, 0);
        Self { edge, severity, versioned, written, log, heard, flushed, known, disk: None, flights, waiting }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Write => self.written += 1,
            Step::Log if self.log.len() < self.written as usize => self.log.push(self.log.len() as u64 + 1),
            Step::Hear if self.heard < self.log.len() => {
                self.heard += 1;
                self.hear(self.heard);
            }
            Step::HearAgain(back) if self.heard > back => self.hear(self.heard - back),
            Step::Ask(reader) => self.ask(reader % READERS),
            Step::Claim(nth) => {
                let now = self.written;
                self.with(nth, |flight| flight.claims.is_none(), |flight| flight.claims = Some(now));
            }
            Step::Answer(nth) => {
                let now = self.written;
                let is_asked = |flight: &Flight| flight.claims.is_some() && flight.shows.is_none();
                self.with(nth, is_asked, |flight| flight.shows = Some(now));
            }
            Step::Head(nth) => self.head(nth),
            Step::Whole(nth) => self.whole(nth),
            Step::Follow(nth) => self.follow(nth),
            Step::Evict => {
                self.edge.store.resize(0);
                self.edge.store.resize(1 << 20);
            }
            Step::LoseFeed => {
                self.heard = self.log.len();
                self.edge.floors.restart(self.heard as u64);
                self.known = self.known.max(self.log.last().copied().unwrap_or(0));
                // The journal says so before anything is kept from then on.
                self.flushed = self.heard;
            }
            Step::Flush => self.flushed = self.heard,
            Step::Kill => self.kill(),
            Step::Log | Step::Hear | Step::HearAgain(_) => {}
        }
    }

    fn hear(&mut self, seq: usize) {
        let version = self.log[seq - 1];
        self.edge.hear(self.severity, version, seq as u64);
        self.known = self.known.max(version);
        if self.heard == self.log.len() {
            self.edge.floors.settle();
        }
    }

    fn with(&mut self, nth: usize, is_such: impl Fn(&Flight) -> bool, act: impl FnOnce(&mut Flight)) {
        if let Some(flight) = self.flights.iter_mut().filter(|flight| is_such(flight)).nth(nth) {
            act(flight);
        }
    }

    fn ask(&mut self, reader: usize) {
        if self.waiting.iter().any(|waiting| waiting.reader == reader) {
            return;
        }
        let demands = reader % 2 == 1 && self.versioned;
        let told = if demands { vec![(tag(), Version(self.written))] } else { vec![] };
        let known = if demands { self.written } else { self.known };
        self.look(reader, known, told);
    }

    fn look(&mut self, reader: usize, known: u64, told: Vec<(Tag, Version)>) {
        let stale = match self.edge.look(&told) {
            Look::Serve(object) => return assert_shown(&object, known),
            Look::Ask(None) => match self.recall(&told) {
                Some(Look::Serve(object)) => return assert_shown(&object, known),
                Some(Look::Ask(stale)) => stale,
                None => None,
            },
            Look::Ask(stale) => stale,
        };
        let (fill, permit) = self.edge.fills.join(&self.edge.key);
        if let Some(permit) = permit {
            self.begin(permit, stale);
        }
        self.waiting.push(Waiting { reader, fill, known, told });
    }

    /// What memory has not, from the disk.
    fn recall(&self, told: &[(Tag, Version)]) -> Option<Look> {
        let object = self.disk.clone()?;
        self.edge.standing(&object, told)?;
        if !self.edge.floors.is_settled() {
            return Some(Look::Ask(Some(object)));
        }
        self.edge.store.remember(&self.edge.key, object);
        Some(self.edge.look(told))
    }

    fn begin(&mut self, permit: Permit, stale: Option<Arc<Object>>) {
        let asked_at = self.edge.floors.mark();
        self.flights.push(Flight { permit, asked_at, stale, claims: None, shows: None, head: None });
    }

    /// A head is there; an origin that has what was stale confirms it, with news of its version.
    fn head(&mut self, nth: usize) {
        let is_answered = |flight: &Flight| flight.shows.is_some() && flight.head.is_none();
        let Some(flight) = self.flights.iter_mut().filter(|flight| is_answered(flight)).nth(nth) else {
            return;
        };
        let shows = flight.shows.expect("answered");
        let claims = flight.claims.filter(|_| self.versioned);
        let confirmed = flight.stale.as_ref().filter(|stale| shown(stale) == shows);
        let body = confirmed.map(|stale| Arc::clone(&stale.body));
        let new = answer(shows, claims, flight.asked_at);
        let object = Arc::new(match body {
            Some(body) => Object::new(new.head, body, flight.asked_at),
            None => new,
        });
        flight.head = Some(Arc::clone(&object));
        let fill = Arc::clone(&flight.permit.fill);
        let answered = self.waiting.extract_if(.., |waiting| Arc::ptr_eq(&waiting.fill, &fill));
        for Waiting { reader, known, told, .. } in answered.collect::<Vec<_>>() {
            if self.edge.may_show(&object, &told) {
                assert_shown(&object, known);
            } else {
                // It is below what has been heard meanwhile: the reader looks again, or asks for itself.
                self.look(reader, known, told);
            }
        }
    }

    fn whole(&mut self, nth: usize) {
        let heads = self.flights.iter().enumerate().filter(|(_, flight)| flight.head.is_some());
        let Some(at) = heads.map(|(at, _)| at).nth(nth) else { return };
        let Flight { permit, head, .. } = self.flights.remove(at);
        let (object, fill) = (head.expect("it is there"), Arc::clone(&permit.fill));
        if permit.admits() {
            self.edge.store.put(&self.edge.key, Arc::clone(&object));
            self.disk = Some(object);
        }
        drop(permit);
        // Those to whom it was not good enough ask anew.
        let still = self.waiting.extract_if(.., |waiting| Arc::ptr_eq(&waiting.fill, &fill));
        for Waiting { reader, known, told, .. } in still.collect::<Vec<_>>() {
            self.look(reader, known, told);
        }
    }

    fn follow(&mut self, nth: usize) {
        let Some(flight) = self.flights.get(nth) else { return };
        let (fill, stale) = (Arc::clone(&flight.permit.fill), flight.stale.clone());
        fill.mark_late();
        if let Some(permit) = self.edge.fills.follow(&self.edge.key, &fill) {
            self.begin(permit, stale);
        }
    }

    /// What is in memory is gone, and those who waited; the next process knows what the journal says.
    fn kill(&mut self) {
        let epoch = self.edge.floors.mark().epoch;
        (self.edge, self.flights, self.waiting) = (Edge::new(), vec![], vec![]);
        // What is read from the disk is another object: nothing has been checked of it.
        let anew = |kept: Arc<Object>| {
            Arc::new(Object::restored(kept.head.clone(), Arc::clone(&kept.body), kept.asked_at, kept.age()))
        };
        self.disk = self.disk.take().map(anew);
        let last = self.flushed.checked_sub(1).map(|at| Event {
            seq: self.flushed as u64,
            tag: tag(),
            version: Version(self.log[at]),
            kind: EventKind::Changed,
            at_ms: 0,
            data: serde_json::Value::Null,
        });
        let cursor = Some(self.flushed as u64);
        let kept = Kept { epoch, cursor, events: last.into_iter().collect() };
        let severity = self.severity;
        self.edge.floors.resume(&kept, 1, |event| (vec![Aim::Tag(event.tag.clone())], severity));
        self.heard = self.flushed;
    }
}

/// What a reader is shown is not older than what the edge, or the reader, knew of when it asked.
#[track_caller]
fn assert_shown(object: &Object, known: u64) {
    assert!(shown(object) >= known, "shown {} where {known} was known", shown(object));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn no_reader_is_shown_less_than_its_edge_had_heard_of_when_it_asked(
        steps in steps(), hard in any::<bool>(), versioned in any::<bool>(),
    ) {
        let severity = if hard { Severity::Hard } else { Severity::Changed };
        let mut world = World::new(severity, versioned);
        steps.iter().for_each(|step| world.step(step));
    }
}

#[test]
fn what_comes_late_does_not_take_the_place_of_what_is_newer() {
    let edge = Edge::new();
    let asked_at = edge.floors.mark();
    edge.store.put(&edge.key, Arc::new(answer(6, Some(6), asked_at)));
    edge.store.put(&edge.key, Arc::new(answer(5, Some(5), asked_at)));
    let Look::Serve(kept) = edge.look(&[]) else { panic!("it is kept, and fresh") };
    assert_eq!(shown(&kept), 6);
    // A log with another past counts anew.
    edge.floors.restart(3);
    edge.store.put(&edge.key, Arc::new(answer(2, Some(2), edge.floors.mark())));
    let Look::Serve(kept) = edge.look(&[]) else { panic!("it is kept, and fresh") };
    assert_eq!(shown(&kept), 2);
}

#[test]
fn what_is_kept_says_what_its_last_confirmation_says_also_where_versions_went_back() {
    let edge = Edge::new();
    let asked_at = edge.floors.mark();
    edge.store.put(&edge.key, Arc::new(answer(6, Some(6), asked_at)));
    let Look::Serve(kept) = edge.look(&[]) else { panic!("it is kept, and fresh") };
    let head = answer(6, Some(2), asked_at).head;
    edge.store.renew(&edge.key, Arc::new(Object::new(head, Arc::clone(&kept.body), asked_at)));
    let Look::Serve(kept) = edge.look(&[]) else { panic!("it is kept, and fresh") };
    assert_eq!(shown(&kept), 6);
    assert_eq!(kept.versions, [(tag(), Version(2))]);
    // It is above no floor that it would not be above by what it says.
    edge.hear(Severity::Changed, 3, 1);
    assert!(matches!(edge.look(&[]), Look::Ask(Some(_))));
}
