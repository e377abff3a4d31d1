//! Answers out of an object: conditions, ranges, age, and what the cache did.

use crate::cache::{Object, parse_date};
use crate::parent::append;
use crate::ranges;
use crate::transform::{self, Chosen, Coding};
use bytes::Bytes;
use http::header::{
    AGE, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE,
};
use http::{Method, StatusCode};
use sluice_service::{Body, HttpResponse};
use sluice_wire::NodeId;
use sluice_wire::conditions;
use sluice_wire::headers::{CACHE_STATUS, SLUICE_NODE};
use std::sync::Arc;
use std::time::Duration;

/// What the cache did for an answer (RFC 9211).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Served {
    /// Kept and fresh for this long.
    Hit(Duration),
    /// Kept, served though it is stale.
    Stale,
    /// Fetched for this request.
    Fetched {
        /// Why it went forward, as RFC 9211 section 2.2 calls it.
        why: &'static str,
        /// Another request's fetch served this one too.
        collapsed: bool,
        /// It is kept for the next.
        stored: bool,
    },
}

/// Answers a request out of an object.
pub(crate) fn answer(
    node: &NodeId,
    method: &Method,
    asked: &HeaderMap,
    object: &Arc<Object>,
    form: Chosen,
    served: Served,
) -> HttpResponse {
    let varies = form.varies;
    let mut answer = if let Some(coding) = confirmed(asked, object, &form) {
        let mut answer = head(object, StatusCode::NOT_MODIFIED);
        if let Some(coding) = coding {
            transform::code_head(answer.headers_mut(), coding);
        }
        // Neither is for a cache to update (RFC 9111 section 3.2).
        [CONTENT_LENGTH, CONTENT_ENCODING].iter().for_each(|name| drop(answer.headers_mut().remove(name)));
        answer
    } else {
        match (part_asked(method, asked, object), form.coded) {
            (Some((range, length)), _) => ranges::answer(range, length, object),
            (None, Some((coding, bytes))) => coded(method, object, coding, bytes),
            (None, None) => whole(method, object),
        }
    };
    let headers = answer.headers_mut();
    if varies {
        transform::add_vary(headers);
    }
    let age = if served == Served::Stale { object.age_when_stale() } else { object.age() };
    headers.insert(AGE, HeaderValue::from(age.as_secs()));
    label(headers, node, &member(served, object));
    answer
}

/// The form that the asker has and may go on using, if it has one: the plain one or a coded one. RFC 9110 section
/// 13.2.2: If-None-Match goes before If-Modified-Since.
fn confirmed(asked: &HeaderMap, object: &Object, form: &Chosen) -> Option<Option<Coding>> {
    if object.head.status != StatusCode::OK {
        return None;
    }
    let chosen = form.coded.as_ref().map(|(coding, _)| *coding);
    if asked.contains_key(IF_NONE_MATCH) {
        let etag = text(&object.head.headers, ETAG)?;
        let knows = |coding: &Option<Coding>| {
            let tag =
                coding.map_or_else(|| Some(etag.to_owned()), |coding| transform::coded_tag(etag, coding));
            let known = asked.get_all(IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok());
            tag.is_some_and(|tag| known.into_iter().any(|known| conditions::none_match(known, &tag)))
        };
        let others = Coding::ALL.into_iter().filter(|coding| form.accepts.takes(*coding)).map(Some);
        return [chosen, None].into_iter().chain(others).find(knows);
    }
    let date = |headers, name| parse_date(text(headers, name)?);
    match (date(asked, IF_MODIFIED_SINCE), date(&object.head.headers, LAST_MODIFIED)) {
        (Some(since), Some(modified)) if modified <= since => Some(chosen),
        _ => None,
    }
}

/// The `Range` field that counts, and the length it is about: of a GET for a whole 200 whose length is known, when
/// `If-Range` names this very representation (RFC 9110 section 13.1.5).
fn part_asked<'a>(method: &Method, asked: &'a HeaderMap, object: &Object) -> Option<(&'a str, u64)> {
    let range = text(asked, RANGE)?;
    let counts = *method == Method::GET && object.head.status == StatusCode::OK;
    (counts && is_same(asked, object)).then_some((range, object.body.length()?))
}

