//! Hits by the shortest way: a plain GET for a fresh object that is kept whole, answered with a head that was rendered
//! once.

use crate::cache::{Object, Standing};
use crate::deliver;
use crate::edge::Shared;
use crate::gate;
use crate::metrics::Outcome;
use crate::transform::{self, Accepts, Coding};
use bytes::Bytes;
use http::StatusCode;
use http::header::{AGE, CONTENT_LENGTH};
use prometheus::IntCounter;
use sluice_service::Shortcut;
use sluice_wire::headers::{CACHE_STATUS, REQUEST_ID, SLUICE_NODE};
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

    /// The fields that differ from answer to answer.
    fn fields(&self, object: &Object, ttl: u64, head: &mut Vec<u8>) {
        drop(write!(head, "{AGE}: {}\r\n{CACHE_STATUS}: ", object.age().as_secs()));
        for before in object.head.headers.get_all(CACHE_STATUS) {
            head.extend_from_slice(before.as_bytes());
            head.extend_from_slice(b", ");
        }
        drop(write!(head, "{}; hit; ttl={ttl}\r\n", self.member));
    }
}

impl Shortcut for Hits {
    fn hit(
        &self,
        secure: bool,
        host: &str,
        target: &str,
        accepted: Option<&str>,
        head: &mut Vec<u8>,
    ) -> Option<Bytes> {
        if !gate::is_plain(target) || !gate::is_host(host) {
            return None;
        }
        if !self.edge.access.is_open(target) {
            return None;
        }
        let object = self.edge.tenants.with(host, secure, |tenant| self.edge.store.plain(tenant, target))?;
        let Standing::Fresh(ttl) = object.standing(self.edge.liveness.is_live()) else { return None };
        if object.head.status != StatusCode::OK || self.edge.floors.is_below(&object) {
            return None;
        }
        let plain = object.body.joined()?;
        let varies = self.edge.config.transform.compress
            && object.codable
            && transform::is_worth_coding(plain.len() as u64);
        let (coding, body) = if varies { coded(&object, plain, accepted)? } else { (None, plain) };
        let node = self.edge.config.node.as_str();
        head.extend_from_slice(
            object.rendered(coding, |object| render(object, coding, body.len(), varies, node)),
        );
        self.fields(&object, ttl.as_secs(), head);
        self.hits.inc();
        self.edge.metrics.bytes_out.inc_by(body.len() as u64);
        Some(body)
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

/// Status line and kept fields of one of an object's forms.
fn render(object: &Object, coding: Option<Coding>, length: usize, varies: bool, node: &str) -> Vec<u8> {
    let mut headers = object.head.headers.clone();
    coding.into_iter().for_each(|coding| transform::code_head(&mut headers, coding));
    if varies {
        transform::add_vary(&mut headers);
    }
    let mut text = b"HTTP/1.1 200 OK\r\n".to_vec();
    for (name, value) in headers.iter().filter(|(name, _)| !OWN.contains(&name.as_str())) {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    drop(write!(text, "{CONTENT_LENGTH}: {length}\r\n{SLUICE_NODE}: {node}\r\n"));
    text
}
