//! Floors: what the event log, or an operator here, has said is no longer to be served.
//!
//! A floor is of a tag, of a URL or prefix (by its mark), or of everything; it says how bad it is to be below it. An
//! object that shows versions is compared by these, any other by when it was asked for: it is as old as its question.

pub(crate) mod marks;
mod point;
#[cfg(test)]
pub(crate) mod readers;
mod settling;
#[cfg(test)]
mod tests;

pub(crate) use point::Verdict;

use crate::cache::{FeedMark, Object};
use crate::feed::Kept;
use point::{Levels, Point};
use settling::Settling;
use sluice_wire::Event;
use sluice_wire::tag::{Tag, Version};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio::time::Instant;

/// Tags remembered, and marks. One more, and everything kept so far is forgotten instead: bounded, and never wrong.
const MAX_FLOORS: usize = 200_000;

/// What a floor is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Aim {
    Tag(Tag),
    /// A URL or a prefix.
    Mark(u64),
    Everything,
}

/// How bad it is to be below a floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// It is to be validated, and may be served stale where it allows it.
    Soft,
    /// It is to be validated before it is served.
    Changed,
    /// It is never to be served again.
    Hard,
}

impl Severity {
    /// The label in metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Soft => "soft",
            Self::Changed => "changed",
            Self::Hard => "hard",
        }
    }
}

#[derive(Debug, Default)]
struct Inner {
    tags: HashMap<Tag, Levels>,
    marks: HashMap<u64, Levels>,
    everything: Levels,
    mark: FeedMark,
}

/// What has been said so far.
#[derive(Debug, Default)]
pub(crate) struct Floors {
    inner: Mutex<Inner>,
    /// Rises with every change, once it is made: what was above the floors at a state is so until the next.
    state: AtomicU64,
    /// The newest event applied, for those who wait for one.
    reached: watch::Sender<u64>,
    settling: Settling,
}

impl Floors {
    /// Applies an event. One that was applied before changes nothing.
    pub(crate) fn apply(&self, aims: &[Aim], severity: Severity, version: Version, seq: u64) {
        let mut inner = self.lock();
        inner.mark.seq = inner.mark.seq.max(seq);
        inner.raise(aims, severity, Point { version, seq, here: 0 });
        self.state.fetch_add(1, Ordering::Release);
        self.reached.send_replace(inner.mark.seq);
    }

    /// Takes up what an earlier process had applied, and goes on from there. With a cursor, events after it are still to be
    /// heard. `here` is greater than any count of purges at this edge in an earlier process; `meaning` says what an event
    /// is aimed at.
    pub(crate) fn resume(&self, kept: &Kept, here: u64, meaning: impl Fn(&Event) -> (Vec<Aim>, Severity)) {
        self.lock().mark = FeedMark { epoch: kept.epoch, seq: kept.cursor.unwrap_or(0), here };
        for event in &kept.events {
            let (aims, severity) = meaning(event);
            self.apply(&aims, severity, event.version, event.seq);
        }
        self.reached.send_replace(self.mark().seq);
        if kept.cursor.is_some() {
            self.settling.begin();
        }
    }

    /// Everything up to now has been heard.
    pub(crate) fn settle(&self) {
        self.settling.end();
    }

    /// False while events of the time before this process may be missing. When they cannot be had, lifetimes are trusted as
    /// far as they are without a feed.
    pub(crate) fn is_settled(&self) -> bool {
        self.settling.is_over()
    }

    /// Purges at this edge alone.
    pub(crate) fn purge_here(&self, aims: &[Aim], soft: bool) {
        let mut inner = self.lock();
        inner.mark.here += 1;
        let point = Point { version: Version(0), seq: 0, here: inner.mark.here };
        inner.raise(aims, if soft { Severity::Soft } else { Severity::Hard }, point);
        self.state.fetch_add(1, Ordering::Release);
    }

    /// Continuity of the feed is lost: everything kept so far counts as stale, and the feed goes on after `seq`. What
    /// was said before was of what is stale now.
    pub(crate) fn restart(&self, seq: u64) {
        let mut inner = self.lock();
        let FeedMark { epoch, here, .. } = inner.mark;
        *inner = Inner { mark: FeedMark { epoch: epoch + 1, seq, here }, ..Inner::default() };
        self.state.fetch_add(1, Ordering::Release);
        self.reached.send_replace(seq);
    }

    /// Where the feed is.
    pub(crate) fn mark(&self) -> FeedMark {
        self.lock().mark
    }

