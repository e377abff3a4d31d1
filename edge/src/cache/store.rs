//! The store: objects by key within a budget of bytes, the least recently used out first.
//!
//! The order of eviction is in one place (`Shard::make_room`), so that a better one can take its.

use super::Object;
use crate::metrics::Metrics;
use lru::LruCache;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shards: enough that two cores seldom meet in one.
const SHARDS: usize = 16;

/// What an object is kept under: the target's one spelling. Answers that vary by more than what a fill leaves out are
/// not shared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key(Arc<str>);

impl Key {
    pub(crate) fn new(target: &str) -> Self {
        Self(target.into())
    }
}

struct Shard {
    objects: LruCache<Key, Arc<Object>>,
    bytes: u64,
}

/// The store. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Store {
    shards: Arc<[Mutex<Shard>]>,
    budget: u64,
    metrics: Metrics,
}

impl Store {
    pub(crate) fn new(budget: u64, metrics: Metrics) -> Self {
        let shard = |_| Mutex::new(Shard { objects: LruCache::unbounded(), bytes: 0 });
        Self { shards: (0..SHARDS).map(shard).collect(), budget: budget / SHARDS as u64, metrics }
    }

    /// The object under a key, made the most recently used. One whose body was cut is none.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Object>> {
        let found = self.shard(key).objects.get(key).cloned()?;
        (!found.body.is_cut()).then_some(found)
    }

    /// Keeps an object, making room for it. One that is larger than a shard's budget is not kept.
    pub(crate) fn put(&self, key: Key, object: Arc<Object>) {
        if object.weight() > self.budget {
            return;
        }
        let mut shard = self.shard(&key);
        let (before, objects) = (shard.bytes, shard.objects.len());
        shard.bytes += object.weight();
        if let Some(replaced) = shard.objects.put(key, object) {
            shard.bytes -= replaced.weight();
        }
        let evicted = shard.make_room(self.budget);
        self.metrics.evictions.inc_by(evicted);
        self.gauge(&shard, before, objects);
    }

    /// Forgets an object, if it is still this one.
    pub(crate) fn remove(&self, key: &Key, object: &Arc<Object>) {
        let mut shard = self.shard(key);
        if !shard.objects.peek(key).is_some_and(|found| Arc::ptr_eq(found, object)) {
            return;
        }
        let (before, objects) = (shard.bytes, shard.objects.len());
        shard.objects.pop(key);
        shard.bytes -= object.weight();
        self.gauge(&shard, before, objects);
    }

    /// Forgets whatever is under a key.
    pub(crate) fn invalidate(&self, key: &Key) {
        let found = self.shard(key).objects.peek(key).cloned();
        if let Some(found) = found {
            self.remove(key, &found);
        }
    }

    fn gauge(&self, shard: &Shard, bytes_before: u64, objects_before: usize) {
        self.metrics.cache_bytes.add(shard.bytes.cast_signed() - bytes_before.cast_signed());
        let (now, before) = (shard.objects.len() as u64, objects_before as u64);
        self.metrics.cache_objects.add(now.cast_signed() - before.cast_signed());
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let index = (hasher.finish() % SHARDS as u64) as usize;
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn make_room(&mut self, budget: u64) -> u64 {
        let mut evicted = 0;
        while self.bytes > budget
            && let Some((_, object)) = self.objects.pop_lru()
        {
            self.bytes -= object.weight();
            evicted += 1;
        }
        evicted
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("budget", &self.budget).finish_non_exhaustive()
    }
}
