//! All rows of an installation in one file, and back, on either engine.
//!
//! A backup is one state of all tables: that of the moment at which it began, while others go on writing. It holds every
//! write that was acknowledged before. The file is lines (`lines`), each with a sum over all before it: one that is torn, changed
//! or put together from two is told from a whole one before anything of it is used. It says which migrations had been applied, and its
//! columns are of five kinds that both engines have (`tables`); so it is restored on the other engine too, and by a later program.
//!
//! Objects are not in it: bytes are stored before the rows that name them, so a copy of the objects that begins after the
//! backup has all of them.

mod lines;
mod onward;
mod part;
mod restore;
mod tables;

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use futures::TryStreamExt;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, TransactionTrait};

use super::connect::{self, Engine};
use super::convert::unsigned;
use super::entity::log_head;
use crate::error::StorageError;
use crate::log::HEAD;
use lines::{Head, Line, Reader, Writer};
use part::Part;
pub use restore::restore;
use tables::Table;

/// The format of the file. A program reads those up to its own.
const FORMAT: u32 = 1;

/// Rows in a line, and bytes of them after which the next line begins.
const LINE_ROWS: usize = 256;
const LINE_BYTES: usize = 256 << 10;

/// Why there is no backup, or nothing was restored: the database is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The file cannot be used: it is torn, changed, or no backup.
    #[error("the backup is damaged: {0}")]
    Damaged(String),
    /// It was made by a program that this one does not know.
    #[error("the backup is of another program: {0}")]
    Foreign(String),
    /// The database holds something, and nobody said that it may be replaced.
    #[error("the database is not empty ({0} holds rows); --replace drops what it holds")]
    NotEmpty(String),
    /// A process is at work on the database.
    #[error("a process works on the database; stop all of them first")]
    InUse,
    /// The file cannot be written or read.
    #[error("{path}: {why}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        why: std::io::Error,
    },
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<sea_orm::DbErr> for BackupError {
    fn from(error: sea_orm::DbErr) -> Self {
        StorageError::from(error).into()
    }
}

/// What a backup holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupSummary {
    /// Tables.
    pub tables: usize,
    /// Rows of all of them.
    pub rows: u64,
    /// The newest event in the log.
    pub log_head: u64,
    /// When it was made, in Unix milliseconds.
    pub made_ms: u64,
}

/// Writes a backup of the database at `url`, which others may go on using. The file appears under its name once it is
/// whole and on stable storage, for its owner alone; one that is there already stays.
///
/// # Errors
/// [`BackupError::File`] when it cannot be written, or one of this name is there; [`BackupError::Storage`].
pub async fn back_up(url: &str, file: &Path, made_ms: u64) -> Result<BackupSummary, BackupError> {
    let failed = |why: std::io::Error| BackupError::File { path: file.to_owned(), why };
    if file.symlink_metadata().is_ok() {
        return Err(failed(std::io::ErrorKind::AlreadyExists.into()));
    }
    if connect::check_url(url)? == Engine::Sqlite && !connect::sqlite_path(url).is_file() {
        return Err(StorageError::Config("storage.database is not there yet".into()).into());
    }
    let (engine, writer, reader) = connect::open(url).await?;
    let (part, out) = Part::begin(file).map_err(failed)?;
    let mut lines = Writer::new(BufWriter::new(out));
    let snapshot = reader.begin_with_options(connect::snapshot_options(engine)).await?;
    let written = write(&snapshot, engine, made_ms, &mut lines, &failed).await;
    snapshot.rollback().await?;
    drop((writer, reader));
    let summary = written?;
    let out = lines.into_inner().into_inner().map_err(|error| failed(error.into_error()))?;
    out.sync_all().and_then(|()| part.publish(file)).map_err(failed)?;
    Ok(summary)
}

/// Writes every table of a snapshot.
async fn write(
    snapshot: &DatabaseTransaction,
    engine: Engine,
    made_ms: u64,
    lines: &mut Writer<impl Write>,
    failed: &impl Fn(std::io::Error) -> BackupError,
) -> Result<BackupSummary, BackupError> {
    patient(snapshot).await?;
    let head = log_head::Entity::find_by_id(HEAD.to_owned()).one(snapshot).await?;
    let log_head = unsigned("log_heads.seq", head.map_or(0, |row| row.seq))?;
    let (migrations, all) = tables::all(snapshot).await?;
    let head = Head { format: FORMAT, made_ms, engine: engine.as_str().to_owned(), log_head, migrations };
    lines.put(&Line::Backup(head)).map_err(failed)?;
    let (count, mut rows) = (all.len(), 0);
    for table in all {
        rows += write_table(snapshot, table, lines, failed).await?;
    }
    lines.put(&Line::End { rows }).map_err(failed)?;
    Ok(BackupSummary { tables: count, rows, log_head, made_ms })
}

async fn write_table(
    snapshot: &DatabaseTransaction,
    table: Table,
    lines: &mut Writer<impl Write>,
    failed: &impl Fn(std::io::Error) -> BackupError,
) -> Result<u64, BackupError> {
    lines.put(&Line::Table(table.clone())).map_err(failed)?;
    let select = table.select(snapshot.get_database_backend());
    // Both traits have names in common.
    let mut rows = sea_orm::StreamTrait::stream_raw(snapshot, select).await?;
    let (mut waiting, mut bytes, mut count) = (vec![], 0, 0);
    while let Some(row) = rows.try_next().await? {
        let row = table.read(&row)?;
        bytes += tables::weight(&row);
        waiting.push(row);
        count += 1;
        if waiting.len() >= LINE_ROWS || bytes >= LINE_BYTES {
            lines.put(&Line::Rows(std::mem::take(&mut waiting))).map_err(failed)?;
            bytes = 0;
        }
    }
    if !waiting.is_empty() {
        lines.put(&Line::Rows(waiting)).map_err(failed)?;
    }
    Ok(count)
}

/// Reads a backup to its end: it is whole, and this is what it holds.
///
/// # Errors
/// [`BackupError::Damaged`], [`BackupError::Foreign`], [`BackupError::File`].
pub fn check(file: &Path) -> Result<BackupSummary, BackupError> {
    let mut reader = open(file)?;
    let head = reader.head()?;
    let (mut tables, mut rows) = (0, 0);
    loop {
        match reader.next()? {
            Line::Table(_) => tables += 1,
            Line::Rows(some) => rows += some.len() as u64,
            Line::End { rows: told } if told == rows => {
                reader.ended()?;
                return Ok(BackupSummary { tables, rows, log_head: head.log_head, made_ms: head.made_ms });
            }
            Line::End { .. } => return Err(BackupError::Damaged("rows are missing".into())),
            Line::Backup(_) => return Err(BackupError::Damaged("it begins twice".into())),
        }
    }
}

fn open(file: &Path) -> Result<Reader<BufReader<File>>, BackupError> {
    let opened = File::open(file).map_err(|why| BackupError::File { path: file.to_owned(), why })?;
    Ok(Reader::new(BufReader::new(opened)))
}

/// A transaction of many rows may take as long as it does.
async fn patient(conn: &DatabaseTransaction) -> Result<(), StorageError> {
    if conn.get_database_backend() == DbBackend::Postgres {
        conn.execute_unprepared("SET LOCAL statement_timeout = 0").await?;
    }
    Ok(())
}
