//! How well a node serves: a score of what is seen of it, and a level that falls soon and rises late. Pure.
//!
//! What players say of a node and how full it is are for steering, which weighs them for each session.

use std::time::Duration;

/// The newest look's share in the score: three bad looks in a row leave an eighth of what was good before.
const NEWEST: f64 = 0.5;
/// A look below this is bad.
const BAD_LOOK: f64 = 0.5;
/// A look from here on is good.
const GOOD_LOOK: f64 = 0.8;
/// Scores at which a level ends.
const POOR_FROM: f64 = 0.35;
const GOOD_FROM: f64 = 0.75;
/// Shares of failed answers: none of them matters below the first, nothing is worth anything from the second on.
const ERRORS: (f64, f64) = (0.01, 0.2);
/// Milliseconds of a probe.
const SLOW_MS: (f64, f64) = (250.0, 2_000.0);

/// What is seen of a node at a time. What is not known says nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Look {
    /// The share of its answers that failed, of enough of them.
    pub(crate) errors: Option<f64>,
    /// What a probe of its public address came to.
    pub(crate) probe: Option<Probe>,
}

/// A probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    /// Answered after this time.
    After(Duration),
    /// Not answered in time, or with an error.
    Failed,
}

/// What is worst about a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Why {
    #[default]
    Nothing,
    Errors,
    Probe,
    Slow,
}

impl Why {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Errors => "errors",
            Self::Probe => "probe",
            Self::Slow => "slow",
        }
    }
}

/// How much of its share a node is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Nothing.
    Bad,
    /// Half.
    Poor,
    /// All.
    #[default]
    Good,
}

impl Level {
    /// The level as the table says it.
    pub(crate) const fn percent(self) -> Option<u8> {
        match self {
            Self::Bad => Some(0),
            Self::Poor => Some(50),
            Self::Good => None,
        }
    }

    /// The level of a percentage, rounded down.
    pub(crate) const fn of_percent(percent: Option<u8>) -> Self {
        match percent {
            Some(0..50) => Self::Bad,
            Some(50..100) => Self::Poor,
            _ => Self::Good,
        }
    }

    fn of(score: f64) -> Self {
        match score {
            score if score >= GOOD_FROM => Self::Good,
            score if score >= POOR_FROM => Self::Poor,
            _ => Self::Bad,
        }
    }

    const fn above(self) -> Self {
        match self {
            Self::Bad => Self::Poor,
            Self::Poor | Self::Good => Self::Good,
        }
    }
}

/// How long what is seen must last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience {
    /// Bad looks in a row before the level falls.
    pub(crate) bad_looks: u32,
    /// Milliseconds of nothing but good looks before it rises by one.
    pub(crate) good_ms: u64,
}

/// A node's health, look after look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Health {
    score: f64,
    level: Level,
    why: Why,
    bad: u32,
    good_since: Option<u64>,
}

impl Default for Health {
    /// Of a node that nothing is known of.
    fn default() -> Self {
        Self { score: 1.0, level: Level::Good, why: Why::Nothing, bad: 0, good_since: None }
    }
}

impl Health {
    /// From 0 to 1.
    pub(crate) const fn score(&self) -> f64 {
        self.score
    }

    pub(crate) const fn level(&self) -> Level {
        self.level
    }

    /// What was worst at the last look.
    pub(crate) const fn why(&self) -> Why {
        self.why
    }

    /// Takes a look into account.
    pub(crate) fn look(&mut self, look: &Look, patience: Patience, now_ms: u64) {
        let (value, why) = look.worth();
        self.why = why;
        self.score = (1.0 - NEWEST) * self.score + NEWEST * value;
        self.bad = if value < BAD_LOOK { self.bad.saturating_add(1) } else { 0 };
        if self.bad >= patience.bad_looks {
            self.level = self.level.min(Level::of(self.score));
        }
        if value < GOOD_LOOK {
            self.good_since = None;
            return;
        }
        let since = *self.good_since.get_or_insert(now_ms);
        if self.level < Level::Good && now_ms.saturating_sub(since) >= patience.good_ms {
            self.level = self.level.above();
            self.good_since = Some(now_ms);
        }
    }
}

impl Look {
    /// What a look is worth, from 0 to 1: as much as the worst thing in it.
    fn worth(&self) -> (f64, Why) {
        let probe = self.probe.map(|probe| match probe {
            Probe::Failed => (0.0, Why::Probe),
            Probe::After(took) => (falling(took.as_secs_f64() * 1_000.0, SLOW_MS), Why::Slow),
        });
        let parts = [self.errors.map(|share| (falling(share, ERRORS), Why::Errors)), probe];
        let told = parts.into_iter().flatten().filter(|(value, _)| value.is_finite() && *value < 1.0);
        told.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((1.0, Why::Nothing))
    }
}

