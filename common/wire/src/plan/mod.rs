//! What a site is filled with ahead of demand: of all that is expected to be asked for, what is worth its bytes, within a budget of
//! bytes and a time. Pure; the control plane, its tests and the replay of traces call the same.
//!
//! - here: the choice; [`fill`]: when and how much, by policy; [`message`]: what an edge is told, signed

pub mod fill;
pub mod message;

pub use fill::{FillWindow, Opening};
pub use message::{FillPlan, FillStep};

/// Steps of a plan: with groups of some 20 MB, 80 GB.
pub const MAX_STEPS: usize = 4_096;

/// What may be fetched.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate<K> {
    /// The key.
    pub key: K,
    /// How many viewers are expected in the time that is planned for.
    pub viewers: f64,
    /// Bytes of all of it.
    pub bytes: u64,
    /// The site has it.
    pub held: bool,
}

/// What there is room for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Room {
    /// From when, in Unix milliseconds.
    pub from_ms: u64,
    /// Until when everything has to be there.
    pub until_ms: u64,
    /// Bytes at the most.
    pub bytes: u64,
    /// Mbit/s at the most.
    pub mbps: f64,
    /// How likely it must be that something is asked for, from 0 to 1.
    pub chance: f64,
}

impl Room {
    /// Bytes that there is time and budget for.
    #[must_use]
    pub fn most(&self) -> u64 {
        let ms = self.until_ms.saturating_sub(self.from_ms) as f64;
        self.bytes.min((self.mbps.max(0.0) * BYTES_A_MS * ms) as u64)
    }

    /// When bytes after so many others may be begun.
    fn after(&self, bytes: u64) -> u64 {
        // The first has no others, at whatever rate.
        let ms = if bytes == 0 { 0.0 } else { bytes as f64 / (self.mbps * BYTES_A_MS) };
        self.from_ms.saturating_add(ms.ceil() as u64)
    }
}

/// What a cache is told to expect at the most.
pub const MOST_EXPECTED: u8 = 4;
/// Bytes in a millisecond at 1 Mbit/s.
const BYTES_A_MS: f64 = 125.0;

/// What is to be fetched.
#[derive(Debug, Clone, PartialEq)]
pub struct Step<K> {
    /// The key.
    pub key: K,
    /// Not before, in Unix milliseconds.
    pub at_ms: u64,
    /// Bytes that it is expected to be.
    pub bytes: u64,
    /// How likely it is that somebody asks for it.
    pub chance: f64,
}

/// How likely it is that anybody comes where so many viewers are expected. They come by chance (Poisson), and what is expected of
/// them is a guess as often as far off as it is high (exponential about the forecast): 1 - 1 / (1 + viewers). Without that second
/// doubt, two expected viewers would be a certainty.
#[must_use]
pub fn chance(viewers: f64) -> f64 {
    let viewers = viewers.max(0.0);
    // Each step never falls, rounded as well. Of viewers / (1 + viewers) that is not so.
    if viewers < f64::EPSILON { viewers } else { 1.0 - 1.0 / (1.0 + viewers) }
}

/// How often a cache takes what is so likely for asked for when it comes: once, as what a viewer brings, and up to four times. What
/// viewers ask for more than that does not give way to it.
#[must_use]
pub fn expected(chance: f64) -> u8 {
    let viewers = chance.clamp(0.0, 1.0) / (1.0 - chance.clamp(0.0, 1.0)).max(f64::EPSILON);
    (viewers.clamp(1.0, f64::from(MOST_EXPECTED))) as u8
}

