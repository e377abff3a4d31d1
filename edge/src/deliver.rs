//! Answers out of an object: conditions, ranges, age, and what the cache did.

use crate::cache::Object;
use crate::parent::append;
use http::header::{
    AGE, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE,
};
use http::{Method, StatusCode};
use sluice_service::{Body, HttpResponse, problem_response};
use sluice_wire::conditions::{self, Part};
use sluice_wire::headers::{CACHE_STATUS, SLUICE_NODE};
use sluice_wire::{NodeId, Problem};
use std::sync::Arc;
use std::time::Duration;

/// What the cache did for an answer (RFC 9211).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Served {
    /// Kept and fresh for this long.
    Hit(Duration),
    /// Kept, served though it is stale.
    Stale,
    /// Fetched for this request; `revalidated` when a kept body was confirmed.
    Fetched {
        /// Another request's fetch served this one too.
        collapsed: bool,
        /// A kept one was stale.
        was_stale: bool,
    },
}

/// Answers a request out of an object.
pub(crate) fn answer(
    node: &NodeId,
    method: &Method,
    asked: &HeaderMap,
    object: &Arc<Object>,
    served: Served,
) -> HttpResponse {
    let field = |name: HeaderName| asked.get(name).and_then(|v| v.to_str().ok());
    let own = |name: HeaderName| object.headers.get(name).and_then(|v| v.to_str().ok());
    let mut answer = if not_modified(field, own, object.status) {
        let mut answer = head(object, StatusCode::NOT_MODIFIED);
        answer.headers_mut().remove(CONTENT_LENGTH);
        answer
    } else {
        let same = field(IF_RANGE).is_none_or(|tag| own(ETAG) == Some(tag) && !tag.starts_with("W/"));
        let range =
            field(RANGE).filter(|_| same && object.status == StatusCode::OK && *method == Method::GET);
        let length = object.body.length();
        match range.map_or(Part::Whole, |range| conditions::part(range, length)) {
            Part::Unsatisfiable => unsatisfiable(length),
            Part::Bytes(from, to) => {
                let mut part = head(object, StatusCode::PARTIAL_CONTENT);
                *part.body_mut() = Body::from_stream(object.body.read(from, to));
                let headers = part.headers_mut();
                headers.insert(CONTENT_LENGTH, HeaderValue::from(to - from));
                set(headers, CONTENT_RANGE, &format!("bytes {from}-{}/{length}", to - 1));
                part
            }
            Part::Whole => whole(method, object),
        }
    };
    let headers = answer.headers_mut();
    headers.insert(AGE, HeaderValue::from(object.age().as_secs()));
    label(headers, node, &member(served));
    answer
}

/// RFC 9110 section 13.2.2: If-None-Match goes before If-Modified-Since.
fn not_modified<'a>(
    field: impl Fn(HeaderName) -> Option<&'a str>,
    own: impl Fn(HeaderName) -> Option<&'a str>,
    status: StatusCode,
) -> bool {
    if status != StatusCode::OK {
        return false;
    }
    if let Some(known) = field(IF_NONE_MATCH) {
        return own(ETAG).is_some_and(|etag| conditions::none_match(known, etag));
    }
    let date = |text: Option<&str>| httpdate::parse_http_date(text?).ok();
    match (date(field(IF_MODIFIED_SINCE)), date(own(LAST_MODIFIED))) {
        (Some(since), Some(modified)) => modified <= since,
        _ => false,
    }
}

fn whole(method: &Method, object: &Arc<Object>) -> HttpResponse {
    let mut answer = head(object, object.status);
    answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(object.body.length()));
    if *method != Method::HEAD {
        *answer.body_mut() = match object.body.joined() {
            Some(bytes) => Body::from(bytes),
            None => Body::from_stream(object.body.read(0, object.body.length())),
        };
    }
    answer
}

fn head(object: &Object, status: StatusCode) -> HttpResponse {
    let mut answer = HttpResponse::new(Body::empty());
    *answer.status_mut() = status;
    *answer.headers_mut() = object.headers.clone();
    answer
}

fn unsatisfiable(length: u64) -> HttpResponse {
    let problem =
        Problem::new(416, "range", "Range not satisfiable").detail(format!("it has {length} bytes"));
    let mut answer = problem_response(problem);
    set(answer.headers_mut(), CONTENT_RANGE, &format!("bytes */{length}"));
    answer
}

fn member(served: Served) -> String {
    match served {
        Served::Hit(ttl) => format!("hit; ttl={}", ttl.as_secs()),
        Served::Stale => "hit; fwd=stale; detail=served-stale".into(),
        Served::Fetched { collapsed, was_stale } => {
            let why = if was_stale { "stale" } else { "miss" };
            format!("fwd={why}; stored{}", if collapsed { "; collapsed" } else { "" })
        }
    }
}

/// Says which node answered and what its cache did: one member of Cache-Status a hop.
pub(crate) fn label(headers: &mut HeaderMap, node: &NodeId, member: &str) {
    // A structured-field token begins with a letter; other names are strings (RFC 8941).
    let begins = node.as_str().starts_with(|c: char| c.is_ascii_alphabetic());
    let name = if begins { node.to_string() } else { format!("\"{node}\"") };
    append(headers, HeaderName::from_static(CACHE_STATUS), &format!("{name}; {member}"));
    set(headers, HeaderName::from_static(SLUICE_NODE), node.as_str());
}

fn set(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}
