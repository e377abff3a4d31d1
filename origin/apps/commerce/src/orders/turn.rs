//! One change of an order, with all that belongs to it, in one transaction.

use serde_json::json;
use sluice_platform::ApiError;
use sluice_storage::rows::sea_orm::sea_query::Expr;
use sluice_storage::rows::sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use sluice_storage::rows::{flag, signed};
use sluice_storage::{StorageError, Tx};
use sluice_wire::EventKind;

use super::Key;
use super::machine::{Change, Happened, State, Stock, change};
use crate::config::Config;
use crate::raised::{self, Raised};
use crate::rows::{line, order, stock};
use crate::stock::{Move, shift};
use crate::{ids, ledger};

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
}

/// The state of a row.
pub(crate) fn state_of(row: &order::Model) -> Result<State, StorageError> {
    flag("shop_orders.state", &row.state, State::parse)
}

/// Makes of an order what it makes of what it is told; `None` when that is nothing.
pub(crate) async fn turn(
    tx: &Tx<'_>,
    raised: &mut Raised,
    config: &Config,
    key: Key,
    told: Told,
) -> Result<Option<order::Model>, ApiError> {
    let Some(row) = order::Entity::find_by_id(key).one(tx.conn()).await? else { return Ok(None) };
    let over = row.until_ms.is_some_and(|until| until <= signed(tx.now_ms()));
    let happened = match told {
        Told::Charged => Happened::Charged { covered: row.held || is_covered(tx, key).await? },
        Told::Declined => Happened::Declined,
        Told::Expire if over => Happened::Expire,
        Told::Expire => return Ok(None),
        Told::Settle => Happened::Settle,
        Told::Refunded => Happened::Refunded,
    };
    let Some(made) = change(state_of(&row)?, row.held, happened) else { return Ok(None) };
    store(tx, raised, config, &row, made).await
}

/// Stores a change of a row, as long as nobody else has changed it since; with its stock, its books and its event.
pub(super) async fn store(
    tx: &Tx<'_>,
    raised: &mut Raised,
    config: &Config,
    row: &order::Model,
    made: Change,
) -> Result<Option<order::Model>, ApiError> {
    let held = made.holds(row.held);
    let until = row.until_ms.filter(|_| made.to.expires() && held);
    let fresh_due = made.to.is_moving().then(|| signed(tx.now_ms() + config.turn_ms()));
    // Giving the stock back does not put off whoever is to ask the gateway.
    let due = if made.to.as_str() == row.state { row.due_ms } else { fresh_due };
    let changed = order::Entity::update_many()
        .col_expr(order::Column::State, Expr::value(made.to.as_str()))
        .col_expr(order::Column::Held, Expr::value(held))
        .col_expr(order::Column::UntilMs, Expr::value(until))
        .col_expr(order::Column::DueMs, Expr::value(due))
        .col_expr(order::Column::ChangedMs, Expr::value(signed(tx.now_ms())))
        .filter(order::Column::Account.eq(row.account))
        .filter(order::Column::Id.eq(row.id))
        .filter(order::Column::State.eq(&row.state))
        .filter(order::Column::Held.eq(row.held))
        .exec_with_returning(tx.conn())
        .await?;
    let Some(after) = changed.into_iter().next() else { return Ok(None) };
    let what = match made.stock {
        Stock::Keep => None,
        Stock::Return => Some(Move::Release),
        Stock::Retake => Some(Move::Reserve),
        Stock::Sell => Some(Move::Sell),
    };
    if let Some(what) = what {
        let units: Vec<_> = lines(tx, (row.account, row.id)).await?.iter().map(line::Model::units).collect();
        let short = || StorageError::Corrupt(format!("order {}: no stock to {what:?}", row.id));
        shift(tx, raised, what, &units).await?.ok_or_else(short)?;
    }
    ledger::write(tx, row, made.entries).await?;
    if made.to.as_str() != row.state {
        let tag = raised::order(ids::of_column("shop_orders.id", row.id)?);
        raised.emit(tx, &tag, EventKind::Changed, json!({ "state": made.to.as_str() })).await?;
    }
    Ok(Some(after))
}

/// An order's lines.
pub(super) async fn lines(tx: &Tx<'_>, key: Key) -> Result<Vec<line::Model>, ApiError> {
    let mine = line::Entity::find().filter(line::Column::Account.eq(key.0));
    Ok(mine.filter(line::Column::OrderId.eq(key.1)).all(tx.conn()).await?)
}

/// Whether there is enough of everything to take it again.
async fn is_covered(tx: &Tx<'_>, key: Key) -> Result<bool, ApiError> {
    let lines = lines(tx, key).await?;
    let wanted = stock::Column::Variant.is_in(lines.iter().map(|line| line.variant));
    let stocks = stock::Entity::find().filter(wanted).all(tx.conn()).await?;
    let enough = |line: &line::Model| {
        stocks.iter().any(|stock| stock.variant == line.variant && stock.available >= line.quantity)
    };
    Ok(lines.iter().all(enough))
}
