//! The end of the log: where an event gets its number.

use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ActiveValue::Set, EntityTrait};

use super::Tx;
use super::convert::unsigned;
use super::entity::{log, log_head};
use crate::error::StorageError;
use crate::log::HEAD;

/// Appends events to the log, in order, and gives the first one's number; the others follow without a gap. What they bring as
/// their numbers counts for nothing. Two statements.
///
/// Who appends holds the row of the log's head until the commit, so that numbers become visible in their order.
pub(crate) async fn append(tx: &Tx<'_>, mut events: Vec<log::Model>) -> Result<u64, StorageError> {
    let first = reserve(tx, events.len()).await?;
    events.iter_mut().zip(first..).for_each(|(event, seq)| event.seq = seq);
    let rows = events.into_iter().map(log::ActiveModel::from);
    log::Entity::insert_many(rows).exec_without_returning(tx.conn()).await?;
    unsigned("log.seq", first)
}

/// Takes the next `count` numbers and gives the first of them.
async fn reserve(tx: &Tx<'_>, count: usize) -> Result<i64, StorageError> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let start = log_head::ActiveModel { name: Set(HEAD.to_owned()), seq: Set(count) };
    let head = log_head::Entity::insert(start)
        .on_conflict(
            OnConflict::column(log_head::Column::Name)
                .value(log_head::Column::Seq, Expr::col((log_head::Entity, log_head::Column::Seq)).add(count))
                .to_owned(),
        )
        .exec_with_returning(tx.conn())
        .await?;
    Ok(head.seq - count + 1)
}
