//! The followers that a post is brought to next, and how many of them one step takes.

use sluice_storage::StorageError;
use sluice_storage::rows::sea_orm::sea_query::{Expr, ExprTrait, JoinType, Order, Query};
use sluice_storage::rows::sea_orm::{ConnectionTrait, QueryResult};
use sluice_storage::rows::signed;

use super::Held;
use crate::config::Config;
use crate::rows::{follow, home, profile};

/// A follower that is brought something.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) account: i64,
    pub(super) badged: bool,
    pub(super) read_ms: i64,
}

/// Whom one step brings a post to.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) readers: Vec<Reader>,
    /// The next step goes on above this one; `None` when nobody is left.
    pub(super) after: Option<i64>,
}

impl Step {
    /// Of the next readers, lowest first and at most `chunk`, those below the first that was not told, if they had to be: that one
    /// is where the next step begins.
    pub(super) fn of(mut found: Vec<Reader>, chunk: u64, told: Option<&[i64]>) -> Self {
        let whole = found.len() as u64 >= chunk;
        let untold = |told: &[i64]| {
            let mut accounts = found.iter().map(|reader| reader.account);
            accounts.find(|account| told.binary_search(account).is_err())
        };
        let after = match told.and_then(untold) {
            Some(account) => {
                found.retain(|reader| reader.account < account);
                Some(account - 1)
            }
            None => found.last().filter(|_| whole).map(|last| last.account),
        };
        Self { readers: found, after }
    }
}

/// The next followers that come often enough and have a list.
pub(super) async fn readers(
    db: &impl ConnectionTrait,
    now_ms: u64,
    config: &Config,
    held: &Held,
    after: i64,
) -> Result<Vec<Reader>, StorageError> {
    let awake = signed(now_ms.saturating_sub(config.idle_ms));
    let (f, p, h) = ("f", "p", "h");
    let mut select = Query::select();
    select
        .column((f, follow::Column::Reader))
        .columns([(p, profile::Column::Badged), (p, profile::Column::ReadMs)])
        .from_as(follow::Entity, f)
        .join_as(
            JoinType::InnerJoin,
            profile::Entity,
            p,
            Expr::col((p, profile::Column::Account)).equals((f, follow::Column::Reader)),
        )
        .join_as(
            JoinType::InnerJoin,
            home::Entity,
            h,
            Expr::col((h, home::Column::Reader))
                .equals((f, follow::Column::Reader))
                .and(Expr::col((h, home::Column::Post)).eq(0)),
        )
        .and_where(Expr::col((f, follow::Column::Author)).eq(held.author))
        .and_where(Expr::col((f, follow::Column::Reader)).gt(after))
        .and_where(Expr::col((p, profile::Column::Listed)).eq(true))
        .and_where(Expr::col((p, profile::Column::ReadMs)).gte(awake))
        .order_by((f, follow::Column::Reader), Order::Asc)
        .limit(config.chunk);
    let rows = db.query_all(&select).await?;
    let reader = |row: QueryResult| {
        Ok(Reader {
            account: row.try_get("", "reader")?,
            badged: row.try_get("", "badged")?,
            read_ms: row.try_get("", "read_ms")?,
        })
    };
    rows.into_iter().map(reader).collect()
}
