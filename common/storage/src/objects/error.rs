//! Sorts an object store's errors.

use std::error::Error;
use std::io;

use object_store::Error as StoreError;
use object_store::client::{HttpError, HttpErrorKind};

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
        other if is_transport(&other) || is_refusal(&other) => {
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

/// True when the store answered that it cannot now: that it is overloaded, throttles or has failed. The library's error keeps
/// the status to itself and tells it in words.
fn is_refusal(error: &StoreError) -> bool {
    const WORDS: &str = "Server returned non-2xx status code: ";
    let refusal = |text: &str| {
        let status = text.split_once(WORDS).map(|(_, rest)| rest.get(..3).unwrap_or_default());
        status.is_some_and(|status| status.starts_with('5') || matches!(status, "408" | "429"))
    };
    chain(error).any(|e| refusal(&e.to_string()))
}

/// True when the store did not answer, as far as the error shows.
fn is_transport(error: &StoreError) -> bool {
    let transport = |e: &(dyn Error + 'static)| {
        let http = e.downcast_ref::<HttpError>();
        if http.is_some_and(|e| !matches!(e.kind(), HttpErrorKind::Decode | HttpErrorKind::Unknown)) {
            return true;
        }
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
        let said = |text: &str| StoreError::Generic { store: "test", source: text.into() };
        for (status, later) in [("503: SlowDown", true), ("429", true), ("500", true), ("400: Bad", false)] {
            let error = storage_error(said(&format!("Server returned non-2xx status code: {status}")));
            assert_eq!(matches!(error, StorageError::Unavailable { .. }), later, "{status}");
        }
    }
}
