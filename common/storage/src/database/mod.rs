//! Rows: one handle over SQLite or PostgreSQL.
//!
//! Both engines run the same statements with the same meaning: every write is a serializable transaction, retried whole
//! when it lost to another. Code above never sees which engine it has, nor the ORM.

mod append;
mod backup;
mod connect;
mod convert;
pub(crate) mod entity;
mod migration;
mod retract;
mod statements;
mod tx;

use std::sync::Arc;
use std::time::Duration;

use sea_orm::{DatabaseConnection, DatabaseTransaction, TransactionTrait};
use tokio::time::Instant;

pub(crate) use append::append;
pub use backup::{BackupError, BackupSummary, back_up, check as check_backup, restore};
pub use connect::Engine;
pub(crate) use connect::{check_url, sqlite_path};
pub use convert::{flag, from_json, signed, to_json, unsigned, unsigned32};
pub use statements::{count_statements, note_statements};
pub use tx::{Conn, Tx, Work};

use crate::bus::Bus;
use crate::clock::SharedClock;
use crate::error::StorageError;
use crate::ids::Ids;
use crate::schema::Schema;
use crate::wakes::Wakes;

/// How long a write is retried against others before it fails with [`StorageError::Contended`]. Longer than any
/// transaction of ours by two orders, shorter than a client's patience.
pub const WRITE_DEADLINE: Duration = Duration::from_secs(15);

/// The first pause between two attempts, and the longest. Each is jittered down to nothing.
const RETRY_PAUSE: (Duration, Duration) = (Duration::from_millis(4), Duration::from_millis(250));

/// Rows and transactions. Clones share the connections.
#[derive(Debug, Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    engine: Engine,
    writer: DatabaseConnection,
    reader: DatabaseConnection,
    bus: Bus,
    wakes: Wakes,
    ids: Ids,
    clock: SharedClock,
}

/// What came of one attempt at a transaction.
enum Attempt<T, E> {
    Done(Result<T, E>),
    Again,
}

impl Database {
    pub(crate) async fn open(
        url: &str,
        bus: Bus,
        ids: Ids,
        clock: SharedClock,
    ) -> Result<Self, StorageError> {
        let (engine, mut writer, mut reader) = connect::open(url).await?;
        [&mut writer, &mut reader].into_iter().for_each(statements::watch);
        migration::up(&migration::Shared, &writer, engine).await?;
        let wakes = Wakes::open(engine, url, &writer, &bus).await;
        Ok(Self { inner: Arc::new(Inner { engine, writer, reader, bus, wakes, ids, clock }) })
    }

