//! What goes wrong and when; the state of edges; and what a control plane knows of it, later.

use super::dice;
use super::earth::Region;
use super::world::World;
use sluice_wire::steering;
use std::ops::Range;

/// An edge reports once a second (the edge's `report_ms`), and is gone when its lease has run out (the control plane's
/// `lease_ms`), which is seen at the next look.
const REPORT_MS: u64 = 1_000;
const LEASE_MS: u64 = 3_000;
/// When in a second a control plane looks.
pub(super) const LOOKS: [u64; 4] = [0, 250, 500, 750];
/// Seconds after which slow answers are known: two reports that say so. As many good ones as ten until it is well again.
const SLOW_KNOWN_S: u32 = 2;
const WELL_AGAIN_S: u32 = 10;
/// Health of an edge that is slow.
const SICK: f64 = 0.25;
/// What is left of a slow edge's capacity.
const SLOW: f64 = 0.1;
/// What others take of a swinging edge's capacity, by turns: 0.2 Hz.
const SWING: f64 = 0.6;
const SWING_S: u32 = 5;
/// A site of the west of Europe.
const EVENING: usize = 9;

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The process ends: connections are refused.
    Killed,
    /// It sends a tenth of what it could.
    Slowed,
    /// Something else takes most of it, by turns.
    Swings,
    /// A site answers nothing.
    SiteLost,
    /// Nothing in a region answers.
    RegionLost,
}

impl Kind {
    pub(super) const ALL: [Self; 5] =
        [Self::Killed, Self::Slowed, Self::Swings, Self::SiteLost, Self::RegionLost];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Killed => "edge killed",
            Self::Slowed => "edge slowed to a tenth",
            Self::Swings => "edge swings",
            Self::SiteLost => "site lost",
            Self::RegionLost => "region lost",
        }
    }

    /// True when packets vanish instead of being refused.
    pub(super) const fn is_silent(self) -> bool {
        matches!(self, Self::SiteLost | Self::RegionLost)
    }

    const fn is_down(self) -> bool {
        matches!(self, Self::Killed | Self::SiteLost | Self::RegionLost)
    }
}

/// Something that is wrong with edges for a while.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    pub(super) when: Range<u32>,
    pub(super) edges: Range<u16>,
}

/// All that happens in a run.
#[derive(Debug, Clone, Default)]
pub(super) struct Timeline {
    pub(super) faults: Vec<Fault>,
    /// When everybody wants one title.
    pub(super) crowd: Range<u32>,
    /// When the control plane answers nobody.
    pub(super) mute: Range<u32>,
    /// Viewers come in these first seconds.
    pub(super) arrive: u32,
    /// When nothing is wrong.
    pub(super) peace: Range<u32>,
}

impl Timeline {
    /// Everything, one after the other, over the run's seconds; 1,800 give the control plane ten silent minutes.
    pub(super) fn of(world: &World) -> Self {
        let at = |share: f64| (f64::from(world.scale.seconds) * share) as u32;
        let site = |nth: usize| world.sites[nth].edges.clone();
        let one = |nth: usize, edge: u16| site(nth).start + edge..site(nth).start + edge + 1;
        let fault = |kind, from, to, edges| Fault { kind, when: at(from)..at(to), edges };
        let mut faults = vec![
            fault(Kind::Killed, 0.300, 0.340, one(0, 0)),
            fault(Kind::Slowed, 0.350, 0.390, one(1, 0)),
            // Where it is evening.
            fault(Kind::Swings, 0.400, 0.460, one(if world.sites.len() > EVENING { EVENING } else { 0 }, 0)),
            fault(Kind::SiteLost, 0.510, 0.540, site(0)),
            fault(Kind::Killed, 0.800, 0.900, one(1, 0)),
        ];
        let lost = world.sites.iter().filter(|site| site.region == Some(Region::Oceania));
        faults.extend(lost.map(|site| fault(Kind::RegionLost, 0.560, 0.590, site.edges.clone())));
        let (crowd, mute) = (at(0.60)..at(0.65), at(2.0 / 3.0)..at(1.0));
        Self { faults, crowd, mute, arrive: at(0.066).min(120), peace: at(0.15)..at(0.3) }
    }

