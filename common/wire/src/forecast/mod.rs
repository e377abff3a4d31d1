//! What will be asked for where: a forecast by key and site, of what edges say that they were asked for. Pure; the control
//! plane, its tests and the replay of traces call the same.
//!
//! - [`season`]: the hours of a day; [`series`]: one key's requests; here: the bounded history of all, and what is made of it
//!
//! A site's own history counts by how long it is: one that is new is expected to be asked for what the others are.

pub mod season;
pub mod series;

use std::collections::BTreeMap;

use season::Season;
pub use season::{SLOT_MS, SLOTS};
use series::Series;

/// Sites that are remembered; further ones are not.
pub const MAX_SITES: usize = 256;
/// Keys remembered of a site: what is asked for least goes first. With all sites 80 MB at the most.
pub const MAX_KEYS: usize = 2_048;
/// Keys let in above that before some have to go, so that it is done once in a while.
const SPARE: usize = MAX_KEYS / 4;
/// Slots after which a site's own history counts as much as what others are asked for.
const STRANGE: f64 = SLOTS as f64;
/// The share of what is pooled that one site has at the most where there are others: what it makes up moves no more than half.
const LOUDEST: f64 = 0.5;

/// What a site was asked for.
#[derive(Debug, Clone)]
pub struct History<K> {
    sites: BTreeMap<String, Site<K>>,
}

#[derive(Debug, Clone)]
struct Site<K> {
    season: Season,
    /// The first slot of which anything is known, the one that goes on, and what was asked for in it.
    began: u64,
    slot: u64,
    open: f64,
    keys: BTreeMap<K, Known>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    series: Series,
    bytes: f64,
    last_ms: u64,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count<K> {
    /// The key.
    pub key: K,
    /// How often.
    pub requests: u64,
    /// Bytes of all answers.
    pub bytes: u64,
}

/// What is expected of a key at a site.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast<K> {
    /// The key.
    pub key: K,
    /// Requests, of both of the following.
    pub requests: f64,
    /// By the site's own history.
    pub own: f64,
    /// By what all sites are asked for.
    pub fleet: f64,
    /// Bytes of one answer, on the mean.
    pub bytes: u64,
    /// When it was last asked for there, in Unix milliseconds.
    pub last_ms: Option<u64>,
}

impl<K> Default for History<K> {
    fn default() -> Self {
        Self { sites: BTreeMap::new() }
    }
}

impl<K: Ord + Clone> History<K> {
    /// Takes what a site was asked for lately. False when there are too many sites.
    pub fn take(&mut self, site: &str, at_ms: u64, counts: impl IntoIterator<Item = Count<K>>) -> bool {
        let slot = at_ms / SLOT_MS;
        if !self.sites.contains_key(site) {
            if self.sites.len() >= MAX_SITES {
                return false;
            }
            self.sites.insert(site.to_owned(), Site::begin(slot));
        }
        if let Some(site) = self.sites.get_mut(site) {
            site.pass(slot);
            counts.into_iter().for_each(|count| site.count(at_ms, count));
            site.make_room(MAX_KEYS + SPARE);
        }
        true
    }

    /// What is expected from one time to another, all sites.
    #[must_use]
    pub fn outlook(&self, from_ms: u64, until_ms: u64) -> Outlook<K> {
        let from = from_ms / SLOT_MS;
        let slots = until_ms.saturating_sub(from_ms).div_ceil(SLOT_MS);
        let sites: BTreeMap<String, Expected<K>> =
            self.sites.iter().map(|(name, site)| (name.clone(), site.expect(from, slots))).collect();
        let heard = || sites.values().filter(|site| site.total > 0.0);
        let all: f64 = heard().map(|site| site.total).sum();
        let loudest = heard().map(|site| site.total).fold(0.0, f64::max);
        let mean = if all > 0.0 { all / heard().count() as f64 } else { 0.0 };
        // The loudest has half at the most; the others share the rest as they are asked.
        let is_loud = loudest < all && loudest > LOUDEST * all;
        let weight = |total: f64| match is_loud {
            true if total >= loudest => LOUDEST,
            true => (1.0 - LOUDEST) * total / (all - loudest),
            false => total / all,
        };
        let mut shares: BTreeMap<K, (f64, u64)> = BTreeMap::new();
        for site in heard() {
            for (key, (requests, bytes, _)) in &site.keys {
                let share = shares.entry(key.clone()).or_default();
                share.0 += weight(site.total) * requests / site.total;
                share.1 = share.1.max(*bytes);
            }
        }
        Outlook { sites, shares, mean }
    }

