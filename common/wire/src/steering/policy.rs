//! What operators want of steering, as data.
//!
//! A place is chosen by its *cost* for a session, in units of 1,000 km: distance, load, price and bad quality, each by its
//! weight. What is within [`Policy::spread`] of the best shares its sessions by headroom, so that nothing is herded.

use serde::{Deserialize, Serialize};

use crate::fleet::Faults;
use crate::geo::Country;

/// Rules of one policy.
const MAX_RULES: usize = 256;
/// Names and numbers of one rule.
const MAX_NAMES: usize = 1_024;

/// A policy. What a document leaves out has the default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// What counts for how much.
    pub weights: Weights,
    /// Places whose cost is at most this above the best one's share sessions by headroom: 0 to 100.
    pub spread: f64,
    /// A session that is served well is moved only for a place that is cheaper by this: 0 to 1,000.
    pub margin: f64,
    /// Seconds for which a session that was moved is left where it is, unless it cannot be: 0 to 3,600.
    pub hold_s: u32,
    /// Seconds between two questions of a session in peace: 1 to 3,600.
    pub calm_ttl_s: u32,
    /// Seconds between two questions of a session whose edge is suspect: 1 to `calm_ttl_s`.
    pub alarm_ttl_s: u32,
    /// Share of its capacity in use from which an edge is given no new sessions: 0.1 to 1.
    pub full_at: f64,
    /// Health below which an edge keeps nobody: 0 to 0.95.
    pub floor: f64,
    /// What is forbidden or preferred for whom; the first that fits a place counts. At most 256.
    pub rules: Vec<Rule>,
}

/// What a unit of each costs, in units of 1,000 km: 0 to 1,000, of money to 100,000.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Weights {
    /// 1,000 km.
    pub distance: f64,
    /// Load: u^2 / (1 - u) of the share u of capacity in use, as waiting times in a queue rise.
    pub load: f64,
    /// One unit of money for a gigabyte.
    pub price: f64,
    /// The whole way from perfect to unusable.
    pub quality: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self { distance: 1.0, load: 1.0, price: 0.0, quality: 4.0 }
    }
}

/// A rule: for sessions from these countries or networks (all, if none is named), these places (all, if none is named).
/// Together it names at most 1,024.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// Countries.
    pub countries: Vec<Country>,
    /// Numbers of networks (autonomous systems).
    pub networks: Vec<u32>,
    /// Sites and outside pathways.
    pub places: Vec<String>,
    /// True: never there.
    pub never: bool,
    /// What is added to the cost, in units of 1,000 km: -1,000 to 1,000; below 0 it is preferred.
    pub add: f64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            weights: Weights::default(),
            spread: 0.3,
            margin: 1.0,
            hold_s: 30,
            calm_ttl_s: 300,
            alarm_ttl_s: 1,
            full_at: 0.9,
            floor: 0.5,
            rules: vec![],
        }
    }
}

impl Policy {
    /// Adds what is wrong with it.
    pub(crate) fn check(&self, of: &str, faults: &mut Faults) {
        let mut within = |key: &str, value: f64, least: f64, most: f64| {
            faults.range(&format!("{of}.{key}"), Some(value), least, most);
        };
        let w = &self.weights;
        within("weights.distance", w.distance, 0.0, 1_000.0);
        within("weights.load", w.load, 0.0, 1_000.0);
        within("weights.price", w.price, 0.0, 100_000.0);
        within("weights.quality", w.quality, 0.0, 1_000.0);
        within("spread", self.spread, 0.0, 100.0);
        within("margin", self.margin, 0.0, 1_000.0);
        within("full_at", self.full_at, 0.1, 1.0);
        within("floor", self.floor, 0.0, 0.95);
        within("hold_s", self.hold_s.into(), 0.0, 3_600.0);
        within("calm_ttl_s", self.calm_ttl_s.into(), 1.0, 3_600.0);
        within("alarm_ttl_s", self.alarm_ttl_s.into(), 1.0, self.calm_ttl_s.max(1).into());
        faults.count(&format!("{of}.rules"), self.rules.len(), MAX_RULES);
        for (at, rule) in self.rules.iter().enumerate() {
            let key = |name: &str| format!("{of}.rules.{at}.{name}");
            faults.count(&key("places"), rule.names(), MAX_NAMES);
            faults.range(&key("add"), Some(rule.add), -1_000.0, 1_000.0);
        }
    }
}

impl Rule {
    fn names(&self) -> usize {
        self.countries.len() + self.networks.len() + self.places.len()
    }

    /// True when it speaks of this session and place.
    #[must_use]
    pub fn fits(&self, country: Option<Country>, network: Option<u32>, place: &str) -> bool {
        let named = !self.countries.is_empty() || !self.networks.is_empty();
        let here = country.is_some_and(|c| self.countries.contains(&c))
            || network.is_some_and(|n| self.networks.contains(&n));
        (!named || here) && (self.places.is_empty() || self.places.iter().any(|p| p == place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FleetConfig;

    fn germany() -> Country {
        Country::parse("DE").unwrap()
    }

    #[test]
    fn what_is_out_of_bounds_is_named_with_its_fix() {
        let said = |steering: Policy| -> Vec<String> {
            let config = FleetConfig { steering, ..FleetConfig::default() };
            config.faults().iter().map(ToString::to_string).collect()
        };
        assert_eq!(said(Policy::default()), [""; 0]);
        let rule = Rule { add: f64::INFINITY, ..Rule::default() };
        let policy = Policy {
            spread: f64::NAN,
            alarm_ttl_s: 301,
            rules: vec![Rule::default(), rule],
            ..Policy::default()
        };
        let wanted = [
            "steering.spread: from 0 to 100, not NaN",
            "steering.alarm_ttl_s: from 1 to 300, not 301",
            "steering.rules.1.add: from -1000 to 1000, not inf",
        ];
        assert_eq!(said(policy), wanted);
    }

    #[test]
    fn a_rule_speaks_of_those_it_names() {
        let rule = Rule {
            countries: vec![germany()],
            networks: vec![64_496],
            places: vec!["fra".into()],
            ..Rule::default()
        };
        assert!(rule.fits(Some(germany()), None, "fra"));
        assert!(rule.fits(None, Some(64_496), "fra"));
        assert!(!rule.fits(Country::parse("FR"), Some(1), "fra"));
        assert!(!rule.fits(Some(germany()), None, "ams"));
        assert!(Rule::default().fits(None, None, "anything"));
    }
}
