//! One transaction, as the closure of [`Database::write`](super::Database::write) sees it.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use futures::future::BoxFuture;
use sea_orm::sea_query::{Alias, Expr, ExprTrait, OnConflict};
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait, ExecResult,
    QueryResult, Statement,
};
use sluice_wire::{EventKind, Tag, Version};

use super::convert::{signed, to_json, unsigned};
use super::entity::{outbox, tag_version};
use crate::bus::topics;
use crate::error::{StorageError, is_contention, lost_connection};
use crate::ids::Ids;

/// What a transaction's closure returns: its work, boxed.
pub type Work<'t, T, E> = BoxFuture<'t, Result<T, E>>;

/// An open write transaction. `'env` is what its closure may borrow; write `&Tx<'_>` in signatures.
pub struct Tx<'env> {
    conn: Conn,
    ids: Ids,
    now_ms: u64,
    wakes: Mutex<BTreeSet<&'static str>>,
    env: PhantomData<&'env ()>,
}

impl Tx<'_> {
    pub(super) fn new(inner: DatabaseTransaction, ids: Ids, now_ms: u64) -> Self {
        Self {
            conn: Conn { inner, contended: AtomicBool::new(false) },
            ids,
            now_ms,
            wakes: Mutex::new(BTreeSet::new()),
            env: PhantomData,
        }
    }

    /// Appends an event to this transaction: the tag's version rises by one, and the relay moves the event into the log
    /// once the transaction is committed. Events of one tag enter the log in the order of their versions.
    ///
    /// # Errors
    /// The engine's.
    pub async fn emit(
        &self,
        tag: &Tag,
        kind: EventKind,
        data: serde_json::Value,
    ) -> Result<Version, StorageError> {
        let versions = self.emit_all(&[(tag.clone(), kind, data)]).await?;
        Ok(versions[0].1)
    }

    /// As [`Tx::emit`], for several tags, each of which may be there once: two statements for all of them. Gives the
    /// version of each, in the order asked.
    ///
    /// # Errors
    /// The engine's.
    pub async fn emit_all(
        &self,
        events: &[(Tag, EventKind, serde_json::Value)],
    ) -> Result<Vec<(Tag, Version)>, StorageError> {
        if events.is_empty() {
            return Ok(vec![]);
        }
        let rows = self.raise(events.iter().map(|(tag, ..)| tag)).await?;
        let (mut made, mut versions) = (vec![], vec![]);
        for (tag, kind, data) in events {
            let row = rows.get(tag.as_str());
            let row = row.ok_or_else(|| StorageError::Corrupt(format!("{tag} was not raised")))?;
            versions.push((tag.clone(), Version(unsigned("tag_versions.version", row.version)?)));
            made.push(outbox::ActiveModel {
                tag: Set(row.tag.clone()),
                version: Set(row.version),
                position: Set(row.position),
                kind: Set(kind.as_str().to_owned()),
                at_ms: Set(signed(self.now_ms)),
                data: Set(to_json(data)?),
            });
        }
        outbox::Entity::insert_many(made).exec_without_returning(&self.conn).await?;
        self.wake_after_commit(topics::OUTBOX);
        Ok(versions)
    }

    /// Raises the versions of tags, and their places in the outbox's order: ids, but each above the tag's last one even if
    /// this process's clock is behind that of the tag's last writer.
    async fn raise(
        &self,
        tags: impl Iterator<Item = &Tag>,
    ) -> Result<HashMap<String, tag_version::Model>, StorageError> {
        let old = |column| Expr::col((tag_version::Entity, column));
        let new = |column| Expr::col((Alias::new("excluded"), column));
        let after = Expr::case(
            old(tag_version::Column::Position).gte(new(tag_version::Column::Position)),
            old(tag_version::Column::Position).add(1),
        )
        .finally(new(tag_version::Column::Position));
        let first = tags.map(|tag| tag_version::ActiveModel {
            tag: Set(tag.as_str().to_owned()),
            version: Set(1),
            position: Set(self.ids.job().as_i64()),
        });
        let rows = tag_version::Entity::insert_many(first)
            .on_conflict(
                OnConflict::column(tag_version::Column::Tag)
                    .value(tag_version::Column::Version, old(tag_version::Column::Version).add(1))
                    .value(tag_version::Column::Position, after)
                    .to_owned(),
            )
            .exec_with_returning(&self.conn)
            .await?;
        Ok(rows.into_iter().map(|row| (row.tag.clone(), row)).collect())
    }

    /// The time of this attempt, in Unix milliseconds: the same for all its statements.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// The maker of ids.
    #[must_use]
    pub fn ids(&self) -> &Ids {
        &self.ids
    }

    /// Publishes an empty message on a topic when, and only when, the transaction is committed.
    pub(crate) fn wake_after_commit(&self, topic: &'static str) {
        self.wakes.lock().unwrap_or_else(PoisonError::into_inner).insert(topic);
    }

    /// What its statements are sent to.
    #[must_use]
    pub fn conn(&self) -> &Conn {
        &self.conn
    }

    pub(super) fn contended(&self) -> bool {
        self.conn.contended.load(Ordering::Relaxed)
    }

    pub(super) async fn commit(self) -> Result<BTreeSet<&'static str>, StorageError> {
        match self.conn.inner.commit().await {
            Ok(()) => Ok(self.wakes.into_inner().unwrap_or_else(PoisonError::into_inner)),
            Err(error) if lost_connection(&error) => Err(StorageError::InDoubt(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn rollback(self) {
        if let Err(error) = self.conn.inner.rollback().await {
            tracing::debug!(%error, "rollback failed; the engine rolls back with the connection");
        }
    }
}

impl fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx").field("now_ms", &self.now_ms).finish_non_exhaustive()
    }
}

/// The engine's transaction, watched: whoever runs it retries when any statement lost to another transaction, whatever
/// the closure made of that error.
#[derive(Debug)]
pub struct Conn {
    inner: DatabaseTransaction,
    contended: AtomicBool,
}

impl Conn {
    fn watch<T>(&self, result: Result<T, DbErr>) -> Result<T, DbErr> {
        if result.as_ref().is_err_and(is_contention) {
            self.contended.store(true, Ordering::Relaxed);
        }
        result
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Conn {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.watch(self.inner.execute_raw(statement).await)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.watch(self.inner.execute_unprepared(sql).await)
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.watch(self.inner.query_one_raw(statement).await)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.watch(self.inner.query_all_raw(statement).await)
    }
}
