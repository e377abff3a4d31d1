//! Answers out of slices: the slices a request needs, each kept or fetched as any object is, in one body.

use super::collapse::{FILL_LIMIT, again, fall_back};
use super::fetch::{self, Slice};
use super::lookup::is_below;
use super::{Ask, Phase};
use crate::cache::slicing::{Known, Sliced, first_of, pieces};
use crate::cache::{Fill, Filled, Found, Gone, Growing, Key, Object, Source, Standing};
use crate::deliver::{self, Served};
use crate::edge::Shared;
use crate::gate::Target;
use crate::metrics::Miss;
use crate::parent::NoAnswer;
use crate::tenant::Tenant;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use http::Method;
use http::header::{AUTHORIZATION, HeaderMap, RANGE};
use http::request::Parts;
use sluice_service::{Body, HttpRequest};
use sluice_wire::tag::{Tag, Version};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How a request that finds nothing kept goes on.
pub(super) enum Way {
    /// Out of the slices of this generation.
    Sliced(Arc<Sliced>),
    /// By a first slice, which tells whether there are more.
    First(Slice),
    /// As any other.
    Whole,
    /// By a question of its own: the whole is too large to be fetched for its head.
    Alone,
}

/// Decides it. Whole answers come out of slices only when they are too large to be kept whole.
pub(super) fn way(edge: &Shared, ask: &Ask) -> Way {
    let size = edge.slice_bytes();
    let headers = ask.request.headers();
    if size == 0 || headers.contains_key(AUTHORIZATION) {
        return Way::Whole;
    }
    if *ask.request.method() != Method::GET {
        return match edge.store.slicing.of(&ask.key) {
            Some(Known::Sliced(sliced)) if sliced.total > edge.largest_kept() => Way::Alone,
            _ => Way::Whole,
        };
    }
    let range = headers.get(RANGE).and_then(|v| v.to_str().ok());
    match edge.store.slicing.of(&ask.key) {
        Some(Known::Sliced(sliced)) if !may_serve(edge, ask, &frame(&sliced)) => {
            edge.store.end_slices(&ask.key, &sliced);
            way(edge, ask)
        }
        Some(Known::Sliced(sliced)) if range.is_some() || sliced.total > edge.largest_kept() => {
            Way::Sliced(sliced)
        }
        Some(_) => Way::Whole,
        None => range
            .and_then(|range| Some((range, first_of(range, size)?)))
            .map_or(Way::Whole, |(range, index)| {
                Way::First(Slice { index, size, of: None, asked: range.to_owned() })
            }),
    }
}

fn may_serve(edge: &Shared, ask: &Ask, frame: &Object) -> bool {
    !is_below(edge, ask, frame) && edge.searches.holds(&ask.tenant, &ask.target.path, frame)
}

/// The whole as an object without bytes of its own.
fn frame(sliced: &Sliced) -> Object {
    Object::new(sliced.head.clone(), Arc::new(Growing::new(sliced.total)), sliced.asked_at)
}

/// Answers out of slices. The first that is needed must be there before the head goes out; the others are fetched while
/// it is read, one ahead.
pub(super) async fn answer(edge: &Arc<Shared>, mut ask: Ask, sliced: Arc<Sliced>) -> Phase {
    let frame = frame(&sliced);
    let size = sliced.size;
    let reader = Reader::new(edge, &ask, sliced);
    let first = deliver::first_byte(ask.request.headers(), &frame) / size;
    let served = match reader.slice(first).await {
        Ok((_, Got::Kept(ttl))) => Served::Hit(ttl),
        Ok((_, Got::Stale)) => Served::Stale,
        Ok((_, Got::Fetched(class))) => {
            if let Some(class) = class.filter(|_| !std::mem::replace(&mut ask.missed, true)) {
                edge.metrics.missed(class);
            }
            Served::Fetched { why: "uri-miss", collapsed: class.is_none() && !ask.missed, stored: true }
        }
        Err(Lost::Changed) => {
            ask.tries += 1;
            return again(ask);
        }
        Err(Lost::NoAnswer(why)) => return Phase::Unserved(ask, why),
    };
    Phase::Deliver(ask, Arc::new(frame.out_of(Arc::new(reader))), served)
}

/// How a slice was come by.
#[derive(Debug, Clone, Copy)]
enum Got {
    /// Kept and fresh for this long.
    Kept(Duration),
    /// Kept, and stale.
    Stale,
    /// Fetched: for this request, which was a miss of this class, or for another that came before.
    Fetched(Option<Miss>),
}

/// A slice that is kept and stale, if there is one, and why it is to be fetched.
type Missing = (Option<Arc<Object>>, Miss);

/// Why a slice is not to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// The object is another now: slices of the two may not stand in one body.
    Changed,
    /// No parent gave it.
    NoAnswer(NoAnswer),
}

/// Reads an object's slices for one request.
#[derive(Debug)]
struct Reader {
    edge: Arc<Shared>,
    /// The request without its body.
    asked: Parts,
    target: Target,
    tenant: Tenant,
    key: Key,
    floors: Vec<(Tag, Version)>,
    sliced: Arc<Sliced>,
    size: u64,
}

