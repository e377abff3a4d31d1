//! What is counted of a run.

use super::faults::Kind;
use hdrhistogram::Histogram;

/// Seconds within which no session is to be moved twice by choice.
pub(super) const HOLD_S: u32 = 30;
/// The longest time from a fault to a move that is told apart: ten minutes.
const MOST_MS: u64 = 600_000;

/// Why a picture stands still: what is so of its edge in that second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// It refuses connections.
    Killed,
    /// It is of a site or region that answers nothing.
    Lost,
    /// It is slowed, or something else takes its capacity.
    Slowed,
    /// It is asked for more than it has.
    Full,
    /// It gives all it is asked for: the line carries less, or the viewer has just come with an empty buffer.
    Line,
}

impl Cause {
    pub(super) const ALL: [Self; 5] = [Self::Killed, Self::Lost, Self::Slowed, Self::Full, Self::Line];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Killed => "edge killed",
            Self::Lost => "site lost",
            Self::Slowed => "edge slowed",
            Self::Full => "edge full",
            Self::Line => "line",
        }
    }

    /// Of a second on an edge with a fault, that gave a part of what it was asked for.
    pub(super) const fn of(fault: Option<Kind>, given: f64) -> Self {
        match fault {
            Some(Kind::Killed) => Self::Killed,
            Some(Kind::SiteLost | Kind::RegionLost) => Self::Lost,
            Some(Kind::Slowed | Kind::Swings) if given < 1.0 => Self::Slowed,
            _ if given < 1.0 => Self::Full,
            _ => Self::Line,
        }
    }
}

/// Counts of one run, all of it.
#[derive(Debug)]
pub(super) struct Tally {
    /// Milliseconds that viewers watched, and that their pictures stood still, by cause.
    pub(super) watched_ms: u64,
    pub(super) stalled_ms: [u64; Cause::ALL.len()],
    pub(super) sessions: u64,
    pub(super) sessions_stalled: u64,
    /// Moves: by choice, since the edge could not serve, and by players themselves after a request failed.
    pub(super) chosen: u64,
    pub(super) forced: u64,
    pub(super) failed_over: u64,
    /// The most moves by choice of one session within [`HOLD_S`].
    pub(super) burst: u8,
    /// Gigabytes that edges sent, and what they cost.
    pub(super) gigabytes: f64,
    pub(super) cost: f64,
    /// Milliseconds from a fault's beginning until a viewer of it was elsewhere.
    pub(super) delays: Vec<(Kind, Histogram<u64>)>,
    /// By second.
    pub(super) seconds: Vec<Second>,
}

/// What happened in a second.
#[derive(Debug, Clone, Default)]
pub(super) struct Second {
    pub(super) viewers: u32,
    pub(super) questions: u32,
    pub(super) chosen: u32,
    /// What the busiest edge was asked for, and all were on average, in shares of their capacity.
    pub(super) busiest: f64,
    pub(super) mean: f64,
    /// Edges that were asked for more than they have.
    pub(super) over: u32,
    /// Viewers of outside CDNs, in their order.
    pub(super) outside: Vec<u32>,
}

impl Tally {
    pub(super) fn new() -> Self {
        let hist = || Histogram::new_with_bounds(1, MOST_MS, 3).expect("the bounds are good");
        Self {
            watched_ms: 0,
            stalled_ms: [0; Cause::ALL.len()],
            sessions: 0,
            sessions_stalled: 0,
            chosen: 0,
            forced: 0,
            failed_over: 0,
            burst: 0,
            gigabytes: 0.0,
            cost: 0.0,
            delays: Kind::ALL.map(|kind| (kind, hist())).into(),
            seconds: vec![],
        }
    }

    /// Somebody has left an edge that is not well.
    pub(super) fn left(&mut self, kind: Kind, after_ms: u32) {
        if let Some((_, hist)) = self.delays.iter_mut().find(|(of, _)| *of == kind) {
            hist.saturating_record(after_ms.max(1).into());
        }
    }

    /// A picture stood still.
    pub(super) fn stalled(&mut self, cause: Cause, ms: u32) {
        self.stalled_ms[cause as usize] += u64::from(ms);
    }

    /// A session is over.
    pub(super) fn ended(&mut self, stalled: bool) {
        self.sessions += 1;
        self.sessions_stalled += u64::from(stalled);
    }

    pub(super) fn viewer_hours(&self) -> f64 {
        self.watched_ms as f64 / 3_600_000.0
    }

    /// Questions of a viewer in an hour, in these seconds.
    pub(super) fn questions(&self, seconds: std::ops::Range<u32>) -> f64 {
        let of = self.within(seconds);
        let (asked, hours) = of.iter().fold((0.0, 0.0), |sum, s| {
            (sum.0 + f64::from(s.questions), sum.1 + f64::from(s.viewers) / 3_600.0)
        });
        asked / f64::max(hours, 1e-9)
    }

    pub(super) fn within(&self, seconds: std::ops::Range<u32>) -> &[Second] {
        let last = (seconds.end as usize).min(self.seconds.len());
        &self.seconds[(seconds.start as usize).min(last)..last]
    }

    /// The busiest edge's load over the mean, on average over time.
    pub(super) fn unevenness(&self) -> f64 {
        let of: Vec<f64> =
            self.seconds.iter().filter(|s| s.mean > 0.01).map(|s| s.busiest / s.mean).collect();
        of.iter().sum::<f64>() / of.len().max(1) as f64
    }

    /// The share of edges that were asked for too much, on average over time.
    pub(super) fn overloaded(&self, edges: usize) -> f64 {
        let over: f64 = self.seconds.iter().map(|s| f64::from(s.over)).sum();
        over / (self.seconds.len().max(1) * edges) as f64
    }
}
