//! A variant of an image: served as it is kept, or made of its source, which lives the ordinary life.
//!
//! What is made, and also the verdict that nothing can be made, is kept with the source's tags, versions and lifetimes:
//! what makes the source stale makes its variants stale, and no floor is passed by. On disk a variant is found by its
//! source's strong tag: whatever became of the source meanwhile, it is of just these bytes. While a variant cannot be made, for
//! want of a place or of time, the source itself is served, not to be kept by anybody.

use super::collapse::{FILL_TRIES, alone, collapse};
use super::lookup::{self, is_below};
use super::{Ask, NoAnswer, Phase};
use crate::cache::{Filled, Growing, Head, Key, Object, Permit, Standing};
use crate::deliver::Served;
use crate::edge::Shared;
use crate::transform::{self, Asked};
use bytes::Bytes;
use futures::StreamExt;
use http::header::{
    ACCEPT_RANGES, AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, EXPIRES, HOST,
    HeaderMap, HeaderValue, VARY,
};
use http::{HeaderName, StatusCode};
use sluice_pictures::{MAX_BYTES as MAX_SOURCE_BYTES, Refusal};
use sluice_service::{Body, HttpRequest, Undone};
use sluice_wire::headers::{CDN_CACHE_CONTROL, SLUICE_CACHE_CONTROL};
use sluice_wire::problem;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long an asker waits for a variant: an AVIF of the largest size takes a few seconds of a core.
const MAKE_LIMIT: Duration = Duration::from_secs(10);
/// Fields about the source's bytes alone.
const OF_SOURCE: [HeaderName; 5] = [CONTENT_LENGTH, ETAG, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_TYPE];
/// The same, which have no names in the library.
const DIGESTS: [&str; 4] = ["content-digest", "repr-digest", "digest", "content-md5"];

pub(super) async fn serve(edge: &Arc<Shared>, mut ask: Ask, asked: Asked) -> Phase {
    let key = ask.key.image(&asked.selection());
    let kept = edge.store.object(&key);
    if let Some(object) = &kept
        && !is_below(edge, &ask, object)
        && let Standing::Fresh(ttl) = object.standing(edge.liveness.is_live())
    {
        return Phase::Deliver(ask, Arc::clone(object), Served::Hit(ttl));
    }
    let (source, served) = match source(edge, of_source(&ask)).await {
        Ok(found) => found,
        Err(Phase::Unserved(_, why)) => return Phase::Unserved(ask, why),
        Err(other) => return other,
    };
    if !may_be_changed(&source) {
        return Phase::Deliver(ask, source, served);
    }
    if let Some(kept) = kept.filter(|kept| kept.is_made_of(&source.body)) {
        edge.metrics.images.with_label_values(&["renewed"]).inc();
        let renewed = renewed(edge, &ask, (&key, &kept), &source, &asked);
        return Phase::Deliver(ask, renewed, served);
    }
    let on_disk = on_disk(&ask, &asked, &source);
    if let Some(on_disk) = &on_disk
        && edge.floors.is_settled()
        && let Some(kept) = edge.store.recall_image(on_disk).await
        // A purge is of what was made too, whatever tag its source has now.
        && !is_below(edge, &ask, &kept)
    {
        edge.metrics.images.with_label_values(&["recalled"]).inc();
        let renewed = renewed(edge, &ask, (&key, &kept), &source, &asked);
        return Phase::Deliver(ask, renewed, served);
    }
    let (fill, permit) = edge.fills.join(&key);
    if let Some(permit) = permit {
        let making = Making {
            edge: Arc::clone(edge),
            target: ask.key.clone(),
            key,
            on_disk,
            source: Arc::clone(&source),
            asked,
        };
        edge.drain.tasks().spawn(making.run(permit));
    }
    match timeout(MAKE_LIMIT, fill.outcome()).await {
        Ok(Filled::Object(object)) if !is_below(edge, &ask, &object) => Phase::Deliver(ask, object, served),
        // What happened to the source meanwhile happened to what is made of it.
        _ if is_below(edge, &ask, &source) => {
            edge.metrics.floor_refusals.inc();
            ask.tries += 1;
            if ask.tries < FILL_TRIES {
                Phase::Image(ask, asked)
            } else {
                Phase::Unserved(ask, NoAnswer::Late)
            }
        }
        _ => Phase::Deliver(ask, as_it_is(&source), served),
    }
}

/// A variant that was made before, as its source is now.
fn renewed(
    edge: &Shared,
    ask: &Ask,
    (key, kept): (&Key, &Object),
    source: &Object,
    asked: &Asked,
) -> Arc<Object> {
    let head = head(source, asked, kept.head.status, &kept.head.headers);
    let renewed = Arc::new(Object::made(head, Arc::clone(&kept.body), source));
    edge.store.put_image(&ask.key, key, Arc::clone(&renewed));
    renewed
}

/// What a variant is kept under on disk. `None` where its source's bytes cannot be told apart from others.
fn on_disk(ask: &Ask, asked: &Asked, source: &Object) -> Option<Key> {
    let tag = source.head.headers.get(ETAG)?.to_str().ok().filter(|tag| !tag.starts_with("W/"))?;
    let length = source.body.length()?;
    Some(ask.key.image_of(&asked.selection(), &format!("{tag} {length}")))
}

/// The request for a variant's source: the same for everybody, so that a variant is of what anybody may see.
fn of_source(ask: &Ask) -> Ask {
    let mut request = HttpRequest::new(Body::empty());
    *request.uri_mut() = ask.target.path.parse().unwrap_or_default();
    *request.extensions_mut() = ask.request.extensions().clone();
    let host = ask.request.headers().get(HOST).cloned();
    host.into_iter().for_each(|host| _ = request.headers_mut().insert(HOST, host));
    let mut target = ask.target.clone();
    target.query = None;
    Ask {
        request,
        target,
        tenant: ask.tenant.clone(),
        key: ask.key.clone(),
        floors: ask.floors.clone(),
        tries: 0,
        missed: false,
    }
}

