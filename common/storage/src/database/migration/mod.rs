//! Brings the schema up and down. Several processes may start at once: one of them migrates, the others find it done.

mod m0001_first;
mod m0002_names;
mod m0003_uploads;
mod m0004_library;
mod m0005_sharing;
mod m0006_fetches;
mod m0007_cursors;
mod m0008_turns;
mod m0009_promises;
mod m0010_texts;
mod m0011_storyboards;
mod m0012_protection;
mod m0013_cold;
mod m0014_editions;
mod m0015_anew;
mod m0016_config;
mod m0017_fleet_key;
mod m0018_health;
mod m0019_traffic;
mod m0020_channels;

use std::time::Duration;

use sea_orm::{DatabaseConnection, DbErr, TransactionTrait};
use sea_orm_migration::{MigrationTrait, MigratorTrait, MigratorTraitSelf};
use tokio::time::Instant;

use super::connect::{Engine, write_options};
use crate::error::StorageError;

/// How long others are waited for that migrate at the same moment.
const DEADLINE: Duration = Duration::from_secs(30);

/// Pause before looking again.
const PAUSE: Duration = Duration::from_millis(50);

/// The shared tables.
#[derive(Clone, Copy)]
pub(super) struct Shared;

impl MigratorTrait for Shared {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_first::Migration),
            Box::new(m0002_names::Migration),
            Box::new(m0003_uploads::Migration),
            Box::new(m0004_library::Migration),
            Box::new(m0005_sharing::Migration),
            Box::new(m0006_fetches::Migration),
            Box::new(m0007_cursors::Migration),
            Box::new(m0008_turns::Migration),
            Box::new(m0009_promises::Migration),
            Box::new(m0010_texts::Migration),
            Box::new(m0011_storyboards::Migration),
            Box::new(m0012_protection::Migration),
            Box::new(m0013_cold::Migration),
            Box::new(m0014_editions::Migration),
            Box::new(m0015_anew::Migration),
            Box::new(m0016_config::Migration),
            Box::new(m0017_fleet_key::Migration),
            Box::new(m0018_health::Migration),
            Box::new(m0019_traffic::Migration),
            Box::new(m0020_channels::Migration),
        ]
    }
}

/// Applies what is missing, all in one transaction.
pub(super) async fn up(
    tables: &impl MigratorTraitSelf,
    connection: &DatabaseConnection,
    engine: Engine,
) -> Result<(), StorageError> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match try_up(tables, connection, engine).await {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() >= deadline => return Err(error.into()),
            Err(error) => tracing::debug!(%error, "migration lost to another process, looking again"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn try_up(
    tables: &impl MigratorTraitSelf,
    connection: &DatabaseConnection,
    engine: Engine,
) -> Result<(), DbErr> {
    let pending = tables.get_pending_migrations_read_only(connection).await?;
    if pending.is_empty() {
        return Ok(());
    }
    let transaction = connection.begin_with_options(write_options(engine)).await?;
    tables.up(&transaction, None).await?;
    transaction.commit().await
}

/// Undoes everything, newest first.
pub(super) async fn down(
    tables: &impl MigratorTraitSelf,
    connection: &DatabaseConnection,
    engine: Engine,
) -> Result<(), StorageError> {
    let transaction = connection.begin_with_options(write_options(engine)).await?;
    tables.down(&transaction, None).await?;
    Ok(transaction.commit().await?)
}
