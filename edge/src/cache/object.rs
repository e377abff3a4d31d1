//! A kept answer.

use super::freshness::{Lifetimes, Window, initial_age};
use super::search::Variance;
use super::{Growing, Key, vary};
use crate::access;
use crate::transform::{self, Coding};
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use http::header::{ETAG, HeaderMap, LAST_MODIFIED};
use http::{HeaderName, StatusCode};
use sluice_wire::headers::{SLUICE_VERSION, SURROGATE_KEY};
use sluice_wire::tag::{Tag, Version, parse_keys, parse_versions};
use sluice_wire::{MediaPath, PlacementKey};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// What an object weighs beside its body: fields, index, list links.
pub(super) const OVERHEAD: u64 = 1_088;

/// The head of an answer that may be kept, and what was decided about it.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) lifetimes: Lifetimes,
    /// The request fields it depends on, and what its request selected by them.
    pub(crate) varies: (Vec<HeaderName>, String),
}

/// Where the bytes of an object come from that has none of its own.
pub(crate) trait Source: Send + Sync + std::fmt::Debug {
    /// The bytes from `from` to before `to`, as they come. Ends in an error when they cannot be had.
    fn read(self: Arc<Self>, from: u64, to: u64) -> BoxStream<'static, io::Result<Bytes>>;
}

/// A kept answer: its head, its body, and what decides whether it may be served.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) head: Head,
    pub(crate) body: Arc<Growing>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) versions: Vec<(Tag, Version)>,
    /// Where the event feed was when this was asked for.
    pub(crate) asked_at: FeedMark,
    /// By which purges of its URL and of prefixes find it; from when it is kept.
    pub(crate) marks: OnceLock<Box<[u64]>>,
    /// The state of the floors when it was last found to be above them.
    pub(crate) checked: AtomicU64,
    /// What it says of the queries it is for.
    pub(crate) variance: Option<Arc<Variance>>,
    /// It was fetched by a plan, and nobody has asked for it since.
    ahead: AtomicBool,
    /// As many newer ones are shown already, while they come.
    aside: AtomicU32,
    /// It has, or may have, coded forms: answers depend on what the asker accepts.
    pub(crate) codable: bool,
    /// It is for those alone who show a token.
    pub(crate) guarded: bool,
    /// The body it was made of, of a variant of an image.
    made_of: Option<Weak<Growing>>,
    /// Under which key it is placed, if it is media.
    placed: OnceLock<Option<PlacementKey>>,
    /// Its head ready to be sent, plain and in each coding, made by the first who needs it.
    rendered: OnceLock<Box<[OnceLock<Rendered>; 1 + Coding::ALL.len()]>>,
    source: Option<Arc<dyn Source>>,
    since: Instant,
    initial_age: Duration,
}

/// A head that is ready to be sent but for the fields that differ from answer to answer.
#[derive(Debug)]
pub(crate) struct Rendered {
    /// As HTTP/1 has it, without those.
    pub(crate) text: Vec<u8>,
    /// As the others want it, with those, empty.
    pub(crate) fields: HeaderMap,
}

/// A point in the event feed as this edge saw it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FeedMark {
    /// Rises whenever continuity was lost: everything older must be asked for anew.
    pub(crate) epoch: u64,
    /// The newest event applied.
    pub(crate) seq: u64,
    /// Purges at this edge alone.
    pub(crate) here: u64,
}

/// How an object stands now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Serve it; fresh for this long.
    Fresh(Duration),
    /// Serve it, and ask for news meanwhile.
    WhileRevalidating,
    /// Ask for news; serve it only if a parent answers with an error, or none answers.
    Stale {
        /// It may stand in for an error.
        if_error: bool,
        /// It may stand in for an answer that never came.
        if_disconnected: bool,
    },
}

impl Object {
    /// Under which key media at this path is placed; read once. `None` for what is no media.
    pub(crate) fn placed(&self, path: &str) -> Option<PlacementKey> {
        *self.placed.get_or_init(|| MediaPath::parse(path).map(|media| media.placement()))
    }

    pub(crate) fn new(head: Head, body: Arc<Growing>, asked_at: FeedMark) -> Self {
        let field = |name: &str| head.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let (tags, versions) = (parse_keys(field(SURROGATE_KEY)), parse_versions(field(SLUICE_VERSION)));
        let initial_age = initial_age(&head.headers, SystemTime::now());
        let codable = transform::is_codable(head.status, &head.headers);
        let guarded = access::is_guarded(&head.headers);
        let variance = Variance::of(&head.headers).map(Arc::new);
        let (checked, rendered, since) = (AtomicU64::new(0), Default::default(), Instant::now());
        Self {
            head,
            body,
            tags,
            versions,
            asked_at,
            marks: OnceLock::new(),
            placed: OnceLock::new(),
            checked,
            variance,
            ahead: AtomicBool::new(false),
            aside: AtomicU32::new(0),
            codable,
            guarded,
            made_of: None,
            rendered,
            source: None,
            since,
            initial_age,
        }
    }

    /// Notes that it was fetched by a plan, for nobody yet.
    pub(crate) fn begin_ahead(&self) {
        self.ahead.store(true, Ordering::Relaxed);
    }

    /// True when it was fetched by a plan, and is asked for, or let go of, for the first time now.
    pub(crate) fn end_ahead(&self) -> bool {
        self.ahead.load(Ordering::Relaxed) && self.ahead.swap(false, Ordering::Relaxed)
    }

    /// What was made of a kept body, by the same right and for as long as that is kept.
    pub(crate) fn made(head: Head, body: Arc<Growing>, of: &Self) -> Self {
        let made_of = Some(Arc::downgrade(&of.body));
        Self { made_of, ..Self::new(head, body, of.asked_at) }
    }