    /// Keys remembered of all sites.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sites.values().map(|site| site.keys.len()).sum()
    }

    /// True when nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Ord + Clone> Site<K> {
    fn begin(slot: u64) -> Self {
        Self { season: Season::default(), began: slot, slot, open: 0.0, keys: BTreeMap::new() }
    }

    /// Ends slots before one: the season learns of at most a day of them.
    fn pass(&mut self, slot: u64) {
        let passed = slot.saturating_sub(self.slot).min(SLOTS as u64);
        for ended in self.slot..self.slot + passed {
            let count = std::mem::take(&mut self.open);
            self.season.learn(ended, count);
        }
        self.slot = self.slot.max(slot);
    }

    fn count(&mut self, at_ms: u64, count: Count<K>) {
        if count.requests == 0 {
            return;
        }
        let (slot, requests) = (self.slot, count.requests as f64);
        let bytes = count.bytes as f64 / requests;
        let fresh = Known { series: Series::begin(slot), bytes, last_ms: at_ms };
        let known = self.keys.entry(count.key).or_insert(fresh);
        known.series.add(slot, requests, &self.season);
        // The mean of what came lately: a tenth of it is new.
        known.bytes = known.bytes.mul_add(0.9, bytes * 0.1);
        known.last_ms = known.last_ms.max(at_ms);
        self.open += requests;
    }

    /// Lets go of what is expected least where there are more keys than `most`.
    fn make_room(&mut self, most: usize) {
        if self.keys.len() <= most {
            return;
        }
        let worth = |known: &Known| known.series.expect(self.slot, SLOTS as u64, &self.season);
        let mut all: Vec<(f64, K)> =
            self.keys.iter().map(|(key, known)| (worth(known), key.clone())).collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        all.drain(..MAX_KEYS.min(all.len()));
        all.iter().for_each(|(_, key)| _ = self.keys.remove(key));
    }

    fn expect(&self, from: u64, slots: u64) -> Expected<K> {
        let of = |known: &Known| {
            (known.series.expect(from, slots, &self.season), known.bytes as u64, known.last_ms)
        };
        let keys: BTreeMap<K, (f64, u64, u64)> =
            self.keys.iter().map(|(key, known)| (key.clone(), of(known))).collect();
        let total = keys.values().map(|(requests, ..)| requests).sum();
        Expected { keys, total, age: from.saturating_sub(self.began) }
    }
}

/// What a site's own history says.
#[derive(Debug, Clone)]
struct Expected<K> {
    /// Requests, bytes of one answer, last asked for.
    keys: BTreeMap<K, (f64, u64, u64)>,
    total: f64,
    /// Slots of which it is made.
    age: u64,
}

/// What is expected in a time, at all sites.
#[derive(Debug, Clone)]
pub struct Outlook<K> {
    sites: BTreeMap<String, Expected<K>>,
    /// Each key's share of what is asked for anywhere, and bytes of one answer.
    shares: BTreeMap<K, (f64, u64)>,
    /// What a site is asked for in all, on the mean: what one is that nothing is known of.
    mean: f64,
}

