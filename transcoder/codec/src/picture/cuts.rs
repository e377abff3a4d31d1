//! Cuts: where a picture has nothing to do with the one before it. Pure.
//!
//! It is decided once for all rungs, on the source's pictures at the full rate, whichever rungs are made.

/// Cells of a picture across and down: enough to tell another scene from something that moves through this one.
pub(super) const CELLS: (usize, usize) = (32, 18);
/// How much of a cell's range (256) a cut changes on the mean, and how much more than the tick before it did: what moves or
/// fades changes as much tick after tick.
const CHANGE: u32 = 18;
/// The part of a GOP that a keyframe stays away from others: they cost more than they give when they are nearer.
const APART: u64 = 4;

/// What has been seen of a row of pictures.
#[derive(Debug)]
pub(super) struct Cuts {
    /// Ticks from keyframe to keyframe of the grid.
    gop: u64,
    /// Ticks between those at which every rung has a picture.
    step: u64,
    last: Option<Vec<u8>>,
    changed: u32,
    /// The last keyframe's tick.
    key: u64,
    /// A cut that has not been at a tick of every rung yet.
    pending: bool,
}

impl Cuts {
    pub(super) const fn new(gop: u64, step: u64) -> Self {
        Self { gop, step, last: None, changed: u32::MAX, key: 0, pending: false }
    }

    /// Begins anew, at the start of a GOP.
    pub(super) fn forget(&mut self) {
        *self = Self::new(self.gop, self.step);
    }

    /// Looks at the cells of a tick's picture. True when a keyframe belongs there that the grid does not have.
    pub(super) fn look(&mut self, tick: u64, cells: Vec<u8>) -> bool {
        let changed = self.last.as_ref().map_or(u32::MAX, |last| change(last, &cells));
        let cut =
            changed != u32::MAX && self.changed != u32::MAX && changed >= self.changed.saturating_add(CHANGE);
        self.pending |= cut;
        (self.last, self.changed) = (Some(cells), changed);
        let since = tick % self.gop;
        if since == 0 {
            (self.key, self.pending) = (tick, false);
            return false;
        }
        if !self.pending || !tick.is_multiple_of(self.step) {
            return false;
        }
        self.pending = false;
        let apart = self.gop / APART;
        let fits = tick - self.key.min(tick) >= apart && self.gop - since >= apart;
        if fits {
            self.key = tick;
        }
        fits
    }
}

/// The mean difference of cells.
fn change(before: &[u8], after: &[u8]) -> u32 {
    let sum: u32 = before.iter().zip(after).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
    sum / u32::try_from(after.len()).unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(cuts: &[u64], gop: u64, step: u64, ticks: u64) -> Vec<u64> {
        let mut seen = Cuts::new(gop, step);
        let shade = |tick| cuts.iter().filter(|cut| **cut <= tick).count() % 2 * 200;
        (0..ticks).filter(|&tick| seen.look(tick, vec![shade(tick) as u8; 9])).collect()
    }

    #[test]
    fn a_cut_gets_a_keyframe_unless_one_of_the_grid_is_near() {
        assert_eq!(keys(&[20, 55, 70, 96], 50, 1, 150), [20, 70]);
        assert_eq!(keys(&[21, 30], 50, 2, 50), [22], "where the rungs of half the rate have a picture, too");
        assert_eq!(keys(&[20, 30], 50, 1, 50), [20], "the second is too near to the first");
    }

    #[test]
    fn what_moves_all_the_time_is_no_cut() {
        let mut seen = Cuts::new(50, 1);
        assert!((0..50u64).all(|tick| !seen.look(tick, vec![(tick % 2 * 200) as u8; 9])));
    }

    proptest! {
        #[test]
        fn keyframes_are_apart_and_at_ticks_of_every_rung(
            shades in prop::collection::vec(any::<u8>(), 1..300), step in 1u64..3,
        ) {
            let mut seen = Cuts::new(60, step);
            let mut all: Vec<u64> = (0..=5).map(|n| n * 60).collect();
            for (tick, shade) in (0u64..).zip(&shades) {
                if seen.look(tick, vec![*shade; 4]) {
                    prop_assert!(tick.is_multiple_of(step));
                    all.push(tick);
                }
            }
            all.sort_unstable();
            prop_assert!(all.windows(2).all(|w| w[1] - w[0] >= 15), "{:?}", all);
        }
    }
}
