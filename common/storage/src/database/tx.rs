//! One transaction, as the closure of [`Database::write`](super::Database::write) sees it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
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

use super::append;
use super::convert::{signed, to_json, unsigned};
use super::entity::{log, outbox, tag_version};
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

    /// Appends an event to this transaction: the tag's version rises by one, and the event is in the log as soon as the
    /// transaction is committed, or a moment later, when the relay has moved it there. Events of one tag enter the log in the order
    /// of their versions.
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

    /// As [`Tx::emit`], for several events, also of one tag: two statements for all of them, three on SQLite. Gives the version
    /// of each, in the order asked, which is the order of those of one tag.
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
        let mut left: BTreeMap<&Tag, i64> = BTreeMap::new();
        events.iter().for_each(|(tag, ..)| *left.entry(tag).or_default() += 1);
        let rows = self.raise(&left).await?;
        let (mut made, mut versions): (Vec<outbox::Model>, _) = (vec![], vec![]);
        for (tag, kind, data) in events {
            let row = rows.get(tag.as_str());
            let row = row.ok_or_else(|| StorageError::Corrupt(format!("{tag} was not raised")))?;
            // The last of a tag has what the tag has now, those before it what leads there.
            let after = left.entry(tag).and_modify(|left| *left -= 1).or_default();
            let version = row.version - *after;
            versions.push((tag.clone(), Version(unsigned("tag_versions.version", version)?)));
            made.push(outbox::Model {
                tag: row.tag.clone(),
                version,
                position: row.position - *after,
                kind: kind.as_str().to_owned(),
                at_ms: signed(self.now_ms),
                data: to_json(data)?,
            });
        }
        self.put(made).await?;
        Ok(versions)
    }

    /// Puts events where they belong. Where transactions take turns, they are committed in the order in which they write: their
    /// events go into the log at once. Elsewhere that order is known to nobody before, and to hold the log's end until the commit
    /// would make them take turns: the relay does it.
    async fn put(&self, events: Vec<outbox::Model>) -> Result<(), StorageError> {
        if self.has_one_writer() {
            append(self, events.into_iter().map(log::Model::from).collect()).await?;
            self.wake_after_commit(topics::LOG);
        } else {
            let rows = events.into_iter().map(outbox::ActiveModel::from);
            outbox::Entity::insert_many(rows).exec_without_returning(&self.conn).await?;
            self.wake_after_commit(topics::OUTBOX);
        }
        Ok(())
    }

    /// As [`Database::has_one_writer`](super::Database::has_one_writer): SQLite's write lock is taken as a transaction begins.
    fn has_one_writer(&self) -> bool {
        self.conn.get_database_backend() == DbBackend::Sqlite
    }

    /// Raises the versions of tags by so many, and their places in the outbox's order: ids, but all above the tag's last one
    /// even if this process's clock is behind that of the tag's last writer.
    async fn raise(
        &self,
        tags: &BTreeMap<&Tag, i64>,
    ) -> Result<HashMap<String, tag_version::Model>, StorageError> {
        let old = |column| Expr::col((tag_version::Entity, column));
        let new = |column| Expr::col((Alias::new("excluded"), column));
        // What is inserted has the number of events as its version.
        let next = || old(tag_version::Column::Position).add(new(tag_version::Column::Version));
        let after = Expr::case(next().gte(new(tag_version::Column::Position)), next())
            .finally(new(tag_version::Column::Position));
        let version = old(tag_version::Column::Version).add(new(tag_version::Column::Version));
        let first = tags.iter().map(|(tag, count)| tag_version::ActiveModel {
            tag: Set(tag.as_str().to_owned()),
            version: Set(*count),
            position: Set(self.ids.job().as_i64()),
        });
        let rows = tag_version::Entity::insert_many(first)
            .on_conflict(
                OnConflict::column(tag_version::Column::Tag)
                    .value(tag_version::Column::Version, version)
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