/// Lives the ordinary life up to the source. What ends it otherwise, its end.
async fn source(edge: &Arc<Shared>, ask: Ask) -> Result<(Arc<Object>, Served), Phase> {
    let mut phase = Phase::Lookup(ask);
    loop {
        phase = match phase {
            Phase::Lookup(ask) => lookup::lookup(edge, ask),
            Phase::Recall(ask, wanted) => lookup::recall(edge, ask, wanted).await,
            Phase::Collapse(ask, wanted) => collapse(edge, ask, wanted).await,
            Phase::Alone(ask) => alone(edge, ask).await,
            Phase::Deliver(_, object, served) => return Ok((object, served)),
            end => return Err(end),
        };
    }
}

/// False for what is no image's answer, or may not be changed on its way (RFC 9110 section 7.7).
fn may_be_changed(source: &Object) -> bool {
    let headers = &source.head.headers;
    source.head.status == StatusCode::OK
        && !headers.contains_key(CONTENT_ENCODING)
        && !transform::forbids(headers)
}

/// A variant in the making, whoever of its askers stays.
struct Making {
    edge: Arc<Shared>,
    target: Key,
    key: Key,
    on_disk: Option<Key>,
    source: Arc<Object>,
    asked: Asked,
}

impl Making {
    async fn run(self, permit: Permit) {
        let result = match self.make().await {
            Ok(made) => {
                let (result, status, kind, bytes) = match made {
                    Ok(made) => ("made", StatusCode::OK, made.kind, made.bytes),
                    Err(refusal) => {
                        let problem = refusal.problem();
                        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_GATEWAY);
                        ("refused", status, problem::CONTENT_TYPE, problem.to_json())
                    }
                };
                let object = Arc::new(self.object(status, kind, bytes));
                self.edge.store.put_image(&self.target, &self.key, Arc::clone(&object));
                if let Some(on_disk) = self.on_disk.as_ref().filter(|_| result == "made") {
                    self.edge.store.keep_image(on_disk, &object);
                }
                permit.fill.settle(Filled::Object(object));
                result
            }
            Err(undone) => {
                permit.fill.settle(Filled::Failed(NoAnswer::Erred));
                match undone {
                    Undone::Full => "busy",
                    Undone::Broken => "failed",
                }
            }
        };
        self.edge.metrics.images.with_label_values(&[result]).inc();
    }

    async fn make(&self) -> Result<Result<transform::Made, Refusal>, Undone> {
        if self.source.body.length().is_some_and(|length| length > MAX_SOURCE_BYTES) {
            return Ok(Err(Refusal::TooLarge));
        }
        let gathered = timeout(MAKE_LIMIT, gather(&self.source.body)).await.ok().flatten();
        let pieces = gathered.ok_or(Undone::Broken)?;
        let asked = self.asked;
        self.edge.painters.run(move || transform::make_image(&pieces.concat(), &asked)).await
    }

    fn object(&self, status: StatusCode, kind: &'static str, bytes: Vec<u8>) -> Object {
        let mut own = HeaderMap::new();
        own.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        let tag = format!("\"{:032x}\"", xxhash_rust::xxh3::xxh3_128(&bytes));
        HeaderValue::from_str(&tag).into_iter().for_each(|tag| _ = own.insert(ETAG, tag));
        let body = Growing::new(bytes.len() as u64);
        body.push(Bytes::from(bytes));
        body.end(true);
        Object::made(head(&self.source, &self.asked, status, &own), Arc::new(body), &self.source)
    }
}

/// The pieces of a body, once it is whole: they are put together only when it is their turn. `None` when it is cut, or
/// longer than is worked on.
async fn gather(body: &Arc<Growing>) -> Option<Vec<Bytes>> {
    body.settled().await;
    let mut pieces = Box::pin(body.read(0, MAX_SOURCE_BYTES + 1));
    let (mut all, mut length) = (vec![], 0);
    while let Some(piece) = pieces.next().await {
        let piece = piece.ok()?;
        length += piece.len() as u64;
        all.push(piece);
    }
    (length <= MAX_SOURCE_BYTES).then_some(all)
}

/// A variant's head: its source's, but for what is about the bytes. `own` holds its type and tag.
fn head(source: &Object, asked: &Asked, status: StatusCode, own: &HeaderMap) -> Head {
    let mut headers = source.head.headers.clone();
    OF_SOURCE.iter().for_each(|name| drop(headers.remove(name)));
    DIGESTS.iter().for_each(|name| drop(headers.remove(*name)));
    for name in [CONTENT_TYPE, ETAG] {
        own.get(&name).into_iter().for_each(|value| _ = headers.insert(&name, value.clone()));
    }
    headers.insert(AGE, HeaderValue::from(source.age().as_secs()));
    if asked.varies() {
        crate::parent::append(&mut headers, VARY, "Accept");
    }
    Head { status, headers, lifetimes: source.head.lifetimes, varies: (vec![], String::new()) }
}

/// The source in the place of its variant: for this asker, now.
fn as_it_is(source: &Object) -> Arc<Object> {
    let mut headers = source.head.headers.clone();
    for name in [EXPIRES.as_str(), CDN_CACHE_CONTROL, SLUICE_CACHE_CONTROL, ETAG.as_str()] {
        headers.remove(name);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let varies = (vec![], String::new());
    let head = Head { status: source.head.status, headers, lifetimes: source.head.lifetimes, varies };
    Arc::new(Object::new(head, Arc::clone(&source.body), source.asked_at))
}
