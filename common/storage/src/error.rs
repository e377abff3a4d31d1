//! What can go wrong with storage, sorted by what a caller can do about it.

use sea_orm::{DbErr, RuntimeErr, SqlErr, sqlx};

/// Why a storage operation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The configuration names no engine, or a wrong one: fix it.
    #[error("storage configuration: {0}")]
    Config(String),
    /// The engine cannot be reached or does not answer: try later.
    #[error("{seam} is unavailable: {reason}")]
    Unavailable {
        /// Which seam: `database`, `bus` or `objects`.
        seam: &'static str,
        /// What the engine's client said.
        reason: String,
    },
    /// Others wrote the same rows for as long as this write was retried: try again.
    #[error("too many writers at once")]
    Contended,
    /// The connection broke while committing: the write may or may not have happened. Look before repeating it.
    #[error("it is unknown whether the write was committed: {0}")]
    InDoubt(String),
    /// No space is left (HTTP 507): free some.
    #[error("no space left in {seam}")]
    Full {
        /// Which seam: `database` or `objects`.
        seam: &'static str,
    },
    /// Nothing has this key.
    #[error("not found: {0}")]
    NotFound(String),
    /// The row or object is not in the state that the operation expects (HTTP 409).
    #[error("conflict: {0}")]
    Conflict(String),
    /// The lease was lost: another worker has the job. Stop; nothing of this transaction is kept.
    #[error("the lease was lost")]
    Fenced,
    /// What is stored does not read back as what was written.
    #[error("corrupt: {0}")]
    Corrupt(String),
    /// The engine refused in a way that no caller can mend.
    #[error("{seam}: {reason}")]
    Engine {
        /// Which seam.
        seam: &'static str,
        /// What the engine said.
        reason: String,
    },
}

impl StorageError {
    /// The kind, as a metric's label.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Config(_) => "config",
            Self::Unavailable { .. } => "unavailable",
            Self::Contended => "contended",
            Self::InDoubt(_) => "in_doubt",
            Self::Full { .. } => "full",
            Self::NotFound(_) => "not_found",
            Self::Conflict(_) => "conflict",
            Self::Fenced => "fenced",
            Self::Corrupt(_) => "corrupt",
            Self::Engine { .. } => "engine",
        }
    }

    pub(crate) fn objects(reason: impl std::fmt::Display) -> Self {
        Self::Engine { seam: "objects", reason: reason.to_string() }
    }

    pub(crate) fn bus(reason: impl std::fmt::Display) -> Self {
        Self::Unavailable { seam: "bus", reason: reason.to_string() }
    }
}

const DATABASE: &str = "database";

impl From<DbErr> for StorageError {
    fn from(error: DbErr) -> Self {
        if let Some(SqlErr::UniqueConstraintViolation(what)) = error.sql_err() {
            return Self::Conflict(what);
        }
        if is_contention(&error) {
            return Self::Contended;
        }
        if is_full(&error) {
            return Self::Full { seam: DATABASE };
        }
        let reason = error.to_string();
        match &error {
            DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => Self::Unavailable { seam: DATABASE, reason },
            DbErr::Type(_) | DbErr::Json(_) | DbErr::TryIntoErr { .. } => Self::Corrupt(reason),
            DbErr::RecordNotFound(what) => Self::NotFound(what.clone()),
            _ if lost_connection(&error) => Self::Unavailable { seam: DATABASE, reason },
            _ => Self::Engine { seam: DATABASE, reason },
        }
    }
}

fn driver(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(e))
        | DbErr::Exec(RuntimeErr::SqlxError(e))
        | DbErr::Query(RuntimeErr::SqlxError(e)) => Some(e),
        _ => None,
    }
}

fn code(error: &DbErr) -> Option<std::borrow::Cow<'_, str>> {
    driver(error)?.as_database_error()?.code()
}

/// True when the same transaction, run again, may well succeed: PostgreSQL's serialization failure and deadlock,
/// SQLite's busy and locked with all their extended codes.
pub(crate) fn is_contention(error: &DbErr) -> bool {
    let Some(code) = code(error) else { return false };
    match code.as_ref() {
        "40001" | "40P01" => true,
        text => text.parse::<u32>().is_ok_and(|n| text.len() < 5 && matches!(n & 0xff, 5 | 6)),
    }
}

/// True when the connection went away under the statement.
pub(crate) fn lost_connection(error: &DbErr) -> bool {
    matches!(
        driver(error),
        Some(
            sqlx::Error::Io(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed
        )
    ) || code(error).is_some_and(|c| c.starts_with("57P") || c.starts_with("08"))
}

fn is_full(error: &DbErr) -> bool {
    code(error).is_some_and(|c| c == "53100" || c == "13")
}
