//! What players report, made into scores that steering weighs.
//!
//! - `score`: sessions to scores, pure; `attribute`: whom a starved session is charged to, pure; `ask`: what operators ask
//!
//! Each control plane hears every edge, and keeps of each the newest report.

pub(crate) mod ask;
mod attribute;
mod score;

use score::Held;
use sluice_wire::quality::{Part, Quality, WINDOW_MS};
use sluice_wire::{NodeId, NodeReport, Tier};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Networks whose scores are remembered.
const MAX_NETWORKS: usize = 4_096;

/// What a node's players did, by its newest report.
#[derive(Debug, Clone)]
struct Told {
    site: String,
    at_ms: u64,
    quality: Quality,
}

/// What is scored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Of {
    Node(NodeId),
    Place(String),
    Network(u32, String),
}

/// Scores as they are now, from 0, unusable, to 1, well. What is not there is well.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Scores {
    pub(crate) nodes: BTreeMap<NodeId, f64>,
    pub(crate) places: BTreeMap<String, f64>,
    pub(crate) networks: BTreeMap<String, BTreeMap<u32, f64>>,
}

/// What players report.
#[derive(Debug, Default)]
pub(crate) struct Players(Mutex<Heard>);

#[derive(Debug, Default)]
struct Heard {
    nodes: BTreeMap<NodeId, Told>,
    held: HashMap<Of, Held>,
}

impl Players {
    /// Takes what a node says. What cannot be true counts as nothing; false then.
    pub(crate) fn take(&self, report: &NodeReport, now_ms: u64) -> bool {
        if report.tier != Tier::Near {
            return true;
        }
        let good = report.quality.is_true();
        let quality = if good { report.quality.clone() } else { Quality::default() };
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.nodes.len() < sluice_wire::limits::MAX_NODES || heard.nodes.contains_key(&report.node) {
            heard
                .nodes
                .insert(report.node.clone(), Told { site: report.site.clone(), at_ms: now_ms, quality });
        }
        good
    }

    /// The scores at a time; `network` is the number of an address's.
    pub(crate) fn scores(&self, now_ms: u64, network: impl Fn(IpAddr) -> Option<u32>) -> Scores {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.nodes.retain(|_, told| now_ms.saturating_sub(told.at_ms) < WINDOW_MS);
        let parts = heard.parts(network);
        heard.held.retain(|of, held| parts.contains_key(of) || !held.is_well(now_ms));
        let mut scores = Scores::default();
        let all = parts
            .iter()
            .filter(|(of, _)| matches!(of, Of::Node(_)))
            .fold(Part::default(), |a, (_, b)| a.and(*b));
        let known: Vec<Of> = parts.keys().chain(heard.held.keys()).cloned().collect();
        for of in known {
            let part = parts.get(&of).copied().unwrap_or_default();
            let score = heard.held.entry(of.clone()).or_default().next(score::score(part, all), now_ms);
            if score < 1.0 {
                scores.put(of, score);
            }
        }
        scores
    }
}

impl Heard {
    /// Sessions by what is scored, each charged to whom it is owed.
    fn parts(&self, network: impl Fn(IpAddr) -> Option<u32>) -> HashMap<Of, Part> {
        let mut parts: HashMap<Of, Part> = HashMap::new();
        let mut add = |of: Of, part: Part| {
            let sum = parts.entry(of).or_default();
            *sum = sum.and(part);
        };
        for (node, told) in &self.nodes {
            add(Of::Node(node.clone()), told.quality.all);
            add(Of::Place(told.site.clone()), told.quality.all);
            for (prefix, part) in told.quality.networks.iter().take(MAX_NETWORKS) {
                let address = prefix.split('/').next().and_then(|text| text.parse().ok());
                if let Some(number) = address.and_then(&network) {
                    add(Of::Network(number, told.site.clone()), *part);
                }
            }
        }
        for (node, starved) in attribute::charges(self.nodes.iter().map(|(node, told)| (node, &told.quality)))
        {
            let part = Part { sessions: starved, starved };
            if let Some(told) = self.nodes.get(&node) {
                add(Of::Place(told.site.clone()), part);
                add(Of::Node(node), part);
            }
        }
        parts
    }
}

impl Scores {
    fn put(&mut self, of: Of, score: f64) {
        match of {
            Of::Node(node) => drop(self.nodes.insert(node, score)),
            Of::Place(place) => drop(self.places.insert(place, score)),
            Of::Network(number, place) => drop(self.networks.entry(place).or_default().insert(number, score)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::tests::report;

    fn says(players: &Players, node: &str, site: &str, sessions: u32, starved: u32, now: u64) {
        let part = Part { sessions, starved };
        let quality =
            Quality { all: part, networks: [("192.0.2.0/24".to_owned(), part)].into(), ..Quality::default() };
        let told = NodeReport { site: site.into(), quality, ..report(node) };
        assert!(players.take(&told, now));
    }

    #[test]
    fn an_edge_whose_players_starve_falls_at_once_and_rises_slowly() {
        let players = Players::default();
        let scores = |now: u64| players.scores(now, |_| Some(64_496));
        for (node, starved) in [("a", 40), ("b", 1)] {
            says(&players, node, node, 100, starved, 1_000);
        }
        let fallen = scores(1_000);
        let a = NodeId::new("a").unwrap();
        assert!(fallen.nodes[&a] < 0.1 && fallen.places["a"] < 0.1 && fallen.networks["a"][&64_496] < 0.1);
        assert_eq!(fallen.nodes.len(), 1, "b is well: {fallen:?}");
        says(&players, "a", "a", 0, 0, 6_000);
        let rising = scores(6_000).nodes[&a];
        assert!((0.2..0.45).contains(&rising), "{rising}");
        says(&players, "a", "a", 0, 0, 15_000);
        says(&players, "a", "a", 0, 0, 24_000);
        assert_eq!(scores(24_000), Scores::default());
    }

    #[test]
    fn when_all_starve_alike_no_edge_is_to_blame() {
        let players = Players::default();
        for node in ["a", "b", "c"] {
            says(&players, node, node, 100, 60, 1_000);
        }
        assert_eq!(players.scores(1_000, |_| None), Scores::default());
    }

    #[test]
    fn what_cannot_be_true_counts_as_nothing() {
        let players = Players::default();
        let all = Part { sessions: 1, starved: 2 };
        assert!(
            !players.take(&NodeReport { quality: Quality { all, ..Quality::default() }, ..report("a") }, 0)
        );
        assert_eq!(players.scores(0, |_| None), Scores::default());
    }
}
