//! Floors: below which version of a tag nothing may be stored or served.

use crate::cache::{FeedMark, Object};
use crate::feed::Kept;
use sluice_wire::tag::{Tag, Version};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Tags remembered. One more, and everything kept so far counts as stale instead: bounded, and never wrong.
const MAX_FLOORS: usize = 200_000;
/// How long after the start the events of the time before are waited for: a log that answers has told them by then.
const SETTLE_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
struct Inner {
    floors: HashMap<Tag, (Version, u64)>,
    mark: FeedMark,
}

/// What the event log has said so far.
#[derive(Debug, Default)]
pub(crate) struct Floors {
    inner: Mutex<Inner>,
    /// Rises with every change, once it is made: what was above the floors at a state is so until the next.
    state: AtomicU64,
    settling: Settling,
}

/// Whether what happened while this process was down has been heard.
#[derive(Debug)]
struct Settling {
    open: AtomicBool,
    since: Instant,
}

impl Default for Settling {
    fn default() -> Self {
        Self { open: AtomicBool::new(false), since: Instant::now() }
    }
}

impl Floors {
    /// Applies an event: raises its tag's floor. Events that were applied before change nothing.
    pub(crate) fn raise(&self, tag: &Tag, version: Version, seq: u64) {
        let mut inner = self.lock();
        inner.mark.seq = inner.mark.seq.max(seq);
        if *tag == Tag::everything() || (inner.floors.len() >= MAX_FLOORS && !inner.floors.contains_key(tag))
        {
            inner.floors.clear();
            inner.mark.epoch += 1;
        } else {
            let floor = inner.floors.entry(tag.clone()).or_default();
            *floor = (floor.0.max(version), floor.1.max(seq));
        }
        self.state.fetch_add(1, Ordering::Release);
    }

    /// Takes up what an earlier process had applied, and goes on from there. With a cursor, events after it are still to be
    /// heard.
    pub(crate) fn resume(&self, kept: &Kept) {
        self.lock().mark = FeedMark { epoch: kept.epoch, seq: kept.cursor.unwrap_or(0) };
        kept.events.iter().for_each(|event| self.raise(&event.tag, event.version, event.seq));
        self.settling.open.store(kept.cursor.is_some(), Ordering::Release);
    }

    /// Everything up to now has been heard.
    pub(crate) fn settle(&self) {
        self.settling.open.store(false, Ordering::Release);
    }

    /// False while events of the time before this process may be missing. When they cannot be had, lifetimes are trusted as
    /// far as they are without a feed.
    pub(crate) fn is_settled(&self) -> bool {
        !self.settling.open.load(Ordering::Acquire) || self.settling.since.elapsed() > SETTLE_LIMIT
    }

    /// Continuity of the feed is lost: everything kept so far counts as stale, and the feed goes on after `seq`.
    pub(crate) fn restart(&self, seq: u64) {
        let mut inner = self.lock();
        inner.mark = FeedMark { epoch: inner.mark.epoch + 1, seq };
        self.state.fetch_add(1, Ordering::Release);
    }

    /// Where the feed is.
    pub(crate) fn mark(&self) -> FeedMark {
        self.lock().mark
    }

    /// True when an object shows a state older than a floor. Costs two loads while nothing has changed since the last look.
    pub(crate) fn is_below(&self, object: &Object) -> bool {
        // States are told apart from an object that was never checked, whose mark is 0.
        let state = self.state.load(Ordering::Acquire) + 1;
        if object.checked.load(Ordering::Relaxed) == state {
            return false;
        }
        let below = self.compare(object);
        if !below {
            object.checked.store(state, Ordering::Relaxed);
        }
        below
    }

    fn compare(&self, object: &Object) -> bool {
        let inner = self.lock();
        object.asked_at.epoch < inner.mark.epoch
            || object.tags.iter().any(|tag| {
                let Some((floor, seq)) = inner.floors.get(tag) else { return false };
                match object.versions.iter().find(|(t, _)| t == tag) {
                    Some((_, version)) => version < floor,
                    // An answer without versions is as old as its question.
                    None => object.asked_at.seq < *seq,
                }
            })
    }

    /// The floors of some tags, for a parent to heed.
    pub(crate) fn of(&self, tags: &[Tag]) -> Vec<(Tag, Version)> {
        let inner = self.lock();
        tags.iter().filter_map(|tag| Some((tag.clone(), inner.floors.get(tag)?.0))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// True when an object shows a state older than what an asker knows.
pub(crate) fn is_below(object: &Object, floors: &[(Tag, Version)]) -> bool {
    let older = |(tag, floor): &(Tag, Version)| {
        object.versions.iter().any(|(t, version)| t == tag && version < floor)
    };
    floors.iter().any(older)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::{Growing, Head, Lifetimes, POLICY};
    use http::{HeaderMap, StatusCode};
    use proptest::prelude::*;
    use std::sync::Arc;
    use std::time::SystemTime;

    fn object(version: u64, mark: FeedMark) -> Object {
        let mut headers = HeaderMap::new();
        headers.insert("cache-control", "max-age=60".parse().unwrap());
        headers.insert("surrogate-key", "a".parse().unwrap());
        headers.insert("sluice-version", format!("a={version}").parse().unwrap());
        let lifetimes =
            Lifetimes::of(&HeaderMap::new(), StatusCode::OK, &headers, SystemTime::now(), POLICY).unwrap();
        let head = Head { status: StatusCode::OK, headers, lifetimes, varies: (vec![], String::new()) };
        Object::new(head, Arc::new(Growing::new(0)), mark)
    }

    proptest! {
        #[test]
        fn floors_only_rise_whatever_the_order(events in prop::collection::vec(1u64..50, 1..20), version in 0u64..50) {
            let floors = Floors::default();
            for (seq, event) in events.iter().enumerate() {
                floors.raise(&Tag::new("a").unwrap(), Version(*event), seq as u64 + 1);
            }
            let highest = *events.iter().max().unwrap();
            prop_assert_eq!(floors.is_below(&object(version, floors.mark())), version < highest);
        }
    }

    #[test]
    fn lost_continuity_makes_everything_stale() {
        let floors = Floors::default();
        let kept = object(5, floors.mark());
        assert!(!floors.is_below(&kept));
        floors.restart(100);
        assert!(floors.is_below(&kept));
        assert!(!floors.is_below(&object(5, floors.mark())));
        floors.raise(&Tag::everything(), Version(1), 101);
        assert!(floors.is_below(&object(5, FeedMark { epoch: 1, seq: 100 })));
    }
}
