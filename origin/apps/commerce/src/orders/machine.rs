//! What becomes of an order: a pure function from a state and what happened.
//!
//! ```text
//! reserved --pay--> paying --charged--> paid --settle--> confirmed
//!    |  |             |  \--declined--> failed --settle--> released
//!    |  |             |
//!    |  |             +--expire: the stock goes back, the answer of the gateway is still waited for
//!    |  |             +--cancel, give up--> canceled
//!    |  +--cancel--> canceled
//!    +--expire--> released
//!
//! charged without stock: taken again and paid, or else refunding --refunded--> refunded
//! charged and canceled:  refunding --refunded--> refunded
//! ```
//!
//! Nothing lies between `paid` and `confirmed`, and between `failed` and `released`: [`way`] is all that follows at once.

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
    /// Its buyer does not want it, or its payment was given up. The end, unless the gateway took money after all.
    Canceled,
}

/// Why an order ended without a sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It was not paid in time.
    Expired,
    /// The gateway refused.
    Declined,
    /// Its buyer did not want it any more.
    Buyer,
    /// The gateway did not say for too long.
    Gateway,
    /// It was gone when the money came.
    SoldOut,
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
    /// Its buyer does not want it any more.
    Cancel,
    /// The gateway did not say for too long.
    GiveUp,
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

/// Changes that follow one another with nothing between: one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) to: State,
    /// Whether the stock is held after it.
    pub(crate) held: bool,
    /// In their order, without those that are nothing.
    pub(crate) stock: Vec<Stock>,
    pub(crate) entries: Vec<Entries>,
    /// Why there is no sale, where this decides it.
    pub(crate) reason: Option<Reason>,
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
            Self::Canceled => "canceled",
        }
    }

    /// All of them.
    pub(crate) const ALL: [Self; 9] = [
        Self::Reserved,
        Self::Paying,
        Self::Paid,
        Self::Confirmed,
        Self::Failed,
        Self::Released,
        Self::Refunding,
        Self::Refunded,
        Self::Canceled,
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

    /// True where the gateway may have something to say that is not known yet.
    pub(crate) const fn hears(self) -> bool {
        matches!(self, Self::Paying | Self::Failed | Self::Released | Self::Refunding | Self::Canceled)
    }

    /// True where it ends without a sale, for a reason.
    pub(crate) const fn is_unsold(self) -> bool {
        matches!(self, Self::Released | Self::Refunding | Self::Refunded | Self::Canceled)
    }
}

impl Reason {
    /// The name in the database and in documents.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Declined => "declined",
            Self::Buyer => "buyer",
            Self::Gateway => "gateway",
            Self::SoldOut => "sold-out",
        }
    }
}

/// All that follows at once from what happened to an order in this state; `None` when that means nothing to it.
pub(crate) fn way(state: State, held: bool, happened: Happened) -> Option<Way> {
    let (mut at, mut reason) = ((state, held), None);
    let (mut stock, mut entries) = (vec![], vec![]);
    let mut next = Some(happened);
    while let Some(happened) = next {
        let made = change(at.0, at.1, happened)?;
        reason = reason.or_else(|| why(at.0, made, happened));
        at = (made.to, made.holds(at.1));
        stock.extend(Some(made.stock).filter(|stock| *stock != Stock::Keep));
        entries.extend(Some(made.entries).filter(|entries| *entries != Entries::None));
        next = matches!(at.0, State::Paid | State::Failed).then_some(Happened::Settle);
    }
    Some(Way { to: at.0, held: at.1, stock, entries, reason })
}

