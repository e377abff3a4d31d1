//! RFC 9457 answers.

use crate::{Body, HttpResponse};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use sluice_wire::{Problem, problem};

/// Renders a problem. Not to be cached unless the caller changes `Cache-Control`.
#[must_use]
pub fn problem_response(problem: Problem) -> HttpResponse {
    let mut answer = HttpResponse::new(Body::from(problem.to_json()));
    *answer.status_mut() = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(problem::CONTENT_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
