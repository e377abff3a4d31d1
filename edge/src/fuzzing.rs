//! What the readers of this crate are held to, whatever the bytes: fuzz targets, each a function of bytes that panics when
//! something does not hold. An edge never calls them.

pub use crate::access::fuzzing::credentials;

use crate::cache::search::{NO_VARY_SEARCH, Variance};
use crate::cache::{
    Directives, FeedMark, Growing, Head, Lifetimes, Object, Policy, Scope, Standing, selection, slicing,
    vary_fields,
};
use crate::{deliver, gate};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, VARY};
use http::{Method, StatusCode};
use sluice_service::{Body, HttpRequest};
use sluice_wire::NodeId;
use sluice_wire::conditions::{Part, part};
use sluice_wire::headers::CACHE_STATUS;
use sluice_wire::limits::MAX_TRIED;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// Fields, one a line; what is none is passed over.
fn fields(bytes: &[u8]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some(at) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (line.get(..at).unwrap_or_default(), line.get(at + 1..).unwrap_or_default());
        let read = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value.trim_ascii()));
        if let (Ok(name), Ok(value)) = read {
            fields.append(name, value);
        }
    }
    fields
}

/// A target is refused or has one spelling, in which it is let in again; what is plain is spelt as it is.
pub fn target(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(spelled) = gate::spelled(&text) {
        assert_eq!(gate::spelled(&spelled).as_ref(), Some(&spelled));
        let path = spelled.split('?').next().unwrap_or_default();
        assert!(path.starts_with('/') && !path.contains("//") && !path.contains("%00"), "{path}");
        assert!(path.split('/').all(|segment| segment != "." && segment != ".."), "{path}");
    }
    if gate::is_plain(&text) {
        assert_eq!(gate::spelled(&text).as_deref(), Some(&*text));
    }
    let asked = |uri: &str| {
        let request = http::Request::builder().method(Method::GET).uri(uri).header(HOST, "h");
        let request: HttpRequest = request.body(Body::empty()).ok()?;
        gate::target(&request, &[]).ok()
    };
    if let Some(target) = asked(&text) {
        assert!(target.tried.len() <= MAX_TRIED);
        let again = asked(&target.as_text()).map(|again| (again.path, again.query));
        assert_eq!(again, Some((target.path, target.query)), "what a parent is asked for");
    }
}

/// What ends at a hop is removed; what decides on who gets what is not, whatever `Connection` names.
pub fn hops(bytes: &[u8]) {
    let before = fields(bytes);
    let mut after = before.clone();
    gate::remove_hop_by_hop(&mut after);
    assert!(gate::HOP_BY_HOP.iter().all(|name| !after.contains_key(*name)));
    for name in gate::PROTECTED {
        assert!(before.get_all(name).iter().eq(after.get_all(name).iter()), "{name}");
    }
    let named = |name: &HeaderName| {
        before.get_all(CONNECTION).iter().any(|line| {
            let line = line.as_bytes().to_ascii_lowercase();
            line.windows(name.as_str().len()).any(|word| word == name.as_str().as_bytes())
        })
    };
    let ends = |name: &HeaderName| gate::HOP_BY_HOP.contains(&name.as_str()) || named(name);
    assert!(before.keys().all(|name| after.contains_key(name) || ends(name)), "nothing else is removed");
}

/// The first slice that is fetched for a range is one that the range needs.
pub fn ranges(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (range, size) = text.split_once('\n').unwrap_or((&text, "1000"));
    let size = size.trim().parse::<u64>().unwrap_or(1_000);
    for slice in [1, 4 << 10, 1 << 20] {
        let first = slicing::first_of(range, slice);
        if let (Part::Bytes(from, to), Some(index)) = (part(range, size), first) {
            let (begin, end) = slicing::bounds(index, slice, size);
            let suffix = range.split_once('=').is_some_and(|(_, spec)| spec.trim().starts_with('-'));
            assert!(suffix || (begin <= from && from < end), "slice {index} for {from}..{to}");
            let some =
                slicing::pieces(from, to, slice).take(3).all(|(_, begin, end)| begin < end && end <= slice);
            assert!(some);
        }
    }
}

