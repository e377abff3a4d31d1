//! A steady rate: which picture is shown at each tick. Pure.

use sluice_wire::ladder::Ratio;

/// Pictures at a constant rate, from pictures at any times. At each tick the last one is shown that is not later than half
/// a tick after it; what starts late is filled with its first picture.
#[derive(Debug)]
pub(crate) struct Steady<P> {
    rate: Ratio,
    /// The next tick to be shown.
    next: u64,
    held: Option<P>,
}

impl<P> Steady<P> {
    /// At this many pictures a second, from this tick on.
    pub(crate) const fn new(rate: Ratio, next: u64) -> Self {
        Self { rate, next, held: None }
    }

    /// Takes the picture of a time in microseconds. Shows what was held until then, but not from tick `end` on.
    pub(crate) fn push<E>(
        &mut self,
        at: i64,
        picture: P,
        end: u64,
        show: impl FnMut(u64, &P) -> Result<(), E>,
    ) -> Result<(), E> {
        let shown = self.show_until(self.ticks(at).min(end), show);
        self.held = Some(picture);
        shown
    }

    /// Shows what is held until a time in microseconds, or until tick `end`.
    pub(crate) fn finish<E>(
        &mut self,
        at: i64,
        end: u64,
        show: impl FnMut(u64, &P) -> Result<(), E>,
    ) -> Result<(), E> {
        self.show_until(self.ticks(at).min(end), show)
    }

    /// The next tick to be shown.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// Ticks whose middle is before a time: those that belong to what came before it.
    fn ticks(&self, at: i64) -> u64 {
        let doubled = i128::from(at) * 2 * i128::from(self.rate.num);
        let middles = (doubled - 1).div_euclid(i128::from(self.rate.den) * 1_000_000);
        u64::try_from((middles + 1) / 2).unwrap_or(0)
    }

    fn show_until<E>(&mut self, end: u64, mut show: impl FnMut(u64, &P) -> Result<(), E>) -> Result<(), E> {
        let Some(held) = &self.held else { return Ok(()) };
        while self.next < end {
            show(self.next, held)?;
            self.next += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::convert::Infallible;

    fn shown(rate: Ratio, first: u64, times: &[i64], end: i64) -> Vec<(u64, usize)> {
        let mut out = vec![];
        let mut steady = Steady::new(rate, first);
        let mut show = |tick, picture: &usize| {
            out.push((tick, *picture));
            Ok::<_, Infallible>(())
        };
        for (index, at) in times.iter().enumerate() {
            steady.push(*at, index, u64::MAX, &mut show).unwrap();
        }
        steady.finish(end, u64::MAX, &mut show).unwrap();
        out
    }

    #[test]
    fn late_starts_gaps_and_crowds() {
        let rate = Ratio::new(10, 1);
        assert_eq!(shown(rate, 0, &[0, 100_000, 200_000], 300_000), [(0, 0), (1, 1), (2, 2)]);
        assert_eq!(shown(rate, 0, &[200_000, 300_000], 400_000), [(0, 0), (1, 0), (2, 0), (3, 1)]);
        assert_eq!(shown(rate, 0, &[0, 10_000, 20_000, 100_000], 200_000), [(0, 2), (1, 3)]);
        assert_eq!(shown(rate, 1, &[-50_000, 0, 300_000], 310_000), [(1, 1), (2, 1)]);
    }

    proptest! {
        #[test]
        fn each_tick_shows_what_was_last_before_its_middle(
            num in 1u32..120, den in 1u32..4, steps in prop::collection::vec(1i64..200_000, 1..40), first in 0u64..5,
        ) {
            let times: Vec<i64> = steps.iter().scan(0, |t, s| { *t += s; Some(*t - 1) }).collect();
            let end = times.last().unwrap() + 1;
            let rate = Ratio::new(num, den);
            for (index, (tick, picture)) in shown(rate, first, &times, end).into_iter().enumerate() {
                prop_assert_eq!(tick, first + index as u64);
                let middle = (2 * i128::from(tick) + 1) * i128::from(den) * 1_000_000;
                let before = times.iter().rposition(|t| i128::from(*t) * 2 * i128::from(num) <= middle).unwrap_or(0);
                prop_assert_eq!(picture, before);
            }
        }

        #[test]
        fn beginning_later_changes_nothing_after(steps in prop::collection::vec(1i64..200_000, 1..40), first in 0u64..9) {
            let times: Vec<i64> = steps.iter().scan(0, |t, s| { *t += s; Some(*t - 1) }).collect();
            let (rate, end) = (Ratio::new(25, 1), times.last().unwrap() + 40_000);
            let whole: Vec<_> = shown(rate, 0, &times, end).into_iter().filter(|s| s.0 >= first).collect();
            prop_assert_eq!(shown(rate, first, &times, end), whole);
        }
    }
}
