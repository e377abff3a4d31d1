//! Failures of handlers.

use crate::accounts::CHALLENGE;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, RETRY_AFTER};
use sluice_service::problem_response;
use sluice_storage::StorageError;
use sluice_storage::rows::sea_orm::DbErr;
use sluice_wire::Problem;

/// A failure, as the client reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError(pub Problem);

impl ApiError {
    /// A failure of a kind, with its HTTP status and fixed title.
    #[must_use]
    pub fn new(status: u16, kind: &str, title: &str, detail: impl Into<String>) -> Self {
        Self(Problem::new(status, kind, title).detail(detail))
    }

    /// 404.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(404, "not-found", "Not found", detail)
    }

    /// 400.
    #[must_use]
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(400, "bad-request", "Bad request", detail)
    }

    /// 409.
    #[must_use]
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(409, "conflict", "Conflict", detail)
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        match &error {
            StorageError::NotFound(what) => Self::not_found(what.clone()),
            StorageError::Conflict(what) => Self::conflict(what.clone()),
            StorageError::Full { .. } => Self::new(
                507,
                "storage-full",
                "Storage full",
                "there is no room for this; nothing of it was kept",
            ),
            StorageError::Unavailable { .. } | StorageError::Contended => {
                tracing::warn!(%error, "storage is unavailable");
                Self::new(503, "unavailable", "Unavailable", "the store cannot be reached now; try again")
            }
            _ => {
                tracing::error!(%error, "storage failed");
                Self::new(500, "internal", "Internal error", "the store failed; the log says how")
            }
        }
    }
}

impl From<DbErr> for ApiError {
    fn from(error: DbErr) -> Self {
        StorageError::from(error).into()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.0.status;
        let mut answer = problem_response(self.0);
        if status == 503 {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        } else if status == 401 {
            let (name, value) = CHALLENGE;
            answer.headers_mut().insert(name, HeaderValue::from_static(value));
        } else if status == 404 {
            // A second of negative caching: a flood for something absent costs one question a second.
            answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=1"));
        }
        answer
    }
}