/// The first line is a status, the others are fields. An answer is kept only when nothing forbids it, and whatever its
/// times say, it can be told at any moment how it stands.
pub fn cache_control(bytes: &[u8]) {
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let status = StatusCode::from_bytes(first).unwrap_or(StatusCode::OK);
    let (headers, policy) = (
        fields(bytes),
        Policy {
            keep_cookies: false,
            when_disconnected: Duration::from_secs(60),
            negative: Duration::from_secs(1),
        },
    );
    let said = Directives::of(&headers, CACHE_CONTROL.as_str());
    let mut more = headers.clone();
    more.append(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    assert!(Directives::of(&more, CACHE_CONTROL.as_str()).no_store, "a line of its own counts");
    more.remove(CACHE_CONTROL);
    more.insert(CACHE_CONTROL, HeaderValue::from_static("private"));
    let of =
        |headers: &HeaderMap| Lifetimes::of(&HeaderMap::new(), status, headers, SystemTime::now(), policy);
    let targeted =
        ["cdn-cache-control", "sluice-cache-control"].iter().any(|name| headers.contains_key(*name));
    assert!(targeted || of(&more).is_err(), "private is not kept");
    let Ok(lifetimes) = of(&headers) else { return };
    assert!(targeted || said.private != Scope::Answer);
    assert!(!headers.contains_key(http::header::SET_COOKIE));
    let head = Head { status, headers, lifetimes, varies: (vec![], String::new()) };
    let object = Object::new(head, Arc::new(Growing::whole(Bytes::new())), FeedMark::default());
    for live in [true, false] {
        let softened = object.softened(Instant::now(), live);
        assert!(!matches!(softened, Standing::Fresh(_)), "it was purged");
        if let Standing::Fresh(left) = object.standing(live) {
            assert!(left <= lifetimes.window(live).fresh);
        }
    }
    assert!(object.age_when_stale() >= object.age().saturating_sub(Duration::from_secs(1)));
}

/// The request's fields after an empty line. What selects a variant is a function of meaning: lines joined, fields
/// renamed in case and the harmless ones changed select the same.
pub fn vary(bytes: &[u8]) {
    let at = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap_or(bytes.len());
    let (answer, request) = (fields(&bytes[..at]), fields(&bytes[at..]));
    let Some(by) = vary_fields(&answer) else { return };
    assert!(by.is_sorted_by(|a, b| a.as_str() < b.as_str()), "each once, in order");
    let text = selection(&by, &request);
    assert_eq!(text.matches('\n').count(), by.len(), "no value ends a line");
    let mut other = request.clone();
    other.insert("accept-encoding", HeaderValue::from_static("zstd"));
    assert_eq!(selection(&by, &other), text);
    for name in &by {
        let readable = request.get_all(name).iter().all(|line| line.to_str().is_ok());
        let lines: Vec<&[u8]> = request.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        if let (true, Ok(joined)) =
            (lines.len() > 1 && readable, HeaderValue::from_bytes(&lines.join(&b","[..])))
        {
            other.insert(name, joined);
        }
    }
    assert_eq!(selection(&by, &other), text, "several lines are one list");
    let mut again = HeaderMap::new();
    by.iter().for_each(|name| _ = again.append(VARY, HeaderValue::from(name.clone())));
    assert_eq!(vary_fields(&again), Some(by));
}

/// What an edge adds to a parent's Cache-Status leaves a list a list (RFC 9211), its own word the last.
pub fn cache_status(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (name, before) = text.split_once('\n').unwrap_or((&text, ""));
    let Ok(node) = NodeId::new(name) else { return };
    let mut headers = HeaderMap::new();
    if let Ok(before) = HeaderValue::from_str(before) {
        headers.insert(CACHE_STATUS, before);
    }
    let members = |headers: &HeaderMap| {
        let lines: Vec<&[u8]> = headers.get_all(CACHE_STATUS).iter().map(HeaderValue::as_bytes).collect();
        sfv::Parser::new(&lines.join(&b", "[..])).parse::<sfv::List>().ok()
    };
    let Some(before) = members(&headers) else { return };
    deliver::label(&mut headers, &node, "fwd=uri-miss; stored");
    let after = members(&headers).unwrap_or_default();
    assert_eq!(after.len(), before.len() + 1);
    assert_eq!(after.get(..before.len()), Some(&before[..]));
    let own = match after.last() {
        Some(sfv::ListEntry::Item(item)) => match &item.bare_item {
            sfv::BareItem::Token(token) => token.as_str().to_owned(),
            sfv::BareItem::String(text) => text.as_str().to_owned(),
            _ => String::new(),
        },
        _ => String::new(),
    };
    assert_eq!(own, name);
}

/// Two queries after the field. Classes are classes: a canonical query is its own, is no longer than what it may be, and
/// neither an empty pair nor what does not count makes another.
pub fn no_vary_search(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.splitn(3, '\n');
    let mut next = || lines.next().unwrap_or_default();
    let (field, a, b) = (next(), next(), next());
    let mut headers = HeaderMap::new();
    let Ok(value) = HeaderValue::from_str(field) else { return };
    headers.insert(NO_VARY_SEARCH, value);
    let Some(variance) = Variance::of(&headers) else { return };
    assert_eq!(Variance::of(&headers).as_ref(), Some(&variance));
    let of = |query: &str| variance.canonical(Some(query));
    for query in [a, b] {
        let once = of(query);
        assert_eq!(variance.canonical(once.as_deref()), once, "{query}");
        assert_eq!(of(&format!("&{query}&&")), once, "{query}");
        assert!(once.is_none_or(|once| once.is_ascii() && !once.contains(['\n', '#', ' '])), "{query}");
    }
    assert_eq!(variance.canonical(None), None);
    // A class is kept when the same is added on both sides.
    if of(a) == of(b) {
        assert_eq!(of(&format!("{a}&z=1")), of(&format!("{b}&z=1")), "{a} {b}");
    }
}
