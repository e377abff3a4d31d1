//! What the till reads before it decides: each kind of row once, for all that ask.

use std::collections::{BTreeMap, BTreeSet};

use sluice_platform::ApiError;
use sluice_storage::rows::sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder};
use sluice_storage::rows::{flag, signed};
use sluice_storage::{StorageError, Tx};

use super::Key;
use super::machine::{State, Stock};
use super::till::{Ask, Standing, Step, Told};
use crate::raised::Raised;
use crate::rows::{line, order, payment, stock, webhook_event};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Book {
    orders: BTreeMap<Key, order::Model>,
    /// Of those who ask for something that depends on it.
    payments: BTreeMap<Key, payment::Model>,
    /// Of those whose stock may be moved.
    lines: BTreeMap<Key, Vec<line::Model>>,
    /// Units left of what may have to be taken again, by variant.
    left: BTreeMap<i64, i64>,
    /// Events of the gateway's that were taken before, of those that are told.
    events: BTreeSet<String>,
}

/// The state of a row.
pub(super) fn state_of(row: &order::Model) -> Result<State, StorageError> {
    flag("shop_orders.state", &row.state, State::parse)
}

/// That a row is of one of these orders. There must be one: without any, it is true of every row.
pub(super) fn of_these<C: ColumnTrait>(keys: &[Key], account: C, order: C) -> Condition {
    keys.iter().fold(Condition::any(), |any, key| {
        any.add(Condition::all().add(account.eq(key.0)).add(order.eq(key.1)))
    })
}

impl Book {
    /// Reads what these ask about: one statement for orders, and one each for payments, events, lines and stocks where any are
    /// needed.
    pub(super) async fn read(tx: &Tx<'_>, asks: &[&Ask]) -> Result<Self, ApiError> {
        let keys: Vec<Key> = asks.iter().map(|ask| ask.key).collect();
        if keys.is_empty() {
            return Ok(Self::default());
        }
        let rows = order::Entity::find().filter(of_these(&keys, order::Column::Account, order::Column::Id));
        let rows = rows.all(tx.conn()).await?.into_iter().map(|row| ((row.account, row.id), row));
        let mut book = Self { orders: rows.collect(), ..Self::default() };
        book.read_payments(tx, asks).await?;
        book.read_events(tx, asks).await?;
        book.read_lines(tx, asks).await?;
        Ok(book)
    }

    async fn read_payments(&mut self, tx: &Tx<'_>, asks: &[&Ask]) -> Result<(), ApiError> {
        let now = signed(tx.now_ms());
        let needs = |ask: &&&Ask| match &ask.step {
            Step::Name { .. } | Step::Claim { .. } | Step::Hear { .. } => true,
            // Whoever begins a payment finds none.
            Step::Pay { .. } => self.orders.get(&ask.key).is_some_and(|row| {
                row.state != State::Reserved.as_str() || row.until_ms.is_some_and(|until| until <= now)
            }),
            Step::Tell(_) | Step::Rest => false,
        };
        let keys: Vec<Key> = asks.iter().filter(needs).map(|ask| ask.key).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let rows = payment::Entity::find();
        let rows = rows.filter(of_these(&keys, payment::Column::Account, payment::Column::OrderId));
        let rows = rows.all(tx.conn()).await?.into_iter();
        self.payments = rows.map(|row| ((row.account, row.order_id), row)).collect();
        Ok(())
    }

    async fn read_events(&mut self, tx: &Tx<'_>, asks: &[&Ask]) -> Result<(), ApiError> {
        let event = |ask: &&Ask| match &ask.step {
            Step::Hear { event } => Some(event.clone()),
            _ => None,
        };
        let told: Vec<String> = asks.iter().filter_map(event).collect();
        if !told.is_empty() {
            let known = webhook_event::Entity::find().filter(webhook_event::Column::Id.is_in(told));
            self.events = known.all(tx.conn()).await?.into_iter().map(|row| row.id).collect();
        }
        Ok(())
    }

    async fn read_lines(&mut self, tx: &Tx<'_>, asks: &[&Ask]) -> Result<(), ApiError> {
        let moves = |ask: &&&Ask| matches!(&ask.step, Step::Tell(told) if *told != Told::Refunded);
        let moved: Vec<&&Ask> = asks.iter().filter(moves).collect();
        let keys: Vec<Key> = moved.iter().map(|ask| ask.key).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let rows = line::Entity::find()
            .filter(of_these(&keys, line::Column::Account, line::Column::OrderId))
            .order_by_asc(line::Column::Variant)
            .all(tx.conn())
            .await?;
        for row in rows {
            self.lines.entry((row.account, row.order_id)).or_default().push(row);
        }
        let held = |ask: &Ask| self.orders.get(&ask.key).is_some_and(|row| row.held);
        let bare = moved.iter().filter(|ask| ask.step == Step::Tell(Told::Charged) && !held(ask));
        let again: Vec<i64> = bare.flat_map(|ask| self.lines_of(ask.key)).map(|line| line.variant).collect();
        if !again.is_empty() {
            let stocks = stock::Entity::find().filter(stock::Column::Variant.is_in(again));
            let stocks = stocks.all(tx.conn()).await?.into_iter();
            self.left = stocks.map(|stock| (stock.variant, stock.available)).collect();
        }
        Ok(())
    }

    fn lines_of(&self, key: Key) -> &[line::Model] {
        self.lines.get(&key).map_or(&[], Vec::as_slice)
    }

    /// An order as it was read.
    pub(super) fn standing(&self, key: Key) -> Result<Standing, ApiError> {
        let row = self.orders.get(&key).cloned();
        Ok(Standing {
            row: row.ok_or_else(|| ApiError::not_found("no such order of yours"))?,
            payment: self.payments.get(&key).cloned(),
            lines: self.lines_of(key).to_vec(),
            raised: Raised::default(),
            stepped: false,
        })
    }

    /// Whether an event was taken before.
    pub(super) fn knows(&self, event: &str) -> bool {
        self.events.contains(event)
    }

    /// Whether there is enough of everything to take it again, after those who came before.
    pub(super) fn covers(&self, key: Key) -> bool {
        let enough =
            |line: &line::Model| self.left.get(&line.variant).is_some_and(|left| *left >= line.quantity);
        self.lines_of(key).iter().all(enough)
    }

    /// Notes what an order's stock does.
    pub(super) fn shift(&mut self, lines: &[line::Model], what: Stock) {
        for line in lines {
            if let Some(left) = self.left.get_mut(&line.variant) {
                match what {
                    Stock::Return => *left += line.quantity,
                    Stock::Retake => *left -= line.quantity,
                    Stock::Keep | Stock::Sell => {}
                }
            }
        }
    }
}