/// What a site is filled with, in order: what spares most first viewers a wait for its bytes comes first. What the site holds,
/// what is less likely to be asked for than it must be and what does not fit is left out; never is something left out for
/// something of the same size that is less likely.
#[must_use]
pub fn plan<K: Ord + Clone>(candidates: &[Candidate<K>], room: &Room) -> Vec<Step<K>> {
    let is_worth = |one: &&Candidate<K>| {
        !one.held && one.bytes > 0 && one.viewers > 0.0 && chance(one.viewers) >= room.chance
    };
    let mut worth: Vec<(f64, &Candidate<K>)> =
        candidates.iter().filter(is_worth).map(|one| (chance(one.viewers) / one.bytes as f64, one)).collect();
    worth.sort_by(|(a, one), (b, other)| {
        let viewers = || other.viewers.total_cmp(&one.viewers);
        b.total_cmp(a).then_with(viewers).then_with(|| one.key.cmp(&other.key))
    });
    let (mut left, mut planned, mut steps) = (room.most(), 0u64, vec![]);
    for (_, one) in worth {
        if one.bytes > left || steps.len() >= MAX_STEPS {
            continue;
        }
        steps.push(Step {
            key: one.key.clone(),
            at_ms: room.after(planned),
            bytes: one.bytes,
            chance: chance(one.viewers),
        });
        left -= one.bytes;
        planned += one.bytes;
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn candidates() -> impl Strategy<Value = Vec<Candidate<u32>>> {
        let one = (any::<f64>(), 0u64..2_000, prop::bool::weighted(0.1));
        prop::collection::vec(one, 0..120).prop_map(|all| {
            let candidate = |(key, (viewers, bytes, held)): (u32, (f64, u64, bool))| Candidate {
                key,
                viewers,
                bytes,
                held,
            };
            (0..).zip(all).map(candidate).collect()
        })
    }

    fn rooms() -> impl Strategy<Value = Room> {
        (0u64..1 << 42, 0u64..10_000, 0u64..100_000, 0.0f64..1.0, 0.0f64..1.0).prop_map(
            |(from_ms, length, bytes, mbps, chance)| Room {
                from_ms,
                until_ms: from_ms + length,
                bytes,
                mbps,
                chance,
            },
        )
    }

    proptest! {
        #[test]
        fn a_plan_keeps_to_its_budget_its_rate_and_its_time(all in candidates(), room in rooms()) {
            let steps = plan(&all, &room);
            let mut before = 0;
            for step in &steps {
                let rate = |bytes: u64| bytes as f64 / (room.mbps * BYTES_A_MS);
                prop_assert!((step.at_ms - room.from_ms) as f64 >= rate(before) - 1e-3, "by its rate");
                before += step.bytes;
                prop_assert!(room.from_ms as f64 + rate(before) <= room.until_ms as f64 + 1e-3, "in time");
            }
            prop_assert!(before <= room.bytes && before <= room.most());
            prop_assert!(steps.iter().all(|step| step.chance >= room.chance && step.chance <= 1.0));
            prop_assert_eq!(&steps, &plan(&all, &room), "the same each time");
            let mut turned = all.clone();
            turned.reverse();
            prop_assert_eq!(steps, plan(&turned, &room), "in whatever order it is told");
        }

        #[test]
        fn nothing_is_left_out_for_what_is_worse_and_as_large(all in candidates(), room in rooms()) {
            let taken: BTreeSet<u32> = plan(&all, &room).iter().map(|step| step.key).collect();
            for worse in all.iter().filter(|one| taken.contains(&one.key)) {
                let left_out = all.iter().find(|better| {
                    !taken.contains(&better.key)
                        && !better.held
                        && better.bytes == worse.bytes
                        && better.viewers > worse.viewers
                });
                prop_assert_eq!(left_out, None);
            }
        }

        #[test]
        fn a_chance_rises_with_viewers(viewers: f64, more in 0.0f64..1e9) {
            prop_assert!((0.0..=1.0).contains(&chance(viewers)));
            prop_assert!(chance(viewers + more) >= chance(viewers));
        }
    }

    #[test]
    fn a_chance_rises_however_many_viewers_there_are() {
        assert!(chance(9_403_743_834_418_256.0 + 419_254_877.0) >= chance(9_403_743_834_418_256.0));
        assert_eq!(
            (chance(f64::INFINITY), chance(f64::NAN), chance(-1.0), chance(1e-20)),
            (1.0, 0.0, 0.0, 1e-20)
        );
        assert!((chance(3.0) - 0.75).abs() < 1e-15);
    }

    #[test]
    fn small_and_likely_comes_first_and_the_held_not_at_all() {
        let one = |key, viewers, bytes, held| Candidate { key, viewers, bytes, held };
        let all = [
            one("large", 9.0, 600, false),
            one("small", 4.0, 100, false),
            one("held", 99.0, 10, true),
            one("unlikely", 0.2, 10, false),
            one("too large", 99.0, 901, false),
            one("fits beside", 1.0, 300, false),
        ];
        let room = Room { from_ms: 1_000, until_ms: 9_000, bytes: 1_000, mbps: 0.008, chance: 0.5 };
        let steps: Vec<(&str, u64)> = plan(&all, &room).iter().map(|step| (step.key, step.at_ms)).collect();
        assert_eq!(steps, [("small", 1_000), ("fits beside", 1_100), ("large", 1_400)]);
    }
}
