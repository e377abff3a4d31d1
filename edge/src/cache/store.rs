//! The store: whole answers by key within a budget of bytes.
//!
//! A target whose answers vary has an entry that says by which fields, and one entry for each form. A target whose last
//! answer was for one asker alone has an entry that says so: the next ones do not wait for one another
//! (hit-for-miss).
//!
//! - `found`: what is found; `recall`: what the disk has; `shard`: entries, and what gives way

mod found;
mod recall;
mod shard;
#[cfg(test)]
mod tests;

pub(crate) use found::{Found, Gone};

use super::key::Key;
use super::object::{OVERHEAD, Object};
use super::policy::Policy;
use super::slicing::Slicing;
use super::vary::MAX_VARIANTS;
use crate::disk::Tier;
use crate::metrics::Metrics;
use http::HeaderName;
use shard::{Entry, SHARDS, Shard, Variants};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long an answer for one alone is taken as the sign that the next will be so too.
const UNSHARED_FOR: Duration = Duration::from_secs(10);

/// The store. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Store {
    shards: Arc<[Mutex<Shard>]>,
    /// What is kept in slices.
    pub(crate) slicing: Arc<Slicing>,
    /// A shard's.
    budget: Arc<AtomicU64>,
    metrics: Metrics,
    /// What outlives memory.
    disk: Option<Tier>,
}

impl Store {
    pub(crate) fn new(budget: u64, metrics: Metrics, disk: Option<Tier>) -> Self {
        let budget = budget / SHARDS as u64;
        let shards = (0..SHARDS).map(|_| Mutex::new(Shard::new(budget))).collect();
        Self { shards, slicing: Arc::default(), budget: Arc::new(AtomicU64::new(budget)), metrics, disk }
    }

    /// Changes the budget. What is over a smaller one is evicted at once.
    pub(crate) fn resize(&self, budget: u64) {
        let budget = budget / SHARDS as u64;
        if self.budget.swap(budget, Ordering::Relaxed) == budget {
            return;
        }
        for shard in self.shards.iter() {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let (bytes, entries) = (shard.policy.bytes(), shard.entries.len());
            let Shard { policy, evicted, .. } = &mut *shard;
            policy.resize(budget, evicted);
            self.forget_evicted(&mut shard);
            self.gauge(&shard, bytes, entries);
        }
    }

    /// Bytes of the largest body that there is room for.
    pub(crate) fn largest(&self) -> u64 {
        self.budget.load(Ordering::Relaxed).saturating_sub(OVERHEAD)
    }

    /// Takes a key for asked for so many times.
    pub(crate) fn expect(&self, key: &Key, times: u8) {
        let mut shard = self.shard(key.hash());
        (0..times).for_each(|_| shard.policy.touch(key.hash()));
    }

    /// Keeps a whole object for a target, or a slice, in memory and on disk, unless a newer one is kept.
    pub(crate) fn put(&self, target: &Key, object: Arc<Object>) {
        if self.remember(target, Arc::clone(&object))
            && let Some(disk) = &self.disk
            && (!target.text().contains('\n') || target.is_slice())
        {
            disk.put(target, &object);
        }
    }

    /// Keeps an object whose head alone is new, unless a newer one is kept.
    pub(crate) fn renew(&self, target: &Key, object: Arc<Object>) {
        if self.remember(target, Arc::clone(&object))
            && let Some(disk) = &self.disk
            && !target.text().contains('\n')
        {
            disk.renew(target, &object);
        }
    }

    /// Keeps a whole object in memory, making room for it. One that is larger than a shard's budget is not kept. False when one
    /// that shows a newer version is there: what comes late does not take its place.
    pub(crate) fn remember(&self, target: &Key, object: Arc<Object>) -> bool {
        if object.weight() > self.budget.load(Ordering::Relaxed) {
            return true;
        }
        object.marks.get_or_init(|| target.marks());
        let place = object.place(target);
        if place != *target {
            self.list(target, &object.head.varies.0, &place);
        }
        self.insert_newer(&place, object)
    }

    fn insert_newer(&self, key: &Key, object: Arc<Object>) -> bool {
        let mut shard = self.shard(key.hash());
        if let Some((text, Entry::Object(kept))) = shard.entries.get(&key.hash())
            && text == key.text()
            && kept.is_newer_than(&object)
            && !kept.body.is_gone()
        {
            return false;
        }
        self.insert_in(&mut shard, key, Entry::Object(object));
        true
    }

    /// Keeps a variant of a target that is an image. It goes when the target is invalidated.
    pub(crate) fn put_image(&self, target: &Key, variant: &Key, object: Arc<Object>) {
        if object.weight() <= self.budget.load(Ordering::Relaxed) {
            object.marks.get_or_init(|| target.marks());
            self.list(&target.images(), &[], variant);
            self.insert(variant, Entry::Object(object));
        }
    }

    /// Adds a variant to a list. The oldest gives way when there are too many.
    fn list(&self, at: &Key, fields: &[HeaderName], variant: &Key) {
        let mut shard = self.shard(at.hash());
        let before = shard.entries.get(&at.hash()).filter(|(text, _)| text == at.text());
        let (mut keys, mut too_many) = match before {
            Some((_, Entry::Varies(before))) if before.fields == fields => (before.keys.clone(), vec![]),
            // The answers vary in another way than before: what was kept by the old way is found no more.
            Some((_, Entry::Varies(before))) => (vec![], before.keys.clone()),
            _ => (vec![], vec![]),
        };
        keys.retain(|key| key != variant);
        too_many.extend(keys.drain(..keys.len().saturating_sub(MAX_VARIANTS - 1)));
        keys.push(variant.clone());
        self.insert_in(&mut shard, at, Entry::Varies(Arc::new(Variants { fields: fields.to_vec(), keys })));
        drop(shard);
        too_many.iter().for_each(|key| drop(self.take(key)));
    }

    /// Counts an object's bytes anew, after a form of its body was made. Nothing happens when it is kept no more.
    pub(crate) fn reweigh(&self, target: &Key, object: &Arc<Object>) {
        let key = object.place(target);
        let mut shard = self.shard(key.hash());
        // Its head may have been renewed meanwhile; the body counts.
        let kept = match shard.entries.get(&key.hash()) {
            Some((text, Entry::Object(kept)))
                if text == key.text() && Arc::ptr_eq(&kept.body, &object.body) =>
            {
                Arc::clone(kept)
            }
            _ => return,
        };
        self.insert_in(&mut shard, &key, Entry::Object(kept));
    }

    /// Remembers that a target's answers are for one asker alone.
    pub(crate) fn mark_unshared(&self, target: &Key) {
        self.invalidate(target);
        self.insert(target, Entry::Unshared(Instant::now() + UNSHARED_FOR));
    }

    /// Forgets whatever is kept for a target, in all its forms. True when there was something.
    pub(crate) fn invalidate(&self, target: &Key) -> bool {
        self.slicing.forget(target);
        if let Some(disk) = &self.disk {
            disk.forget(target);
            disk.forget(&target.slices());
        }
        let found = self.take(target);
        for list in [&found, &self.take(&target.images())] {
            if let Some(Entry::Varies(variants)) = list {
                variants.keys.iter().for_each(|key| drop(self.take(key)));
            }
        }
        if let Some(found) = &found {
            self.let_go(found);
            self.shard(target.hash()).gone.put(target.hash(), Gone::Purged);
        }
        found.is_some()
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("budget", &self.budget).finish_non_exhaustive()
    }
}
