//! Tables as the engine itself describes them, and their rows in values that both engines have.

use std::collections::BTreeMap;
use std::fmt::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, Value as Bound};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::StorageError;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Int,
    Bool,
    /// Written by its bits, so that it comes back as it was.
    Real,
    Text,
    Bytes,
}

/// A table and its columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Table {
    pub(super) name: String,
    columns: Vec<(String, Kind)>,
}

const SQLITE: &str = r"SELECT m.name, p.name, p.type FROM sqlite_master m JOIN pragma_table_info(m.name) p
    WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY m.name, p.cid";

const POSTGRES: &str = "SELECT c.table_name::text, c.column_name::text, c.data_type::text
    FROM information_schema.columns c JOIN information_schema.tables t
    ON t.table_schema = c.table_schema AND t.table_name = c.table_name
    WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE'
    ORDER BY c.table_name, c.ordinal_position";

/// What ends the names of tables that say which migrations were applied.
const MIGRATIONS: &str = "_migrations";

/// All tables, but for those that say which migrations were applied; and these migrations.
pub(super) async fn all(
    conn: &impl ConnectionTrait,
) -> Result<(BTreeMap<String, Vec<String>>, Vec<Table>), StorageError> {
    let backend = conn.get_database_backend();
    let sql = if backend == DbBackend::Postgres { POSTGRES } else { SQLITE };
    let mut tables: Vec<Table> = vec![];
    for row in conn.query_all_raw(Statement::from_string(backend, sql)).await? {
        let [table, column, kind]: [String; 3] =
            [row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?];
        let kind =
            Kind::of(&kind).ok_or_else(|| StorageError::Corrupt(format!("{table}.{column} is {kind}")))?;
        match tables.last_mut().filter(|last| last.name == table) {
            Some(last) => last.columns.push((column, kind)),
            None => tables.push(Table { name: table, columns: vec![(column, kind)] }),
        }
    }
    let (lists, tables): (Vec<_>, Vec<_>) =
        tables.into_iter().partition(|table| table.name.ends_with(MIGRATIONS));
    let mut migrations = BTreeMap::new();
    for list in lists {
        let sql = format!("SELECT version FROM \"{}\" ORDER BY version", list.name);
        let rows = conn.query_all_raw(Statement::from_string(backend, sql)).await?;
        let applied: Result<Vec<String>, _> = rows.iter().map(|row| row.try_get_by_index(0)).collect();
        migrations.insert(list.name, applied?);
    }
    Ok((migrations, tables))
}

impl Kind {
    /// By the name that an engine has for it.
    fn of(name: &str) -> Option<Self> {
        let name = name.split('(').next().unwrap_or_default().trim().to_ascii_lowercase();
        Some(match name.as_str() {
            "bigint" | "integer" | "smallint" | "int" => Self::Int,
            "boolean" => Self::Bool,
            "double" | "double precision" | "real" | "float" => Self::Real,
            "text" | "varchar" | "character varying" => Self::Text,
            "blob" | "bytea" => Self::Bytes,
            _ => return None,
        })
    }

    /// A value in the file.
    fn read(self, row: &QueryResult, at: usize) -> Result<Value, StorageError> {
        Ok(match self {
            Self::Int => row.try_get_by_index::<Option<i64>>(at)?.into(),
            Self::Bool => row.try_get_by_index::<Option<bool>>(at)?.into(),
            Self::Real => {
                row.try_get_by_index::<Option<f64>>(at)?.map(|real| format!("{:016x}", real.to_bits())).into()
            }
            Self::Text => row.try_get_by_index::<Option<String>>(at)?.into(),
            Self::Bytes => {
                row.try_get_by_index::<Option<Vec<u8>>>(at)?.map(|bytes| STANDARD.encode(bytes)).into()
            }
        })
    }

    /// The value for a statement, if it is of this kind.
    fn bind(self, value: &Value) -> Option<Bound> {
        let bits = |text: &str| u64::from_str_radix(text, 16).ok().map(f64::from_bits);
        Some(match (self, value) {
            (Self::Int, Value::Null) => None::<i64>.into(),
            (Self::Int, value) => value.as_i64()?.into(),
            (Self::Bool, Value::Null) => None::<bool>.into(),
            (Self::Bool, value) => value.as_bool()?.into(),
            (Self::Real, Value::Null) => None::<f64>.into(),
            (Self::Real, value) => bits(value.as_str()?)?.into(),
            (Self::Text, Value::Null) => None::<String>.into(),
            (Self::Text, value) => value.as_str()?.into(),
            (Self::Bytes, Value::Null) => None::<Vec<u8>>.into(),
            (Self::Bytes, value) => STANDARD.decode(value.as_str()?).ok()?.into(),
        })
    }
}

impl Table {
    /// How many columns it has.
    pub(super) const fn width(&self) -> usize {
        self.columns.len()
    }

    fn names(&self) -> String {
        self.columns.iter().map(|(name, _)| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
    }

    /// The statement that reads it whole. Numbers come in the widest form of their kind.
    pub(super) fn select(&self, backend: DbBackend) -> Statement {
        let column = |(name, kind): &(String, Kind)| match (backend, kind) {
            (DbBackend::Postgres, Kind::Int) => format!("\"{name}\"::bigint"),
            (DbBackend::Postgres, Kind::Real) => format!("\"{name}\"::double precision"),
            _ => format!("\"{name}\""),
        };
        let columns: Vec<String> = self.columns.iter().map(column).collect();
        Statement::from_string(backend, format!("SELECT {} FROM \"{}\"", columns.join(", "), self.name))
    }

    /// A row of what [`select`](Self::select) reads, for the file.
    pub(super) fn read(&self, row: &QueryResult) -> Result<Vec<Value>, StorageError> {
        self.columns.iter().enumerate().map(|(at, (_, kind))| kind.read(row, at)).collect()
    }

    /// The statement that writes rows of the file. `None` when one is not of its columns.
    pub(super) fn insert(&self, backend: DbBackend, rows: &[Vec<Value>]) -> Option<Statement> {
        let mut sql = format!("INSERT INTO \"{}\" ({}) VALUES ", self.name, self.names());
        let mut bound = Vec::with_capacity(rows.len() * self.width());
        for (n, row) in rows.iter().enumerate() {
            if row.len() != self.width() {
                return None;
            }
            sql.push_str(if n == 0 { "(" } else { ", (" });
            for (at, ((_, kind), value)) in self.columns.iter().zip(row).enumerate() {
                bound.push(kind.bind(value)?);
                let comma = if at == 0 { "" } else { ", " };
                // Both engines know numbered parameters, by one sign each.
                let sign = if backend == DbBackend::Postgres { '$' } else { '?' };
                write!(sql, "{comma}{sign}{}", bound.len()).ok()?;
            }
            sql.push(')');
        }
        Some(Statement::from_sql_and_values(backend, sql, bound))
    }
}

/// About how many bytes a row takes in the file.
pub(super) fn weight(row: &[Value]) -> usize {
    row.iter().map(|value| 8 + value.as_str().map_or(0, str::len)).sum()
}