/// The first byte that an answer to a request brings out of an object of a known length.
pub(crate) fn first_byte(asked: &HeaderMap, object: &Object) -> u64 {
    let parts =
        part_asked(&Method::GET, asked, object).map(|(range, length)| conditions::parts(range, length));
    match parts.as_deref() {
        Some([conditions::Part::Bytes(from, _), ..]) => *from,
        _ => 0,
    }
}

fn is_same(asked: &HeaderMap, object: &Object) -> bool {
    let own = |name| text(&object.head.headers, name);
    asked.get(IF_RANGE).is_none_or(|known| match known.to_str() {
        Ok(tag) if tag.starts_with('"') => own(ETAG) == Some(tag),
        Ok(weak) if weak.starts_with("W/") => false,
        Ok(date) => parse_date(date).is_some() && own(LAST_MODIFIED) == Some(date),
        Err(_) => false,
    })
}

fn whole(method: &Method, object: &Arc<Object>) -> HttpResponse {
    let mut answer = head(object, object.head.status);
    let bodiless = matches!(object.head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if let Some(length) = object.body.length().filter(|_| !bodiless) {
        answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if *method != Method::HEAD {
        *answer.body_mut() = match object.body.joined() {
            Some(bytes) => Body::from(bytes),
            None => Body::from_stream(object.read(0, object.body.length().unwrap_or(u64::MAX))),
        };
        if let Some(length) = object.body.length() {
            send_of_file(&mut answer, object, 0, length);
        }
    }
    answer
}

/// Has a part of an object that is on disk sent from there, where that can be.
pub(crate) fn send_of_file(answer: &mut HttpResponse, object: &Object, from: u64, to: u64) {
    if let Some(part) = object.body.on_disk().and_then(|recorded| recorded.in_file(from, to)) {
        answer.extensions_mut().insert(part);
    }
}

/// A coded form, whole.
fn coded(method: &Method, object: &Object, coding: Coding, bytes: Bytes) -> HttpResponse {
    let mut answer = head(object, object.head.status);
    transform::code_head(answer.headers_mut(), coding);
    answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    if *method != Method::HEAD {
        *answer.body_mut() = Body::from(bytes);
    }
    answer
}

/// The head of an answer out of an object.
pub(crate) fn head(object: &Object, status: StatusCode) -> HttpResponse {
    let mut answer = HttpResponse::new(Body::empty());
    *answer.status_mut() = status;
    *answer.headers_mut() = object.head.headers.clone();
    answer
}

fn member(served: Served, object: &Object) -> String {
    match served {
        Served::Hit(ttl) if object.body.on_disk().is_some() => {
            format!("hit; ttl={}; detail=disk", ttl.as_secs())
        }
        Served::Hit(ttl) => format!("hit; ttl={}", ttl.as_secs()),
        Served::Stale => "hit; fwd=stale; detail=served-stale".into(),
        Served::Fetched { why, collapsed, stored } => {
            let stored = if stored { "; stored" } else { "" };
            format!("fwd={why}{stored}{}", if collapsed { "; collapsed" } else { "" })
        }
    }
}

/// Says which node answered and what its cache did: one member of Cache-Status a hop.
pub(crate) fn label(headers: &mut HeaderMap, node: &NodeId, member: &str) {
    let name = member_name(node);
    append(headers, HeaderName::from_static(CACHE_STATUS), &format!("{name}; {member}"));
    if let Ok(value) = HeaderValue::from_str(node.as_str()) {
        headers.insert(HeaderName::from_static(SLUICE_NODE), value);
    }
}

/// A node's name in Cache-Status: a structured-field token begins with a letter; other names are strings (RFC 8941).
pub(crate) fn member_name(node: &NodeId) -> String {
    let begins = node.as_str().starts_with(|c: char| c.is_ascii_alphabetic());
    if begins { node.to_string() } else { format!("\"{node}\"") }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|v| v.to_str().ok())
}
