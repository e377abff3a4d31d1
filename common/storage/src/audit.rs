//! What operators did: who, when, what, as it was before and after. An entry is committed with what it tells of, or neither.

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::Value;
use sluice_wire::JobId;

use crate::database::entity::audit_entry;
use crate::database::{Database, Tx, from_json, signed, to_json, unsigned};
use crate::error::StorageError;

/// How long an entry is kept: a year and a month, so that the same season can be compared.
const KEPT_MS: u64 = 400 * 24 * 3_600 * 1_000;
/// Bytes of a name or a subject that are kept.
const MAX_TEXT: usize = 200;
/// Entries that are forgotten in one transaction: it is short.
const BATCH: u64 = 200;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// The operator's name.
    pub name: String,
    /// What the operator may do.
    pub role: &'static str,
}

/// What was done, to be written down.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    /// A word for it, such as `drain`.
    pub action: &'static str,
    /// To what.
    pub subject: String,
    /// What was there before.
    pub before: Option<Value>,
    /// What is there now.
    pub after: Option<Value>,
}

/// An entry, as it is read.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct AuditEntry {
    /// Its place: rises with time.
    pub id: JobId,
    /// When, in Unix milliseconds.
    pub at_ms: u64,
    /// The operator's name.
    pub who: String,
    /// What the operator was allowed.
    pub role: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub subject: String,
    /// What was there before.
    pub before: Option<Value>,
    /// What was there after.
    pub after: Option<Value>,
}

/// The entries. Clones share the database.
#[derive(Debug, Clone)]
pub struct Audit {
    database: Database,
}

impl Audit {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Writes an act down with the transaction that does it.
    ///
    /// # Errors
    /// The engine's.
    pub async fn record(&self, tx: &Tx<'_>, who: &Who, act: &Act) -> Result<(), StorageError> {
        record(tx, who, act).await
    }

    /// Entries before a place, the newest first, at most `limit`.
    ///
    /// # Errors
    /// The engine's.
    pub async fn list(&self, before: Option<JobId>, limit: u64) -> Result<Vec<AuditEntry>, StorageError> {
        let mut query = audit_entry::Entity::find().order_by_desc(audit_entry::Column::Id).limit(limit);
        if let Some(before) = before {
            query = query.filter(audit_entry::Column::Id.lt(before.as_i64()));
        }
        let rows = query.all(self.database.reader()).await?;
        rows.into_iter().map(AuditEntry::try_from).collect()
    }

    /// Forgets entries of more than 400 days ago, the oldest first. Where there are none it only reads.
    ///
    /// # Errors
    /// The engine's.
    ///
    /// # Cancel safety
    /// Dropped, it has forgotten some, and the next call forgets the others.
    pub async fn forget(&self) -> Result<(), StorageError> {
        while self.forget_some().await? == BATCH {}
        Ok(())
    }

    /// Forgets the oldest, and tells how many were found.
    async fn forget_some(&self) -> Result<u64, StorageError> {
        let old = JobId::from_parts(self.database.now_ms().saturating_sub(KEPT_MS), 0);
        let due: Vec<i64> = audit_entry::Entity::find()
            .select_only()
            .column(audit_entry::Column::Id)
            .filter(audit_entry::Column::Id.lt(old.as_i64()))
            .order_by_asc(audit_entry::Column::Id)
            .limit(BATCH)
            .into_tuple()
            .all(self.database.reader())
            .await?;
        let Some(last) = due.last().copied() else { return Ok(0) };
        let forget = self.database.write::<_, StorageError, _>(move |tx| {
            Box::pin(async move {
                let these = audit_entry::Column::Id.lte(last);
                audit_entry::Entity::delete_many().filter(these).exec(tx.conn()).await?;
                Ok(())
            })
        });
        forget.await?;
        Ok(due.len() as u64)
    }
}

pub(crate) async fn record(tx: &Tx<'_>, who: &Who, act: &Act) -> Result<(), StorageError> {
    let json = |value: &Option<Value>| value.as_ref().map(to_json).transpose();
    let row = audit_entry::ActiveModel {
        id: Set(tx.ids().job().as_i64()),
        at_ms: Set(signed(tx.now_ms())),
        who: Set(cut(&who.name)),
        role: Set(who.role.to_owned()),
        action: Set(act.action.to_owned()),
        subject: Set(cut(&act.subject)),
        before: Set(json(&act.before)?),
        after: Set(json(&act.after)?),
    };
    audit_entry::Entity::insert(row).exec_without_returning(tx.conn()).await?;
    Ok(())
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

impl TryFrom<audit_entry::Model> for AuditEntry {
    type Error = StorageError;

    fn try_from(row: audit_entry::Model) -> Result<Self, StorageError> {
        let id = unsigned("audit.id", row.id)?;
        let json = |text: Option<String>| text.map(|text| from_json("audit.before", &text)).transpose();
        Ok(Self {
            id: JobId::from_u64(id).map_err(|e| StorageError::Corrupt(format!("audit.id {id}: {e}")))?,
            at_ms: unsigned("audit.at_ms", row.at_ms)?,
            who: row.who,
            role: row.role,
            action: row.action,
            subject: row.subject,
            before: json(row.before)?,
            after: json(row.after)?,
        })
    }
}
