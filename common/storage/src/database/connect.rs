//! Opens an engine and says how its transactions begin.

use std::future::ready;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::stat::{Mode, SFlag, mknod};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{Connection, SqliteConnection};
use sea_orm::{
    AccessMode, ConnectOptions, DatabaseConnection, IsolationLevel, SqliteTransactionMode, TransactionOptions,
};

use tokio::time::Instant;

use crate::error::StorageError;

/// Connections that read from SQLite. Readers never wait for the writer in WAL mode; more than the cores of a small
/// machine brings nothing.
const SQLITE_READERS: u32 = 8;

/// Prepared statements that a connection to SQLite keeps. Those that write many rows at once have a text for each number of
/// rows, up to 64 for most of them: with the driver's 100 they were prepared anew again and again.
const SQLITE_STATEMENTS: usize = 512;

/// Pages of a WAL file after which a commit copies them into the database: 16 MiB. Four times the engine's own number: pages that
/// are written again and again, as the ends of tables are, are copied once, and commits that have to wait for it are rarer.
const SQLITE_CHECKPOINT_PAGES: &str = "4000";

/// The pages that a connection keeps in memory, where they are most of what it looks at: KiB, as the engine writes it.
const SQLITE_CACHE: (&str, &str) = ("-16384", "-4096");

/// Connections to PostgreSQL per process: half of its default limit of 100 serves five processes.
const POSTGRES_CONNECTIONS: u32 = 10;

/// How long SQLite waits for another process's write before it says "busy", and how long a connection is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest pause before a busy SQLite file is opened again: opening one takes a few milliseconds.
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// How long a connection to PostgreSQL is waited for: long enough for a restart, short enough to say so while the client
/// still listens.
const POSTGRES_PATIENCE: Duration = Duration::from_secs(5);

/// The longest statement. Ours take milliseconds; this one frees a connection whose server is stuck.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(20);

/// What holds the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A file, shared by processes of one machine.
    Sqlite,
    /// A server.
    Postgres,
}

impl Engine {
    /// The name in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

pub(crate) fn check_url(url: &str) -> Result<Engine, StorageError> {
    if url.strip_prefix("sqlite:").is_some_and(|path| !path.is_empty() && !path.contains(":memory:")) {
        Ok(Engine::Sqlite)
    } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        Ok(Engine::Postgres)
    } else {
        let scheme = url.split_once(':').map_or(url, |(scheme, _)| scheme);
        Err(StorageError::Config(format!(
            "storage.database is sqlite:PATH (a file) or postgres://..., not a {scheme:?} URL"
        )))
    }
}

/// The writer and the reader; on PostgreSQL both are one pool.
pub(super) async fn open(
    url: &str,
) -> Result<(Engine, DatabaseConnection, DatabaseConnection), StorageError> {
    let engine = check_url(url)?;
    let (writer, reader) = match engine {
        Engine::Sqlite => open_sqlite(url).await?,
        Engine::Postgres => {
            let pool = connect(postgres_options(url)).await?;
            (pool.clone(), pool)
        }
    };
    Ok((engine, writer, reader))
}

/// Processes that open a new SQLite file at the same moment collide where it is put into WAL mode, and there the engine
/// says "busy" without waiting: the others look again.
async fn connect(options: ConnectOptions) -> Result<DatabaseConnection, StorageError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let error = match sea_orm::Database::connect(options.clone()).await {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        if !crate::error::is_contention(&error) || Instant::now() >= deadline {
            return Err(StorageError::Unavailable { seam: "database", reason: error.to_string() });
        }
        tokio::time::sleep(BUSY_PAUSE.mul_f64(rand::random())).await;
    }
}

async fn open_sqlite(url: &str) -> Result<(DatabaseConnection, DatabaseConnection), StorageError> {
    let path = sqlite_path(url);
    if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        tokio::fs::create_dir_all(folder)
            .await
            .map_err(|e| StorageError::Config(format!("cannot make {}: {e}", folder.display())))?;
    }
    create(&path)?;
    let writer = connect(sqlite_options(&path, 1, false)).await?;
    let reader = connect(sqlite_options(&path, SQLITE_READERS, true)).await?;
    Ok((writer, reader))
}

/// Makes a file that is not there yet, for its owner alone: it holds secrets. What the engine puts beside it gets its mode. It is not
/// opened: closing it would give up the locks that this process has on it by then.
fn create(path: &Path) -> Result<(), StorageError> {
    match mknod(path, SFlag::S_IFREG, Mode::S_IRUSR | Mode::S_IWUSR, 0) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(error) => {
            let reason = format!("cannot make {}: {error}", path.display());
            Err(StorageError::Unavailable { seam: "database", reason })
        }
    }
}

/// `sqlite:PATH`, `sqlite://PATH`; a query is of no use and dropped.
pub(crate) fn sqlite_path(url: &str) -> PathBuf {
    let rest = url.strip_prefix("sqlite:").unwrap_or(url);
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    PathBuf::from(rest.split_once('?').map_or(rest, |(path, _)| path))
}

