//! Databases below a folder of their own, to be filled before an origin is asked: on SQLite and on PostgreSQL.

use sluice_storage::rows::sea_orm::ConnectionTrait;
use sluice_storage::testing::Postgres;
use sluice_storage::{Storage, StorageConfig, StorageError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A database of one engine, and a store of objects beside it.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) name: &'static str,
    pub(crate) config: StorageConfig,
    /// Where all of it is that is no server's.
    pub(crate) folder: PathBuf,
}

impl Engine {
    /// A new SQLite file.
    pub(crate) fn sqlite(folder: &Path) -> Self {
        Self::new("SQLite", format!("sqlite:{}", folder.join("sluice.db").display()), folder)
    }

    fn new(name: &'static str, database: String, folder: &Path) -> Self {
        let objects = format!("file:{}", folder.join("objects").display());
        let config = StorageConfig { database, objects, ..StorageConfig::default() };
        Self { name, config, folder: folder.to_owned() }
    }

    /// Fills it, and closes it again; what came of that, and how long it took.
    pub(crate) async fn filled<M>(
        &self,
        fill: impl AsyncFnOnce(&Storage) -> anyhow::Result<M>,
    ) -> anyhow::Result<(M, Duration)> {
        let (begun, storage) = (Instant::now(), Storage::open(&self.config).await?);
        let made = fill(&storage).await?;
        storage.database.close().await?;
        Ok((made, begun.elapsed()))
    }
}

/// All engines there are. Dropped, they are gone.
#[derive(Debug)]
pub(crate) struct Engines {
    pub(crate) all: [Engine; 2],
    _server: Postgres,
    _folder: TempDir,
}

impl Engines {
    /// Starts them.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let (folder, server) = (tempfile::tempdir()?, Postgres::start().await);
        let postgres = Engine::new("PostgreSQL", server.fresh_database().await, folder.path());
        let all = [Engine::sqlite(folder.path()), postgres];
        Ok(Self { all, _server: server, _folder: folder })
    }
}

/// Runs SQL in one transaction.
pub(crate) async fn write(storage: &Storage, sql: &str) -> Result<(), StorageError> {
    let write = storage.database.write::<_, StorageError, _>(|tx| {
        Box::pin(async move {
            tx.conn().execute_unprepared(sql).await?;
            Ok(())
        })
    });
    write.await
}
