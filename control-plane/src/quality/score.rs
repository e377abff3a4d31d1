//! Sessions to scores. Pure.

use sluice_wire::quality::Part;

/// Sessions below which nothing is said: a few may have troubles of their own.
const LEAST: u32 = 5;
/// Sessions that are thought to be well beside those that are seen: so few that starve say little.
const PRIOR: f64 = 10.0;
/// Of the share that starves, beyond what starves everywhere, a fifth makes a place unusable.
const SLOPE: f64 = 5.0;
/// Steps of a score: what changes less makes no other view.
const STEPS: f64 = 16.0;
/// How much a score may rise in a second.
const RISE: f64 = 0.05;

/// The score of some sessions among all, from 0 to 1: by how much more of them starve than of the others. What starves
/// everywhere, since an origin is slow, is no edge's fault, and would send everybody to and fro.
pub(super) fn score(part: Part, all: Part) -> f64 {
    if part.sessions < LEAST {
        return 1.0;
    }
    let others = Part {
        sessions: all.sessions.saturating_sub(part.sessions),
        starved: all.starved.saturating_sub(part.starved),
    };
    let excess = (share(part) - share(others)).max(0.0);
    ((1.0 - SLOPE * excess).clamp(0.0, 1.0) * STEPS).round() / STEPS
}

fn share(part: Part) -> f64 {
    f64::from(part.starved) / (f64::from(part.sessions) + PRIOR)
}

/// A score over time: it falls at once and rises slowly, so that what is bad now and then is bad.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    value: f64,
    at_ms: u64,
}

impl Default for Held {
    fn default() -> Self {
        Self { value: 1.0, at_ms: 0 }
    }
}

impl Held {
    /// The score that counts, once another was seen.
    pub(super) fn next(&mut self, seen: f64, now_ms: u64) -> f64 {
        self.value = if seen < self.value { seen } else { self.risen(now_ms).min(seen) };
        self.at_ms = now_ms;
        (self.value * STEPS).floor() / STEPS
    }

    fn risen(&self, now_ms: u64) -> f64 {
        (self.value + RISE * now_ms.saturating_sub(self.at_ms) as f64 / 1_000.0).min(1.0)
    }

    /// True when nothing of a bad time is left.
    pub(super) fn is_well(&self, now_ms: u64) -> bool {
        self.risen(now_ms) >= 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_score_is_in_bounds_and_falls_with_who_starves(sessions in 0u32..1_000, starved in 0u32..1_000, more in 0u32..1_000) {
            let part = |starved: u32| Part { sessions, starved: starved.min(sessions) };
            let all = |part: Part| part.and(Part { sessions: 500, starved: 5 });
            let (few, many) = (part(starved), part(starved.saturating_add(more)));
            let (better, worse) = (score(few, all(few)), score(many, all(many)));
            prop_assert!((0.0..=1.0).contains(&better) && worse <= better);
        }

        #[test]
        fn one_liar_among_many_moves_nothing(sessions in 40u32..1_000) {
            let part = Part { sessions, starved: 1 };
            let all = part.and(Part { sessions: 1_000, starved: 0 });
            prop_assert!(score(part, all) >= 0.85);
        }
    }

    #[test]
    fn a_score_that_swings_stays_down() {
        let mut held = Held::default();
        let counted: Vec<f64> = (0..60u64)
            .map(|second| held.next(if second / 5 % 2 == 0 { 0.2 } else { 1.0 }, second * 1_000))
            .collect();
        assert!(counted.iter().all(|score| *score < 0.5), "{counted:?}");
    }
}