impl Reader {
    fn new(edge: &Arc<Shared>, ask: &Ask, sliced: Arc<Sliced>) -> Self {
        let mut request = HttpRequest::new(Body::empty());
        *request.method_mut() = ask.request.method().clone();
        *request.uri_mut() = ask.request.uri().clone();
        *request.headers_mut() = ask.request.headers().clone();
        *request.extensions_mut() = ask.request.extensions().clone();
        let (asked, _) = request.into_parts();
        let (target, key, floors) = (ask.target.clone(), ask.key.clone(), ask.floors.clone());
        let tenant = ask.tenant.clone();
        let size = sliced.size;
        Self { edge: Arc::clone(edge), asked, target, tenant, key, floors, sliced, size }
    }

    /// The question anew, for what is fetched on its behalf.
    fn ask(&self) -> Ask {
        let request = HttpRequest::from_parts(self.asked.clone(), Body::empty());
        let (target, key, floors) = (self.target.clone(), self.key.clone(), self.floors.clone());
        let tenant = self.tenant.clone();
        Ask { request, target, tenant, key, floors, tries: 0, missed: true }
    }

    /// A slice, which may still be growing.
    async fn slice(&self, index: u64) -> Result<(Arc<Object>, Got), Lost> {
        let kept = match self.kept(index) {
            Err((None, class @ (Miss::Evicted | Miss::FirstEver))) => self.recalled(index, class).await,
            kept => kept,
        };
        let (stale, class) = match kept {
            Ok((object, ttl)) => return Ok((object, Got::Kept(ttl))),
            Err(missing) => missing,
        };
        let (fill, began) = self.begin(index);
        let class = began.then_some(class);
        let why = match timeout(FILL_LIMIT, fill.outcome()).await {
            Ok(Filled::Object(object)) => return Ok((object, Got::Fetched(class))),
            Ok(Filled::Failed(why)) => why,
            Ok(Filled::Again | Filled::NotShared) => return Err(Lost::Changed),
            Err(_) => NoAnswer::Late,
        };
        let stale = fall_back(&self.edge, &self.ask(), stale, why);
        stale.map(|object| (object, Got::Stale)).ok_or(Lost::NoAnswer(why))
    }

    /// A slice that is kept and fresh; else one that is stale, and why the slice is to be fetched.
    fn kept(&self, index: u64) -> Result<(Arc<Object>, Duration), Missing> {
        let key = self.sliced.key(&self.key, index);
        match self.edge.store.find(&key, &HeaderMap::new()) {
            Found::Object(_, object) => self.judged(object),
            Found::Nothing(_, Some(Gone::Evicted)) => Err((None, Miss::Evicted)),
            _ => Err((None, Miss::FirstEver)),
        }
    }

    fn judged(&self, object: Arc<Object>) -> Result<(Arc<Object>, Duration), Missing> {
        if is_below(&self.edge, &self.ask(), &object) {
            return Err((None, Miss::Purged));
        }
        match object.standing(self.edge.liveness.is_live()) {
            Standing::Fresh(ttl) => Ok((object, ttl)),
            _ => Err((Some(object), Miss::Expired)),
        }
    }

    /// A slice that memory has not, from the disk.
    async fn recalled(&self, index: u64, class: Miss) -> Result<(Arc<Object>, Duration), Missing> {
        let (key, store) = (self.sliced.key(&self.key, index), &self.edge.store);
        let found = if store.may_recall(&key) { store.recall(&key, &HeaderMap::new()).await } else { None };
        let judged = self.judged(found.ok_or((None, class))?)?;
        store.remember(&key, Arc::clone(&judged.0));
        Ok(judged)
    }

    /// True for a slice that would have to be fetched.
    fn is_missing(&self, index: u64) -> bool {
        let may_recall = || self.edge.store.may_recall(&self.sliced.key(&self.key, index));
        self.kept(index).is_err_and(|(stale, _)| stale.is_some() || !may_recall())
    }

    /// Fetches a slice, or joins who does. True when it was begun here.
    fn begin(&self, index: u64) -> (Arc<Fill>, bool) {
        let (fill, permit) = self.edge.fills.join(&self.sliced.key(&self.key, index));
        let begins = permit.is_some();
        if let Some(permit) = permit {
            let of = Some(Arc::clone(&self.sliced));
            let slice = Slice { index, size: self.size, of, asked: String::new() };
            fetch::spawn(&self.edge, permit, &self.ask(), None, Some(slice));
        }
        (fill, begins)
    }
}

impl Source for Reader {
    fn read(self: Arc<Self>, from: u64, to: u64) -> BoxStream<'static, io::Result<Bytes>> {
        let size = self.size;
        let read = move |(index, begin, end): (u64, u64, u64)| {
            let reader = Arc::clone(&self);
            async move {
                match reader.slice(index).await {
                    Ok((object, _)) => {
                        // The next one comes while this one is read.
                        if (index + 1) * reader.size < to && reader.is_missing(index + 1) {
                            drop(reader.begin(index + 1));
                        }
                        object.body.read(begin, end).boxed()
                    }
                    Err(lost) => {
                        tracing::debug!(?lost, index, "an answer out of slices is cut");
                        stream::iter([Err(io::Error::other("a slice is lost"))]).boxed()
                    }
                }
            }
        };
        stream::iter(pieces(from, to, size)).then(read).flatten().boxed()
    }
}
