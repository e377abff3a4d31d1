//! Puts a backup into a database: all of it, or nothing.

use std::path::Path;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, Statement, TransactionTrait,
};
use sea_orm_migration::MigratorTraitSelf;

use super::lines::{Head, Line};
use super::tables::{self, Table};
use super::{BackupError, BackupSummary, check, onward, open, patient};
use crate::clock::{Clock, SystemClock};
use crate::database::connect;
use crate::database::convert::signed;
use crate::database::entity::lease;
use crate::database::migration::Shared;
use crate::error::StorageError;
use crate::schema::Schema;

/// Parameters of a statement: below the 32,766 that SQLite takes.
const MAX_BOUND: usize = 30_000;

/// Puts a backup into the database at `url`: its tables as they were, then brought up to this program's. `apps` are the schemas
/// that there may be beside the shared one. What the database holds is dropped if `replace` says so, and is a refusal otherwise.
/// Everything is checked first, and committed at once. The log goes on with an event that has every edge forget what it keeps.
///
/// # Errors
/// [`BackupError::Damaged`], [`BackupError::Foreign`], [`BackupError::File`]; [`BackupError::NotEmpty`] without `replace`;
/// [`BackupError::InUse`]; [`BackupError::Storage`]. The database is as it was.
pub async fn restore(
    url: &str,
    file: &Path,
    apps: &[Schema],
    replace: bool,
) -> Result<BackupSummary, BackupError> {
    check(file)?;
    let (engine, writer, reader) = connect::open(url).await?;
    // Before there is a transaction, which could lose to those who are at work.
    if replace && is_used(&writer, &tables::all(&writer).await?.1).await? {
        return Err(BackupError::InUse);
    }
    let tx = writer.begin_with_options(connect::write_options(engine)).await?;
    let done = match load(&tx, file, apps, replace).await {
        Ok(summary) => tx.commit().await.map(|()| summary).map_err(BackupError::from),
        Err(error) => {
            // What fails with the connection is rolled back by the engine.
            drop(tx.rollback().await);
            Err(error)
        }
    };
    drop((writer, reader));
    done
}

async fn load(
    tx: &DatabaseTransaction,
    file: &Path,
    apps: &[Schema],
    replace: bool,
) -> Result<BackupSummary, BackupError> {
    patient(tx).await?;
    is_free(tx, replace).await?;
    let replaced = onward::head_of(tx).await?;
    let mut lines = open(file)?;
    let head = lines.head()?;
    let shared = applied(&Shared, &head)?;
    let known: Vec<String> = [name_of(&Shared)].into_iter().chain(apps.iter().map(name_of)).collect();
    if let Some(other) = head.migrations.keys().find(|name| !known.contains(name)) {
        return Err(BackupError::Foreign(format!("it has {other}")));
    }
    Shared.down(tx, None).await?;
    Shared.up(tx, Some(shared)).await?;
    for app in apps {
        app.down(tx, None).await?;
        app.up(tx, Some(applied(app, &head)?)).await?;
    }
    let (mut table, mut tables, mut rows): (Option<Table>, _, _) = (None, 0, 0);
    loop {
        match lines.next()? {
            Line::Table(next) => (table, tables) = (Some(next), tables + 1),
            Line::Rows(some) => {
                let table = table.as_ref().ok_or_else(|| BackupError::Damaged("rows of no table".into()))?;
                insert(tx, table, &some).await?;
                rows += some.len() as u64;
            }
            Line::End { .. } => break,
            Line::Backup(_) => return Err(BackupError::Damaged("it begins twice".into())),
        }
    }
    Shared.up(tx, None).await?;
    for app in apps.iter().filter(|app| head.migrations.contains_key(&name_of(*app))) {
        app.up(tx, None).await?;
    }
    onward::tell(tx, replaced).await?;
    Ok(BackupSummary { tables, rows, log_head: head.log_head, made_ms: head.made_ms })
}

/// The database holds nothing, or what may go; and nobody is at work on it.
async fn is_free(tx: &DatabaseTransaction, replace: bool) -> Result<(), BackupError> {
    let (_, all) = tables::all(tx).await?;
    let backend = tx.get_database_backend();
    for Table { name, .. } in &all {
        let sql = format!("SELECT 1 FROM \"{name}\" LIMIT 1");
        let some = tx.query_one_raw(Statement::from_string(backend, sql)).await?.is_some();
        if some && !replace {
            return Err(BackupError::NotEmpty(name.clone()));
        }
    }
    if is_used(tx, &all).await? { Err(BackupError::InUse) } else { Ok(()) }
}

/// A process is at work: it holds a lease.
async fn is_used(conn: &impl ConnectionTrait, tables: &[Table]) -> Result<bool, StorageError> {
    if !tables.iter().any(|table| table.name == "leases") {
        return Ok(false);
    }
    let held = lease::Entity::find().filter(lease::Column::UntilMs.gt(signed(SystemClock.now_ms())));
    Ok(held.one(conn).await?.is_some())
}

fn name_of(tables: &impl MigratorTraitSelf) -> String {
    tables.migration_table_name().to_string()
}

/// How many of a schema's steps a backup had: its first ones, in this program's order.
fn applied(tables: &impl MigratorTraitSelf, head: &Head) -> Result<u32, BackupError> {
    let name = name_of(tables);
    let had = head.migrations.get(&name).map(Vec::as_slice).unwrap_or_default();
    let known: Vec<String> = tables.migrations().iter().map(|step| step.name().to_owned()).collect();
    match had.iter().find(|step| !known.iter().take(had.len()).any(|known| known == *step)) {
        Some(step) => {
            Err(BackupError::Foreign(format!("{name} has {step}, which this program does not know there")))
        }
        None => Ok(u32::try_from(had.len()).unwrap_or(u32::MAX)),
    }
}

async fn insert(
    tx: &DatabaseTransaction,
    table: &Table,
    rows: &[Vec<serde_json::Value>],
) -> Result<(), BackupError> {
    for some in rows.chunks((MAX_BOUND / table.width().max(1)).max(1)) {
        let statement = table.insert(tx.get_database_backend(), some);
        let statement = statement.ok_or_else(|| BackupError::Damaged(format!("a row of {}", table.name)))?;
        tx.execute_raw(statement).await?;
    }
    Ok(())
}
