//! What the till decided, written: one statement of each kind, for all orders of a round.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sluice_platform::ApiError;
use sluice_storage::rows::sea_orm::sea_query::{CaseStatement, Expr, OnConflict};
use sluice_storage::rows::sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use sluice_storage::rows::signed;
use sluice_storage::{StorageError, Tx};
use sluice_wire::{EventKind, Tag};

use super::Key;
use super::book::of_these;
use super::machine::{Entries, Reason, Stock};
use crate::ledger;
use crate::raised::Raised;
use crate::rows::{line, order, payment, reason, webhook_event};
use crate::stock::{Move, Units, shift};

/// What becomes of a row. Those of which the same becomes are changed by one statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Edit {
    pub(super) state: &'static str,
    pub(super) held: bool,
    /// Whether its stock is held for a time as before; or not any more.
    pub(super) expires: bool,
    pub(super) due_ms: Option<i64>,
    /// Whether that is a change that its buyer sees.
    pub(super) changes: bool,
}

/// All that a round changes.
#[derive(Debug, Default)]
pub(super) struct Turns {
    edits: BTreeMap<Edit, Vec<Key>>,
    payments: Vec<payment::Model>,
    names: Vec<(Key, String)>,
    heard: Vec<String>,
    moves: Vec<(Move, Units)>,
    books: Vec<(order::Model, Entries)>,
    reasons: Vec<(Key, Reason)>,
    events: Vec<(Tag, Value)>,
}

impl Turns {
    pub(super) fn edit(&mut self, key: Key, edit: Edit) {
        self.edits.entry(edit).or_default().push(key);
    }

    /// A payment that begins.
    pub(super) fn pay(&mut self, payment: payment::Model) {
        self.payments.push(payment);
    }

    /// What the gateway calls a payment.
    pub(super) fn name(&mut self, key: Key, intent: &str) {
        self.names.push((key, intent.to_owned()));
    }

    /// An event of the gateway's that is not taken again.
    pub(super) fn hear(&mut self, event: &str) {
        self.heard.push(event.to_owned());
    }

    /// What an order's stock does.
    pub(super) fn shift(&mut self, lines: &[line::Model], what: Stock) {
        let what = match what {
            Stock::Keep => return,
            Stock::Return => Move::Release,
            Stock::Retake => Move::Reserve,
            Stock::Sell => Move::Sell,
        };
        self.moves.extend(lines.iter().map(|line| (what, line.units())));
    }

    pub(super) fn enter(&mut self, row: &order::Model, entries: &[Entries]) {
        self.books.extend(entries.iter().map(|entries| (row.clone(), *entries)));
    }

    /// That an order is in another state, and why, where it ends there.
    pub(super) fn tell(&mut self, key: Key, tag: Tag, state: &'static str, reason: Option<Reason>) {
        let mut live = json!({ "state": state });
        if let Some(reason) = reason {
            live["reason"] = json!(reason.as_str());
            self.reasons.push((key, reason));
        }
        self.events.push((tag, live));
    }

    /// Writes all of it; what was raised.
    pub(super) async fn write(self, tx: &Tx<'_>) -> Result<Raised, ApiError> {
        let (mut raised, mut changes) = (Raised::default(), vec![]);
        for (edit, keys) in &self.edits {
            change(tx, *edit, keys).await?;
        }
        if !self.payments.is_empty() {
            let rows = self.payments.into_iter().map(payment::ActiveModel::from);
            payment::Entity::insert_many(rows).exec_without_returning(tx.conn()).await?;
        }
        name(tx, &self.names).await?;
        hear(tx, &self.heard).await?;
        // What goes back can be taken again, and what was taken again be sold.
        for what in [Move::Release, Move::Reserve, Move::Sell] {
            let units = self.moves.iter().filter(|(of, _)| *of == what).map(|(_, units)| *units);
            let short = || StorageError::Corrupt(format!("orders have no stock to {what:?}"));
            let moved = shift(tx, what, &units.collect::<Vec<_>>()).await?.ok_or_else(short)?;
            changes.extend(moved.changes);
        }
        ledger::write(tx, &self.books).await?;
        explain(tx, &self.reasons).await?;
        changes.extend(self.events.into_iter().map(|(tag, live)| (tag, EventKind::Changed, live)));
        raised.emit_all(tx, changes).await?;
        Ok(raised)
    }
}

async fn change(tx: &Tx<'_>, edit: Edit, keys: &[Key]) -> Result<(), ApiError> {
    let mut update = order::Entity::update_many()
        .col_expr(order::Column::State, Expr::value(edit.state))
        .col_expr(order::Column::Held, Expr::value(edit.held))
        .col_expr(order::Column::DueMs, Expr::value(edit.due_ms));
    if !edit.expires {
        update = update.col_expr(order::Column::UntilMs, Expr::value(None::<i64>));
    }
    if edit.changes {
        update = update.col_expr(order::Column::ChangedMs, Expr::value(signed(tx.now_ms())));
    }
    let these = of_these(keys, order::Column::Account, order::Column::Id);
    let changed = update.filter(these).exec(tx.conn()).await?.rows_affected;
    // They were read in this transaction: the engine lets nobody change them meanwhile.
    if usize::try_from(changed).is_ok_and(|changed| changed == keys.len()) {
        Ok(())
    } else {
        Err(StorageError::Corrupt(format!("{changed} of {} orders were changed", keys.len())).into())
    }
}

/// Keeps what the gateway calls payments.
async fn name(tx: &Tx<'_>, names: &[(Key, String)]) -> Result<(), StorageError> {
    if names.is_empty() {
        return Ok(());
    }
    let keys: Vec<Key> = names.iter().map(|(key, _)| *key).collect();
    let of =
        |key: &Key| of_these(std::slice::from_ref(key), payment::Column::Account, payment::Column::OrderId);
    let name = names
        .iter()
        .fold(CaseStatement::new(), |case, (key, intent)| case.case(of(key), Expr::value(intent.clone())));
    payment::Entity::update_many()
        .col_expr(payment::Column::Intent, name.finally(Expr::col(payment::Column::Intent)).into())
        .filter(of_these(&keys, payment::Column::Account, payment::Column::OrderId))
        .filter(payment::Column::Intent.is_null())
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Keeps events of the gateway's, so that they are known.
async fn hear(tx: &Tx<'_>, events: &[String]) -> Result<(), StorageError> {
    if events.is_empty() {
        return Ok(());
    }
    let row =
        |id: &String| webhook_event::ActiveModel { id: Set(id.clone()), at_ms: Set(signed(tx.now_ms())) };
    // Two orders may be told of in one.
    let known = OnConflict::column(webhook_event::Column::Id).do_nothing().to_owned();
    let rows = webhook_event::Entity::insert_many(events.iter().map(row));
    rows.on_conflict(known).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// Keeps why there is no sale. Where there was another reason before, this one counts.
async fn explain(tx: &Tx<'_>, reasons: &[(Key, Reason)]) -> Result<(), StorageError> {
    if reasons.is_empty() {
        return Ok(());
    }
    let rows = reasons.iter().map(|(key, why)| reason::ActiveModel {
        account: Set(key.0),
        order_id: Set(key.1),
        reason: Set(why.as_str().to_owned()),
        at_ms: Set(signed(tx.now_ms())),
    });
    let again = OnConflict::columns([reason::Column::Account, reason::Column::OrderId])
        .update_columns([reason::Column::Reason, reason::Column::AtMs])
        .to_owned();
    reason::Entity::insert_many(rows).on_conflict(again).exec_without_returning(tx.conn()).await?;
    Ok(())
}
