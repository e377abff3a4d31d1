//! What each site has sent in a month, of the counts that its nodes report. Control planes that note the same counts add
//! nothing twice, whichever of them is first.

use std::collections::BTreeMap;

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QuerySelect};
use sluice_wire::NodeId;

use crate::database::entity::traffic;
use crate::database::{Database, Tx, signed, unsigned};
use crate::error::StorageError;

/// How long a month is kept: a year and a month after its beginning.
const KEPT_MS: u64 = 400 * 24 * 3_600 * 1_000;
/// Rows of a month that are read: ten thousand nodes that were all started five times.
const MAX_ROWS: u64 = 50_000;
/// Rows written by one statement.
const AT_ONCE: usize = 500;

/// What a node has sent since it was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The node.
    pub node: NodeId,
    /// When it was started, in Unix milliseconds.
    pub started_ms: u64,
    /// Its site.
    pub site: String,
    /// Bytes to clients, ever since.
    pub bytes: u64,
}

/// A month by its beginning, and that of the month before, in Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Month {
    /// Its beginning.
    pub begins_ms: u64,
    /// The beginning of the one before.
    pub before_ms: u64,
}

/// The counts. Clones share the database.
#[derive(Debug, Clone)]
pub struct Traffic {
    database: Database,
}

impl Traffic {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Notes what nodes have sent, and forgets months that began more than 400 days ago. A count that is lower than what is
    /// known changes nothing.
    ///
    /// # Errors
    /// The engine's.
    pub async fn note(&self, month: Month, sent: &[Sent]) -> Result<(), StorageError> {
        self.database.write::<_, StorageError, _>(|tx| Box::pin(note(tx, month, sent))).await
    }

    /// Bytes sent in a month, by site.
    ///
    /// # Errors
    /// The engine's.
    pub async fn by_site(&self, month: Month) -> Result<BTreeMap<String, u64>, StorageError> {
        let rows = traffic::Entity::find()
            .filter(traffic::Column::MonthMs.eq(signed(month.begins_ms)))
            .limit(MAX_ROWS)
            .all(self.database.reader())
            .await?;
        let mut sites = BTreeMap::new();
        for row in rows {
            let (bytes, before) =
                (unsigned("traffic.bytes", row.bytes)?, unsigned("traffic.before", row.before)?);
            *sites.entry(row.site).or_default() += bytes.saturating_sub(before);
        }
        Ok(sites)
    }
}

async fn note(tx: &Tx<'_>, month: Month, sent: &[Sent]) -> Result<(), StorageError> {
    let (this, last) = (signed(month.begins_ms), signed(month.before_ms));
    let known = traffic::Entity::find()
        .filter(traffic::Column::MonthMs.is_in([this, last]))
        .limit(2 * MAX_ROWS)
        .all(tx.conn())
        .await?;
    let known: BTreeMap<_, _> =
        known.into_iter().map(|row| ((row.month_ms, row.node, row.started_ms), row.bytes)).collect();
    let of = |month_ms, sent: &Sent| {
        known.get(&(month_ms, sent.node.to_string(), signed(sent.started_ms))).copied()
    };
    let news = sent.iter().filter(|sent| of(this, sent).is_none_or(|bytes| bytes < signed(sent.bytes)));
    let rows: Vec<_> = news
        .map(|sent| {
            // One that ran before the month, and was not heard then, is counted from now on.
            let unheard = if sent.started_ms >= month.begins_ms { 0 } else { signed(sent.bytes) };
            traffic::ActiveModel {
                month_ms: Set(this),
                node: Set(sent.node.to_string()),
                started_ms: Set(signed(sent.started_ms)),
                site: Set(sent.site.clone()),
                before: Set(of(last, sent).unwrap_or(unheard)),
                bytes: Set(signed(sent.bytes)),
            }
        })
        .collect();
    for rows in rows.chunks(AT_ONCE) {
        let (old, new) = (
            Expr::col((traffic::Entity, traffic::Column::Bytes)),
            Expr::col(("excluded", traffic::Column::Bytes)),
        );
        let more = Expr::case(new.clone().gt(old.clone()), new).finally(old);
        let key = [traffic::Column::MonthMs, traffic::Column::Node, traffic::Column::StartedMs];
        let renew = OnConflict::columns(key).value(traffic::Column::Bytes, more).to_owned();
        traffic::Entity::insert_many(rows.to_vec())
            .on_conflict(renew)
            .exec_without_returning(tx.conn())
            .await?;
    }
    let old = signed(month.begins_ms.saturating_sub(KEPT_MS));
    traffic::Entity::delete_many().filter(traffic::Column::MonthMs.lt(old)).exec(tx.conn()).await?;
    Ok(())
}
