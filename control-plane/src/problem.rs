//! Failures of handlers, as problems.

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::RETRY_AFTER;
use sluice_service::problem_response;
use sluice_storage::StorageError;
use sluice_wire::Problem;

/// A failure, as the client reads it.
#[derive(Debug)]
pub(crate) struct Failure(Problem);

impl Failure {
    pub(crate) fn new(status: u16, kind: &str, title: &str, detail: impl Into<String>) -> Self {
        Self(Problem::new(status, kind, title).detail(detail))
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(400, "bad-request", "Bad request", detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(404, "not-found", "Not found", detail)
    }

    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(503, "unavailable", "Unavailable", detail)
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        tracing::warn!(%error, "storage");
        Self::unavailable("the database cannot be reached now; what is known goes on being served")
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let retry = self.0.status == 503;
        let mut answer = problem_response(self.0);
        if retry {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        answer
    }
}
