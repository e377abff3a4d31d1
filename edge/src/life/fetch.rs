//! Fetching for the cache: a task of its own, from the first parent asked to the last byte stored.

use super::Ask;
use crate::cache::slicing::Sliced;
use crate::cache::{
    FeedMark, Filled, Growing, Head, Key, Lifetimes, Object, Permit, selection, varies_by, vary_fields,
};
use crate::edge::Shared;
use crate::gate::{self, Target};
use crate::parent::{self, NoAnswer};
use crate::siblings;
use crate::streams;
use crate::tenant::Tenant;
use http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, COOKIE,
    HeaderMap, HeaderValue, ORIGIN, RANGE,
};
use http::{HeaderName, Method, StatusCode};
use sluice_service::{Body, HttpResponse, Interim};
use sluice_wire::headers::{SLUICE_ASSEMBLE, SLUICE_FLOOR, SLUICE_SEEN};
use sluice_wire::tag::{Tag, render_versions};
use sluice_wire::{MediaPath, Tier};
use std::sync::Arc;
use std::time::SystemTime;
use tokio::time::timeout;

/// Begins a fill. It goes on whoever of its waiters stays.
pub(super) fn spawn(
    edge: &Arc<Shared>,
    permit: Permit,
    ask: &Ask,
    stale: Option<Arc<Object>>,
    slice: Option<Slice>,
) {
    let mut headers = parent::fill_headers(edge, &ask.request, &ask.tenant);
    let tags = stale.as_ref().map_or_else(
        || MediaPath::parse(&ask.target.path).map(|m| m.tags()).unwrap_or_default(),
        |object| object.tags.clone(),
    );
    heed_floors(edge, &tags, ask, &mut headers);
    if let Some(range) = slice.as_ref().and_then(Slice::range) {
        headers.insert(RANGE, range);
    }
    let target = ask.target.as_text();
    permit.fill.begin(&target, headers.contains_key(COOKIE));
    let from_edge = gate::is_from_edge(ask.request.headers());
    let siblings = siblings::of_miss(edge, &ask.target, &ask.tenant, from_edge);
    let fetch = Fetch {
        edge: Arc::clone(edge),
        method: Method::GET,
        headers,
        selecting: ask.request.headers().clone(),
        of: (ask.tenant.clone(), ask.target.clone()),
        target,
        parents: parent::of_fill(edge, &ask.target, &siblings),
        siblings,
        key: ask.key.clone(),
        stale,
        slice,
        interim: ask.request.extensions().get().cloned(),
    };
    edge.drain.tasks().spawn(fetch.run(permit));
}

