//! What a site is granted in one opening of its fill window: a pure function of what was granted before, the forecast, who owns what
//! there, and now.

use serde::Serialize;
use sluice_wire::forecast::{Forecast, SLOT_MS};
use sluice_wire::limits::SEGMENTS_PER_GROUP;
use sluice_wire::plan::{self, Candidate, FillPlan, FillStep, FillWindow, MAX_STEPS, Opening, Room};
use sluice_wire::{MediaGroup, NodeId, PlacementKey};
use std::collections::BTreeMap;

/// Bytes that a segment counts for at the least, whatever edges say: what is said to be nothing must not be planned for ever.
const LEAST_SEGMENT: u64 = 16 << 10;
/// How long a site is taken to hold what it was asked for.
const HELD_MS: u64 = 24 * SLOT_MS;
/// Groups granted in one opening, however often edges begin anew.
const MAX_GRANTED: usize = 4 * MAX_STEPS;

/// Edges of a site that serve, by name: when they started, in Unix milliseconds.
pub(crate) type Edges = BTreeMap<NodeId, u64>;

/// A group that an edge was told to fetch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Granted {
    pub(crate) group: MediaGroup,
    pub(crate) node: NodeId,
    /// Which life of the node: it holds nothing of the one before.
    #[serde(skip)]
    pub(crate) started_ms: u64,
    pub(crate) at_ms: u64,
    pub(crate) bytes: u64,
    pub(crate) chance: f64,
}

/// What a site was granted in an opening.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filled {
    pub(crate) opening: Opening,
    /// When it was made last, in Unix milliseconds; rises.
    pub(crate) version: u64,
    pub(crate) granted: Vec<Granted>,
    kbps: u64,
    edges: Edges,
}

/// Why a group is planned or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// An edge is told to fetch it.
    Planned,
    /// The site was asked for it since its owner started: it is there.
    Held,
    /// It is less likely to be asked for than it must be.
    Unlikely,
    /// There are no bytes or no time left for it.
    NoRoom,
    /// The window is closed, or the site has none or no edge.
    Closed,
}

/// Viewers that are expected where so many requests are: one asks for each segment once.
pub(crate) fn viewers(requests: f64) -> f64 {
    requests / f64::from(SEGMENTS_PER_GROUP)
}

/// Bytes that a group counts for: those of its segments, and of one more for header and playlist.
pub(crate) fn bytes(of_one: u64) -> u64 {
    of_one.max(LEAST_SEGMENT).saturating_mul(u64::from(SEGMENTS_PER_GROUP) + 1)
}

impl Filled {
    /// True when this is still what is to be done: it is of this opening and this hour, and the edges are the same.
    pub(crate) fn stands(&self, opening: Opening, edges: &Edges, now_ms: u64) -> bool {
        self.opening == opening && self.edges == *edges && self.version / SLOT_MS == now_ms / SLOT_MS
    }

    /// What follows what was granted before in the same opening: that which is not due yet is planned anew.
    pub(crate) fn next(
        before: Option<&Self>,
        window: &FillWindow,
        opening: Opening,
        edges: Edges,
        forecasts: &[Forecast<MediaGroup>],
        owner: impl Fn(PlacementKey) -> Option<NodeId>,
        now_ms: u64,
    ) -> Self {
        let before = before.filter(|before| before.opening == opening);
        let version = before.map_or(now_ms, |before| now_ms.max(before.version + 1));
        let granted: Vec<Granted> = before
            .map(|before| before.granted.iter().filter(|one| one.at_ms <= now_ms).cloned().collect())
            .unwrap_or_default();
        let mut filled = Self { opening, version, granted, kbps: kbps(window), edges };
        let spent: u64 = filled.granted.iter().map(|one| one.bytes).sum();
        let candidate = |forecast: &Forecast<MediaGroup>| {
            let node = owner(forecast.key.placement())?;
            let held = filled.holds(&node, forecast, now_ms);
            let (viewers, bytes) = (viewers(forecast.requests), bytes(forecast.bytes));
            Some(Candidate { key: (forecast.key.clone(), node), viewers, bytes, held })
        };
        let candidates: Vec<Candidate<(MediaGroup, NodeId)>> =
            forecasts.iter().filter_map(candidate).collect();
        let room = Room {
            from_ms: now_ms,
            until_ms: opening.until_ms,
            bytes: window.bytes.saturating_sub(spent),
            mbps: window.mbps,
            chance: window.chance,
        };
        let left = MAX_GRANTED.saturating_sub(filled.granted.len());
        let steps = plan::plan(&candidates, &room).into_iter().take(left);
        let fresh: Vec<Granted> = steps
            .map(|step| {
                let (group, node) = step.key;
                let started_ms = filled.edges.get(&node).copied().unwrap_or(0);
                Granted { group, node, started_ms, at_ms: step.at_ms, bytes: step.bytes, chance: step.chance }
            })
            .collect();
        filled.granted.extend(fresh);
        filled
    }