    /// Waits until an event has been applied, or the feed has begun after it. Cancel safe.
    pub(crate) async fn reach(&self, seq: u64) {
        let mut reached = self.reached.subscribe();
        // The sender lives as long as this.
        drop(reached.wait_for(|reached| *reached >= seq).await);
    }

    /// True when an object is below any floor. Costs two loads while nothing has changed since the last look.
    pub(crate) fn is_below(&self, object: &Object) -> bool {
        self.verdict(object, &[]) != Verdict::Above
    }

    /// How an object stands to the floors, its own and those of the marks it is asked for by. An object without marks of
    /// its own (nobody has kept it yet) is remembered only once it has them.
    pub(crate) fn verdict(&self, object: &Object, asked_by: &[u64]) -> Verdict {
        // States are told apart from an object that was never checked, whose mark is 0.
        let state = self.state.load(Ordering::Acquire) + 1;
        if object.checked.load(Ordering::Relaxed) == state {
            return Verdict::Above;
        }
        let own = object.marks.get();
        let verdict = self.lock().compare(object, own.map_or(&[][..], |own| own), asked_by);
        if verdict == Verdict::Above && own.is_some() {
            object.checked.store(state, Ordering::Relaxed);
        }
        verdict
    }

    /// How an object stands to what is known here and to the versions that its asker knows of. `asked_by` gives the marks of what
    /// nobody has kept yet, which has none of its own.
    pub(crate) fn stand(
        &self,
        object: &Object,
        told: &[(Tag, Version)],
        asked_by: impl FnOnce() -> Box<[u64]>,
    ) -> Verdict {
        let marks = if object.marks.get().is_some() { Box::default() } else { asked_by() };
        let here = self.verdict(object, &marks);
        if is_below(object, told) { here.max(Verdict::Changed) } else { here }
    }

    /// The floors of some tags, for a parent to heed.
    pub(crate) fn of(&self, tags: &[Tag]) -> Vec<(Tag, Version)> {
        let inner = self.lock();
        tags.iter().filter_map(|tag| Some((tag.clone(), inner.tags.get(tag)?.version()))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn raise(&mut self, aims: &[Aim], severity: Severity, point: Point) {
        let now = Instant::now();
        for aim in aims {
            let room = match aim {
                Aim::Tag(tag) => room(&mut self.tags, tag),
                Aim::Mark(mark) => room(&mut self.marks, mark),
                Aim::Everything => Some(&mut self.everything),
            };
            match room {
                Some(levels) => levels.raise(severity, point, now),
                None => {
                    // What has been forgotten may have been hard.
                    self.tags.clear();
                    self.marks.clear();
                    self.everything.raise(Severity::Hard, point, now);
                }
            }
        }
        if aims.contains(&Aim::Everything) && severity == Severity::Hard {
            self.tags.clear();
            self.marks.clear();
        }
    }

    fn compare(&self, object: &Object, own: &[u64], asked_by: &[u64]) -> Verdict {
        let mark = object.asked_at;
        if mark.epoch < self.mark.epoch {
            // What is older than a log with another past may have been purged in it.
            return if self.mark.epoch > 1 || self.mark.here > 0 { Verdict::Hard } else { Verdict::Changed };
        }
        let mut verdict = self.everything.verdict(mark, None);
        for tag in &object.tags {
            if let Some(levels) = self.tags.get(tag) {
                let version = object.versions.iter().find(|(t, _)| t == tag).map(|(_, version)| *version);
                verdict = verdict.max(levels.verdict(mark, version));
            }
        }
        if !self.marks.is_empty() {
            for levels in own.iter().chain(asked_by).filter_map(|mark| self.marks.get(mark)) {
                verdict = verdict.max(levels.verdict(mark, None));
            }
        }
        verdict
    }
}

/// The place for a floor, if there is room.
fn room<'a, K: Hash + Eq + Clone>(floors: &'a mut HashMap<K, Levels>, key: &K) -> Option<&'a mut Levels> {
    if floors.len() >= MAX_FLOORS && !floors.contains_key(key) {
        return None;
    }
    Some(floors.entry(key.clone()).or_default())
}

/// True when an object shows a state older than what an asker knows.
pub(crate) fn is_below(object: &Object, floors: &[(Tag, Version)]) -> bool {
    let older = |(tag, floor): &(Tag, Version)| {
        object.versions.iter().any(|(t, version)| t == tag && version < floor)
    };
    floors.iter().any(older)
}

/// True when a node that has come this far in the log must not answer out of its cache: the asker has heard of more, and
/// what the cache holds may be what that has made stale.
pub(crate) const fn is_behind(mark: FeedMark, asker_has_seen: u64) -> bool {
    mark.seq < asker_has_seen
}
