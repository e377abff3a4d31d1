//! One viewer: what a player knows and does, in fewer than fifty bytes.

use super::dice;
use super::world::{HEADROOM, RUNGS, World};

/// Milliseconds that a player keeps ahead, and that it has when its picture appears.
pub(super) const BUFFER_MS: i32 = 10_000;
const AT_START_MS: u16 = 4_000;
/// Seconds of a segment: what is asked for at once.
pub(super) const SEGMENT_S: u32 = 4;
/// A player with less than this takes a lower rung when its line, or the edge, gives less than it needs; one with more a higher.
const LOW_MS: u16 = 8_000;
/// Until a refused connection is another edge's request (hls.js: 0.4 s), and until one that answers nothing is (the
/// recommended configuration: two tries of 2 s).
pub(super) const REFUSED_MS: u16 = 400;
pub(super) const SILENT_MS: u16 = 4_100;
/// Seconds of a media group; an hour has a whole number of them.
const GROUP_S: u32 = 60;
/// Seconds that a session lasts on average.
const MEAN_S: f64 = 1_200.0;
const SHORTEST_S: u32 = 30;

/// No edge: there is nothing to choose from.
pub(super) const NOWHERE: u16 = u16::MAX;
/// Never moved.
pub(super) const NEVER: u32 = u32::MAX;

/// A viewer, or a place for one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Viewer {
    /// The session's name; its low bits say when in a second it does what it does.
    pub(super) id: u64,
    /// Seconds at which it ends, and at which it asks.
    pub(super) ends: u32,
    pub(super) asks: u32,
    /// Milliseconds at which it was moved last.
    pub(super) moved_ms: u32,
    /// The last second in which it was moved by choice.
    pub(super) chosen: u32,
    /// Milliseconds at which it came to its edge.
    pub(super) since_ms: u32,
    pub(super) title: u16,
    /// Where it is, where it was told to be, and where it goes if that fails.
    pub(super) edge: u16,
    pub(super) told: u16,
    pub(super) next: [u16; 2],
    pub(super) buffer_ms: u16,
    /// Milliseconds until a request that fails is given up; 0 when none does.
    pub(super) failing_ms: u16,
    pub(super) city: u8,
    pub(super) rung: u8,
    /// Moves by choice within thirty seconds.
    pub(super) burst: u8,
    pub(super) stalled: bool,
}

impl Viewer {
    /// A place for a viewer who comes at a second.
    pub(super) const fn comes(second: u32) -> Self {
        Self {
            id: 0,
            ends: second,
            asks: NEVER,
            moved_ms: NEVER,
            chosen: NEVER,
            since_ms: 0,
            title: 0,
            edge: NOWHERE,
            told: NOWHERE,
            next: [NOWHERE; 2],
            buffer_ms: AT_START_MS,
            failing_ms: 0,
            city: 0,
            rung: 0,
            burst: 0,
            stalled: false,
        }
    }

    /// A session that begins.
    pub(super) fn begins(id: u64, second: u32, city: u8, title: u16) -> Self {
        let lasts = -MEAN_S * (1.0 - dice::as_share(dice::mix(id))).ln();
        let ends = second + SHORTEST_S + lasts as u32;
        let rung = World::top(World::line(id)).min(2);
        Self { id, ends, city, title, rung, ..Self::comes(second) }
    }

    /// When in a second it acts, in milliseconds.
    pub(super) fn phase_ms(&self) -> u32 {
        ((self.id & 1023) * 1_000 / 1_024) as u32
    }

    /// True in the seconds in which it asks for a segment; with little ahead it asks for one after the other.
    pub(super) fn fetches(&self, second: u32) -> bool {
        (second + (self.id >> 10) as u32 % SEGMENT_S).is_multiple_of(SEGMENT_S)
            || i32::from(self.buffer_ms) < BUFFER_MS - 4_000
    }

    /// The media group that it is in at a second, of the film's sixty, and whether it has just come to it.
    pub(super) fn group(&self, second: u32) -> (u32, bool) {
        let of = (self.id >> 12) as u32 % 3_600;
        let at = (second + of) % 3_600;
        (at / GROUP_S, at.is_multiple_of(GROUP_S))
    }

    /// What it would load in a second, in Mbit/s: what it plays, and more while it has less ahead than it wants.
    pub(super) fn wants(&self, line: f64) -> f64 {
        let missing = f64::from(BUFFER_MS - i32::from(self.buffer_ms)) / 2_000.0;
        (RUNGS[usize::from(self.rung)] * (1.0 + missing)).min(line)
    }

    /// Until when it does the same each second on an edge that gives all it is asked for: its buffer is full, its rung as high
    /// as its line carries, and neither its end nor a question nor another media group is due. `None` when it does not.
    pub(super) fn rests(&self, line: f64, second: u32) -> Option<u32> {
        let rung = usize::from(self.rung);
        let higher = RUNGS.get(rung + 1).is_some_and(|rate| *rate <= line * HEADROOM);
        let still = i32::from(self.buffer_ms) == BUFFER_MS && RUNGS[rung] <= line && !higher;
        let of = (self.id >> 12) as u32 % 3_600;
        let group = second + GROUP_S - (second + of) % GROUP_S;
        let until = self.ends.min(self.asks).min(group);
        (still && self.failing_ms == 0 && until > second + 1).then_some(until)
    }

    /// Plays a second for which so many Mbit came; the milliseconds that the picture stood still.
    pub(super) fn plays(&mut self, came: f64) -> u32 {
        let ahead = i32::from(self.buffer_ms)
            + (came / RUNGS[usize::from(self.rung)] * 1_000.0).round() as i32
            - 1_000;
        self.buffer_ms = ahead.clamp(0, BUFFER_MS) as u16;
        u32::try_from(-ahead).unwrap_or(0)
    }

    /// Chooses a rung by what a segment came with, in Mbit/s.
    pub(super) fn adapts(&mut self, line: f64, given: f64) {
        let rate = RUNGS[usize::from(self.rung)];
        let short = given < 1.0;
        let carried = if short { self.wants(line) * given } else { line };
        if self.buffer_ms < LOW_MS && carried < rate && self.rung > 0 {
            self.rung -= 1;
        } else if self.buffer_ms >= LOW_MS && !short {
            let above = usize::from(self.rung) + 1;
            if RUNGS.get(above).is_some_and(|rate| *rate <= carried * HEADROOM) {
                self.rung += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_million_fit_into_a_quarter_of_a_gigabyte() {
        assert!(size_of::<Viewer>() <= 48, "{}", size_of::<Viewer>());
    }

    #[test]
    fn a_picture_stands_still_when_nothing_is_left() {
        let mut viewer = Viewer::begins(77, 0, 0, 0);
        let stood: u32 = (0..6).map(|_| viewer.plays(0.0)).sum();
        assert_eq!((stood, viewer.buffer_ms), (2_000, 0));
        assert!(viewer.wants(100.0) > 5.0 * RUNGS[usize::from(viewer.rung)]);
    }
}
