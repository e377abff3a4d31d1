//! What others do, none of which looks at load: random, nearest, plain consistent hashing, weighted round robin by DNS. Each knows
//! as early as Sluice's control plane which edges are not well, and never loses it: a player whose request failed asks it at once.

use super::dice;
use super::faults::{self, LOOKS};
use super::policy::{Policy, Sight, Told};
use super::viewer::{NOWHERE, Viewer};
use super::world::World;

/// Points of an edge on a ring, as ketama has them.
const POINTS: u64 = 160;
/// Seconds for which a resolver keeps an answer, and viewers of one resolver in a city.
const TTL_S: u32 = 60;
const RESOLVERS: u64 = 40;

const RANDOM: u64 = 11;
const RING: u64 = 12;
const ROBIN: u64 = 13;

/// How an edge is chosen without a look at load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Any edge of all, by weight.
    Random,
    /// Any edge of the nearest site that is up.
    Nearest,
    /// The title's edge on one ring of all.
    Ring,
    /// Edges of the region by weight, as resolvers have it from a name server.
    Robin,
}

#[derive(Debug)]
pub(super) struct Peer {
    way: Way,
    /// By look of the second and edge: whether it is well.
    open: [Vec<bool>; LOOKS.len()],
    second: u32,
    look: usize,
    /// Points of a ring, by their hash.
    ring: Vec<(u64, u16)>,
    /// What resolvers keep: an edge, and until when.
    kept: Vec<(u16, u32)>,
    /// Sums of weights of the edges of each region, and of all.
    regions: Vec<Vec<(f64, u16)>>,
    all: Vec<(f64, u16)>,
}

impl Peer {
    pub(super) fn new(way: Way, world: &World) -> Self {
        let own = 0..world.own() as u16;
        let mut ring: Vec<(u64, u16)> = match way {
            Way::Ring => {
                own.clone().flat_map(|edge| (0..POINTS).map(move |p| (point(edge, p), edge))).collect()
            }
            _ => vec![],
        };
        ring.sort_unstable();
        let of = |city: usize| {
            let region = world.sites[usize::from(world.near[city][0])].region;
            sums(world, |edge| world.sites[usize::from(world.edges[usize::from(edge)].site)].region == region)
        };
        let regions = (0..world.cities.len()).map(of).collect();
        let kept = vec![(NOWHERE, 0); world.cities.len() * RESOLVERS as usize];
        let open = LOOKS.map(|_| vec![true; world.own()]);
        Self { way, open, second: 0, look: 0, ring, kept, regions, all: sums(world, |_| true) }
    }

    fn is_open(&self, edge: u16) -> bool {
        self.open[self.look][usize::from(edge)]
    }

    /// An edge by weight; another one where that is down.
    fn weighted(&self, of: &[(f64, u16)], draw: u64) -> u16 {
        let total = of.last().map_or(0.0, |last| last.0);
        (0..16)
            .map(|turn| {
                let mark = dice::as_share(dice::mix(draw.wrapping_add(turn))) * total;
                of[of.partition_point(|sum| sum.0 <= mark).min(of.len() - 1)].1
            })
            .find(|edge| self.is_open(*edge))
            .unwrap_or(of[0].1)
    }

    fn nearest(&self, world: &World, viewer: &Viewer) -> u16 {
        let open =
            |site: &&u16| world.sites[usize::from(**site)].edges.clone().any(|edge| self.is_open(edge));
        let near = &world.near[usize::from(viewer.city)];
        let site = near.iter().find(open).unwrap_or(&near[0]);
        let edges: Vec<u16> =
            world.sites[usize::from(*site)].edges.clone().filter(|edge| self.is_open(*edge)).collect();
        edges.get(viewer.id as usize % edges.len().max(1)).copied().unwrap_or(0)
    }

    fn on_ring(&self, title: u16) -> u16 {
        let hash = dice::mix(u64::from(title) ^ RING);
        let at = self.ring.partition_point(|(point, _)| *point < hash);
        let around = self.ring[at..].iter().chain(&self.ring[..at]);
        around.map(|(_, edge)| *edge).find(|edge| self.is_open(*edge)).unwrap_or(0)
    }

    fn resolved(&mut self, world: &World, viewer: &Viewer, now_ms: u32) -> u16 {
        let city = usize::from(viewer.city);
        let resolver = city * RESOLVERS as usize + (viewer.id >> 32) as usize % RESOLVERS as usize;
        let (edge, until) = self.kept[resolver];
        if edge != NOWHERE && now_ms < until {
            return edge;
        }
        let draw = dice::roll(world.scale.seed, ROBIN, (resolver as u64) << 32 | u64::from(now_ms));
        let edge = self.weighted(&self.regions[city], draw);
        self.kept[resolver] = (edge, now_ms + TTL_S * 1_000);
        edge
    }
}

impl Policy for Peer {
    fn name(&self) -> String {
        match self.way {
            Way::Random => "random",
            Way::Nearest => "nearest",
            Way::Ring => "consistent hashing",
            Way::Robin => "weighted round robin, DNS 60 s",
        }
        .into()
    }

    fn observe(&mut self, sight: &Sight<'_>) {
        self.second = sight.second;
        for (open, known) in self.open.iter_mut().zip(sight.known) {
            open.iter_mut().zip(known).for_each(|(open, known)| *open = known.is_well());
        }
    }

    fn begin(&mut self, world: &World, viewer: &Viewer, now_ms: u32) -> Told {
        self.look = faults::look(self.second, now_ms);
        Told::only(match self.way {
            Way::Random => self.weighted(&self.all, dice::roll(viewer.id, RANDOM, now_ms.into())),
            Way::Nearest => self.nearest(world, viewer),
            Way::Ring => self.on_ring(viewer.title),
            Way::Robin => self.resolved(world, viewer, now_ms),
        })
    }

    fn ask(&mut self, _: &World, _: &Viewer, _: u32) -> Option<Told> {
        None
    }
}

fn point(edge: u16, nth: u64) -> u64 {
    dice::roll(RING, u64::from(edge), nth)
}

fn sums(world: &World, wanted: impl Fn(u16) -> bool) -> Vec<(f64, u16)> {
    let mut sum = 0.0;
    (0..world.own() as u16)
        .filter(|edge| wanted(*edge))
        .map(|edge| {
            sum += world.edges[usize::from(edge)].weight;
            (sum, edge)
        })
        .collect()
}