    /// An edge is killed, another slowed, while everybody asks all the time.
    pub(super) fn looped(world: &World) -> Self {
        let first = |nth: usize| world.sites[nth].edges.start..world.sites[nth].edges.start + 1;
        let end = world.scale.seconds;
        let faults = vec![
            Fault { kind: Kind::Killed, when: end / 2..end, edges: first(0) },
            Fault { kind: Kind::Slowed, when: end / 2..end, edges: first(1) },
            Fault { kind: Kind::SiteLost, when: end / 2..end, edges: world.sites[2].edges.clone() },
        ];
        Self { faults, arrive: 5, peace: 0..0, ..Self::default() }
    }
}

/// One edge as it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    /// What is wrong with it, and since which second.
    pub(super) fault: Option<(Kind, u32)>,
    /// The share of its capacity that there is.
    pub(super) capacity: f64,
    /// The share of its capacity that something else takes.
    pub(super) taken: f64,
    /// When it was heard of last, in milliseconds of the run.
    heard_ms: u64,
    /// Since when it has been slow; until when it was.
    slow: Option<u32>,
    slow_until: Option<u32>,
}

impl State {
    pub(super) const fn is_down(&self) -> bool {
        matches!(self.fault, Some((kind, _)) if kind.is_down())
    }
}

/// Which of the looks of a second is the last one at a time.
pub(super) fn look(second: u32, now_ms: u32) -> usize {
    let within = u64::from(now_ms.saturating_sub(second * 1_000));
    LOOKS.partition_point(|look| *look <= within).saturating_sub(1)
}

/// The fleet as it is.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) edges: Vec<State>,
    seed: u64,
}

/// What is known of an edge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Known {
    pub(super) open: bool,
    pub(super) health: f64,
}

impl Known {
    /// True when a health check passes.
    pub(super) fn is_well(self) -> bool {
        self.open && self.health >= 0.5
    }
}

impl Fleet {
    pub(super) fn new(world: &World) -> Self {
        let well =
            State { fault: None, capacity: 1.0, taken: 0.0, heard_ms: 0, slow: None, slow_until: None };
        Self { edges: vec![well; world.edges.len()], seed: world.scale.seed }
    }

    /// Brings it to a second.
    pub(super) fn advance(&mut self, timeline: &Timeline, second: u32) {
        for state in &mut self.edges {
            (state.fault, state.capacity, state.taken) = (None, 1.0, 0.0);
        }
        for fault in timeline.faults.iter().filter(|fault| fault.when.contains(&second)) {
            for edge in fault.edges.clone() {
                let state = &mut self.edges[usize::from(edge)];
                state.fault = Some((fault.kind, fault.when.start));
                match fault.kind {
                    Kind::Slowed => state.capacity = SLOW,
                    Kind::Swings if (second - fault.when.start) % SWING_S < SWING_S / 2 => {
                        state.taken = SWING
                    }
                    _ => {}
                }
            }
        }
        for (edge, state) in self.edges.iter_mut().enumerate() {
            if !state.is_down() {
                // The report of this second, if it lives as long; what is asked before it, is asked within the lease of the last.
                let offset = dice::roll(self.seed, OFFSET, edge as u64) % REPORT_MS;
                state.heard_ms = u64::from(second) * 1_000 + offset;
            }
            if state.capacity < 0.5 {
                state.slow = state.slow.or(Some(second));
                state.slow_until = None;
            } else if state.slow.is_some() && state.slow_until.is_none() {
                state.slow_until = Some(second);
            } else if state.slow_until.is_some_and(|until| second >= until + WELL_AGAIN_S) {
                (state.slow, state.slow_until) = (None, None);
            }
        }
    }

    /// Milliseconds at a time since an edge was heard of.
    fn silent_ms(&self, edge: usize, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.edges[edge].heard_ms)
    }

    /// What a control plane knows of all edges when it looks.
    pub(super) fn known(&self, now_ms: u64) -> Vec<Known> {
        let late =
            steering::late((0..self.edges.len()).map(|edge| Some(self.silent_ms(edge, now_ms))), LEASE_MS);
        (late.into_iter().enumerate())
            .map(|(edge, late)| {
                let slow = self.edges[edge].slow;
                let slow = slow.is_some_and(|since| now_ms >= u64::from(since + SLOW_KNOWN_S) * 1_000);
                let health = if slow { SICK } else { 1.0 };
                let open = self.silent_ms(edge, now_ms) <= LEASE_MS;
                Known { open, health: if late { health.min(steering::LATE_HEALTH) } else { health } }
            })
            .collect()
    }
}

const OFFSET: u64 = 0x6f66_6673;
