//! Which host a player asks: the first of the pathways by preference that has not failed (rfc8216bis section 7.2). Pure.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long a pathway that failed is passed over: what hls.js 1.7 does (`PATHWAY_PENALTY_DURATION_MS`).
const PENALTY: Duration = Duration::from_secs(300);

/// A steering manifest.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub struct Steering {
    ttl: Option<u64>,
    /// Where it is asked again.
    #[serde(rename = "RELOAD-URI")]
    pub reload_uri: Option<String>,
    /// Pathways by preference.
    #[serde(rename = "PATHWAY-PRIORITY")]
    pub priority: Vec<String>,
    #[serde(rename = "PATHWAY-CLONES", default)]
    clones: Vec<PathwayClone>,
}

#[derive(Debug, Clone, Deserialize)]
struct PathwayClone {
    #[serde(rename = "BASE-ID")]
    base: String,
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "URI-REPLACEMENT")]
    replacement: Replacement,
}

#[derive(Debug, Clone, Deserialize)]
struct Replacement {
    #[serde(rename = "HOST")]
    host: String,
}

/// The pathways that are known.
#[derive(Debug, Default)]
pub struct Pathways {
    hosts: BTreeMap<String, String>,
    priority: Vec<String>,
    failed: BTreeMap<String, Instant>,
    ttl: Option<Duration>,
}

impl Pathways {
    /// The playlist names one pathway, on the host that it came from.
    pub fn begins(&mut self, base: &str, host: &str) {
        self.hosts.insert(base.to_owned(), host.to_owned());
        self.priority = vec![base.to_owned()];
    }

    /// Takes a manifest; when to ask again.
    pub fn told(&mut self, told: Steering) -> Option<Duration> {
        for clone in told.clones {
            if self.hosts.contains_key(&clone.base) {
                self.hosts.insert(clone.id, clone.replacement.host);
            }
        }
        self.priority = told.priority;
        self.ttl = told.ttl.map(Duration::from_secs);
        self.ttl
    }

    /// The seconds of the last manifest.
    #[must_use]
    pub const fn ttl(&self) -> Option<Duration> {
        self.ttl
    }

    /// A pathway gave an error, or kept its player waiting.
    pub fn failed(&mut self, pathway: &str, now: Instant) {
        self.failed.insert(pathway.to_owned(), now);
    }

    fn is_good(&self, pathway: &str, now: Instant) -> bool {
        self.failed.get(pathway).is_none_or(|at| now.duration_since(*at) >= PENALTY)
    }

    fn known(&self) -> impl Iterator<Item = &String> {
        self.priority.iter().filter(|pathway| self.hosts.contains_key(*pathway))
    }

    /// True when none is left that has not failed.
    #[must_use]
    pub fn all_have_failed(&self, now: Instant) -> bool {
        !self.known().any(|pathway| self.is_good(pathway, now))
    }

    /// The pathway to ask and its host: the first that has not failed, or else the one that failed first.
    ///
    /// # Panics
    /// Before a playlist was read.
    #[must_use]
    pub fn current(&self, now: Instant) -> (String, String) {
        let good = self.known().find(|pathway| self.is_good(pathway, now));
        let chosen = good.or_else(|| self.known().min_by_key(|pathway| self.failed.get(*pathway)));
        let chosen = chosen.or_else(|| self.hosts.keys().next()).expect("a playlist was read");
        (chosen.clone(), self.hosts[chosen].clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_next_pathway_is_asked_at_once_and_a_failed_one_not_before_its_time() {
        let now = Instant::now();
        let mut pathways = Pathways::default();
        pathways.begins("here", "a");
        assert_eq!(pathways.current(now), ("here".into(), "a".into()));
        let clone = |id: &str| json!({ "BASE-ID": "here", "ID": id, "URI-REPLACEMENT": { "HOST": id } });
        let told = json!({
            "VERSION": 1, "TTL": 7, "RELOAD-URI": "http://c/s", "PATHWAY-PRIORITY": ["gone", "b", "c", "here"],
            "PATHWAY-CLONES": [clone("b"), clone("c")],
        });
        assert_eq!(pathways.told(serde_json::from_value(told).unwrap()), Some(Duration::from_secs(7)));
        assert_eq!(pathways.current(now).1, "b", "one that nobody knows is passed over");
        pathways.failed("b", now);
        assert_eq!(pathways.current(now).0, "c");
        pathways.failed("c", now + Duration::from_secs(1));
        pathways.failed("here", now + Duration::from_secs(1));
        assert!(pathways.all_have_failed(now + Duration::from_secs(2)));
        assert_eq!(pathways.current(now + Duration::from_secs(2)).0, "b", "the one that failed first");
        assert_eq!(pathways.current(now + PENALTY).0, "b", "it is as good as new");
    }
}