/// Begins a fetch of just what was asked, for its asker alone.
pub(super) fn spawn_alone(edge: &Arc<Shared>, permit: Permit, ask: &Ask) {
    let fetch = Fetch {
        edge: Arc::clone(edge),
        method: ask.request.method().clone(),
        headers: parent::alone_headers(edge, &ask.request, &ask.tenant),
        selecting: ask.request.headers().clone(),
        of: (ask.tenant.clone(), ask.target.clone()),
        target: ask.target.as_text(),
        parents: parent::of_pass(edge, &ask.target),
        siblings: vec![],
        key: ask.key.clone(),
        stale: None,
        slice: None,
        interim: ask.request.extensions().get().cloned(),
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

pub(super) struct Fetch {
    pub(super) edge: Arc<Shared>,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    /// The fields of the request as it came: they select the answer's form.
    pub(super) selecting: HeaderMap,
    /// Whose target it is, and the target.
    pub(super) of: (Tenant, Target),
    /// The target as a parent is asked for it.
    pub(super) target: String,
    pub(super) parents: Vec<String>,
    /// Those of them that are near edges of this site.
    pub(super) siblings: Vec<String>,
    pub(super) key: Key,
    pub(super) stale: Option<Arc<Object>>,
    /// A slice is fetched, and not the whole.
    slice: Option<Slice>,
    /// Where interim answers go: to whom the fetch is for.
    pub(super) interim: Option<Interim>,
}

/// A slice to fetch.
pub(super) struct Slice {
    pub(super) index: u64,
    /// Bytes of a whole slice.
    pub(super) size: u64,
    /// The generation it is to be of; none is known when it is the first.
    pub(super) of: Option<Arc<Sliced>>,
    /// The `Range` field of the request that began it, when it is the first.
    pub(super) asked: String,
}

/// What to do with an answer.
enum Keep {
    /// Store it, and share it.
    Yes(Head),
    /// Share it with those who wait for it now.
    Now(Head),
    /// It is for one asker alone.
    No,
    /// The same, though the target's other answers may be shared: the request had fields that it is not kept apart by.
    Once,
    /// The same, and says to the others that there is none.
    Failure,
}

impl Fetch {
    async fn run(mut self, permit: Permit) {
        let mark = self.edge.floors.mark();
        // A parent that has not come so far in the log must not answer out of its cache.
        self.headers.insert(HeaderName::from_static(SLUICE_SEEN), HeaderValue::from(mark.seq));
        let answering = self.answer();
        let answered = match permit.limit() {
            Some(limit) => timeout(limit, answering).await.unwrap_or(Err(NoAnswer::Late)),
            None => answering.await,
        };
        let (answer, parent) = match answered {
            Ok(answered) => answered,
            Err(why) => {
                self.count("failed");
                return permit.fill.settle(Filled::Failed(why));
            }
        };
        match &self.stale {
            Some(stale) if answer.status() == StatusCode::NOT_MODIFIED => {
                self.count("confirmed");
                self.confirm(&permit, stale, answer.headers(), mark);
            }
            Some(_) if answer.status().is_server_error() => {
                self.count("erred");
                permit.fill.hand_over(answer, Filled::Failed(NoAnswer::Erred));
            }
            _ => self.take(&permit, (answer, &parent), mark).await,
        }
    }

    /// Takes an answer of its own: no news of what is kept.
    async fn take(&mut self, permit: &Permit, (mut answer, parent): (HttpResponse, &str), mark: FeedMark) {
        // What is put together for each client is of no class of queries, nor in slices.
        if !self.is_list(&answer) {
            self.key = self.key_of(answer.status(), answer.headers());
            if let Some(slice) = &self.slice {
                match self.take_slice(permit, slice, (answer, parent), mark).await {
                    Some(other) => answer = other,
                    None => return,
                }
            }
            if let Some(sliced) = self.too_large(&answer, mark).filter(|_| permit.is_shared()) {
                self.count("too_large");
                self.edge.store.begin_slices(&self.key, sliced);
                return permit.fill.settle(Filled::Again);
            }
        }
        match self.keep(&answer) {
            Keep::Yes(head) => {
                self.share(permit, &self.key, head, (answer.into_body(), parent), mark, true).await;
            }
            Keep::Now(head) => {
                self.share(permit, &self.key, head, (answer.into_body(), parent), mark, false).await;
            }
            Keep::No => {
                if self.method == Method::GET && !answer.status().is_server_error() {
                    self.edge.store.mark_unshared(&self.key);
                }
                self.hand_over(permit, answer);
            }
            Keep::Once => self.hand_over(permit, answer),
            Keep::Failure => {
                self.count("erred");
                permit.fill.hand_over(answer, Filled::Failed(NoAnswer::Erred));
            }
        }
    }

    /// True for what a client may see, which is asked each time, whole, and put together for it.
    fn is_list(&self, answer: &HttpResponse) -> bool {
        self.edge.config.tier == Tier::Near && answer.headers().contains_key(SLUICE_ASSEMBLE)
    }

    /// Leaves an answer for its asker alone. A list that may be a part of one is asked for again.
    fn hand_over(&self, permit: &Permit, answer: HttpResponse) {
        self.count("not_shared");
        if self.slice.is_some() && self.is_list(&answer) {
            return permit.fill.settle(Filled::NotShared);
        }
        permit.fill.hand_over(answer, Filled::NotShared);
    }

    /// What an answer is kept under: what it says of queries decides, or says that it is for its own spelling alone.
    fn key_of(&self, status: StatusCode, answer: &HeaderMap) -> Key {
        let (tenant, target) = &self.of;
        let searches = &self.edge.searches;
        if self.slice.as_ref().is_some_and(|slice| slice.of.is_some()) {
            // A slice goes where the others of its generation are.
            return self.key.clone();
        }
        let said =
            (!status.is_server_error()).then(|| searches.learn(tenant, target, answer, &self.edge.floors));
        match said.flatten() {
            Some(key) => key,
            None if searches.key(tenant, target).is_some() => Key::new(tenant, &self.target),
            None => self.key.clone(),
        }
    }

    /// Lets everyone who waits read the answer while it comes, and stores it once it is whole.
    pub(super) async fn share(
        &self,
        permit: &Permit,
        key: &Key,
        head: Head,
        from: (Body, &str),
        mark: FeedMark,
        store: bool,
    ) {
        let limit = self.edge.live().cache.max_object_bytes;
        let growing = match length_of(&head) {
            Some(length) => Growing::new(length),
            None => Growing::unmeasured(limit),
        };
        let growing = growing.kept_in(self.edge.arena.clone());
        let object = Arc::new(Object::new(head, Arc::new(growing), mark));
        if let Some(newer) = self.overtaken(permit, key, &object) {
            self.count("overtaken");
            return permit.fill.settle(newer);
        }
        let aside = self.set_aside(permit, key, &object);
        permit.fill.settle(Filled::Object(Arc::clone(&object)));
        let whole = self.pump(from, &object).await;
        if whole && store {
            self.put(permit, key, object);
        } else if store && object.body.length().is_none() {
            // It may be too large to keep: the next ones read it without waiting for one another.
            self.edge.store.mark_unshared(&self.key);
        }
        drop(aside);
        self.count(if whole { "stored" } else { "cut" });
    }

    /// How long an answer may be kept, and what its form depends on.
    fn keep(&self, answer: &HttpResponse) -> Keep {
        let status = answer.status();
        let too_large = || {
            let length = answer.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse::<u64>().ok()?;
            Some(length > self.edge.live().cache.max_object_bytes)
        };
        if self.is_list(answer) {
            return Keep::No;
        }
        if is_once(&self.headers, status, answer.headers()) {
            return Keep::Once;
        }
        let Some(fields) = vary_fields(answer.headers()) else { return Keep::No };
        if self.method != Method::GET || streams::is_events(answer.headers()) || too_large().unwrap_or(false)
        {
            return Keep::No;
        }
        let policy = self.edge.live().cache.policy();
        let lifetimes = Lifetimes::of(&self.headers, status, answer.headers(), SystemTime::now(), policy);
        let selected = selection(&fields, &self.selecting);
        let head = |lifetimes| {
            let headers = kept_fields(answer.headers());
            Head { status, headers, lifetimes, varies: (fields, selected) }
        };
        match lifetimes {
            Ok(lifetimes) => Keep::Yes(head(lifetimes)),
            // Nobody asks a failing parent again for each of those who wait.
            Err(reason) if status.is_server_error() && reason.may_be_shared_now() => {
                if self.headers.contains_key(COOKIE) {
                    Keep::Failure
                } else {
                    Keep::Now(head(Lifetimes::NONE))
                }
            }
            Err(_) => Keep::No,
        }
    }

    /// A parent confirmed the kept body: its fields are renewed (RFC 9111 section 3.2).
    fn confirm(&self, permit: &Permit, stale: &Arc<Object>, news: &HeaderMap, mark: FeedMark) {
        let mut headers = stale.head.headers.clone();
        for name in news.keys().filter(|name| **name != CONTENT_LENGTH) {
            headers.remove(name);
            news.get_all(name).iter().for_each(|value| _ = headers.append(name.clone(), value.clone()));
        }
        let (status, varies) = (stale.head.status, stale.head.varies.clone());
        let policy = self.edge.live().cache.policy();
        match Lifetimes::of(&self.headers, status, &headers, SystemTime::now(), policy) {
            Ok(lifetimes) => {
                let head = Head { status, headers: kept_fields(&headers), lifetimes, varies };
                let object = Arc::new(Object::new(head, Arc::clone(&stale.body), mark));
                let key = self.key_of(status, &object.head.headers);
                if let Some(newer) = self.overtaken(permit, &key, &object) {
                    return permit.fill.settle(newer);
                }
                self.renew(permit, &key, Arc::clone(&object));
                permit.fill.settle(Filled::Object(object));
            }
            Err(_) => {
                self.edge.store.invalidate(&self.key);
                permit.fill.settle(Filled::NotShared);
            }
        }
    }

    /// Keeps an answer, unless one that was asked for later is kept already.
    fn put(&self, permit: &Permit, key: &Key, object: Arc<Object>) {
        if permit.admits() {
            self.edge.store.put(key, object);
        }
    }

    /// Keeps an answer whose head alone is new, unless one that was asked for later is kept already.
    fn renew(&self, permit: &Permit, key: &Key, object: Arc<Object>) {
        if permit.admits() {
            self.edge.store.renew(key, object);
        }
    }

    pub(super) fn count(&self, result: &str) {
        self.edge.metrics.fetches.with_label_values(&[result]).inc();
    }
}

/// True for an answer that depends on what no cache keeps answers apart by, of a request that had it: a fetch of just what was
/// asked has all of its fields, and a fill has not.
fn is_once(request: &HeaderMap, status: StatusCode, answer: &HeaderMap) -> bool {
    let allows = answer.get(ACCESS_CONTROL_ALLOW_ORIGIN).is_some_and(|origin| origin != "*");
    let coded = answer.contains_key(CONTENT_ENCODING);
    matches!(status.as_u16(), 412 | 416 | 417)
        || (request.contains_key(ACCEPT_ENCODING) && (coded || varies_by(answer, ACCEPT_ENCODING.as_str())))
        || (request.contains_key(ORIGIN) && (allows || varies_by(answer, ORIGIN.as_str())))
}

/// The length an answer's head announces. An answer that has no body has none of it.
fn length_of(head: &Head) -> Option<u64> {
    if head.status == StatusCode::NO_CONTENT {
        return Some(0);
    }
    head.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The fields that are kept: without those that `no-cache` or `private` names.
pub(super) fn kept_fields(headers: &HeaderMap) -> HeaderMap {
    let mut kept = headers.clone();
    let said = crate::cache::Directives::of(headers, CACHE_CONTROL.as_str());
    said.unkept_fields().for_each(|name| drop(kept.remove(name)));
    kept
}