/// Whether a connection may be used again. After some failures, such as a full disk, SQLite ends a transaction by itself; the driver,
/// whose rollback fails then, takes whatever comes next for a part of the one before, which nobody ever commits.
fn is_clean(connection: &SqliteConnection) -> bool {
    !connection.is_in_transaction()
}

fn sqlite_options(path: &Path, connections: u32, only_reads: bool) -> ConnectOptions {
    let mut options = ConnectOptions::new("sqlite:");
    let path = path.to_path_buf();
    options
        .max_connections(connections)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(PATIENCE)
        .test_before_acquire(false)
        .sqlx_logging(false)
        .map_sqlx_sqlite_pool_opts(|pool| {
            pool.before_acquire(|connection, _| Box::pin(ready(Ok(is_clean(connection)))))
        })
        .map_sqlx_sqlite_opts(move |_| {
            let options = SqliteConnectOptions::new()
                .filename(&path)
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(PATIENCE)
                .foreign_keys(false)
                .statement_cache_capacity(SQLITE_STATEMENTS)
                .pragma("wal_autocheckpoint", SQLITE_CHECKPOINT_PAGES)
                // What undoes a statement that fails half way is as long as what it changed: not worth a file.
                .pragma("temp_store", "MEMORY");
            let (writes, reads) = SQLITE_CACHE;
            match only_reads {
                true => options.pragma("cache_size", reads).pragma("query_only", "ON"),
                false => options.pragma("cache_size", writes),
            }
        });
    options
}

fn postgres_options(url: &str) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(POSTGRES_PATIENCE)
        .connect_timeout(POSTGRES_PATIENCE)
        .statement_timeout(STATEMENT_TIMEOUT)
        .set_application_name("sluice")
        .sqlx_logging(false);
    options
}

/// A write takes SQLite's only write lock at once: upgrading later fails without waiting.
pub(super) fn write_options(engine: Engine) -> TransactionOptions {
    match engine {
        Engine::Sqlite => TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        },
        Engine::Postgres => TransactionOptions {
            isolation_level: Some(IsolationLevel::Serializable),
            ..TransactionOptions::default()
        },
    }
}

pub(super) fn snapshot_options(engine: Engine) -> TransactionOptions {
    match engine {
        Engine::Sqlite => TransactionOptions::default(),
        Engine::Postgres => TransactionOptions {
            isolation_level: Some(IsolationLevel::RepeatableRead),
            access_mode: Some(AccessMode::ReadOnly),
            ..TransactionOptions::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use sea_orm::{ConnectionTrait, DbBackend, Statement};

    use super::*;

    #[test]
    fn urls_choose_an_engine() {
        assert_eq!(check_url("sqlite:var/sluice.db").unwrap(), Engine::Sqlite);
        assert_eq!(check_url("postgres://a:b@h/db").unwrap(), Engine::Postgres);
        for bad in ["", "sqlite:", "sqlite::memory:", "var/sluice.db", "mysql://h/db"] {
            assert!(matches!(check_url(bad), Err(StorageError::Config(_))), "{bad}");
        }
        assert_eq!(sqlite_path("sqlite:///a/b.db?mode=rwc"), PathBuf::from("/a/b.db"));
        assert_eq!(sqlite_path("sqlite:b.db"), PathBuf::from("b.db"));
    }

    #[tokio::test]
    async fn what_has_a_limit_is_not_planned_anew_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let (_, writer, reader) =
            open(&format!("sqlite:{}", folder.path().join("a.db").display())).await.unwrap();
        for connection in [writer, reader] {
            // How the engine is to be built says `.cargo/config.toml`, to every build of this workspace.
            let asked = "SELECT sqlite_compileoption_used('ENABLE_QPSG') AS used";
            let asked = Statement::from_string(DbBackend::Sqlite, asked);
            let row = connection.query_one_raw(asked).await.unwrap().unwrap();
            assert_eq!(row.try_get::<i64>("", "used").unwrap(), 1);
        }
    }

    #[tokio::test]
    async fn a_new_file_is_its_owners_alone_and_one_that_is_there_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mode = |name: &str| at(name).metadata().unwrap().permissions().mode() & 0o777;
        let url = format!("sqlite:{}", at("a.db").display());
        let (_, writer, reader) = open(&url).await.unwrap();
        writer.execute_unprepared("CREATE TABLE a (n INTEGER)").await.unwrap();
        assert_eq!(["a.db", "a.db-wal", "a.db-shm"].map(mode), [0o600; 3]);
        reader.close_by_ref().await.unwrap();
        writer.close_by_ref().await.unwrap();

        std::fs::set_permissions(at("a.db"), Permissions::from_mode(0o640)).unwrap();
        let (_, writer, _reader) = open(&url).await.unwrap();
        writer.execute_unprepared("INSERT INTO a VALUES (1)").await.unwrap();
        assert_eq!(mode("a.db"), 0o640);
    }

    #[test]
    fn a_refused_url_does_not_repeat_its_password() {
        let error = check_url("mysql://user:hunter2@h/db").unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }
}
