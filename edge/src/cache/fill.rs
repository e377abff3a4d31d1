//! Collapse: one fetch for a missing key, whoever asks.
//!
//! A fill is a task of its own; no client owns it, so none can hold it up or end it. Those who wait learn from its
//! outcome what to do: read the object (also while it grows), fetch for themselves, or take the failure.

use super::{Key, Object};
use crate::parent::NoAnswer;
use sluice_service::HttpResponse;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Time between two fills that are sent after a late one, and what each has for its head.
const FOLLOW: Duration = Duration::from_secs(1);

/// What became of a fill.
#[derive(Debug, Clone)]
pub(crate) enum Filled {
    /// Read this; its body may still be growing.
    Object(Arc<Object>),
    /// The answer is not to be shared: who began the fill may have it, the others fetch for themselves.
    NotShared,
    /// Something else is known of the object now: look again.
    Again,
    /// No parent answered as it should.
    Failed(NoAnswer),
}

/// A fill under way.
#[derive(Debug, Default)]
pub(crate) struct Fill {
    outcome: watch::Sender<Option<Filled>>,
    unshared: Mutex<Option<HttpResponse>>,
    /// The target as a parent is asked for it.
    target: OnceLock<Box<str>>,
    /// It is asked for with the cookies of whoever began it.
    personal: AtomicBool,
    late: AtomicBool,
    /// A newer answer than it will bring is kept already.
    overtaken: AtomicBool,
    /// When another was sent after it.
    followed: Mutex<Option<Instant>>,
}

impl Fill {
    /// Tells everyone who waits.
    pub(crate) fn settle(&self, outcome: Filled) {
        self.outcome.send_replace(Some(outcome));
    }

    /// Says what is fetched, since others may have joined by another spelling of the same, and whether with cookies.
    pub(crate) fn begin(&self, target: &str, personal: bool) {
        self.target.get_or_init(|| target.into());
        self.personal.store(personal, Ordering::Relaxed);
    }

    /// True when it is asked for with cookies: what comes may be for who has them, though it does not say so.
    pub(crate) fn is_personal(&self) -> bool {
        self.personal.load(Ordering::Relaxed)
    }

    /// True when just this target is fetched.
    pub(crate) fn is_of(&self, target: &str) -> bool {
        self.target.get().is_some_and(|of| **of == *target)
    }

    /// Leaves an answer for who began the fill, and tells all who wait what it means.
    pub(crate) fn hand_over(&self, answer: HttpResponse, outcome: Filled) {
        *self.unshared.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        self.settle(outcome);
    }

    /// Takes the answer that is for one alone, if nobody has. For who began the fill: it was asked for in that one's name.
    pub(crate) fn take(&self) -> Option<HttpResponse> {
        self.unshared.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Somebody lost patience with it: who has something else need not wait.
    pub(crate) fn mark_late(&self) {
        self.late.store(true, Ordering::Relaxed);
    }

    /// True when somebody lost patience with it.
    pub(crate) fn is_late(&self) -> bool {
        self.late.load(Ordering::Relaxed)
    }

    /// True when a fill that was begun later has brought its answer: what this one brings is old.
    fn is_overtaken(&self) -> bool {
        self.overtaken.load(Ordering::Relaxed)
    }

    /// True while somebody waits for the outcome.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.outcome.receiver_count() > 0
    }

    /// Waits for the outcome. Cancel safe.
    pub(crate) async fn outcome(&self) -> Filled {
        let mut receiver = self.outcome.subscribe();
        match receiver.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Filled::Failed(NoAnswer::Unreachable)),
            Err(_) => Filled::Failed(NoAnswer::Unreachable),
        }
    }
}

/// The fills under way, by key. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fills(Arc<Mutex<UnderWay>>);

#[derive(Debug, Default)]
struct UnderWay {
    fills: HashMap<Key, Arc<Fill>>,
    /// How many are sent for one asker each, whose answers may turn out to be for others too.
    alone: HashMap<Key, usize>,
}

/// The right to fill a key. Given back when dropped, however the fill ended; who still waits then is told it failed.
#[derive(Debug)]
pub(crate) struct Permit {
    pub(crate) fill: Arc<Fill>,
    shared: Option<(Key, Fills)>,
    /// Nobody else joins it.
    alone: Option<(Key, Fills)>,
    /// The late fill of a key that this one was sent after.
    after: Option<(Key, Fills, Arc<Fill>)>,
}

