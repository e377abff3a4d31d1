//! The till: what happens to orders after they were placed. What comes at the same time is one transaction, with one statement of
//! each kind; each has its own result, and one that comes alone waits for nobody.
//!
//! What is read is read once ([`Book`]); what becomes of each order is decided on that without a database ([`way`]), in the order
//! in which it came; what was decided is written once ([`Turns`]). Where several ask about one order, those after the first are
//! another round of the same transaction. No step asks the gateway: that is done between two steps.

use std::collections::BTreeSet;
use std::sync::Arc;

use sluice_platform::ApiError;
use sluice_platform::once::{Batch, Decided};
use sluice_storage::rows::signed;
use sluice_storage::{StorageError, Tx};

use super::Key;
use super::book::{Book, state_of};
use super::machine::{Happened, State, Way, way};
use super::turn::{Edit, Turns};
use crate::config::Config;
use crate::ids::{self, OrderId, PaymentId, VariantId};
use crate::raised::{self, Raised};
use crate::rows::{line, order, payment};

/// How long the gateway is asked again, ever more rarely, what became of a payment that was given up: as long as whoever paid
/// may dispute it.
const ASKED_FOR_MS: i64 = 120 * 24 * 3_600_000;
/// Money that is given back is asked for again after so much of the time that it has been on its way: a quarter.
const REFUND_SHARE: i64 = 4;

/// A step of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) key: Key,
    pub(crate) step: Step,
}

/// What is to be done for an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// A payment is written down, and that somebody is about it; or there is one already.
    Pay {
        /// The gateway's token for what is paid with.
        method: String,
    },
    /// What the gateway calls the payment is kept, as long as it is waited for: from here on it is charged under this name or
    /// not at all. Where another was first, that one counts.
    Name {
        /// Such as `pi_123`.
        intent: String,
    },
    /// Somebody takes it upon himself to look after it for a while, where it is as he saw it.
    Claim {
        /// The state that was seen.
        state: String,
        /// When it was due.
        due_ms: Option<i64>,
    },
    /// The gateway tells of its payment by itself: that is taken once, and somebody is to look after what it may be about.
    Hear {
        /// The event's id.
        event: String,
    },
    /// It is told something, and makes of it what it makes of it.
    Tell(Told),
    /// It ended without a sale, and is looked after no more.
    Rest,
}

/// What is told to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// The gateway took the money.
    Charged,
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
    GiveUp {
        /// Whether the gateway has ended the payment. If not, it is asked again, later.
        heard: bool,
    },
}

/// An order after a step.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) row: order::Model,
    /// Where the steps to it needed it.
    pub(crate) payment: Option<payment::Model>,
    /// Where the steps to it needed them.
    pub(crate) lines: Vec<line::Model>,
    /// What the steps to it raised.
    pub(crate) raised: Raised,
    /// Whether the last step did something.
    pub(crate) stepped: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Till {
    config: Arc<Config>,
}

impl Standing {
    pub(super) const fn key(&self) -> Key {
        (self.row.account, self.row.id)
    }

    /// Goes on to what a later step has made of it.
    pub(super) fn follow(&mut self, later: Self) {
        self.raised.and(later.raised);
        self.payment = later.payment.or_else(|| self.payment.take());
        if !later.lines.is_empty() {
            self.lines = later.lines;
        }
        (self.row, self.stepped) = (later.row, later.stepped);
    }

    /// Its own tag, and those of what is in it.
    fn tags(&self) -> Result<Vec<sluice_wire::Tag>, StorageError> {
        let order: OrderId = ids::of_column("shop_orders.id", self.row.id)?;
        let stock = |line: &line::Model| {
            let variant: VariantId = ids::of_column("shop_order_lines.variant", line.variant)?;
            Ok(raised::stock(variant))
        };
        self.lines.iter().map(stock).chain([Ok(raised::order(order))]).collect()
    }
}

impl Till {
    pub(crate) const fn new(config: Arc<Config>) -> Self {
        Self { config }
    }