    /// Which engine holds the rows, for reports; nothing above this crate decides by it.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.inner.engine
    }

    /// True where writes are done one at a time, in the order in which they came: none loses to another of this process.
    #[must_use]
    pub fn has_one_writer(&self) -> bool {
        self.inner.engine == Engine::Sqlite
    }

    /// Runs a transaction: all of it is committed, or nothing.
    ///
    /// The closure may run several times, whenever the transaction lost to another one; it must do nothing but SQL and
    /// hold no state from one run to the next. What it borrows must live as long as the call. When it fails, nothing
    /// is kept and its error is returned. On return the write is durable: it survives a power cut.
    ///
    /// ```ignore
    /// storage.database.write(|tx| Box::pin(async move {
    ///     videos.set_state(tx, id, VideoState::Ready, None).await?;
    ///     tx.emit(&Tag::video(id), EventKind::Changed, json!({})).await
    /// })).await?;
    /// ```
    ///
    /// # Errors
    /// The closure's own; [`StorageError::Contended`] after 15 s of lost attempts; [`StorageError::InDoubt`] when the
    /// connection broke during the commit; [`StorageError::Full`]; [`StorageError::Unavailable`].
    ///
    /// # Cancel safety
    /// Dropped before the commit, nothing is kept. Dropped during it, the outcome is unknown.
    pub async fn write<'env, T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: for<'t> Fn(&'t Tx<'env>) -> Work<'t, T, E> + Send + Sync,
        T: Send,
        E: From<StorageError> + Send,
    {
        self.write_for(WRITE_DEADLINE, work).await
    }

    /// As [`Database::write`], retried for so long: for whoever can do something better than to lose for 15 s.
    ///
    /// # Errors
    /// As [`Database::write`].
    ///
    /// # Cancel safety
    /// As [`Database::write`].
    pub async fn write_for<'env, T, E, F>(&self, tried: Duration, work: F) -> Result<T, E>
    where
        F: for<'t> Fn(&'t Tx<'env>) -> Work<'t, T, E> + Send + Sync,
        T: Send,
        E: From<StorageError> + Send,
    {
        let deadline = Instant::now() + tried;
        let (mut pause, longest) = RETRY_PAUSE;
        loop {
            match self.attempt(&work).await {
                Attempt::Done(result) => return result,
                Attempt::Again if Instant::now() >= deadline => return Err(StorageError::Contended.into()),
                Attempt::Again => {}
            }
            tokio::time::sleep(pause.mul_f64(rand::random())).await;
            pause = longest.min(pause * 2);
        }
    }

    async fn attempt<'env, T, E, F>(&self, work: &F) -> Attempt<T, E>
    where
        F: for<'t> Fn(&'t Tx<'env>) -> Work<'t, T, E> + Send + Sync,
        T: Send,
        E: From<StorageError> + Send,
    {
        let options = connect::write_options(self.inner.engine);
        let inner = match self.inner.writer.begin_with_options(options).await {
            Ok(inner) => inner,
            Err(error) if crate::error::is_contention(&error) => return Attempt::Again,
            Err(error) => return Attempt::Done(Err(StorageError::from(error).into())),
        };
        let tx = Tx::new(inner, self.inner.ids.clone(), self.now_ms());
        let result = work(&tx).await;
        let contended = tx.contended();
        let done = match result {
            Ok(value) if !contended => match tx.commit().await {
                Ok(wakes) => {
                    self.wake(&wakes).await;
                    Ok(value)
                }
                Err(StorageError::Contended) => return Attempt::Again,
                Err(error) => Err(error.into()),
            },
            other => {
                tx.rollback().await;
                if contended {
                    return Attempt::Again;
                }
                other
            }
        };
        Attempt::Done(done)
    }

    /// Tells followers that there is something new, here and in other processes. The bus is not waited for. They poll too, so a
    /// lost wake-up costs a tenth of a second.
    pub(crate) async fn wake(&self, topics: impl IntoIterator<Item = &&'static str> + Clone) {
        topics.clone().into_iter().for_each(|&topic| self.inner.bus.wake(topic));
        for topic in topics {
            self.inner.wakes.tell(topic).await;
        }
    }

    /// A connection for single reads.
    #[must_use]
    pub fn reader(&self) -> &DatabaseConnection {
        &self.inner.reader
    }

    /// A read-only transaction that sees one state of all tables.
    ///
    /// # Errors
    /// The engine's.
    pub async fn snapshot(&self) -> Result<DatabaseTransaction, StorageError> {
        let options = connect::snapshot_options(self.inner.engine);
        Ok(self.inner.reader.begin_with_options(options).await?)
    }

    /// The time that rows are stamped with, in Unix milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.inner.clock.now_ms()
    }

    /// Undoes every migration: all tables and what they hold are dropped. For operators and tests.
    ///
    /// # Errors
    /// As [`Database::write`].
    pub async fn migrate_down(&self) -> Result<(), StorageError> {
        migration::down(&migration::Shared, &self.inner.writer, self.inner.engine).await
    }

    /// Brings the schema up to date, as opening does.
    ///
    /// # Errors
    /// As [`Database::write`].
    pub async fn migrate_up(&self) -> Result<(), StorageError> {
        migration::up(&migration::Shared, &self.inner.writer, self.inner.engine).await
    }

    /// Brings an app's tables up to date. Several processes may do so at once.
    ///
    /// # Errors
    /// As [`Database::write`].
    pub async fn install(&self, app: &Schema) -> Result<(), StorageError> {
        migration::up(app, &self.inner.writer, self.inner.engine).await
    }

    /// Drops an app's tables and what they hold. For operators and tests.
    ///
    /// # Errors
    /// As [`Database::write`].
    pub async fn uninstall(&self, app: &Schema) -> Result<(), StorageError> {
        migration::down(app, &self.inner.writer, self.inner.engine).await
    }

    /// Asks the engine for a sign of life.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] when it gives none.
    pub async fn ping(&self) -> Result<(), StorageError> {
        Ok(self.inner.reader.ping().await?)
    }

    /// Closes every connection; a transaction under way is waited for.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] when the engine is gone already.
    pub async fn close(&self) -> Result<(), StorageError> {
        self.inner.wakes.close().await;
        self.inner.reader.close_by_ref().await?;
        Ok(self.inner.writer.close_by_ref().await?)
    }
}