    /// True when an edge has a group, as far as is known here: it was asked for at its site, or granted, since it started.
    fn holds(&self, node: &NodeId, forecast: &Forecast<MediaGroup>, now_ms: u64) -> bool {
        let started_ms = self.edges.get(node).copied().unwrap_or(0);
        let asked = |last_ms: u64| last_ms >= started_ms && now_ms.saturating_sub(last_ms) < HELD_MS;
        forecast.last_ms.is_some_and(asked) || self.has_granted(node, started_ms, &forecast.key)
    }

    fn has_granted(&self, node: &NodeId, started_ms: u64, group: &MediaGroup) -> bool {
        self.granted
            .iter()
            .any(|one| one.node == *node && one.started_ms == started_ms && one.group == *group)
    }

    /// Why a group is planned or not.
    pub(crate) fn verdict(
        &self,
        forecast: &Forecast<MediaGroup>,
        node: &NodeId,
        window: &FillWindow,
        now_ms: u64,
    ) -> Verdict {
        if self.granted.iter().any(|one| one.group == forecast.key && self.is_of_now(one)) {
            Verdict::Planned
        } else if self.holds(node, forecast, now_ms) {
            Verdict::Held
        } else if plan::chance(viewers(forecast.requests)) < window.chance {
            Verdict::Unlikely
        } else {
            Verdict::NoRoom
        }
    }

    fn is_of_now(&self, one: &Granted) -> bool {
        self.edges.get(&one.node) == Some(&one.started_ms)
    }

    /// What an edge is told: all that it was granted in this opening and this life of it, so that whoever has part of it goes on. `None`
    /// where it was granted nothing: what a life before was granted is spent.
    pub(crate) fn told(&self, node: &NodeId, started_ms: u64) -> Option<FillPlan> {
        self.has(node, started_ms).then_some(())?;
        let own =
            || self.granted.iter().filter(|one| one.node == *node && self.is_of_now(one)).take(MAX_STEPS);
        let step = |one: &Granted| {
            let (group, expected) = (one.group.clone(), plan::expected(one.chance));
            FillStep { group, at_ms: one.at_ms, bytes: one.bytes, expected }
        };
        Some(FillPlan {
            node: node.clone(),
            version: self.version,
            opened_ms: self.opening.from_ms,
            until_ms: self.opening.until_ms,
            bytes: own().map(|one| one.bytes).sum(),
            kbps: self.kbps,
            steps: own().map(step).collect(),
        })
    }

    /// True when an edge was granted anything in this life of it.
    pub(crate) fn has(&self, node: &NodeId, started_ms: u64) -> bool {
        self.edges.get(node) == Some(&started_ms)
            && self.granted.iter().any(|one| one.node == *node && self.is_of_now(one))
    }

    /// Bytes granted in this opening.
    pub(crate) fn bytes(&self) -> u64 {
        self.granted.iter().map(|one| one.bytes).sum()
    }
}

