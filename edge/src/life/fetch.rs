//! Fetching for the cache: a task of its own, from the first parent asked to the last byte stored.

use super::Ask;
use crate::cache::{Filled, Growing, Key, Lifetimes, Object, Permit};
use crate::edge::Shared;
use crate::parent;
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderName, Method, StatusCode};
use http_body_util::BodyExt;
use sluice_service::{Body, HttpRequest, HttpResponse};
use sluice_wire::MediaPath;
use sluice_wire::headers::SLUICE_FLOOR;
use sluice_wire::tag::{Tag, render_versions};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::timeout;

/// Request fields that an answer may vary by and still be shared: a fill leaves them out.
const HARMLESS: [&str; 2] = ["accept-encoding", "origin"];

/// Begins a fill. It goes on whoever of its waiters stays.
pub(super) fn spawn(edge: &Arc<Shared>, permit: Permit, ask: &Ask, stale: Option<Arc<Object>>) {
    let mut headers = parent::fill_headers(edge, &ask.request);
    let tags = stale.as_ref().map_or_else(
        || MediaPath::parse(&ask.target.path).map(|m| m.tags()).unwrap_or_default(),
        |object| object.tags.clone(),
    );
    heed_floors(edge, &tags, ask, &mut headers);
    let fetch = Fetch {
        edge: Arc::clone(edge),
        headers,
        target: ask.target.as_text(),
        parents: parent::of_miss(edge, &ask.target),
        key: ask.key.clone(),
        stale: stale.filter(|object| object.body.is_whole()),
    };
    edge.drain.tasks().spawn(fetch.run(permit));
}

/// Tells the parent which versions are known here: its copy may be older than what this edge has heard of.
fn heed_floors(edge: &Shared, tags: &[Tag], ask: &Ask, headers: &mut HeaderMap) {
    let mut floors = edge.floors.of(tags);
    floors.extend(ask.floors.iter().cloned());
    if let Ok(value) = HeaderValue::from_str(&render_versions(&floors))
        && !floors.is_empty()
    {
        headers.insert(HeaderName::from_static(SLUICE_FLOOR), value);
    }
}

struct Fetch {
    edge: Arc<Shared>,
    headers: HeaderMap,
    target: String,
    parents: Vec<String>,
    key: Key,
    stale: Option<Arc<Object>>,
}

impl Fetch {
    async fn run(self, permit: Permit) {
        let mark = self.edge.floors.mark();
        let Some(answer) = self.answer().await else {
            self.count("failed");
            return permit.fill.settle(Filled::Failed);
        };
        if answer.status() == StatusCode::NOT_MODIFIED
            && let Some(stale) = &self.stale
        {
            self.count("confirmed");
            return self.confirm(&permit, stale, answer.headers(), mark);
        }
        match self.shareable(&answer) {
            Some((lifetimes, length)) => {
                let (head, body) = answer.into_parts();
                let growing = Arc::new(Growing::new(length));
                let object = Object::new(head.status, head.headers, lifetimes, Arc::clone(&growing), mark);
                let object = Arc::new(object);
                self.edge.store.put(self.key.clone(), Arc::clone(&object));
                permit.fill.settle(Filled::Object(Arc::clone(&object)));
                if self.pump(body, &growing).await {
                    self.count("stored");
                } else {
                    self.count("cut");
                    self.edge.store.remove(&self.key, &object);
                }
            }
            None => {
                self.count("not_shared");
                permit.fill.hand_over(answer);
            }
        }
    }

    /// The first answer of a parent that is no failure; else the last failure that was an answer.
    async fn answer(&self) -> Option<HttpResponse> {
        let mut last = None;
        for parent in &self.parents {
            let mut request = HttpRequest::new(Body::empty());
            *request.method_mut() = Method::GET;
            *request.headers_mut() = self.headers.clone();
            if let Some(stale) = &self.stale {
                request.headers_mut().extend(stale.validators());
            }
            match self.edge.parents.ask(parent, request, &self.target).await {
                Ok(answer) if !answer.status().is_server_error() => return Some(answer),
                Ok(answer) => last = Some(answer),
                Err(_) => {}
            }
        }
        // With a kept copy, or for media, a failure is not passed on: the copy or another edge may do.
        last.filter(|_| self.stale.is_none() && !self.target.starts_with("/v/"))
    }

    /// How long an answer may be kept, and its length; `None` when it is for one asker alone.
    fn shareable(&self, answer: &HttpResponse) -> Option<(Lifetimes, u64)> {
        let headers = answer.headers();
        let length = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok())?;
        let varies = Object::vary(headers).iter().any(|name| !HARMLESS.contains(&name.as_str()));
        if varies
            || length > self.edge.config.cache.max_object_bytes
            || headers.contains_key(TRANSFER_ENCODING)
        {
            return None;
        }
        let lifetimes = Lifetimes::of(&self.headers, answer.status(), headers, SystemTime::now()).ok()?;
        Some((lifetimes, length))
    }

    /// A parent confirmed the kept body: its fields are renewed (RFC 9111 section 4.3.4).
    fn confirm(&self, permit: &Permit, stale: &Arc<Object>, news: &HeaderMap, mark: crate::cache::FeedMark) {
        let mut headers = stale.headers.clone();
        for (name, value) in news.iter().filter(|(name, _)| **name != CONTENT_LENGTH) {
            headers.insert(name.clone(), value.clone());
        }
        match Lifetimes::of(&self.headers, stale.status, &headers, SystemTime::now()) {
            Ok(lifetimes) => {
                let object =
                    Arc::new(Object::new(stale.status, headers, lifetimes, Arc::clone(&stale.body), mark));
                self.edge.store.put(self.key.clone(), Arc::clone(&object));
                permit.fill.settle(Filled::Object(object));
            }
            Err(_) => {
                self.edge.store.remove(&self.key, stale);
                permit.fill.settle(Filled::NotShared);
            }
        }
    }

    /// Copies the body, piece by piece. A parent that is silent for too long is cut off: a body that stands still is
    /// worse than one that ends. True when all of it came.
    async fn pump(&self, mut body: Body, growing: &Growing) -> bool {
        let watchdog = Duration::from_millis(self.edge.config.watchdog_ms);
        while !growing.is_whole() {
            match timeout(watchdog, body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    let Ok(piece) = frame.into_data() else { continue };
                    self.edge.metrics.bytes_in.inc_by(piece.len() as u64);
                    if !growing.push(piece) {
                        break;
                    }
                }
                Ok(None) => break,
                Ok(Some(Err(error))) => {
                    tracing::debug!(%error, target = self.target, "a parent's body was cut");
                    break;
                }
                Err(_) => {
                    tracing::debug!(target = self.target, "a parent's body stood still");
                    break;
                }
            }
        }
        growing.end()
    }

    fn count(&self, result: &str) {
        self.edge.metrics.fetches.with_label_values(&[result]).inc();
    }
}
