//! What is known of the fleet at one moment, and the same made ready for many decisions.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::policy::Policy;
use crate::geo::{Point, Position};
use crate::id::NodeId;
use crate::placement::Placed;

/// Everything a decision depends on, but the session and the time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// Rises with every change; names the view in decisions and logs.
    pub version: u64,
    /// The route table it was made of.
    pub table: u64,
    /// When it was made, in Unix milliseconds.
    pub made_ms: u64,
    /// What operators want.
    pub policy: Policy,
    /// Where sessions can be served: own sites and outside pathways.
    pub places: Vec<Place>,
}

/// A site, or an outside CDN, which is a site with one edge of which little is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Its name, unique in the view.
    pub name: String,
    /// Where it is; without it, distance counts for nothing.
    pub position: Option<Position>,
    /// What the next gigabyte costs there, by its contract.
    pub price: f64,
    /// The share of all sessions that it is to have, from 0 to 1. `None`: as its cost makes it.
    pub share: Option<f64>,
    /// Its quality for networks of which enough is known, from 0 to 1.
    #[serde(default)]
    pub networks: BTreeMap<u32, f64>,
    /// Its quality for all others.
    pub quality: f64,
    /// What serves there.
    pub edges: Vec<Edge>,
}

/// What a pathway leads to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// The pathway's name: the node's.
    pub pathway: NodeId,
    /// Where clients reach it: scheme, host and port, without a path.
    pub url: String,
    /// Its share of keys relative to its peers.
    pub weight: f64,
    /// True when it takes sessions: ready, and not draining.
    pub open: bool,
    /// From 0, dead, to 1, well.
    pub health: f64,
    /// Share of its capacity in use; above 1 when there is more than it can serve.
    pub load: f64,
}

impl Placed for Edge {
    fn id(&self) -> &NodeId {
        &self.pathway
    }
    fn weight(&self) -> f64 {
        self.weight
    }
}

impl Edge {
    /// True when it can serve those who are there.
    #[must_use]
    pub fn serves(&self, bar: Bar) -> bool {
        self.open && self.weight > 0.0 && self.health >= bar.floor
    }

    /// True when it takes more.
    #[must_use]
    pub fn has_room(&self, bar: Bar) -> bool {
        self.serves(bar) && self.load < bar.full_at
    }

    /// What it can still take, in shares of its weight.
    pub(super) fn headroom(&self, bar: Bar) -> f64 {
        if self.has_room(bar) { self.weight * (bar.full_at - self.load) } else { 0.0 }
    }
}

/// What an edge must be to serve, and to take more.
#[derive(Debug, Clone, Copy)]
pub struct Bar {
    /// Its health, at least.
    pub floor: f64,
    /// Its load, below.
    pub full_at: f64,
}

impl Bar {
    /// The policy's. Where no edge at all is so well, one that is not is better than none.
    fn of(view: &View) -> Self {
        let bar = Self { floor: view.policy.floor, full_at: view.policy.full_at };
        let any = view.places.iter().flat_map(|place| &place.edges).any(|edge| edge.serves(bar));
        if any { bar } else { Self { floor: 0.0, ..bar } }
    }
}

/// A view made ready.
#[derive(Debug, Clone)]
pub struct Steer {
    view: View,
    bar: Bar,
    points: Vec<Option<Point>>,
    sums: Vec<Sum>,
    at: HashMap<String, (usize, usize)>,
}

/// What a place's edges are together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sum {
    /// Edges that serve.
    pub(super) serving: usize,
    /// What they can still take.
    pub(super) headroom: f64,
    /// Their load, by weight.
    pub(super) load: f64,
}

impl Steer {
    /// Makes a view ready: once, however many decisions follow.
    #[must_use]
    pub fn new(view: View) -> Self {
        let points = view.places.iter().map(|p| p.position.map(|p| p.point())).collect();
        let bar = Bar::of(&view);
        let sums = view.places.iter().map(|place| Sum::of(place, bar)).collect();
        let at = (view.places.iter().enumerate())
            .flat_map(|(p, place)| {
                place.edges.iter().enumerate().map(move |(e, edge)| (edge.pathway.to_string(), (p, e)))
            })
            .collect();
        Self { view, bar, points, sums, at }
    }

    /// The view.
    #[must_use]
    pub const fn view(&self) -> &View {
        &self.view
    }

    /// What an edge must be.
    #[must_use]
    pub const fn bar(&self) -> Bar {
        self.bar
    }

    /// The place and the edge of a pathway.
    pub(super) fn find(&self, pathway: &str) -> Option<(usize, usize)> {
        self.at.get(pathway).copied()
    }

    pub(super) fn point(&self, place: usize) -> Option<&Point> {
        self.points[place].as_ref()
    }

    pub(super) fn sum(&self, place: usize) -> Sum {
        self.sums[place]
    }
}

impl Sum {
    fn of(place: &Place, bar: Bar) -> Self {
        let mut sum = Self { serving: 0, headroom: 0.0, load: 0.0 };
        let mut weight = 0.0;
        for edge in place.edges.iter().filter(|edge| edge.serves(bar)) {
            sum.serving += 1;
            sum.headroom += edge.headroom(bar);
            sum.load += edge.load * edge.weight;
            weight += edge.weight;
        }
        sum.load = if weight > 0.0 { sum.load / weight } else { 1.0 };
        sum
    }
}
