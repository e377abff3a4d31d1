//! What of a representation is given to who asks: all of it, a part, or the word that it is known already (RFC 9110, sections 13 and 14).

use std::ops::Range;

use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT_RANGES, CONTENT_RANGE, ETAG, HeaderValue, IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderName, StatusCode};
use sluice_wire::conditions::{self, Part};

use crate::ApiError;

/// An answer with a representation of `size` bytes under a strong `etag` (with its quotes): 200 or 206 with what `body` gives of it, 304
/// without, with `ETag` and `Accept-Ranges`; or 416, a problem with `Content-Range` alone.
///
/// # Errors
/// What `body` says.
pub async fn given(
    asked: &HeaderMap,
    etag: &str,
    size: u64,
    body: impl AsyncFnOnce(Range<u64>) -> Result<Response, ApiError>,
) -> Result<Response, ApiError> {
    let field = |name: HeaderName| asked.get(name).and_then(|v| v.to_str().ok());
    // A range is of the representation that If-Range names, or there is none (RFC 9110 section 13.1.5).
    let range = field(RANGE).filter(|_| field(IF_RANGE).is_none_or(|tag| tag == etag));
    let part = range.map_or(Part::Whole, |range| conditions::part(range, size));
    let mut answer = if field(IF_NONE_MATCH).is_some_and(|known| conditions::none_match(known, etag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        match part {
            Part::Unsatisfiable => return Ok(refused(size)),
            Part::Whole => body(0..size).await?,
            Part::Bytes(from, to) => {
                let mut partial = body(from..to).await?;
                *partial.status_mut() = StatusCode::PARTIAL_CONTENT;
                let range = value(&format!("bytes {from}-{}/{size}", to - 1));
                partial.headers_mut().insert(CONTENT_RANGE, range);
                partial
            }
        }
    };
    answer.headers_mut().insert(ETAG, value(etag));
    answer.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    Ok(answer)
}

fn refused(size: u64) -> Response {
    let detail = format!("it has {size} bytes");
    let mut refused = ApiError::new(416, "range", "Range not satisfiable", detail).into_response();
    refused.headers_mut().insert(CONTENT_RANGE, value(&format!("bytes */{size}")));
    refused
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}
