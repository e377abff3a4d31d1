//! What is asked for most, in bounded memory: a count-min sketch (Cormode and Muthukrishnan 2005) says how often, a list of
//! the most frequent keys says which. Both forget by halves and can be merged. Pure.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;

use crate::placement::PlacementKey;

/// Counters of a row: what is counted too much is at most e / 2,048 = 0.13 % of all, ...
const WIDTH: usize = 2_048;
/// ... but for one key in e^4 = 55. Together 32 KiB.
const ROWS: usize = 4;
/// Keys of the list: some 50 are popular at Zipf 1.2 over 100 nodes.
pub const TOP: usize = 128;

/// How often keys were asked for. An estimate is never below the truth, and above it by little.
#[derive(Debug, Clone)]
pub struct CountMin(Box<[[u32; WIDTH]; ROWS]>);

impl Default for CountMin {
    fn default() -> Self {
        Self(Box::new([[0; WIDTH]; ROWS]))
    }
}

impl CountMin {
    /// Counts a key once more; its estimate.
    pub fn add(&mut self, key: PlacementKey) -> u32 {
        let mut estimate = u32::MAX;
        for (row, at) in self.0.iter_mut().zip(columns(key)) {
            row[at] = row[at].saturating_add(1);
            estimate = estimate.min(row[at]);
        }
        estimate
    }

    /// How often a key was counted, at the most.
    #[must_use]
    pub fn estimate(&self, key: PlacementKey) -> u32 {
        self.0.iter().zip(columns(key)).map(|(row, at)| row[at]).min().unwrap_or(0)
    }

    /// Counts what another has counted, too.
    pub fn merge(&mut self, other: &Self) {
        let counters = self.0.iter_mut().flatten().zip(other.0.iter().flatten());
        counters.for_each(|(own, others)| *own = own.saturating_add(*others));
    }

    /// Forgets half of everything.
    pub fn halve(&mut self) {
        self.0.iter_mut().flatten().for_each(|counter| *counter /= 2);
    }
}

/// A key's column in each row. Its bits are spread already; double hashing makes as many columns of them as there are rows
/// (Kirsch and Mitzenmacher 2006).
fn columns(key: PlacementKey) -> [usize; ROWS] {
    let (first, step) = (key.as_u64(), key.as_u64().rotate_left(32) | 1);
    std::array::from_fn(|row| (first.wrapping_add(step.wrapping_mul(row as u64)) >> 40) as usize % WIDTH)
}

/// What is asked for, and most of all what most: a sketch and the [`TOP`] keys of it.
#[derive(Debug, Clone, Default)]
pub struct Popularity {
    sketch: CountMin,
    top: HashMap<PlacementKey, u32>,
    /// The least of a full list; nothing below comes in.
    least: u32,
    total: u64,
}

impl Popularity {
    /// Counts a key once more.
    pub fn record(&mut self, key: PlacementKey) {
        self.total += 1;
        let count = self.sketch.add(key);
        self.offer(key, count);
    }

    fn offer(&mut self, key: PlacementKey, count: u32) {
        if let Some(known) = self.top.get_mut(&key) {
            *known = count;
            return;
        }
        if self.top.len() >= TOP {
            if count <= self.least {
                return;
            }
            // The bound is from when it was last looked for: who is in may have grown since.
            let least = self.top.iter().map(|(key, count)| (*count, *key)).min();
            let Some((least, leaving)) = least else { return };
            self.least = least;
            if count <= least {
                return;
            }
            self.top.remove(&leaving);
        } else {
            self.least = 0;
        }
        self.top.insert(key, count);
    }

    /// Counts what another has counted, too: its keys and these are weighed by both sketches.
    pub fn merge(&mut self, other: &Self) {
        self.total += other.total;
        self.sketch.merge(&other.sketch);
        let mut keys: Vec<PlacementKey> = self.top.drain().map(|(key, _)| key).collect();
        keys.extend(other.top.keys());
        self.least = 0;
        for key in keys {
            let count = self.sketch.estimate(key);
            self.offer(key, count);
        }
    }

    /// Forgets half of everything. Done once in a while, what is left is a window of about twice that while.
    pub fn halve(&mut self) {
        self.sketch.halve();
        self.total /= 2;
        self.least /= 2;
        self.top.retain(|_, count| {
            *count /= 2;
            *count > 0
        });
    }

    /// The most frequent keys, for others to merge.
    #[must_use]
    pub fn top(&self) -> TopKeys {
        let mut keys: Vec<(PlacementKey, u32)> = self.top.iter().map(|(key, count)| (*key, *count)).collect();
        keys.sort_unstable_by_key(|(key, count)| (std::cmp::Reverse(*count), *key));
        TopKeys { total: self.total, keys }
    }
}