impl Permit {
    /// True when what it brought is to be kept: nothing that was asked for later is kept already. A late fill that it was sent
    /// after is not waited for any more, nor kept.
    pub(crate) fn admits(&self) -> bool {
        if self.fill.is_overtaken() {
            return false;
        }
        if let Some((key, fills, late)) = &self.after {
            late.overtaken.store(true, Ordering::Relaxed);
            fills.forget(key, late);
        }
        true
    }

    /// Time for the first parent's head, when it is not a fill's own.
    pub(crate) const fn limit(&self) -> Option<Duration> {
        if self.after.is_some() { Some(FOLLOW) } else { None }
    }

    /// True when one that was begun later has brought its answer.
    pub(crate) fn is_overtaken(&self) -> bool {
        self.fill.is_overtaken()
    }

    /// True for a fill that others may join.
    pub(crate) const fn is_shared(&self) -> bool {
        self.shared.is_some()
    }
}

impl Fills {
    fn lock(&self) -> MutexGuard<'_, UnderWay> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the fill of a key; the permit goes to the first.
    pub(crate) fn join(&self, key: &Key) -> (Arc<Fill>, Option<Permit>) {
        let mut under_way = self.lock();
        if let Some(fill) = under_way.fills.get(key) {
            return (Arc::clone(fill), None);
        }
        let fill = Arc::new(Fill::default());
        under_way.fills.insert(key.clone(), Arc::clone(&fill));
        let shared = Some((key.clone(), self.clone()));
        let permit = Permit { fill: Arc::clone(&fill), shared, alone: None, after: None };
        (fill, Some(permit))
    }

    /// A fill of a key that nobody else joins.
    pub(crate) fn alone(&self, key: &Key) -> Permit {
        *self.lock().alone.entry(key.clone()).or_default() += 1;
        let alone = Some((key.clone(), self.clone()));
        Permit { fill: Arc::new(Fill::default()), shared: None, alone, after: None }
    }

    /// A fill to be sent after one that is late: parents may answer again meanwhile. One at a time, [`FOLLOW`] apart.
    pub(crate) fn follow(&self, key: &Key, late: &Arc<Fill>) -> Option<Permit> {
        let mut followed = late.followed.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if !late.is_late() || followed.is_some_and(|last| now < last + FOLLOW) {
            return None;
        }
        *followed = Some(now);
        let after = Some((key.clone(), self.clone(), Arc::clone(late)));
        Some(Permit { fill: Arc::new(Fill::default()), shared: None, alone: None, after })
    }

    fn forget(&self, key: &Key, fill: &Arc<Fill>) {
        let mut under_way = self.lock();
        if under_way.fills.get(key).is_some_and(|now| Arc::ptr_eq(now, fill)) {
            under_way.fills.remove(key);
        }
    }

    /// One that nobody joined has ended.
    fn ended(&self, key: &Key) {
        let mut under_way = self.lock();
        if let Some(count) = under_way.alone.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                under_way.alone.remove(key);
            }
        }
    }
}

impl Fills {
    /// What the fill of a key has brought; its body is still growing.
    pub(crate) fn brought(&self, key: &Key) -> Option<Arc<Object>> {
        let fill = self.lock().fills.get(key).cloned()?;
        match &*fill.outcome.borrow() {
            Some(Filled::Object(object)) => Some(Arc::clone(object)),
            _ => None,
        }
    }

    /// True while a key, or a variant of it, is being filled.
    pub(crate) fn are_under_way(&self, key: &Key) -> bool {
        let under_way = self.lock();
        let mut filling = under_way.fills.keys().chain(under_way.alone.keys());
        filling.any(|filling| filling == key || filling.is_variant_of(key))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some((key, fills)) = &self.shared {
            fills.forget(key, &self.fill);
        }
        if let Some((key, fills)) = &self.alone {
            fills.ended(key);
        }
        if self.fill.outcome.borrow().is_none() {
            self.fill.settle(Filled::Failed(NoAnswer::Unreachable));
        }
    }
}