/// A rate in kbit/s, of which there is always one.
fn kbps(window: &FillWindow) -> u64 {
    ((window.mbps * 1_000.0) as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 1_800_000_000_000;

    fn window(bytes: u64) -> FillWindow {
        FillWindow { from: 0, until: 1_440, bytes, mbps: 1_000.0, chance: 0.5 }
    }

    fn node(name: &str) -> NodeId {
        NodeId::new(name).unwrap()
    }

    fn forecast(number: u32, requests: f64, of_one: u64, last_ms: Option<u64>) -> Forecast<MediaGroup> {
        let key = MediaGroup { number, ..("05b05hcr0yd00/v720/0".parse().unwrap()) };
        Forecast { key, requests, own: requests, fleet: requests, bytes: of_one, last_ms }
    }

    fn next(
        before: Option<&Filled>,
        bytes: u64,
        started_ms: u64,
        forecasts: &[Forecast<MediaGroup>],
        now: u64,
    ) -> Filled {
        let window = window(bytes);
        let opening = window.opening(now).unwrap();
        let edges = Edges::from([(node("near-a"), started_ms)]);
        Filled::next(before, &window, opening, edges, forecasts, |_| Some(node("near-a")), now)
    }

    #[test]
    fn what_a_site_holds_is_not_planned_and_what_a_new_life_lacks_is() {
        let started = NOW - 10_000;
        let all = [
            forecast(0, 900.0, 1 << 20, Some(NOW - 5_000)),
            forecast(1, 800.0, 1 << 20, None),
            forecast(2, 3.0, 1 << 20, None),
        ];
        let first = next(None, 1 << 30, started, &all, NOW);
        let verdicts = |filled: &Filled| {
            all.each_ref().map(|one| filled.verdict(one, &node("near-a"), &window(1 << 30), NOW))
        };
        assert_eq!(verdicts(&first), [Verdict::Held, Verdict::Planned, Verdict::Unlikely]);
        assert!(first.stands(first.opening, &Edges::from([(node("near-a"), started)]), NOW));
        let restarted = Edges::from([(node("near-a"), NOW)]);
        assert!(!first.stands(first.opening, &restarted, NOW));
        let second = next(Some(&first), 1 << 30, NOW, &all, NOW + 1);
        assert_eq!(verdicts(&second), [Verdict::Planned, Verdict::Planned, Verdict::Unlikely]);
        let told = second.told(&node("near-a"), NOW).unwrap();
        assert_eq!((told.steps.len(), told.bytes), (2, 2 * bytes(1 << 20)));
        assert_eq!(second.bytes(), 3 * bytes(1 << 20), "the budget counts what the life before was granted");
        assert!(told.version > first.version && second.told(&node("near-b"), NOW).is_none());
        assert!(first.told(&node("near-a"), NOW).is_none(), "a new life is told nothing of the one before");
    }

    #[test]
    fn what_is_not_due_yet_is_planned_anew() {
        let all: Vec<_> = (0..100).map(|number| forecast(number, 100.0, 1 << 20, None)).collect();
        let first = next(None, 1 << 40, NOW - 1, &all, NOW);
        assert_eq!(first.granted.len(), 100);
        // A gigabit a second: some 0.13 s each.
        let second = next(Some(&first), 1 << 40, NOW - 1, &all, NOW + 1_000);
        assert_eq!(second.granted.len(), 100, "each once");
        assert_eq!(second.bytes(), first.bytes());
    }

    proptest! {
        #[test]
        fn whatever_edges_say_and_however_often_they_begin_anew_the_budget_holds(
            budget in 1u64..1 << 32, lives in prop::collection::vec(0u64..100_000, 1..8),
            said in prop::collection::vec((0u32..50, 0.0f64..1e12, 0u64..1 << 40), 0..60),
        ) {
            let all: Vec<_> = said.iter().map(|(n, requests, size)| forecast(*n, *requests, *size, None)).collect();
            let (mut filled, mut now) = (None, NOW);
            for later in lives {
                now += later;
                let made = next(filled.as_ref(), budget, now, &all, now);
                prop_assert!(made.bytes() <= budget);
                if let Some(told) = made.told(&node("near-a"), now) {
                    prop_assert!(told.bytes <= budget && told.fault(&node("near-a"), now).is_none());
                }
                filled = Some(made);
            }
        }
    }
}
