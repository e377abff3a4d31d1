//! A site under a load in which some objects are asked for far more often than others. Every random draw is seeded: a scene
//! plays the same each time.

use super::schemes::{spread, table};
use crate::zipf::Zipf;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sluice_wire::placement::choose::{LEAST_BYTES, Loads, choose};
use sluice_wire::placement::replicas::{HOLD_MS, Held, held, wanted};
use sluice_wire::sketch::{Popularity, TopKeys};
use sluice_wire::{Placement, PlacementKey};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Objects: media groups.
pub(super) const OBJECTS: usize = 100_000;
/// Requests of an edge in a second.
const A_SECOND: usize = 200;
/// Seconds before anything is counted, and while it is.
const SECONDS: (u64, u64) = (15, 30);
/// Seconds after which sketches forget half: as the edge's.
const HALVE_S: u64 = 5;
/// Requests of which an edge knows whom it asked, and bytes of each: those of the last five seconds.
const LATELY: (usize, u64) = (1_000, 1 << 20);

/// How many nodes have an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Copies {
    Fixed(usize),
    /// By its true popularity.
    Known,
    /// By what edges report of their sketches.
    Measured,
}

impl Copies {
    pub(super) fn name(self) -> String {
        match self {
            Self::Fixed(1) => "one".into(),
            Self::Fixed(count) => count.to_string(),
            Self::Known => "by popularity, perfectly known".into(),
            Self::Measured => "by popularity, as measured (ours)".into(),
        }
    }
}

/// What became of a scene.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// Requests of the busiest node over the mean.
    pub(super) busiest: f64,
    /// Copies beyond the first, by object.
    pub(super) extra: f64,
    /// The part of requests that went to no replica.
    pub(super) off: f64,
}

/// A site and its load.
pub(super) struct Scene {
    nodes: usize,
    keys: Vec<PlacementKey>,
    zipf: Zipf,
    placement: Placement,
}

impl Scene {
    pub(super) fn new(nodes: usize, skew: f64) -> Self {
        let keys = (0..OBJECTS as u64).map(|n| PlacementKey::from_u64(spread(n))).collect();
        let table = table(nodes).expect("names of nodes are short");
        let placement = Placement::new(Arc::new(table), "here");
        Self { nodes, keys, zipf: Zipf::new(OBJECTS, skew), placement }
    }

    /// Plays it.
    pub(super) fn play(&self, copies: Copies) -> Seen {
        let mut random = StdRng::seed_from_u64(7);
        let mut edges: Vec<Edge> = (0..self.nodes).map(|_| Edge::new(self.nodes)).collect();
        let mut counted: HashMap<PlacementKey, Held> = self.known(copies);
        let (mut served, mut off) = (vec![0u64; self.nodes], 0u64);
        for second in 0..SECONDS.0 + SECONDS.1 {
            for _ in 0..A_SECOND * self.nodes {
                let key = self.keys[self.zipf.draw(&mut random)];
                let asker = random.random_range(0..self.nodes);
                let replicas = match copies {
                    Copies::Fixed(count) => count,
                    Copies::Known | Copies::Measured => counted.get(&key).map_or(1, |held| held.replicas),
                };
                let count = (copies == Copies::Measured).then_some(key);
                // A fixed number of copies is without the net: what others do.
                let least = if matches!(copies, Copies::Fixed(_)) { u64::MAX } else { LEAST_BYTES };
                let order = (&*self.placement.near(key), replicas, least);
                let (node, at) = edges[asker].ask(asker, count, order, random.random());
                if second >= SECONDS.0 {
                    served[usize::from(node)] += 1;
                    off += u64::from(at >= replicas);
                }
            }
            if copies == Copies::Measured {
                self.measure(&mut edges, &mut counted, second);
            }
        }
        let (all, most) =
            (served.iter().sum::<u64>() as f64, served.iter().max().copied().unwrap_or(0) as f64);
        let more = match copies {
            Copies::Fixed(count) => (count - 1) * OBJECTS,
            Copies::Known | Copies::Measured => counted.values().map(|held| held.replicas - 1).sum(),
        };
        Seen {
            busiest: most * self.nodes as f64 / all,
            extra: more as f64 / OBJECTS as f64,
            off: off as f64 / all,
        }
    }

    fn known(&self, copies: Copies) -> HashMap<PlacementKey, Held> {
        if copies != Copies::Known {
            return HashMap::new();
        }
        let held = |object| Held { replicas: wanted(self.zipf.share(object), self.nodes), wanted_ms: 0 };
        (0..OBJECTS).map(|object| (self.keys[object], held(object))).filter(|(_, h)| h.replicas > 1).collect()
    }

    /// What the control plane does each second with what edges report.
    fn measure(&self, edges: &mut [Edge], counted: &mut HashMap<PlacementKey, Held>, second: u64) {
        let tops: Vec<TopKeys> = edges.iter().map(|edge| edge.popularity.top()).collect();
        let (total, counts) = TopKeys::sum(&tops);
        for key in counted.keys().chain(counts.keys()).copied().collect::<Vec<_>>() {
            let share = counts.get(&key).copied().unwrap_or(0) as f64 / total.max(1) as f64;
            let now = held(counted.get(&key).copied(), wanted(share, self.nodes), second * 1_000, HOLD_MS);
            if now.replicas > 1 {
                counted.insert(key, now)
            } else {
                counted.remove(&key)
            };
        }
        if second % HALVE_S == HALVE_S - 1 {
            edges.iter_mut().for_each(|edge| edge.popularity.halve());
        }
    }
}

/// An edge of the site: what it is asked for, and whom it asked lately.
struct Edge {
    popularity: Popularity,
    loads: Vec<u64>,
    lately: VecDeque<u16>,
}

impl Edge {
    fn new(nodes: usize) -> Self {
        Self { popularity: Popularity::default(), loads: vec![0; nodes], lately: VecDeque::new() }
    }

    /// Asks a node for a key: which, and its place in the order. A replica asks itself.
    fn ask(
        &mut self,
        own: usize,
        count: Option<PlacementKey>,
        (order, replicas, least): (&[u16], usize, u64),
        random: u64,
    ) -> (u16, usize) {
        count.into_iter().for_each(|key| self.popularity.record(key));
        if let Some(at) = order.iter().take(replicas).position(|node| usize::from(*node) == own) {
            return (own as u16, at);
        }
        let total = self.lately.len() as u64 * LATELY.1;
        let loads = Loads { of: |node: u16| self.loads[usize::from(node)], total, least };
        let at = choose(order, replicas, &loads, random).expect("there is a node");
        let node = order[at];
        self.loads[usize::from(node)] += LATELY.1;
        self.lately.push_back(node);
        if self.lately.len() > LATELY.0 {
            let done = self.lately.pop_front().expect("it has some");
            self.loads[usize::from(done)] -= LATELY.1;
        }
        (node, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_by_what_is_measured_keep_the_busiest_node_under_1_6_with_few_copies() {
        let scene = Scene::new(100, 1.2);
        let one = scene.play(Copies::Fixed(1));
        assert!(one.busiest > 15.0, "{one:?}");
        let ours = scene.play(Copies::Measured);
        assert!(ours.busiest < 1.6 && ours.extra < 0.01, "{ours:?}");
    }
}
