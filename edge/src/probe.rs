//! The question how this edge is, by its public address: answered here, whoever asks and whatever stands in the cache.

use crate::edge::Shared;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use sluice_service::{Body, HttpRequest, HttpResponse};
use sluice_wire::headers::HEALTH_PATH;

/// The answer, if that was the question: 200, or 503 once the edge is about to end.
pub(crate) fn answer(edge: &Shared, request: &HttpRequest) -> Option<HttpResponse> {
    let asked = request.uri().path() == HEALTH_PATH && request.uri().query().is_none();
    if !asked || !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let (status, text) = if edge.drain.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else {
        (StatusCode::OK, "ok\n")
    };
    let mut answer = HttpResponse::new(Body::from(text));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Some(answer)
}
