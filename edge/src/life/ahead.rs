//! Ahead: what a player says it will ask for next (`nor` of CTA-5004) is fetched before it does, so that the first viewer of a
//! segment does not wait for the tier above.
//!
//! A budget that pays for itself: what is fetched ahead and asked for then earns a little more than it cost, what is not asked
//! for is lost. Where players leave what they announced, little is fetched ahead; one in twenty is tried all the same.

use super::collapse::FILL_LIMIT;
use super::{Ask, fetch};
use crate::budget::Budget;
use crate::cache::{Found, Key};
use crate::edge::Shared;
use crate::gate;
use crate::metrics::Metrics;
use http::Method;
use http::header::HOST;
use lru::LruCache;
use sluice_service::{Body, HttpRequest};
use sluice_wire::overload::Stage;
use sluice_wire::{MediaAsset, MediaPath};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

/// Fetches ahead at a time: they must not keep a parent from those who wait.
const AT_ONCE: usize = 32;
/// Fetches that are in hand at the start, and what one that was asked for earns, in thousandths.
const BUDGET: (u32, u32) = (256, 1_050);
/// Every so many is tried without a budget.
const TRIED: u32 = 20;
/// Segments that are remembered as fetched ahead, and how long a player may take to ask for one.
const REMEMBERED: usize = 8_192;
const PATIENCE: Duration = Duration::from_secs(60);
/// Addresses of one record that are heeded: the pictures and the sound.
const HEEDED: usize = 2;

/// What was fetched ahead and not asked for yet.
#[derive(Debug)]
pub(crate) struct Ahead {
    begun: Mutex<LruCache<String, Instant>>,
    budget: Budget,
    asked: AtomicU32,
    room: Arc<Semaphore>,
    metrics: Metrics,
}

impl Ahead {
    pub(crate) fn new(metrics: Metrics) -> Self {
        let begun = LruCache::new(NonZeroUsize::new(REMEMBERED).unwrap_or(NonZeroUsize::MIN));
        let budget = Budget::new(BUDGET.1, BUDGET.0);
        let room = Arc::new(Semaphore::new(AT_ONCE));
        Self { begun: Mutex::new(begun), budget, asked: AtomicU32::new(0), room, metrics }
    }

    /// Somebody asks for a path: if it was fetched ahead, that was well.
    fn used(&self, path: &str) {
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner).pop(path);
        if begun.is_some_and(|at| at.elapsed() < PATIENCE) {
            self.count("used");
            self.budget.earn();
        } else if begun.is_some() {
            self.count("wasted");
        }
    }

    /// True when one more may be fetched ahead.
    fn may(&self) -> bool {
        self.budget.spend() || self.asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(TRIED)
    }

    fn begin(&self, path: String) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let pushed = begun.push(path, Instant::now());
        drop(begun);
        self.count("begun");
        if pushed.is_some() {
            self.count("wasted");
        }
    }

    fn count(&self, result: &str) {
        self.metrics.ahead.with_label_values(&[result]).inc();
    }
}

/// Fetches ahead what a request's player says it will ask for next.
pub(super) fn fetch_ahead(edge: &Arc<Shared>, ask: &Ask, next: &[String]) {
    edge.ahead.used(&ask.target.path);
    if edge.overload.stage() >= Stage::Spare {
        return;
    }
    let Some(own) = MediaPath::parse(&ask.target.path) else { return };
    for path in next.iter().take(HEEDED).filter_map(|next| resolved(&ask.target.path, next)) {
        let of_this = MediaPath::parse(&path).is_some_and(|media| {
            media.video == own.video
                && matches!(media.asset, MediaAsset::Segment(..) | MediaAsset::SealedSegment(..))
        });
        if of_this && path != ask.target.path {
            one(edge, ask, path);
        }
    }
}

fn one(edge: &Arc<Shared>, ask: &Ask, path: String) {
    let key = Key::new(&ask.tenant, &path);
    let kept = !matches!(edge.store.find(&key, ask.request.headers()), Found::Nothing(..));
    if kept || edge.store.may_recall(&key) || edge.store.may_recall_slices(&key) {
        return;
    }
    let Some(request) = request(ask, &path) else { return };
    let Ok(room) = Arc::clone(&edge.ahead.room).try_acquire_owned() else { return edge.ahead.count("full") };
    if !edge.ahead.may() {
        return edge.ahead.count("saved");
    }
    let (fill, Some(permit)) = edge.fills.join(&key) else { return };
    let mut target = ask.target.clone();
    (target.path, target.query) = (path.clone(), None);
    let floors = ask.floors.clone();
    let ahead = Ask { request, target, tenant: ask.tenant.clone(), key, floors, tries: 0, missed: true };
    fetch::spawn(edge, permit, &ahead, None, None);
    edge.ahead.begin(path);
    edge.drain.tasks().spawn(async move {
        drop(timeout(FILL_LIMIT, fill.outcome()).await);
        drop(room);
    });
}

/// A plain request for a path of the same host.
fn request(ask: &Ask, path: &str) -> Option<HttpRequest> {
    let request = http::Request::builder().method(Method::GET).uri(path);
    request.header(HOST, ask.request.headers().get(HOST)?).body(Body::empty()).ok()
}

/// What an address means beside the one that is asked for, on this host, in its one spelling.
fn resolved(base: &str, next: &str) -> Option<String> {
    if next.contains("://") || next.starts_with("//") || next.contains('?') {
        return None;
    }
    if next.starts_with('/') {
        return gate::spelled(next);
    }
    let (mut folder, _) = base.rsplit_once('/')?;
    let mut rest = next;
    while let Some(above) = rest.strip_prefix("../") {
        (folder, rest) = (folder.rsplit_once('/')?.0, above);
    }
    gate::spelled(&format!("{folder}/{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_meant_beside_the_one_that_is_asked_for() {
        let of = |next: &str| resolved("/v/x/v720/1-a.m4s", next);
        assert_eq!(of("2-b.m4s").as_deref(), Some("/v/x/v720/2-b.m4s"));
        assert_eq!(of("../a64/2-b.m4s").as_deref(), Some("/v/x/a64/2-b.m4s"));
        assert_eq!(of("/v/x/v720/2-b.m4s").as_deref(), Some("/v/x/v720/2-b.m4s"));
        for elsewhere in ["http://other/2", "//other/2", "a/../../../../x", "2?x", "../../../../../x"] {
            assert_eq!(of(elsewhere), None, "{elsewhere}");
        }
    }

    #[test]
    fn what_is_not_asked_for_ends_what_is_fetched_ahead() {
        let ahead = Ahead::new(Metrics::new(&sluice_service::Metrics::default()));
        let spent = |ahead: &Ahead, count: u32| (0..count).filter(|_| ahead.may()).count();
        assert!((310..=315).contains(&spent(&ahead, 1_400)), "256, and one in twenty of the rest");
        for path in 0..20 {
            ahead.begin(path.to_string());
            ahead.used(&path.to_string());
        }
        assert!((20..=22).contains(&spent(&ahead, 20)), "what was asked for pays for as many");
    }
}
