//! What answers have said of queries, by path: the newest word of each, as No-Vary-Search allows a cache to do.
//!
//! A path whose answers say nothing is not here. Where a variance is known, everything that is kept for the path by it is
//! kept under the canonical query of its class, and a purge of any spelling is aimed at that one too. What was asked for
//! before a variance was known here may have been purged by another spelling since: it is not served by it.

use crate::cache::search::Variance;
use crate::cache::{FeedMark, Key, Object};
use crate::floors::{Aim, Floors, marks};
use crate::gate::Target;
use crate::tenant::Tenant;
use http::header::HeaderMap;
use prometheus::IntGauge;
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// Paths remembered; the one learned first gives way. A site has few pages that search, and a path that is forgotten is
/// learned again by its next answer.
const MAX_PATHS: usize = 4_096;

/// What a purge of a tenant's URL, in its one spelling, is aimed at beside it.
pub(crate) type More<'a> = dyn Fn(&Tenant, &str) -> Option<Aim> + 'a;

/// What is known of a path.
#[derive(Debug)]
struct Known {
    variance: Arc<Variance>,
    /// Where the event feed was when it was learned.
    since: FeedMark,
}

#[derive(Debug, Default)]
struct Paths {
    /// By the key of the path.
    known: HashMap<Key, Known>,
    order: VecDeque<Key>,
}

/// What is known of all paths.
#[derive(Debug)]
pub(crate) struct Searches {
    paths: RwLock<Paths>,
    /// Something is known at all.
    any: AtomicBool,
    count: IntGauge,
}

impl Searches {
    pub(crate) fn new(count: IntGauge) -> Self {
        Self { paths: RwLock::default(), any: AtomicBool::new(false), count }
    }

    /// What a target is kept under by what is known of its path; `None` when that is its own spelling.
    pub(crate) fn key(&self, tenant: &Tenant, target: &Target) -> Option<Key> {
        target.query.as_ref()?;
        let variance = self.variance(tenant, &target.path)?;
        let key = key(tenant, target, &variance);
        (key != Key::new(tenant, &target.as_text())).then_some(key)
    }

    fn variance(&self, tenant: &Tenant, path: &str) -> Option<Arc<Variance>> {
        self.look(tenant, path, |known| Arc::clone(&known.variance))
    }

    fn look<T>(&self, tenant: &Tenant, path: &str, of: impl FnOnce(&Known) -> T) -> Option<T> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let paths = self.paths.read().unwrap_or_else(PoisonError::into_inner);
        paths.known.get(&Key::new(tenant, path)).map(of)
    }

    /// True when what an object says of queries is what is known of its path: it is found by all spellings of its class.
    /// So is an object that says nothing, by its own.
    pub(crate) fn holds(&self, tenant: &Tenant, path: &str, object: &Object) -> bool {
        object.variance.as_ref().is_none_or(|said| {
            let same = |known: &Known| known.variance == *said && known.since <= object.asked_at;
            self.look(tenant, path, same).unwrap_or(false)
        })
    }

    /// True when what is kept under a key may be served to a target: what says nothing of queries is for its own spelling.
    pub(crate) fn serves(&self, tenant: &Tenant, target: &Target, key: &Key, object: &Object) -> bool {
        match object.variance {
            Some(_) => self.holds(tenant, &target.path, object),
            None => self.key(tenant, target).is_none() || *key == Key::new(tenant, &target.as_text()),
        }
    }

    /// True when an object that was fetched for one spelling is also for any other that is looked up under the same key.
    pub(crate) fn is_for_all(&self, tenant: &Tenant, path: &str, object: &Object) -> bool {
        self.variance(tenant, path) == object.variance
    }

    /// Learns what an answer says; what it is to be kept under. `None` when it says nothing: its own spelling, then.
    pub(crate) fn learn(
        &self,
        tenant: &Tenant,
        target: &Target,
        answer: &HeaderMap,
        floors: &Floors,
    ) -> Option<Key> {
        let said = Variance::of(answer)?;
        let of_target = key(tenant, target, &said);
        if self.variance(tenant, &target.path).is_some_and(|known| *known == said) {
            return Some(of_target);
        }
        let path = Key::new(tenant, &target.path);
        let mut paths = self.paths.write().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock that purges are aimed under: each purge knows of it, or it knows of the purge.
        let known = Known { variance: Arc::new(said), since: floors.mark() };
        if paths.known.insert(path.clone(), known).is_none() {
            paths.order.push_back(path);
        }
        while paths.order.len() > MAX_PATHS {
            let oldest = paths.order.pop_front();
            oldest.iter().for_each(|path| drop(paths.known.remove(path)));
        }
        self.count.set(i64::try_from(paths.order.len()).unwrap_or(i64::MAX));
        self.any.store(true, Ordering::Release);
        Some(of_target)
    }

    /// Aims a purge, and applies it before anything else is learned. `aim` gets what to add for a URL in its one spelling.
    pub(crate) fn aimed<T>(&self, aim: impl FnOnce(&More<'_>) -> T) -> T {
        let paths = self.paths.read().unwrap_or_else(PoisonError::into_inner);
        aim(&|tenant, spelled| {
            let (path, query) = spelled.split_once('?')?;
            let known = paths.known.get(&Key::new(tenant, path))?;
            let canonical = text(path, known.variance.canonical(Some(query)));
            Some(Aim::Mark(marks::of_url(tenant, &canonical)))
        })
    }
}