/// 1 up to the first bound, 0 from the second on, and a line between.
fn falling(value: f64, (from, to): (f64, f64)) -> f64 {
    ((to - value) / (to - from)).clamp(0.0, 1.0)
}

/// What several control planes say of one node: no worse than more than half of them see it.
pub(crate) fn agreed(mut said: Vec<Level>) -> Level {
    said.sort_unstable();
    said.get(said.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PATIENCE: Patience = Patience { bad_looks: 3, good_ms: 30_000 };
    const FAILED: Look = Look { errors: None, probe: Some(Probe::Failed) };
    const FINE: Look = Look { errors: Some(0.0), probe: Some(Probe::After(Duration::from_millis(5))) };

    fn looks() -> impl Strategy<Value = Look> {
        let share = || prop::option::of(prop_oneof![0.0f64..2.0, any::<f64>()]);
        (share(), prop::option::of(0u64..4_000), any::<bool>()).prop_map(|(errors, probe, failed)| Look {
            errors,
            probe: probe
                .map(|ms| if failed { Probe::Failed } else { Probe::After(Duration::from_millis(ms)) }),
        })
    }

    /// No better in any part.
    fn worse(look: &Look, by: f64) -> Look {
        let probe = look.probe.map(|probe| match probe {
            Probe::After(took) => Probe::After(took + Duration::from_secs_f64(by)),
            Probe::Failed => Probe::Failed,
        });
        Look { errors: look.errors.map(|share| share + by), probe }
    }

    #[test]
    fn it_falls_after_bad_looks_in_a_row_and_rises_a_step_at_a_time() {
        let mut health = Health::default();
        let mut now = 0;
        let mut see = |health: &mut Health, look: &Look, times: u64| {
            for _ in 0..times {
                now += 1_000;
                health.look(look, PATIENCE, now);
            }
        };
        see(&mut health, &FAILED, 2);
        assert_eq!(health.level(), Level::Good, "two may be chance");
        see(&mut health, &FAILED, 1);
        assert_eq!((health.level(), health.why()), (Level::Bad, Why::Probe));
        see(&mut health, &FINE, 30);
        assert_eq!(health.level(), Level::Bad);
        see(&mut health, &FINE, 1);
        assert_eq!(health.level(), Level::Poor);
        see(&mut health, &FINE, 30);
        assert_eq!((health.level(), health.why()), (Level::Good, Why::Nothing));
    }

    #[test]
    fn one_of_two_planes_decides_nothing_and_two_of_three_do() {
        use Level::{Bad, Good, Poor};
        for (said, agreed_on) in [
            (vec![], Good),
            (vec![Bad], Bad),
            (vec![Bad, Good], Good),
            (vec![Bad, Good, Bad], Bad),
            (vec![Bad, Poor, Good], Poor),
        ] {
            assert_eq!(agreed(said), agreed_on);
        }
    }

    proptest! {
        #[test]
        fn the_score_stays_within_its_bounds(looks in prop::collection::vec(looks(), 1..60)) {
            let mut health = Health::default();
            for (look, n) in looks.iter().zip(0..) {
                health.look(look, PATIENCE, n * 1_000);
                prop_assert!((0.0..=1.0).contains(&health.score()), "{}", health.score());
            }
        }

        /// A fault that comes and goes each five seconds (0.2 Hz), whatever part of them it lasts.
        #[test]
        fn an_oscillating_node_does_not_flap(bad_of_five in 1u64..5, phase in 0u64..5, seconds in 60u64..600) {
            let mut health = Health::default();
            let mut changes = 0;
            for second in 0..seconds {
                let look = if (second + phase) % 5 < bad_of_five { FAILED } else { FINE };
                let before = health.level();
                health.look(&look, PATIENCE, second * 1_000);
                prop_assert!(health.level() <= before, "it never rises while the fault comes back");
                changes += u32::from(health.level() != before);
            }
            prop_assert!(changes <= 2, "{changes}");
        }

        #[test]
        fn what_is_worse_is_never_better_off(looks in prop::collection::vec((looks(), 0.0f64..1.0), 1..60)) {
            let (mut one, mut other) = (Health::default(), Health::default());
            for ((look, by), n) in looks.iter().zip(0..) {
                one.look(look, PATIENCE, n * 1_000);
                other.look(&worse(look, *by), PATIENCE, n * 1_000);
                prop_assert!(other.score() <= one.score() && other.level() <= one.level());
            }
        }
    }
}
