//! Who sends viewers where: Sluice, and what others do.

use super::faults::{Known, LOOKS};
use super::viewer::{NOWHERE, Viewer};
use super::world::World;

/// What a fleet's steering sees in a second.
#[derive(Debug)]
pub(super) struct Sight<'a> {
    pub(super) second: u32,
    pub(super) world: &'a World,
    /// What is known of each edge at each look.
    pub(super) known: &'a [Vec<Known>; LOOKS.len()],
    /// Mbit/s that each edge sent in the second before.
    pub(super) sent: &'a [f64],
    /// True when the control plane answers.
    pub(super) answers: bool,
}

/// What a viewer is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    /// The first choice, and the next ones.
    pub(super) edge: u16,
    pub(super) next: [u16; 2],
    /// Seconds until it asks again; `None` for never.
    pub(super) ttl_s: Option<u32>,
    pub(super) moved: Moved,
}

/// Whether it is to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    /// It begins, or stays.
    No,
    /// For a better place, or one with room.
    Chosen,
    /// Because it cannot stay.
    Forced,
}

impl Told {
    /// One edge and nothing else, for good.
    pub(super) const fn only(edge: u16) -> Self {
        Self { edge, next: [NOWHERE; 2], ttl_s: None, moved: Moved::No }
    }
}

/// A way to send viewers to edges.
pub(super) trait Policy: Send {
    /// Its name.
    fn name(&self) -> String;
    /// Looks at the fleet, once a second.
    fn observe(&mut self, sight: &Sight<'_>);
    /// Where a session begins, or begins anew when all it was told of has failed.
    fn begin(&mut self, world: &World, viewer: &Viewer, now_ms: u32) -> Told;
    /// What a session is told that asks again; `None` when nobody answers.
    fn ask(&mut self, world: &World, viewer: &Viewer, now_ms: u32) -> Option<Told>;
    /// Decisions made by Sluice's code.
    fn decided(&self) -> u64 {
        0
    }
}
