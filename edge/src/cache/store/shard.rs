//! Shards: entries by the hash of their key, and what gives way when there are too many.

use super::{Gone, Store};
use crate::cache::key::Key;
use crate::cache::object::Object;
use crate::cache::policy::{Identity, Policy, SizedTinyLfu};
use http::HeaderName;
use lru::LruCache;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::num::NonZeroUsize;
use std::sync::{Arc, MutexGuard, PoisonError};
use tokio::time::Instant;

/// Shards: enough that two cores seldom meet in one.
pub(super) const SHARDS: usize = 16;
/// What an entry without a body weighs.
const SIGN: u64 = 256;
/// Keys remembered in each shard after their objects have gone, to tell one miss from another.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4_096).expect("above 0");

/// The forms of a target whose answers vary.
#[derive(Debug)]
pub(super) struct Variants {
    /// By which fields of the request.
    pub(super) fields: Vec<HeaderName>,
    /// The oldest first.
    pub(super) keys: Vec<Key>,
}

/// What is kept under a key.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    Object(Arc<Object>),
    Varies(Arc<Variants>),
    /// Answers are for one asker alone, until then.
    Unshared(Instant),
}

impl Entry {
    fn weight(&self) -> u64 {
        match self {
            Self::Object(object) => object.weight(),
            Self::Varies(_) | Self::Unshared(_) => SIGN,
        }
    }
}

/// A part of the store under a lock of its own.
pub(super) struct Shard {
    /// By the key's hash; the text beside it tells two keys of one hash apart.
    pub(super) entries: HashMap<u64, (Arc<str>, Entry), BuildHasherDefault<Identity>>,
    pub(super) policy: SizedTinyLfu,
    pub(super) gone: LruCache<u64, Gone>,
    /// Room for what an insertion evicts.
    pub(super) evicted: Vec<u64>,
}

impl Shard {
    pub(super) fn new(budget: u64) -> Self {
        Self {
            entries: HashMap::default(),
            policy: SizedTinyLfu::new(budget),
            gone: LruCache::new(REMEMBERED),
            evicted: vec![],
        }
    }
}

impl Store {
    pub(super) fn insert(&self, key: &Key, entry: Entry) {
        self.insert_in(&mut self.shard(key.hash()), key, entry);
    }

    pub(super) fn insert_in(&self, shard: &mut Shard, key: &Key, entry: Entry) {
        let (bytes, entries) = (shard.policy.bytes(), shard.entries.len());
        let Shard { entries: kept, policy, evicted, .. } = &mut *shard;
        let weight = entry.weight();
        kept.insert(key.hash(), (Arc::clone(key.text()), entry));
        policy.insert(key.hash(), weight, evicted);
        self.forget_evicted(shard);
        self.gauge(shard, bytes, entries);
    }

    pub(super) fn take(&self, key: &Key) -> Option<Entry> {
        let mut shard = self.shard(key.hash());
        let (bytes, entries) = (shard.policy.bytes(), shard.entries.len());
        let (_, found) = shard.entries.remove(&key.hash())?;
        shard.policy.remove(key.hash());
        self.gauge(&shard, bytes, entries);
        Some(found)
    }

    pub(super) fn gauge(&self, shard: &Shard, bytes_before: u64, entries_before: usize) {
        self.metrics.cache_bytes.add(shard.policy.bytes().cast_signed() - bytes_before.cast_signed());
        let (now, before) = (shard.entries.len() as u64, entries_before as u64);
        self.metrics.cache_objects.add(now.cast_signed() - before.cast_signed());
    }

    pub(super) fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        // The low bits choose within a shard's map.
        let index = (hash >> 56) as usize % SHARDS;
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn forget_evicted(&self, shard: &mut Shard) {
        let Shard { entries, gone, evicted, .. } = shard;
        self.metrics.evictions.inc_by(evicted.len() as u64);
        for hash in evicted.drain(..) {
            if let Some((_, entry)) = entries.remove(&hash) {
                self.let_go(&entry);
            }
            gone.put(hash, Gone::Evicted);
        }
    }

    /// Counts what was fetched ahead for nobody.
    pub(super) fn let_go(&self, entry: &Entry) {
        if let Entry::Object(object) = entry
            && object.end_ahead()
        {
            self.metrics.planned("wasted", object.body.bytes());
        }
    }
}