/// What one node is asked for most.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TopKeys {
    /// All that it was asked for.
    pub total: u64,
    /// The most frequent keys and how often, the most frequent first: at most [`TOP`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<(PlacementKey, u32)>,
}

impl TopKeys {
    /// Leaves out what is below a share of all.
    #[must_use]
    pub fn above(mut self, share: f64) -> Self {
        let least = share * self.total as f64;
        self.keys.retain(|(_, count)| f64::from(*count) >= least);
        self
    }

    /// What several nodes are asked for, all together: how often in all, and each key's count.
    #[must_use]
    pub fn sum<'a>(of: impl IntoIterator<Item = &'a Self>) -> (u64, HashMap<PlacementKey, u64>) {
        let (mut total, mut counts) = (0u64, HashMap::new());
        for one in of {
            total = total.saturating_add(one.total);
            for (key, count) in one.keys.iter().take(TOP) {
                let sum: &mut u64 = counts.entry(*key).or_default();
                *sum = sum.saturating_add(u64::from(*count));
            }
        }
        (total, counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(n: u64) -> PlacementKey {
        PlacementKey::of(&n.to_string())
    }

    fn played(keys: &[u64]) -> (Popularity, HashMap<u64, u32>) {
        let (mut popularity, mut truth) = (Popularity::default(), HashMap::new());
        for k in keys {
            popularity.record(key(*k));
            *truth.entry(*k).or_default() += 1;
        }
        (popularity, truth)
    }

    /// What is counted too much of a key at the most, but for one in 55.
    fn excess(total: usize) -> u32 {
        (std::f64::consts::E / WIDTH as f64 * total as f64).ceil() as u32
    }

    /// Keys of which some are far more frequent than others.
    fn skewed() -> impl Strategy<Value = Vec<u64>> {
        prop::collection::vec((0u64..4_000, 0u32..12).prop_map(|(k, shift)| k >> shift), 1..4_000)
    }

    proptest! {
        #[test]
        fn an_estimate_is_never_below_and_mostly_little_above(keys in skewed()) {
            let (popularity, truth) = played(&keys);
            let far = truth.iter().filter(|(k, count)| {
                let estimate = popularity.sketch.estimate(key(**k));
                assert!(estimate >= **count);
                estimate > **count + excess(keys.len())
            });
            prop_assert!(far.count() <= truth.len() / 20 + 1);
        }

        #[test]
        fn what_makes_more_than_its_part_is_in_the_list(keys in skewed()) {
            let (popularity, truth) = played(&keys);
            let top = popularity.top();
            prop_assert!(top.keys.len() <= TOP && top.total == keys.len() as u64);
            prop_assert!(top.keys.windows(2).all(|pair| pair[0].1 >= pair[1].1));
            for (k, count) in truth {
                let sure = (keys.len() / TOP) as u32 + excess(keys.len());
                prop_assert!(count <= sure || top.keys.iter().any(|(known, n)| *known == key(k) && *n >= count));
            }
        }

        #[test]
        fn merged_is_as_if_counted_at_one_place(left in skewed(), right in skewed()) {
            let (mut merged, _) = played(&left);
            merged.merge(&played(&right).0);
            let (whole, truth) = played(&[left, right].concat());
            for k in truth.keys() {
                prop_assert_eq!(merged.sketch.estimate(key(*k)), whole.sketch.estimate(key(*k)));
            }
            prop_assert_eq!(merged.top().total, whole.top().total);
            prop_assert!(merged.top().keys.len() <= TOP);
        }

        #[test]
        fn a_report_round_trips(keys in skewed()) {
            let top = played(&keys).0.top().above(0.01);
            let text = serde_json::to_string(&top).unwrap();
            prop_assert_eq!(serde_json::from_str::<TopKeys>(&text).unwrap(), top);
        }
    }

    #[test]
    fn what_is_no_longer_asked_for_is_forgotten() {
        let (mut popularity, _) = played(&[1, 1, 1, 1, 2]);
        popularity.halve();
        assert_eq!(popularity.top(), TopKeys { total: 2, keys: vec![(key(1), 2)] });
        popularity.halve();
        popularity.halve();
        assert_eq!(popularity.top(), TopKeys::default());
    }

    #[test]
    fn tops_of_nodes_add_up() {
        let tops = [&[1, 1, 2][..], &[1, 3]].map(|keys| played(keys).0.top());
        let (total, counts) = TopKeys::sum(&tops);
        assert_eq!((total, counts[&key(1)], counts[&key(3)]), (5, 3, 1));
    }
}
