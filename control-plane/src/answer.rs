//! Answers about what is so now.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, HeaderValue};

/// An answer that nobody keeps.
pub(crate) fn fresh(answer: impl IntoResponse) -> Response {
    let mut answer = answer.into_response();
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