    /// Steps of orders that are each there once.
    async fn round(&self, tx: &Tx<'_>, asks: &[&Ask]) -> Result<Vec<Decided<Standing>>, ApiError> {
        let book = Book::read(tx, asks).await?;
        let mut round = Round { config: &self.config, tx, book, turns: Turns::default() };
        let mut decided: Vec<_> = asks.iter().map(|ask| round.decide(ask)).collect();
        let raised = round.turns.write(tx).await?;
        for at in decided.iter_mut().flatten().filter(|at| at.stepped) {
            at.raised = raised.of(at.tags()?);
        }
        Ok(decided)
    }
}

#[async_trait::async_trait]
impl Batch for Till {
    type Ask = Ask;
    type Done = Standing;

    fn most(&self) -> usize {
        self.config.together
    }

    async fn write(&self, tx: &Tx<'_>, asks: &[&Ask]) -> Result<Vec<Decided<Standing>>, ApiError> {
        let mut decided: Vec<Option<Decided<Standing>>> = asks.iter().map(|_| None).collect();
        let mut open: Vec<usize> = (0..asks.len()).collect();
        while !open.is_empty() {
            let mut seen = BTreeSet::new();
            let (now, later): (Vec<_>, Vec<_>) = open.into_iter().partition(|n| seen.insert(asks[*n].key));
            let round: Vec<&Ask> = now.iter().map(|n| asks[*n]).collect();
            for (n, one) in now.into_iter().zip(self.round(tx, &round).await?) {
                decided[n] = Some(one);
            }
            open = later;
        }
        Ok(decided.into_iter().flatten().collect())
    }
}

/// What a round decides. Who is refused has changed nothing.
struct Round<'a, 'env> {
    config: &'a Config,
    tx: &'a Tx<'env>,
    book: Book,
    turns: Turns,
}

impl Round<'_, '_> {
    fn now_ms(&self) -> i64 {
        signed(self.tx.now_ms())
    }

    fn in_ms(&self, pause: u64) -> i64 {
        signed(self.tx.now_ms().saturating_add(pause))
    }

    fn decide(&mut self, ask: &Ask) -> Decided<Standing> {
        let mut at = self.book.standing(ask.key)?;
        let state = state_of(&at.row)?;
        match &ask.step {
            Step::Pay { method } => self.pay(&mut at, state, method)?,
            Step::Name { intent } => self.name(&mut at, state, intent),
            Step::Claim { state: seen, due_ms } if at.row.state == *seen && at.row.due_ms == *due_ms => {
                let due = self.next_look(&at.row, state);
                self.put_off(&mut at, state, due);
            }
            Step::Hear { event } => self.hear(&mut at, state, event),
            // Not where money was found meanwhile, that is to be given back.
            Step::Rest if matches!(state, State::Released | State::Canceled) => {
                self.put_off(&mut at, state, None);
            }
            Step::Claim { .. } | Step::Rest => {}
            Step::Tell(told) => self.tell(&mut at, state, *told)?,
        }
        Ok(at)
    }

    fn pay(&mut self, at: &mut Standing, state: State, method: &str) -> Result<(), ApiError> {
        let made = way(state, at.row.held, Happened::Pay).filter(|_| !self.is_over(&at.row));
        let Some(made) = made else {
            return if at.payment.is_some() { Ok(()) } else { Err(late(state)) };
        };
        let due = Some(self.in_ms(self.config.turn_ms()));
        self.turn(at, state, &made, due)?;
        let payment = payment::Model {
            account: at.row.account,
            order_id: at.row.id,
            id: self.tx.ids().make::<PaymentId>().as_i64(),
            method: method.to_owned(),
            intent: None,
            created_ms: self.now_ms(),
        };
        self.turns.pay(payment.clone());
        at.payment = Some(payment);
        Ok(())
    }

    fn name(&mut self, at: &mut Standing, state: State, intent: &str) {
        let key = at.key();
        let Some(payment) = at.payment.as_mut() else { return };
        if state == State::Paying && payment.intent.is_none() {
            payment.intent = Some(intent.to_owned());
            self.turns.name(key, intent);
            // The order's row is written, too, though nothing of it changes: who cancels it at the same moment writes it as well, and
            // the engine lets only one of them be first. Otherwise what is canceled could still be charged.
            let due_ms = at.row.due_ms;
            self.put_off(at, state, due_ms);
        }
    }

