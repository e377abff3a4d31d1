//! Readers of the log that remember where they are: one process at a time reads for each, and whoever takes over goes on
//! where it was. What was read and not yet noted is read again.

use std::time::Duration;

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder};

use crate::clock::millis;
use crate::database::entity::cursor;
use crate::database::{Database, signed, unsigned};
use crate::error::StorageError;

/// The cursors' table. Clones share the database.
#[derive(Debug, Clone)]
pub struct Cursors {
    database: Database,
}

impl Cursors {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Takes or keeps a cursor for this long, and gives the sequence number that it is at. A new one is at `first`. `None`
    /// while another holder has it.
    ///
    /// # Errors
    /// The engine's.
    pub async fn claim(
        &self,
        name: &str,
        holder: &str,
        first: u64,
        for_: Duration,
    ) -> Result<Option<u64>, StorageError> {
        let claimed = self.database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move {
                let new = cursor::ActiveModel {
                    name: Set(name.to_owned()),
                    holder: Set(String::new()),
                    until_ms: Set(0),
                    seq: Set(signed(first)),
                };
                cursor::Entity::insert(new)
                    .on_conflict(OnConflict::column(cursor::Column::Name).do_nothing().to_owned())
                    .exec_without_returning(tx.conn())
                    .await?;
                let free = Condition::any()
                    .add(cursor::Column::Holder.eq(holder))
                    .add(cursor::Column::UntilMs.lte(signed(tx.now_ms())));
                let rows = cursor::Entity::update_many()
                    .col_expr(cursor::Column::Holder, Expr::value(holder))
                    .col_expr(cursor::Column::UntilMs, Expr::value(signed(tx.now_ms() + millis(for_))))
                    .filter(cursor::Column::Name.eq(name))
                    .filter(free)
                    .exec_with_returning(tx.conn())
                    .await?;
                Ok(rows.into_iter().next().map(|row| row.seq))
            })
        });
        claimed.await?.map(|seq| unsigned("cursors.seq", seq)).transpose()
    }

    /// Notes that everything up to this sequence number is done.
    ///
    /// # Errors
    /// [`StorageError::Fenced`] when another holder has the cursor; the engine's.
    pub async fn advance(&self, name: &str, holder: &str, seq: u64) -> Result<(), StorageError> {
        let moved = self.database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move {
                let moved = cursor::Entity::update_many()
                    .col_expr(cursor::Column::Seq, Expr::value(signed(seq)))
                    .filter(cursor::Column::Name.eq(name))
                    .filter(cursor::Column::Holder.eq(holder))
                    .exec(tx.conn())
                    .await?;
                Ok(moved.rows_affected)
            })
        });
        if moved.await? == 1 { Ok(()) } else { Err(StorageError::Fenced) }
    }

    /// Sets where a cursor is, and takes it from its holder. False when there is no such cursor.
    pub(crate) async fn set(&self, name: &str, seq: u64) -> Result<bool, StorageError> {
        let moved = self.database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move {
                let moved = cursor::Entity::update_many()
                    .col_expr(cursor::Column::Seq, Expr::value(signed(seq)))
                    .col_expr(cursor::Column::Holder, Expr::value(String::new()))
                    .col_expr(cursor::Column::UntilMs, Expr::value(0_i64))
                    .filter(cursor::Column::Name.eq(name))
                    .exec(tx.conn())
                    .await?;
                Ok(moved.rows_affected)
            })
        });
        Ok(moved.await? == 1)
    }

    /// The names of all cursors.
    pub(crate) async fn names(&self) -> Result<Vec<String>, StorageError> {
        let rows =
            cursor::Entity::find().order_by_asc(cursor::Column::Name).all(self.database.reader()).await?;
        Ok(rows.into_iter().map(|row| row.name).collect())
    }
}
