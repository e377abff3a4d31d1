//! Named leases: one holder among all processes, with a fencing token that rises at each change of hands.

use std::time::Duration;

use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};

use crate::clock::millis;
use crate::database::{Database, Tx, entity::lease, signed};
use crate::error::StorageError;

/// A lease that was held when it was handed out. Whoever acts under it names its token in the same transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    name: &'static str,
    token: i64,
    /// Until when it is held without renewal, in Unix milliseconds.
    pub(crate) until_ms: u64,
}

/// Takes the lease if nobody holds it. `None` when somebody does.
pub(crate) async fn take(
    database: &Database,
    name: &'static str,
    holder: &str,
    for_: Duration,
) -> Result<Option<Held>, StorageError> {
    let now = signed(database.now_ms());
    let seen = lease::Entity::find_by_id(name.to_owned()).one(database.reader()).await?;
    if seen.is_some_and(|row| row.until_ms > now) {
        return Ok(None);
    }
    database.write(|tx| Box::pin(try_take(tx, name, holder, for_))).await
}

async fn try_take(
    tx: &Tx<'_>,
    name: &'static str,
    holder: &str,
    for_: Duration,
) -> Result<Option<Held>, StorageError> {
    let row = lease::ActiveModel {
        name: Set(name.to_owned()),
        holder: Set(String::new()),
        token: Set(0),
        until_ms: Set(0),
    };
    lease::Entity::insert(row)
        .on_conflict(OnConflict::column(lease::Column::Name).do_nothing().to_owned())
        .exec_without_returning(tx.conn())
        .await?;
    let until_ms = tx.now_ms() + millis(for_);
    let taken = lease::Entity::update_many()
        .col_expr(lease::Column::Holder, Expr::value(holder))
        .col_expr(lease::Column::Token, Expr::col(lease::Column::Token).add(1))
        .col_expr(lease::Column::UntilMs, Expr::value(signed(until_ms)))
        .filter(lease::Column::Name.eq(name))
        .filter(lease::Column::UntilMs.lte(signed(tx.now_ms())))
        .exec_with_returning(tx.conn())
        .await?;
    Ok(taken.into_iter().next().map(|row| Held { name, token: row.token, until_ms }))
}

/// Proves inside a transaction that the lease is still held, and prolongs it.
///
/// # Errors
/// [`StorageError::Fenced`] when another holder has taken it.
pub(crate) async fn renew(tx: &Tx<'_>, held: &Held, for_: Duration) -> Result<u64, StorageError> {
    let until_ms = tx.now_ms() + millis(for_);
    set_until(tx, held, until_ms).await?;
    Ok(until_ms)
}

/// Gives the lease back, so that the next holder need not wait for it to run out.
pub(crate) async fn release(database: &Database, held: &Held) -> Result<(), StorageError> {
    database.write(|tx| Box::pin(set_until(tx, held, 0))).await
}

async fn set_until(tx: &Tx<'_>, held: &Held, until_ms: u64) -> Result<(), StorageError> {
    let renewed = lease::Entity::update_many()
        .col_expr(lease::Column::UntilMs, Expr::value(signed(until_ms)))
        .filter(lease::Column::Name.eq(held.name))
        .filter(lease::Column::Token.eq(held.token))
        .exec(tx.conn())
        .await?;
    if renewed.rows_affected == 1 { Ok(()) } else { Err(StorageError::Fenced) }
}
