//! What an edge gives up when it has more to send than it can: the least important first, and nobody before everybody has a
//! little less. Pure.
//!
//! ```text
//! calm -> spare: nothing ahead of demand, no downloads -> brown: new sessions without the highest rung -> full: new sessions elsewhere
//! ```

use serde::{Deserialize, Serialize};

/// How far below a stage's beginning a load is to be for a while, before that stage is left.
const BELOW: f64 = 0.1;

/// How much an edge gives up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Nothing.
    #[default]
    Calm,
    /// What nobody waits for: fetches ahead of demand, downloads.
    Spare,
    /// The highest rung, for those who begin.
    Brown,
    /// Those who begin: they are sent elsewhere, and only if nobody else can have them, refused.
    Full,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Calm, Self::Spare, Self::Brown, Self::Full];

    /// Share of its capacity in use from which it begins.
    #[must_use]
    pub const fn begins_at(self) -> f64 {
        match self {
            Self::Calm => 0.0,
            Self::Spare => 0.85,
            Self::Brown => 0.95,
            Self::Full => 1.05,
        }
    }

    /// Its name in metrics and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Spare => "spare",
            Self::Brown => "brown",
            Self::Full => "full",
        }
    }

    fn of(load: f64) -> Self {
        // A load that is no number is none.
        Self::ALL.into_iter().rev().find(|stage| load >= stage.begins_at()).unwrap_or_default()
    }
}

/// A stage over time: entered at once, left a stage at a time after a calm while.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Held {
    stage: Stage,
    /// Since when the load would allow a lower one.
    lower_since_ms: Option<u64>,
}

impl Held {
    /// The stage, once another load was seen; one is left after so many milliseconds of calm.
    pub fn next(&mut self, load: f64, calm_ms: u64, now_ms: u64) -> Stage {
        let seen = Stage::of(load);
        if seen > self.stage {
            *self = Self { stage: seen, lower_since_ms: None };
        } else if load >= self.stage.begins_at() - BELOW || self.stage == Stage::Calm {
            self.lower_since_ms = None;
        } else if now_ms.saturating_sub(*self.lower_since_ms.get_or_insert(now_ms)) >= calm_ms {
            let at = Stage::ALL.iter().position(|stage| *stage == self.stage).unwrap_or(0);
            *self = Self { stage: Stage::ALL[at.saturating_sub(1)], lower_since_ms: Some(now_ms) };
        }
        self.stage
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CALM_MS: u64 = 10_000;

    #[test]
    fn a_stage_is_entered_at_once_and_left_slowly() {
        let mut held = Held::default();
        assert_eq!(held.next(0.5, CALM_MS, 0), Stage::Calm);
        assert_eq!(held.next(1.2, CALM_MS, 1_000), Stage::Full);
        // It swings every five seconds: it stays.
        let swung = (2..60u64).map(|s| held.next(if s / 5 % 2 == 0 { 0.2 } else { 1.1 }, CALM_MS, s * 1_000));
        assert!(swung.into_iter().all(|stage| stage == Stage::Full));
        let calm: Vec<Stage> = (60..95u64).map(|s| held.next(0.2, CALM_MS, s * 1_000)).collect();
        assert_eq!(
            (calm[5], calm[12], calm[22], calm[34]),
            (Stage::Full, Stage::Brown, Stage::Spare, Stage::Calm)
        );
    }

    proptest! {
        #[test]
        fn only_worse_loads_make_worse_stages(loads in prop::collection::vec(0.0f64..2.0, 1..50)) {
            let mut held = Held::default();
            for (second, load) in loads.into_iter().enumerate() {
                let before = held.stage;
                let stage = held.next(load, CALM_MS, second as u64 * 1_000);
                prop_assert!(stage <= before || load >= stage.begins_at());
                prop_assert!(stage >= Stage::of(load));
            }
        }
    }
}
