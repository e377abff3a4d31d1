//! How many may be let in now: pure.

/// What a room has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Units that can be had.
    pub(super) units: i64,
    /// Admissions that are good and unused.
    pub(super) outstanding: i64,
    /// Units that one admission may take.
    pub(super) each: i64,
    /// Admissions in a second.
    pub(super) rate: i64,
    /// Thousandths of an admission that were saved up, and milliseconds since.
    pub(super) credit: i64,
    pub(super) since_ms: i64,
}

/// Milliseconds that a room saves up: as long as an edge may be silent that has let nobody in. A crowd that comes to an empty room is
/// let in evenly, and not in a heap that those in it wait for.
const SAVED_MS: i64 = 250;
/// What somebody is let in for, in thousandths of an admission: this much is saved up at the slowest rate, too, which has it in a
/// second.
const ONE: i64 = 1_000;

impl Room {
    /// How many more may be let in, and the credit before them. Units that somebody who was let in may still take are nobody
    /// else's; who asks gets half of what is free, so that there is some for the next edge.
    pub(super) fn allows(self) -> (i64, i64) {
        let most = self.rate.saturating_mul(SAVED_MS).max(ONE);
        let earned = self.rate.saturating_mul(self.since_ms.clamp(0, 1_000));
        let credit = self.credit.saturating_add(earned).clamp(0, most);
        let free = (self.units - self.outstanding.saturating_mul(self.each)).max(0);
        let by_stock = match free / self.each.max(1) {
            // Too few for a whole admission: one may have the rest.
            0 if free > 0 && self.outstanding == 0 => 1,
            0 => 0,
            many => many / 2 + many % 2,
        };
        (by_stock.min(credit / ONE), credit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_let_in_is_what_there_is_at_the_rate() {
        let room = Room { units: 100, outstanding: 0, each: 1, rate: 10, credit: 0, since_ms: 200 };
        assert_eq!(room.allows(), (2, 2_000));
        let late = Room { since_ms: 60_000, ..room };
        assert_eq!(late.allows(), (2, 2_500), "a quarter of a second is saved up at most");
        assert_eq!(Room { rate: 1, ..late }.allows(), (1, 1_000), "or one admission");
        assert_eq!(Room { rate: 1, since_ms: 999, ..room }.allows(), (0, 999));
        assert_eq!(Room { rate: 1_000, outstanding: 90, ..room }.allows().0, 5, "half of what is free");
        assert_eq!(Room { rate: 1_000, outstanding: 100, ..room }.allows().0, 0);
        assert_eq!(Room { units: 1, each: 3, ..room }.allows().0, 1, "the rest is somebody's");
        assert_eq!(Room { units: 0, ..room }.allows().0, 0);
    }

    proptest! {
        #[test]
        fn no_more_are_let_in_than_can_be_served(
            units in 0..1_000_i64, each in 1..5_i64, asks in prop::collection::vec((0..2_000_i64, any::<bool>()), 1..60),
        ) {
            let mut room = Room { units, outstanding: 0, each, rate: 50, credit: 0, since_ms: 0 };
            let mut let_in = 0;
            for (since_ms, buys) in asks {
                room.since_ms = since_ms;
                let (many, credit) = room.allows();
                prop_assert!(many >= 0 && many * 1_000 <= credit && credit <= 12_500);
                room.credit = credit - many * 1_000;
                room.outstanding += many;
                let_in += many;
                prop_assert!(room.outstanding * each <= room.units || room.outstanding == 1);
                if buys && room.outstanding > 0 {
                    room.outstanding -= 1;
                    room.units -= each.min(room.units);
                }
            }
            prop_assert!(let_in <= units / each + 1);
        }
    }
}