    /// What it is kept under, of what was asked for.
    pub(crate) fn place(&self, target: &Key) -> Key {
        let (fields, selected) = &self.head.varies;
        if fields.is_empty() { target.clone() } else { target.variant(selected) }
    }

    /// True when another answer is older: of the same past of the log, it shows a version that this one is beyond, and none
    /// that is beyond this one's. An answer and its confirmation are not told apart so: there is one body, and what is said of it
    /// last counts (RFC 9111 section 4.3.4), also where versions have gone back. Who says less shows no less.
    pub(crate) fn is_newer_than(&self, other: &Self) -> bool {
        self.is_beyond(other) && !other.is_beyond(self) && !Arc::ptr_eq(&self.body, &other.body)
    }

    fn is_beyond(&self, other: &Self) -> bool {
        let beyond = |(tag, version): &(Tag, Version)| {
            other.versions.iter().any(|(of, shown)| of == tag && shown < version)
        };
        self.asked_at.epoch == other.asked_at.epoch && self.versions.iter().any(beyond)
    }

    /// Notes that a newer one is shown while it comes: until it is told to come back, this one stands in for failures alone,
    /// whatever its age.
    pub(crate) fn set_aside(&self) {
        self.aside.fetch_add(1, Ordering::AcqRel);
    }

    /// Notes that one for which it was set aside comes no more.
    pub(crate) fn bring_back(&self) {
        self.aside.fetch_sub(1, Ordering::AcqRel);
    }

    /// True while a newer one is shown as it comes.
    pub(crate) fn is_aside(&self) -> bool {
        self.aside.load(Ordering::Acquire) > 0
    }

    /// True when it was made of just this body.
    pub(crate) fn is_made_of(&self, body: &Arc<Growing>) -> bool {
        self.made_of.as_ref().is_some_and(|made_of| made_of.ptr_eq(&Arc::downgrade(body)))
    }

    /// An answer that was kept before, and is this old by now.
    pub(crate) fn restored(head: Head, body: Arc<Growing>, asked_at: FeedMark, age: Duration) -> Self {
        Self { initial_age: age, ..Self::new(head, body, asked_at) }
    }

    /// The same, with bytes from elsewhere.
    pub(crate) fn out_of(mut self, source: Arc<dyn Source>) -> Self {
        (self.source, self.codable) = (Some(source), false);
        self
    }

    /// Its bytes from `from` to before `to` or the end, as they come. Ends in an error when they are cut.
    pub(crate) fn read(&self, from: u64, to: u64) -> BoxStream<'static, io::Result<Bytes>> {
        match &self.source {
            Some(source) => Arc::clone(source).read(from, to),
            None => self.body.read(from, to).boxed(),
        }
    }

    /// The head of one of its forms, made once.
    pub(crate) fn rendered(&self, form: Option<Coding>, render: impl FnOnce(&Self) -> Rendered) -> &Rendered {
        let forms = self.rendered.get_or_init(Box::default);
        forms[form.map_or(0, |coding| 1 + coding as usize)].get_or_init(|| render(self))
    }

    /// Its age (RFC 9111 section 4.2.3).
    pub(crate) fn age(&self) -> Duration {
        self.initial_age + self.since.elapsed()
    }

    /// How it stands by time alone; floors are another matter.
    pub(crate) fn standing(&self, feed_is_live: bool) -> Standing {
        self.standing_at(self.age(), feed_is_live)
    }

    /// How it stands when it was purged softly: its lifetime ended then.
    pub(crate) fn softened(&self, at: Instant, feed_is_live: bool) -> Standing {
        let fresh = self.head.lifetimes.window(feed_is_live).fresh;
        self.standing_at(self.age().max(fresh + at.elapsed()), feed_is_live)
    }

    /// The age a stale answer is sent with: one that no cache below takes for fresh, whyever it is stale.
    pub(crate) fn age_when_stale(&self) -> Duration {
        let Lifetimes { pushed, plain, .. } = &self.head.lifetimes;
        self.age().max(pushed.fresh).max(plain.fresh)
    }

    /// The same at an age.
    pub(crate) fn standing_at(&self, age: Duration, feed_is_live: bool) -> Standing {
        let lifetimes = &self.head.lifetimes;
        let Window { fresh, while_revalidating, if_error, if_disconnected } = lifetimes.window(feed_is_live);
        let aside = self.is_aside();
        if age < fresh && !aside {
            return Standing::Fresh(fresh - age);
        }
        if age < fresh + while_revalidating && !aside {
            return Standing::WhileRevalidating;
        }
        // What our own origin allowed in hard times holds while its feed is down too.
        let within = |own: Duration, pushed: Duration| age < fresh + own.max(pushed);
        Standing::Stale {
            if_error: within(if_error, lifetimes.pushed.if_error),
            if_disconnected: within(if_disconnected, lifetimes.pushed.if_disconnected),
        }
    }

    /// True when a request selects this form of the answer.
    pub(crate) fn is_selected_by(&self, request: &HeaderMap) -> bool {
        let (fields, selected) = &self.head.varies;
        fields.is_empty()
            || vary::selection(fields, request) == *selected
            || vary::selects_language((fields, selected), &self.head.headers, request)
    }

    /// What it costs the budget.
    pub(crate) fn weight(&self) -> u64 {
        self.body.weight() + OVERHEAD
    }

    /// Its validators, as a conditional request carries them.
    pub(crate) fn validators(&self) -> impl Iterator<Item = (HeaderName, http::HeaderValue)> {
        let pairs = [(ETAG, http::header::IF_NONE_MATCH), (LAST_MODIFIED, http::header::IF_MODIFIED_SINCE)];
        pairs.into_iter().filter_map(|(of, ask)| Some((ask, self.head.headers.get(of)?.clone())))
    }
}
