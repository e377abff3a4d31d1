//! What edges hold, by media groups (a minute of a rung), roughly: a table of tags for an edge and one for a site, each group at
//! one place of it, where it puts out what was there. What an edge lacks its site may have (an edge asks the group's owner), and
//! what the site lacks comes from the origin.

use super::dice;
use super::world::{RUNGS, World};

/// Groups that an edge holds: about half a terabyte.
const OF_AN_EDGE: usize = 1 << 14;
/// Groups that a site's edges hold together.
const OF_A_SITE: usize = 1 << 17;
/// Megabits of a group for a Mbit/s.
const SECONDS: f64 = 60.0;

/// The caches of a fleet.
#[derive(Debug)]
pub(super) struct Caches {
    edges: Vec<u32>,
    sites: Vec<u32>,
    /// Megabits that edges did not have, and that sites did not.
    pub(super) missed: f64,
    pub(super) origin: f64,
    pub(super) asked: f64,
}

impl Caches {
    pub(super) fn new(world: &World) -> Self {
        Self {
            edges: vec![0; world.edges.len() * OF_AN_EDGE],
            sites: vec![0; world.sites.len() * OF_A_SITE],
            missed: 0.0,
            origin: 0.0,
            asked: 0.0,
        }
    }

    /// Somebody at an edge comes to a group.
    pub(super) fn touch(&mut self, edge: u16, site: u16, title: u16, rung: u8, group: u32) {
        let hash = dice::mix(u64::from(title) << 32 | u64::from(rung) << 16 | u64::from(group));
        let size = RUNGS[usize::from(rung)] * SECONDS;
        self.asked += size;
        if !held(&mut self.edges, usize::from(edge), OF_AN_EDGE, hash) {
            self.missed += size;
            if !held(&mut self.sites, usize::from(site), OF_A_SITE, hash) {
                self.origin += size;
            }
        }
    }
}

/// True when the table of a node has it; it has it afterwards.
fn held(table: &mut [u32], node: usize, of_a_node: usize, hash: u64) -> bool {
    let slot = &mut table[node * of_a_node + hash as usize % of_a_node];
    let tag = (hash >> 32) as u32 | 1;
    std::mem::replace(slot, tag) == tag
}