    fn hear(&mut self, at: &mut Standing, state: State, event: &str) {
        if at.payment.is_none() || self.book.knows(event) {
            return;
        }
        at.stepped = true;
        self.turns.hear(event);
        if state.hears() {
            self.put_off(at, state, Some(self.now_ms()));
        }
    }

    fn tell(&mut self, at: &mut Standing, state: State, told: Told) -> Result<(), ApiError> {
        let happened = match told {
            Told::Charged => Happened::Charged { covered: at.row.held || self.book.covers(at.key()) },
            Told::Declined => Happened::Declined,
            Told::Expire if self.is_over(&at.row) => Happened::Expire,
            Told::Expire => return Ok(()),
            Told::Settle => Happened::Settle,
            Told::Refunded => Happened::Refunded,
            Told::Cancel => Happened::Cancel,
            Told::GiveUp { .. } => Happened::GiveUp,
        };
        let Some(made) = way(state, at.row.held, happened) else { return Ok(()) };
        let due = match told {
            // Giving the stock back does not put off whoever is to ask the gateway.
            _ if made.to == state => at.row.due_ms,
            _ if made.to.is_moving() => Some(self.in_ms(self.config.turn_ms())),
            Told::Cancel if state == State::Paying => Some(self.in_ms(self.config.turn_ms())),
            Told::GiveUp { heard: false } => Some(self.in_ms(self.config.give_up_ms)),
            _ => None,
        };
        self.turn(at, state, &made, due)
    }

    /// Notes all that belongs to a change.
    fn turn(
        &mut self,
        at: &mut Standing,
        state: State,
        made: &Way,
        due_ms: Option<i64>,
    ) -> Result<(), ApiError> {
        let (key, tag) = (at.key(), raised::order(ids::of_column("shop_orders.id", at.row.id)?));
        let (to, expires) = (made.to.as_str(), made.to.expires() && made.held);
        at.row = order::Model {
            state: to.to_owned(),
            held: made.held,
            until_ms: at.row.until_ms.filter(|_| expires),
            due_ms,
            changed_ms: self.now_ms(),
            ..at.row.clone()
        };
        at.stepped = true;
        self.turns.edit(key, Edit { state: to, held: made.held, expires, due_ms, changes: true });
        for what in &made.stock {
            self.book.shift(&at.lines, *what);
            self.turns.shift(&at.lines, *what);
        }
        self.turns.enter(&at.row, &made.entries);
        if made.to != state {
            self.turns.tell(key, tag, to, made.reason);
        }
        Ok(())
    }

    /// Says when an order is looked at again, and changes nothing else.
    fn put_off(&mut self, at: &mut Standing, state: State, due_ms: Option<i64>) {
        (at.row.due_ms, at.stepped) = (due_ms, true);
        let (held, expires) = (at.row.held, true);
        let edit = Edit { state: state.as_str(), held, expires, due_ms, changes: false };
        self.turns.edit(at.key(), edit);
    }

    /// When whoever comes by looks at it, should who looks now not come to an end. What was given up is asked for ever more
    /// rarely, and in the end no more; money that is given back may be on its way for days, and is asked for more rarely, too, but
    /// until it is there.
    fn next_look(&self, row: &order::Model, state: State) -> Option<i64> {
        let (turn, give_up) = (signed(self.config.turn_ms()), signed(self.config.give_up_ms));
        let since = self.now_ms().saturating_sub(row.changed_ms);
        let pause = match state {
            State::Canceled if since > ASKED_FOR_MS => return None,
            State::Canceled => since.max(give_up),
            State::Refunding => (since / REFUND_SHARE).min(give_up).max(turn),
            _ => turn,
        };
        Some(self.now_ms().saturating_add(pause))
    }

    fn is_over(&self, row: &order::Model) -> bool {
        row.until_ms.is_some_and(|until| until <= self.now_ms())
    }
}

/// Why an order cannot be paid any more.
fn late(state: State) -> ApiError {
    if state == State::Canceled {
        return ApiError::new(409, "canceled", "Canceled", "the order was canceled: order again");
    }
    ApiError::new(409, "expired", "Expired", "the order's time is over: order again")
}
