//! What readers of one resource are shown, by the parts of an edge that decide it: floors, store, fills.
//!
//! - `orders`: whatever happens in whatever order; `races`: all at once, on many threads

mod orders;
mod races;

use super::{Aim, Floors, Severity, Verdict, marks};
use crate::cache::{FeedMark, Fills, Found, Growing, Head, Key, Lifetimes, Object, POLICY, Standing, Store};
use crate::metrics::Metrics;
use crate::tenant::Tenant;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, ETAG, HeaderMap};
use http::{HeaderName, StatusCode};
use sluice_wire::headers::{SLUICE_VERSION, SURROGATE_KEY};
use sluice_wire::tag::{Tag, Version};
use std::sync::Arc;
use std::time::SystemTime;

const TARGET: &str = "/v1/thing";

pub(crate) fn tag() -> Tag {
    Tag::new("thing:1").unwrap()
}

/// An edge's parts.
struct Edge {
    floors: Floors,
    store: Store,
    fills: Fills,
    key: Key,
}

/// What a reader is to do.
enum Look {
    Serve(Arc<Object>),
    /// A parent is asked, for news of what is stale or for the whole.
    Ask(Option<Arc<Object>>),
}

impl Edge {
    fn new() -> Self {
        let metrics = Metrics::new(&sluice_service::Metrics::default());
        let store = Store::new(1 << 20, metrics, None);
        let (floors, fills, key) = (Floors::default(), Fills::default(), Key::new(&Tenant::own(), TARGET));
        Self { floors, store, fills, key }
    }

    fn standing(&self, object: &Object, told: &[(Tag, Version)]) -> Option<Standing> {
        self.floors.stand(object, told, || marks::all(&Tenant::own(), TARGET)).standing(object, true)
    }

    /// True for what was brought that may be shown to who waited for it.
    fn may_show(&self, object: &Object, told: &[(Tag, Version)]) -> bool {
        self.floors.stand(object, told, || marks::all(&Tenant::own(), TARGET)) == Verdict::Above
    }

    /// The lookup of a reader who knows of these versions.
    fn look(&self, told: &[(Tag, Version)]) -> Look {
        let Found::Object(key, object) = self.store.find(&self.key, &HeaderMap::new()) else {
            return Look::Ask(None);
        };
        match self.standing(&object, told) {
            Some(Standing::Fresh(_) | Standing::WhileRevalidating) => Look::Serve(object),
            Some(Standing::Stale { .. }) => Look::Ask(Some(object)),
            None => {
                self.store.invalidate(&key);
                Look::Ask(None)
            }
        }
    }

    /// The feed says that the resource has a version.
    fn hear(&self, severity: Severity, version: u64, seq: u64) {
        self.floors.apply(&[Aim::Tag(tag())], severity, Version(version), seq);
    }
}

/// An answer: what it shows is in its validator; what it claims to show, if it says so, is never more.
pub(crate) fn answer(shows: u64, claims: Option<u64>, asked_at: FeedMark) -> Object {
    let mut headers = HeaderMap::new();
    headers.insert(CACHE_CONTROL, "max-age=60, stale-while-revalidate=60".parse().unwrap());
    headers.insert(HeaderName::from_static(SURROGATE_KEY), tag().as_str().parse().unwrap());
    headers.insert(ETAG, format!("\"{shows}\"").parse().unwrap());
    if let Some(claims) = claims {
        let text = format!("{}={claims}", tag());
        headers.insert(HeaderName::from_static(SLUICE_VERSION), text.parse().unwrap());
    }
    let now = SystemTime::now();
    let lifetimes = Lifetimes::of(&HeaderMap::new(), StatusCode::OK, &headers, now, POLICY).unwrap();
    let head = Head { status: StatusCode::OK, headers, lifetimes, varies: (vec![], String::new()) };
    Object::new(head, Arc::new(Growing::whole(Bytes::from_static(b"body"))), asked_at)
}

/// The version that an answer shows.
pub(crate) fn shown(object: &Object) -> u64 {
    object.head.headers[ETAG].to_str().unwrap().trim_matches('"').parse().unwrap()
}
