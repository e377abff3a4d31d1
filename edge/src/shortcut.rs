//! Hits by the shortest way: a plain GET for a fresh object that is kept whole, answered with a head that was rendered
//! once.

use crate::cache::{Object, Rendered, Standing};
use crate::deliver;
use crate::edge::Shared;
use crate::gate;
use crate::metrics::Outcome;
use crate::transform::{self, Accepts, Coding};
use bytes::Bytes;
use http::StatusCode;
use http::header::{AGE, CONTENT_LENGTH, HeaderName, HeaderValue};
use prometheus::IntCounter;
use sluice_service::{Body, HttpResponse, Plain, Shortcut};
use sluice_wire::headers::{CACHE_STATUS, REQUEST_ID, SLUICE_NODE, SLUICE_PLACED};
use sluice_wire::overload::Stage;
use std::io::Write;
use std::sync::Arc;

/// The cache as a shortcut.
pub(crate) struct Hits {
    edge: Arc<Shared>,
    hits: IntCounter,
    /// This node's name in Cache-Status.
    member: String,
}

impl std::fmt::Debug for Hits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hits").finish_non_exhaustive()
    }
}

impl Hits {
    pub(crate) fn new(edge: &Arc<Shared>) -> Self {
        let hits = edge.metrics.requests.with_label_values(&[Outcome::Hit.as_str()]);
        let member = deliver::member_name(&edge.config.node);
        Self { edge: Arc::clone(edge), hits, member }
    }

    /// What is kept for a request, if it may be served as it is.
    fn find(&self, plain: &Plain<'_>) -> Option<Hit> {
        let Plain { secure, host, target, codings } = *plain;
        let busy = self.edge.overload.stage() >= Stage::Brown && target.starts_with("/v/");
        if busy || self.edge.is_leaving() || !gate::is_plain(target) || !gate::is_host(host) {
            return None;
        }
        if !self.edge.access.is_open(target) {
            return None;
        }
        let object = self.edge.tenants.with(host, secure, |tenant| self.edge.store.plain(tenant, target))?;
        let age = object.age();
        let Standing::Fresh(ttl) = object.standing_at(age, self.edge.liveness.is_live()) else { return None };
        if object.guarded || object.head.status != StatusCode::OK || self.edge.floors.is_below(&object) {
            return None;
        }
        let plain = object.body.joined()?;
        let varies = self.edge.live().transform.compress
            && object.codable
            && transform::is_worth_coding(plain.len() as u64);
        let (coding, body) = if varies { coded(&object, plain, codings)? } else { (None, plain) };
        let placed = object.placed(target).and_then(|key| {
            self.edge.count_popular(key);
            self.edge.served(&object, target, body.len() as u64);
            self.edge.placed(key)
        });
        self.hits.inc();
        self.edge.metrics.bytes_out.inc_by(body.len() as u64);
        let (age, ttl) = (age.as_secs(), ttl.as_secs());
        Some(Hit { object, age, ttl, coding, varies, body, placed })
    }

    fn rendered<'h>(&self, hit: &'h Hit) -> &'h Rendered {
        let node = self.edge.config.node.as_str();
        hit.object.rendered(hit.coding, |object| render(object, hit, node))
    }

    /// What the caches before this one said, and what it says itself.
    fn cache_status(&self, hit: &Hit, text: &mut Vec<u8>) {
        for before in hit.object.head.headers.get_all(CACHE_STATUS) {
            text.extend_from_slice(before.as_bytes());
            text.extend_from_slice(b", ");
        }
        drop(write!(text, "{}; hit; ttl={}", self.member, hit.ttl));
    }
}

/// An object that is served as it is, in one of its forms.
struct Hit {
    object: Arc<Object>,
    /// Seconds.
    age: u64,
    /// Seconds for which it is fresh.
    ttl: u64,
    coding: Option<Coding>,
    varies: bool,
    body: Bytes,
    /// Who owns it, if it is media.
    placed: Option<String>,
}

impl Shortcut for Hits {
    fn hit(&self, plain: &Plain<'_>, head: &mut Vec<u8>) -> Option<Bytes> {
        let hit = self.find(plain)?;
        head.extend_from_slice(&self.rendered(&hit).text);
        drop(write!(head, "{AGE}: {}\r\n{CACHE_STATUS}: ", hit.age));
        self.cache_status(&hit, head);
        head.extend_from_slice(b"\r\n");
        if let Some(placed) = &hit.placed {
            drop(write!(head, "{SLUICE_PLACED}: {placed}\r\n"));
        }
        Some(hit.body)
    }

    fn answer(&self, plain: &Plain<'_>) -> Option<HttpResponse> {
        let hit = self.find(plain)?;
        let mut headers = self.rendered(&hit).fields.clone();
        let mut status = Vec::with_capacity(64);
        self.cache_status(&hit, &mut status);
        headers.insert(AGE, hit.age.into());
        headers.insert(
            HeaderName::from_static(CACHE_STATUS),
            HeaderValue::from_maybe_shared(Bytes::from(status)).ok()?,
        );
        if let Some(placed) = hit.placed.and_then(|placed| HeaderValue::from_str(&placed).ok()) {
            headers.insert(HeaderName::from_static(SLUICE_PLACED), placed);
        }
        let mut answer = HttpResponse::new(Body::from(hit.body));
        *answer.headers_mut() = headers;
        Some(answer)
    }
}

/// The form that is wanted: the plain one too when no other is worth having. `None` when one is still to be made.
fn coded(object: &Object, plain: Bytes, accepted: Option<&str>) -> Option<(Option<Coding>, Bytes)> {
    match accepted.and_then(|accepted| Accepts::read([accepted].into_iter()).best()) {
        None => Some((None, plain)),
        Some(coding) => match object.body.forms().ready(coding)? {
            Some(form) => Some((Some(coding), form)),
            None => Some((None, plain)),
        },
    }
}

/// Fields that are an answer's own.
const OWN: [&str; 5] = ["age", CACHE_STATUS, "content-length", REQUEST_ID, SLUICE_NODE];

/// The head of one of an object's forms.
fn render(object: &Object, hit: &Hit, node: &str) -> Rendered {
    let mut fields = object.head.headers.clone();
    hit.coding.into_iter().for_each(|coding| transform::code_head(&mut fields, coding));
    if hit.varies {
        transform::add_vary(&mut fields);
    }
    OWN.iter().for_each(|name| drop(fields.remove(*name)));
    fields.insert(CONTENT_LENGTH, hit.body.len().into());
    if let Ok(node) = HeaderValue::from_str(node) {
        fields.insert(HeaderName::from_static(SLUICE_NODE), node);
    }
    let mut text = b"HTTP/1.1 200 OK\r\n".to_vec();
    for (name, value) in &fields {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    // Their places, so that a copy need not grow.
    for name in [AGE, HeaderName::from_static(CACHE_STATUS), HeaderName::from_static(REQUEST_ID)] {
        fields.insert(name, HeaderValue::from_static(""));
    }
    Rendered { text, fields }
}
