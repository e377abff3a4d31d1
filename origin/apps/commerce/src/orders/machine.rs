//! What becomes of an order: a pure function from a state and what happened.
//!
//! ```text
//! reserved --pay--> paying --charged--> paid --settle--> confirmed
//!    |                |  \--declined--> failed --settle--> released
//!    |                |
//!    |                +--expire: the stock goes back, the answer of the gateway is still waited for
//!    +--expire--> released
//!
//! charged without stock: taken again and paid, or else refunding --refunded--> refunded
//! ```

/// Where an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum State {
    /// It holds its stock and waits for a payment.
    Reserved,
    /// The gateway is asked for the money; it may have it or not.
    Paying,
    /// The gateway has the money, and the order its stock, for good.
    Paid,
    /// Sold. The end.
    Confirmed,
    /// The gateway refused.
    Failed,
    /// It holds nothing and nothing was paid. The end, unless the gateway took money after all.
    Released,
    /// The gateway has money for stock that is gone: it is given back.
    Refunding,
    /// The money was given back. The end.
    Refunded,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Happened {
    /// The buyer pays.
    Pay,
    /// The gateway took the money. `covered`: the stock is held, or there is enough of it to take again.
    Charged {
        /// See above.
        covered: bool,
    },
    /// The gateway refused for good.
    Declined,
    /// Its time is over.
    Expire,
    /// What follows by itself is done.
    Settle,
    /// The gateway gave the money back.
    Refunded,
}

/// What happens to the order's stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stock {
    /// Nothing.
    Keep,
    /// It goes back on sale.
    Return,
    /// It is taken again.
    Retake,
    /// It goes out for good.
    Sell,
}

/// What is written into the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entries {
    /// Nothing.
    None,
    /// The gateway owes us what we owe the buyer.
    Charge,
    /// What we owed the buyer became turnover and tax.
    Sale,
    /// The gateway gave it back.
    Refund,
}

/// What a change consists of: all of it, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) to: State,
    pub(crate) stock: Stock,
    pub(crate) entries: Entries,
}

impl State {
    /// The name in the database and in documents.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Paying => "paying",
            Self::Paid => "paid",
            Self::Confirmed => "confirmed",
            Self::Failed => "failed",
            Self::Released => "released",
            Self::Refunding => "refunding",
            Self::Refunded => "refunded",
        }
    }

    /// All of them.
    pub(crate) const ALL: [Self; 8] = [
        Self::Reserved,
        Self::Paying,
        Self::Paid,
        Self::Confirmed,
        Self::Failed,
        Self::Released,
        Self::Refunding,
        Self::Refunded,
    ];

    /// The state with this name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// True where an order does not stay: whoever comes by takes it further.
    pub(crate) const fn is_moving(self) -> bool {
        matches!(self, Self::Paying | Self::Paid | Self::Failed | Self::Refunding)
    }

    /// True where stock is held for a time only.
    pub(crate) const fn expires(self) -> bool {
        matches!(self, Self::Reserved | Self::Paying)
    }
}

/// What an order in this state makes of what happened; `None` when that means nothing to it (any more).
pub(crate) const fn change(state: State, held: bool, happened: Happened) -> Option<Change> {
    let give_back = if held { Stock::Return } else { Stock::Keep };
    let (to, stock, entries) = match (state, happened) {
        (State::Reserved, Happened::Pay) => (State::Paying, Stock::Keep, Entries::None),
        (State::Reserved, Happened::Expire) => (State::Released, give_back, Entries::None),
        (State::Paying, Happened::Expire) if held => (State::Paying, Stock::Return, Entries::None),
        (State::Paying | State::Failed | State::Released, Happened::Charged { covered }) => {
            if held {
                (State::Paid, Stock::Keep, Entries::Charge)
            } else if covered {
                (State::Paid, Stock::Retake, Entries::Charge)
            } else {
                (State::Refunding, Stock::Keep, Entries::Charge)
            }
        }
        (State::Paying, Happened::Declined) => (State::Failed, Stock::Keep, Entries::None),
        (State::Failed, Happened::Settle) => (State::Released, give_back, Entries::None),
        (State::Paid, Happened::Settle) => (State::Confirmed, Stock::Sell, Entries::Sale),
        (State::Refunding, Happened::Refunded) => (State::Refunded, Stock::Keep, Entries::Refund),
        _ => return None,
    };
    Some(Change { to, stock, entries })
}

