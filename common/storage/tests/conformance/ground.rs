//! Where a story plays: one database, one set of objects, any number of processes.

use std::sync::Arc;
use std::time::Duration;

use sluice_storage::testing::Postgres;
use sluice_storage::{Clock, ManualClock, Storage, StorageConfig};
use tempfile::TempDir;

/// Longer than anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// 2026-11-23, for stories that move time themselves.
pub(crate) const NOON: u64 = 1_795_435_200_000;

pub(crate) struct Ground {
    folder: TempDir,
    database: String,
}

impl Ground {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = format!("sqlite:{}", folder.path().join("rows/sluice.db").display());
        Self { folder, database }
    }

    pub(crate) async fn postgres(server: &Postgres) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), database: server.fresh_database().await }
    }

    pub(crate) fn config(&self) -> StorageConfig {
        StorageConfig {
            database: self.database.clone(),
            bus: "local:".into(),
            objects: format!("file:{}", self.folder.path().join("objects").display()),
        }
    }

    /// Another process on the same ground: nothing is shared but what is stored.
    pub(crate) async fn open(&self) -> Storage {
        Storage::open(&self.config()).await.unwrap()
    }

    /// Another process whose time the story moves.
    pub(crate) async fn open_at(&self, clock: &Arc<ManualClock>) -> Storage {
        Storage::open_with(&self.config(), Arc::clone(clock) as Arc<dyn Clock>).await.unwrap()
    }
}

/// Waits for something that must happen.
pub(crate) async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(value) => value,
        Err(_elapsed) => panic!("{what}: not within {PATIENCE:?}"),
    }
}