/// What a target is kept under by a variance.
fn key(tenant: &Tenant, target: &Target, variance: &Variance) -> Key {
    Key::new(tenant, &text(&target.path, variance.canonical(target.query.as_deref())))
}

fn text(path: &str, query: Option<String>) -> Cow<'_, str> {
    query.map_or(Cow::Borrowed(path), |query| Cow::Owned(format!("{path}?{query}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::search::NO_VARY_SEARCH;
    use crate::cache::{Growing, Head, Lifetimes};
    use crate::floors::Severity;
    use bytes::Bytes;
    use http::StatusCode;
    use sluice_wire::Version;

    fn says(rule: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(NO_VARY_SEARCH, rule.parse().unwrap());
        headers
    }

    fn target(text: &str) -> Target {
        let (path, query) = text.split_once('?').unwrap();
        Target { path: path.into(), query: Some(query.into()), tried: vec![] }
    }

    fn searches() -> Searches {
        Searches::new(IntGauge::new("a", "b").unwrap())
    }

    #[test]
    fn paths_are_few_and_have_one_variance_each() {
        let (searches, floors, own) = (searches(), Floors::default(), Tenant::own());
        for rule in 0..100 {
            let rule = format!("params=(\"{rule}\")");
            searches.learn(&own, &target("/a?1=2&q"), &says(&rule), &floors);
        }
        assert_eq!(searches.count.get(), 1);
        assert_eq!(searches.key(&own, &target("/a?99=2&q")), Some(Key::new(&own, "/a?q=")));
        assert_eq!(searches.key(&Tenant::told("http://h").unwrap(), &target("/a?99=2&q")), None);
        for path in 0..MAX_PATHS + 10 {
            searches.learn(&own, &target(&format!("/{path}?1=2")), &says("params"), &floors);
        }
        assert_eq!(searches.count.get(), MAX_PATHS as i64);
        assert_eq!(searches.key(&own, &target("/a?99=2")), None, "learned first, forgotten first");
    }

    #[test]
    fn what_was_asked_for_before_it_was_known_is_not_served_by_it() {
        let (searches, floors, own) = (searches(), Floors::default(), Tenant::own());
        let object = |asked_at| {
            let (headers, varies) = (says("params"), (vec![], String::new()));
            let head = Head { status: StatusCode::OK, headers, lifetimes: Lifetimes::NONE, varies };
            Object::new(head, Arc::new(Growing::whole(Bytes::new())), asked_at)
        };
        let early = object(floors.mark());
        assert!(!searches.holds(&own, "/a", &early), "nothing is known");
        floors.apply(&[], Severity::Hard, Version(1), 1);
        assert_eq!(
            searches.learn(&own, &target("/a?b"), &says("params"), &floors),
            Some(Key::new(&own, "/a"))
        );
        assert!(!searches.holds(&own, "/a", &early) && searches.holds(&own, "/a", &object(floors.mark())));
        let aims = searches.aimed(|more| more(&own, "/a?x=y"));
        assert_eq!(aims, Some(Aim::Mark(marks::of_url(&own, "/a"))));
        assert_eq!(
            searches.learn(&own, &target("/a?b"), &says("key-order"), &floors),
            Some(Key::new(&own, "/a?b="))
        );
        assert!(!searches.holds(&own, "/a", &object(floors.mark())), "another word counts now");
    }
}