/// Why there will be no sale after a change, where it is this one that decides it.
fn why(state: State, made: Change, happened: Happened) -> Option<Reason> {
    match (happened, made.to) {
        (Happened::Declined, _) => Some(Reason::Declined),
        (Happened::Expire, State::Released) => Some(Reason::Expired),
        (Happened::Cancel, _) => Some(Reason::Buyer),
        (Happened::GiveUp, _) => Some(Reason::Gateway),
        (Happened::Charged { .. }, State::Refunding) if state != State::Canceled => Some(Reason::SoldOut),
        _ => None,
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
        // Nobody waits for it any more: it is given back, whether or not there is stock.
        (State::Canceled, Happened::Charged { .. }) => (State::Refunding, Stock::Keep, Entries::Charge),
        (State::Reserved | State::Paying, Happened::Cancel) | (State::Paying, Happened::GiveUp) => {
            (State::Canceled, give_back, Entries::None)
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
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
            self.moves(change.stock, change.entries);
            (self.state, self.held) = (change.to, change.holds(self.held));
        }

        /// As the shop does it: with all that follows at once.
        fn goes(&mut self, happened: Happened) {
            let Some(way) = way(self.state, self.held, happened) else { return };
            way.stock.iter().for_each(|stock| self.moves(*stock, Entries::None));
            way.entries.iter().for_each(|entries| self.moves(Stock::Keep, *entries));
            assert_eq!(
                way.reason.is_some(),
                way.to.is_unsold() && !was_unsold(self.state, happened),
                "{way:?}"
            );
            (self.state, self.held) = (way.to, way.held);
        }

        fn moves(&mut self, stock: Stock, entries: Entries) {
            match stock {
                Stock::Keep => {}
                Stock::Return => self.out -= 1,
                Stock::Retake => self.out += 1,
                Stock::Sell => self.sold += 1,
            }
            match entries {
                Entries::None => {}
                Entries::Charge => self.charges += 1,
                Entries::Sale => self.sales += 1,
                Entries::Refund => self.refunds += 1,
            }
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
                matches!(self.state, State::Reserved | State::Paying | State::Failed | State::Released)
                    || self.state == State::Canceled;
            assert_eq!(moneyless, self.charges == 0, "{self:?}");
            let given_back = self.state == State::Refunded;
            assert_eq!(given_back, self.refunds == 1, "{self:?}");
        }
    }

    /// Whether the reason is known already: what is canceled, or given back, goes on for the reason that it had.
    fn was_unsold(state: State, happened: Happened) -> bool {
        state == State::Canceled || happened == Happened::Refunded || happened == Happened::Settle
    }

    fn happenings() -> impl Strategy<Value = Happened> {
        prop_oneof![
            Just(Happened::Pay),
            any::<bool>().prop_map(|covered| Happened::Charged { covered }),
            Just(Happened::Declined),
            Just(Happened::Expire),
            Just(Happened::Settle),
            Just(Happened::Refunded),
            Just(Happened::Cancel),
            Just(Happened::GiveUp),
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
            let ends = [State::Confirmed, State::Released, State::Refunded, State::Canceled];
            prop_assert!(ends.contains(&world.state));
            prop_assert!(!world.held);
        }

        /// One transaction for all that follows at once leaves what a transaction for each change left.
        #[test]
        fn what_follows_at_once_is_what_follows_in_the_end(all in prop::collection::vec(happenings(), 0..24)) {
            let (mut at_once, mut one_by_one) = (World::new(), World::new());
            for happened in all.into_iter().filter(|happened| *happened != Happened::Settle) {
                at_once.goes(happened);
                at_once.is_sound();
                prop_assert!(!matches!(at_once.state, State::Paid | State::Failed));
                one_by_one.happens(happened);
                one_by_one.happens(Happened::Settle);
                prop_assert_eq!(at_once, one_by_one);
            }
        }

        /// Whoever was told that an order is canceled is not sold it, whatever the gateway says later, and has no money in it.
        #[test]
        fn what_is_canceled_is_never_sold(
            before in prop::collection::vec(happenings(), 0..12), after in prop::collection::vec(happenings(), 0..24),
            gives_up: bool,
        ) {
            let mut world = World::new();
            before.into_iter().for_each(|happened| world.goes(happened));
            world.goes(if gives_up { Happened::GiveUp } else { Happened::Cancel });
            let canceled = world.state == State::Canceled;
            after.into_iter().for_each(|happened| world.goes(happened));
            world.goes(Happened::Refunded);
            world.is_sound();
            prop_assert!(!canceled || (world.sold == 0 && world.out == 0 && world.charges == world.refunds));
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
