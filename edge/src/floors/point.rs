//! One floor: how high it is, at each severity. Pure.

use super::Severity;
use crate::cache::{FeedMark, Object, Standing};
use sluice_wire::tag::Version;
use tokio::time::Instant;

/// How high a floor is: what shows a lower version, or was asked for before it was applied, is below.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) version: Version,
    /// The event's place in the log.
    pub(super) seq: u64,
    /// The count of purges at this edge alone.
    pub(super) here: u64,
}

impl Point {
    fn raise(&mut self, to: Self) {
        self.version = self.version.max(to.version);
        self.seq = self.seq.max(to.seq);
        self.here = self.here.max(to.here);
    }

    /// True for what was asked for at `mark`, and shows this version of the floor's tag, if any.
    fn is_above(&self, mark: FeedMark, version: Option<Version>) -> bool {
        let by_log = version.map_or(mark.seq < self.seq, |version| version < self.version);
        by_log || mark.here < self.here
    }
}

/// How an object stands to the floors; the worse, the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// Above all.
    Above,
    /// Stale since then; it may be served where it allows it.
    Soft(Instant),
    /// To be validated before it is served.
    Changed,
    /// Never to be served again.
    Hard,
}

impl Verdict {
    /// How an object stands by this and by time. `None` when it is never to be served again.
    pub(crate) fn standing(self, object: &Object, feed_is_live: bool) -> Option<Standing> {
        match self {
            Self::Above => Some(object.standing(feed_is_live)),
            Self::Soft(at) => Some(object.softened(at, feed_is_live)),
            Self::Changed => Some(Standing::Stale { if_error: false, if_disconnected: false }),
            Self::Hard => None,
        }
    }
}

/// The floors of one tag or mark.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Levels {
    soft: Point,
    changed: Point,
    hard: Point,
    /// When the soft one was last raised.
    softened: Option<Instant>,
}

impl Levels {
    pub(super) fn raise(&mut self, severity: Severity, point: Point, now: Instant) {
        match severity {
            Severity::Soft => {
                self.soft.raise(point);
                self.softened = Some(now);
            }
            Severity::Changed => self.changed.raise(point),
            Severity::Hard => self.hard.raise(point),
        }
    }

    pub(super) fn verdict(&self, mark: FeedMark, version: Option<Version>) -> Verdict {
        if self.hard.is_above(mark, version) {
            return Verdict::Hard;
        }
        if self.changed.is_above(mark, version) {
            return Verdict::Changed;
        }
        match self.softened {
            Some(at) if self.soft.is_above(mark, version) => Verdict::Soft(at),
            _ => Verdict::Above,
        }
    }

    /// The newest version that any of them asks for.
    pub(super) fn version(&self) -> Version {
        self.soft.version.max(self.changed.version).max(self.hard.version)
    }
}
