//! Between columns and values. Columns are signed 64-bit, text or bytes on every engine.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::StorageError;

/// A count as a column stores it. Counts above 2^63 - 1 do not occur; they are capped there.
#[must_use]
pub fn signed(value: impl Into<u64>) -> i64 {
    i64::try_from(value.into()).unwrap_or(i64::MAX)
}

/// A column that is never negative.
///
/// # Errors
/// [`StorageError::Corrupt`] when it is not.
pub fn unsigned(column: &'static str, value: i64) -> Result<u64, StorageError> {
    u64::try_from(value).map_err(|_| StorageError::Corrupt(format!("{column} is {value}")))
}

/// A column that fits 32 bits.
///
/// # Errors
/// [`StorageError::Corrupt`] when it is not.
pub fn unsigned32(column: &'static str, value: i64) -> Result<u32, StorageError> {
    u32::try_from(value).map_err(|_| StorageError::Corrupt(format!("{column} is {value}")))
}

/// A name out of a closed list.
///
/// # Errors
/// [`StorageError::Corrupt`] when it is not.
pub fn flag<T>(
    column: &'static str,
    name: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, StorageError> {
    parse(name).ok_or_else(|| StorageError::Corrupt(format!("{column} is {name:?}")))
}

/// A value as JSON text.
///
/// # Errors
/// [`StorageError::Corrupt`] when it is not.
pub fn to_json(value: &impl Serialize) -> Result<String, StorageError> {
    serde_json::to_string(value).map_err(|e| StorageError::Corrupt(format!("not JSON: {e}")))
}

/// A value out of JSON text.
///
/// # Errors
/// [`StorageError::Corrupt`] when it is not.
pub fn from_json<T: DeserializeOwned>(column: &'static str, text: &str) -> Result<T, StorageError> {
    serde_json::from_str(text).map_err(|e| StorageError::Corrupt(format!("{column}: {e}")))
}
