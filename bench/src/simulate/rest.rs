//! Viewers at rest: who has a full buffer, the highest rung its line carries and an edge that gives what it is asked for does
//! the same each second. What they ask for is kept by edge, as a sum; a run looks at such a viewer again when something is due
//! for it or its edge is disturbed. A run is the same with and without this, and takes a tenth of the time.

use super::viewer::NOWHERE;
use super::world::RUNGS;

/// Parts of a Mbit/s: rates of rungs are whole numbers of them, so that sums are exact.
const PARTS: f64 = 10.0;

#[derive(Debug)]
pub(super) struct Rest {
    /// By viewer: until which second it rests, and where.
    until: Vec<u32>,
    at: Vec<u16>,
    /// By edge: what those at rest ask for, in parts, and how many they are.
    parts: Vec<u64>,
    count: Vec<u32>,
    disturbed: Vec<bool>,
}

impl Rest {
    pub(super) fn new(viewers: usize, edges: usize) -> Self {
        Self {
            until: vec![0; viewers],
            at: vec![NOWHERE; viewers],
            parts: vec![0; edges],
            count: vec![0; edges],
            disturbed: vec![false; edges],
        }
    }

    /// Says of an edge whether its viewers are to be looked at.
    pub(super) fn disturb(&mut self, edge: usize, disturbed: bool) {
        self.disturbed[edge] = disturbed;
    }

    /// True when nothing happens to a viewer in this second.
    #[inline]
    pub(super) fn rests(&self, slot: usize, second: u32) -> bool {
        self.until[slot] > second && !self.disturbed.get(usize::from(self.at[slot])).is_some_and(|is| *is)
    }

    /// Puts a viewer to rest until a second: at an edge, where it plays a rung, or nowhere, when there is nobody.
    pub(super) fn begin(&mut self, slot: usize, until: u32, edge: u16, rung: u8) {
        (self.until[slot], self.at[slot]) = (until, edge);
        if let Some(count) = self.count.get_mut(usize::from(edge)) {
            *count += 1;
            self.parts[usize::from(edge)] += parts(rung);
        }
    }

    /// Ends a viewer's rest, if it rests.
    pub(super) fn end(&mut self, slot: usize, rung: u8) {
        let edge = std::mem::replace(&mut self.at[slot], NOWHERE);
        self.until[slot] = 0;
        if let Some(count) = self.count.get_mut(usize::from(edge)) {
            *count -= 1;
            self.parts[usize::from(edge)] -= parts(rung);
        }
    }

    /// What those at rest at an edge ask for, in Mbit/s, and how many they are.
    pub(super) fn of(&self, edge: usize) -> (f64, u32) {
        (self.parts[edge] as f64 / PARTS, self.count[edge])
    }
}

fn parts(rung: u8) -> u64 {
    (RUNGS[usize::from(rung)] * PARTS).round() as u64
}
