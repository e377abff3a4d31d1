//! Sorts an object store's errors.

use std::error::Error;
use std::io;

use object_store::Error as StoreError;

use crate::error::StorageError;

/// What S3 servers call a full store in their error bodies.
const FULL_CODES: [&str; 3] = ["XMinioStorageFull", "InsufficientStorage", "QuotaExceeded"];

pub(crate) fn storage_error(error: StoreError) -> StorageError {
    if is_full(&error) {
        return StorageError::Full { seam: "objects" };
    }
    match error {
        StoreError::NotFound { path, .. } => StorageError::NotFound(path),
        StoreError::AlreadyExists { path, .. } | StoreError::Precondition { path, .. } => {
            StorageError::Conflict(path)
        }
        other if is_transport(&other) => {
            StorageError::Unavailable { seam: "objects", reason: other.to_string() }
        }
        other => StorageError::objects(other),
    }
}

/// True when the disk or the quota behind the store is used up, however deep the error says so.
fn is_full(error: &StoreError) -> bool {
    let by_code = |text: &str| FULL_CODES.iter().any(|code| text.contains(code));
    chain(error).any(io_full) || by_code(&error.to_string())
}

pub(super) fn io_full(error: &(dyn Error + 'static)) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|e| matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
}

/// True when the store did not answer, as far as the error shows.
fn is_transport(error: &StoreError) -> bool {
    let transport = |e: &(dyn Error + 'static)| {
        e.downcast_ref::<io::Error>().is_some_and(|e| {
            matches!(
                e.kind(),
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::TimedOut
            )
        })
    };
    chain(error).any(transport)
}

fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |e| (*e).source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_trouble() {
        let wrap = |kind| StoreError::Generic { store: "test", source: Box::new(io::Error::from(kind)) };
        assert!(matches!(storage_error(wrap(io::ErrorKind::StorageFull)), StorageError::Full { .. }));
        assert!(matches!(storage_error(wrap(io::ErrorKind::QuotaExceeded)), StorageError::Full { .. }));
        assert!(matches!(
            storage_error(wrap(io::ErrorKind::ConnectionRefused)),
            StorageError::Unavailable { .. }
        ));
        assert!(matches!(storage_error(wrap(io::ErrorKind::InvalidData)), StorageError::Engine { .. }));
    }
}