impl Change {
    /// Whether the stock is held after it.
    pub(crate) const fn holds(self, held: bool) -> bool {
        match self.stock {
            Stock::Keep => held,
            Stock::Retake => true,
            Stock::Return | Stock::Sell => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An order as the world sees it: units out of the shelf, units sold, money that the gateway has for good.
    #[derive(Debug, Clone, Copy)]
    struct World {
        state: State,
        held: bool,
        out: i32,
        sold: i32,
        charges: i32,
        refunds: i32,
        sales: i32,
    }

    impl World {
        fn new() -> Self {
            Self { state: State::Reserved, held: true, out: 1, sold: 0, charges: 0, refunds: 0, sales: 0 }
        }

        fn happens(&mut self, happened: Happened) {
            let Some(change) = change(self.state, self.held, happened) else { return };
            match change.stock {
                Stock::Keep => {}
                Stock::Return => self.out -= 1,
                Stock::Retake => self.out += 1,
                Stock::Sell => self.sold += 1,
            }
            match change.entries {
                Entries::None => {}
                Entries::Charge => self.charges += 1,
                Entries::Sale => self.sales += 1,
                Entries::Refund => self.refunds += 1,
            }
            (self.state, self.held) = (change.to, change.holds(self.held));
        }

        /// What holds at every step, wherever a crash leaves it.
        fn is_sound(&self) {
            assert_eq!(self.out, i32::from(self.held) + self.sold, "{self:?}");
            assert!((0..=1).contains(&self.out) && self.charges <= 1, "{self:?}");
            assert!(self.sales + self.refunds <= self.charges, "sold or given back, never both: {self:?}");
            let paid = matches!(self.state, State::Paid | State::Confirmed);
            assert!(!paid || self.out == 1, "{self:?}");
            assert_eq!(self.state == State::Confirmed, self.sold == 1 && self.sales == 1, "{self:?}");
            let moneyless =
                matches!(self.state, State::Reserved | State::Paying | State::Failed | State::Released);
            assert_eq!(moneyless, self.charges == 0, "{self:?}");
        }
    }

    fn happenings() -> impl Strategy<Value = Happened> {
        prop_oneof![
            Just(Happened::Pay),
            any::<bool>().prop_map(|covered| Happened::Charged { covered }),
            Just(Happened::Declined),
            Just(Happened::Expire),
            Just(Happened::Settle),
            Just(Happened::Refunded),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_in_whatever_order_it_ends_in_one_legal_state(
            all in prop::collection::vec(happenings(), 0..24), charges: bool, covered: bool,
        ) {
            let mut world = World::new();
            for happened in all {
                world.happens(happened);
                world.is_sound();
            }
            // The rest of the way: the gateway answers, what follows is done, time passes.
            let answer = if charges { Happened::Charged { covered } } else { Happened::Declined };
            for happened in [answer, Happened::Settle, Happened::Refunded, Happened::Expire] {
                if happened != answer || world.state == State::Paying {
                    world.happens(happened);
                    world.is_sound();
                }
            }
            prop_assert!(matches!(world.state, State::Confirmed | State::Released | State::Refunded));
            prop_assert!(!world.held);
        }

        #[test]
        fn what_comes_twice_counts_once(before in prop::collection::vec(happenings(), 0..12), covered: bool) {
            let mut world = World::new();
            before.into_iter().for_each(|happened| world.happens(happened));
            world.happens(Happened::Charged { covered });
            let (charges, state) = (world.charges, world.state);
            world.happens(Happened::Charged { covered: !covered });
            prop_assert_eq!((world.charges, world.state), (charges, state));
        }
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        assert!(State::ALL.into_iter().all(|state| State::parse(state.as_str()) == Some(state)));
        assert_eq!(State::parse("sold"), None);
    }
}
