//! Collapse: one fetch for a missing key, whoever asks.
//!
//! A fill is a task of its own; no client owns it, so none can hold it up or end it. Those who wait learn from its
//! outcome what to do: read the object (also while it grows), fetch for themselves, or take the failure.

use super::{Key, Object};
use crate::parent::NoAnswer;
use sluice_service::HttpResponse;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
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
    /// The answer is not to be shared: the first to ask may have it, the others fetch for themselves.
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

    /// Says what is fetched: others may have joined by another spelling of the same.
    pub(crate) fn begin(&self, target: &str) {
        self.target.get_or_init(|| target.into());
    }

    /// True when just this target is fetched.
    pub(crate) fn is_of(&self, target: &str) -> bool {
        self.target.get().is_some_and(|of| **of == *target)
    }

    /// Leaves an answer for one of those who wait alone, and tells them all what it means.
    pub(crate) fn hand_over(&self, answer: HttpResponse, outcome: Filled) {
        *self.unshared.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        self.settle(outcome);
    }

    /// Takes the answer that is for one alone, if nobody has.
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
pub(crate) struct Fills(Arc<Mutex<HashMap<Key, Arc<Fill>>>>);

/// The right to fill a key. Given back when dropped, however the fill ended; who still waits then is told it failed.
#[derive(Debug)]
pub(crate) struct Permit {
    pub(crate) fill: Arc<Fill>,
    shared: Option<(Key, Fills)>,
    /// The late fill of a key that this one was sent after.
    after: Option<(Key, Fills, Arc<Fill>)>,
}

impl Permit {
    /// A fill that nobody else joins.
    pub(crate) fn alone() -> Self {
        Self { fill: Arc::new(Fill::default()), shared: None, after: None }
    }
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

    /// True for a fill that others may join.
    pub(crate) const fn is_shared(&self) -> bool {
        self.shared.is_some()
    }
}

impl Fills {
    /// Joins the fill of a key; the permit goes to the first.
    pub(crate) fn join(&self, key: &Key) -> (Arc<Fill>, Option<Permit>) {
        let mut fills = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fill) = fills.get(key) {
            return (Arc::clone(fill), None);
        }
        let fill = Arc::new(Fill::default());
        fills.insert(key.clone(), Arc::clone(&fill));
        let permit =
            Permit { fill: Arc::clone(&fill), shared: Some((key.clone(), self.clone())), after: None };
        (fill, Some(permit))
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
        Some(Permit { fill: Arc::new(Fill::default()), shared: None, after })
    }

    fn forget(&self, key: &Key, fill: &Arc<Fill>) {
        let mut fills = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if fills.get(key).is_some_and(|now| Arc::ptr_eq(now, fill)) {
            fills.remove(key);
        }
    }
}

impl Fills {
    /// True while a key, or a variant of it, is being filled.
    pub(crate) fn are_under_way(&self, key: &Key) -> bool {
        let fills = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        fills.keys().any(|filling| filling == key || filling.is_variant_of(key))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some((key, fills)) = &self.shared {
            fills.forget(key, &self.fill);
        }
        if self.fill.outcome.borrow().is_none() {
            self.fill.settle(Filled::Failed(NoAnswer::Unreachable));
        }
    }
}