impl<K: Ord + Clone> Outlook<K> {
    /// What is expected at a site, by key.
    #[must_use]
    pub fn at(&self, site: &str) -> Vec<Forecast<K>> {
        let known = self.sites.get(site).filter(|site| site.total > 0.0);
        let total = known.map_or(self.mean, |site| site.total);
        let age = known.map_or(0.0, |site| site.age as f64);
        let trust = age / (age + STRANGE);
        let of = |(key, (share, bytes)): (&K, &(f64, u64))| {
            let own = known.and_then(|site| site.keys.get(key));
            let (own, bytes, last_ms) = own.map_or((0.0, *bytes, None), |own| (own.0, own.1, Some(own.2)));
            let fleet = share * total;
            let requests = trust.mul_add(own, (1.0 - trust) * fleet);
            Forecast { key: key.clone(), requests, own, fleet, bytes, last_ms }
        };
        self.shares.iter().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn count(key: u32, requests: u64) -> Count<u32> {
        Count { key, requests, bytes: requests * 1_000 }
    }

    fn of(forecasts: &[Forecast<u32>], key: u32) -> f64 {
        forecasts.iter().find(|forecast| forecast.key == key).map_or(0.0, |forecast| forecast.requests)
    }

    #[test]
    fn a_site_that_is_new_is_expected_to_be_asked_for_what_others_are() {
        let mut history = History::default();
        for slot in 0..48 {
            assert!(history.take("old", slot * SLOT_MS, [count(1, 90), count(2, 10)]));
        }
        let outlook = history.outlook(48 * SLOT_MS, 72 * SLOT_MS);
        let (old, new) = (outlook.at("old"), outlook.at("new"));
        assert!((of(&old, 1) / (24.0 * 90.0) - 1.0).abs() < 0.05, "{old:?}");
        assert!((of(&new, 1) / (24.0 * 90.0) - 1.0).abs() < 0.05 && new[0].last_ms.is_none(), "{new:?}");
        assert_eq!(old[0].last_ms, Some(47 * SLOT_MS));
        assert_eq!(old[0].bytes, 1_000);
    }

    #[test]
    fn what_one_site_makes_up_moves_others_by_half_at_the_most() {
        let mut history = History::default();
        history.take("honest", 0, [count(1, 100)]);
        history.take("lying", 0, [count(2, 1_000_000_000)]);
        let at = history.outlook(0, 24 * SLOT_MS).at("honest");
        assert!(of(&at, 1) >= 0.999 * of(&at, 2), "{at:?}");
    }

    #[test]
    fn there_are_not_too_many_sites_or_keys() {
        let mut history = History::default();
        for site in 0..MAX_SITES {
            assert!(history.take(&site.to_string(), 0, []));
        }
        assert!(!history.take("one more", 0, [count(1, 1)]));
        for slot in 0..20u32 {
            let many = (0..1_000).map(|n| count(n + 1_000 * slot, 1)).chain([count(0, 1_000)]);
            history.take("0", u64::from(slot) * SLOT_MS, many);
            assert!(history.len() <= MAX_KEYS + SPARE);
        }
        let at = history.outlook(20 * SLOT_MS, 44 * SLOT_MS).at("0");
        assert!(at.iter().all(|other| other.requests <= of(&at, 0)), "what is asked for most is kept");
    }

    proptest! {
        #[test]
        fn a_forecast_is_bounded_and_the_same_each_time(
            told in prop::collection::vec((0usize..3, 0u64..60, 0u32..20, 0u64..1 << 50), 0..200), from in 0u64..100,
        ) {
            let mut history = History::default();
            for (site, slot, key, requests) in told {
                history.take(["a", "b", "c"][site], slot * SLOT_MS, [count(key, requests)]);
            }
            let outlook = history.outlook(from * SLOT_MS, (from + 24) * SLOT_MS);
            for site in ["a", "b", "none"] {
                let at = outlook.at(site);
                for forecast in &at {
                    prop_assert!(forecast.requests.is_finite() && forecast.requests >= 0.0, "{:?}", forecast);
                }
                prop_assert_eq!(at, history.outlook(from * SLOT_MS, (from + 24) * SLOT_MS).at(site));
            }
        }
    }
}
