//! The store: whole answers by key within a budget of bytes.
//!
//! A target whose answers vary has an entry that says by which fields, and one entry for each form. A target whose last
//! answer was for one asker alone has an entry that says so: the next ones do not wait for one another
//! (hit-for-miss).

use super::key::{Key, hashed};
use super::object::{OVERHEAD, Object};
use super::policy::{Identity, Policy, SizedTinyLfu};
use super::slicing::{Sliced, Slicing};
use super::vary::{self, MAX_VARIANTS};
use crate::disk::Tier;
use crate::metrics::Metrics;
use crate::tenant::Tenant;
use http::HeaderName;
use http::header::{ACCEPT_LANGUAGE, HeaderMap};
use lru::LruCache;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Shards: enough that two cores seldom meet in one.
const SHARDS: usize = 16;
/// How long an answer for one alone is taken as the sign that the next will be so too.
const UNSHARED_FOR: Duration = Duration::from_secs(10);
/// What an entry without a body weighs.
const SIGN: u64 = 256;
/// Keys remembered in each shard after their objects have gone, to tell one miss from another.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4_096).expect("above 0");

/// Why an object that was here is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gone {
    Evicted,
    Purged,
}

/// What a lookup found.
#[derive(Debug)]
pub(crate) enum Found {
    /// An object; the key it is under.
    Object(Key, Arc<Object>),
    /// Nothing; the key to fill, and why nothing is there, if something was.
    Nothing(Key, Option<Gone>),
    /// No form that the request selects; the key of the one it would.
    NoVariant(Key),
    /// Answers are for one asker alone.
    Unshared,
}

#[derive(Debug)]
struct Variants {
    fields: Vec<HeaderName>,
    keys: Vec<Key>,
}

#[derive(Debug, Clone)]
enum Entry {
    Object(Arc<Object>),
    Varies(Arc<Variants>),
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

struct Shard {
    /// By the key's hash; the text beside it tells two keys of one hash apart.
    entries: HashMap<u64, (Arc<str>, Entry), BuildHasherDefault<Identity>>,
    policy: SizedTinyLfu,
    gone: LruCache<u64, Gone>,
    /// Room for what an insertion evicts.
    evicted: Vec<u64>,
}

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
        let shard = |_| {
            Mutex::new(Shard {
                entries: HashMap::default(),
                policy: SizedTinyLfu::new(budget),
                gone: LruCache::new(REMEMBERED),
                evicted: vec![],
            })
        };
        let shards = (0..SHARDS).map(shard).collect();
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

    fn forget_evicted(&self, shard: &mut Shard) {
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
    fn let_go(&self, entry: &Entry) {
        if let Entry::Object(object) = entry
            && object.end_ahead()
        {
            self.metrics.planned("wasted", object.body.bytes());
        }
    }

    /// Bytes of the largest body that there is room for.
    pub(crate) fn largest(&self) -> u64 {
        self.budget.load(Ordering::Relaxed).saturating_sub(OVERHEAD)
    }

    /// The object under a target that does not vary, without a key of it being made; nor does it speak for other queries.
    pub(crate) fn plain(&self, tenant: &Tenant, target: &str) -> Option<Arc<Object>> {
        let hash = hashed(target, tenant.seed());
        let mut shard = self.shard(hash);
        let object = match shard.entries.get(&hash) {
            Some((text, Entry::Object(object)))
                if Key::is_of(text, tenant, target) && object.variance.is_none() =>
            {
                Arc::clone(object)
            }
            _ => return None,
        };
        shard.policy.touch(hash);
        Some(object)
    }

    /// Takes a key for asked for so many times.
    pub(crate) fn expect(&self, key: &Key, times: u8) {
        let mut shard = self.shard(key.hash());
        (0..times).for_each(|_| shard.policy.touch(key.hash()));
    }

    /// What there is for a request.
    pub(crate) fn find(&self, key: &Key, request: &HeaderMap) -> Found {
        match self.entry(key) {
            Some(Entry::Object(object)) => Found::Object(key.clone(), object),
            Some(Entry::Varies(variants)) => self.select(key, &variants, request),
            Some(Entry::Unshared(until)) if Instant::now() < until => Found::Unshared,
            Some(Entry::Unshared(_)) | None => {
                Found::Nothing(key.clone(), self.shard(key.hash()).gone.peek(&key.hash()).copied())
            }
        }
    }

    fn select(&self, key: &Key, variants: &Variants, request: &HeaderMap) -> Found {
        let wanted = key.variant(&vary::selection(&variants.fields, request));
        if let Some(Entry::Object(object)) = self.entry(&wanted) {
            return Found::Object(wanted, object);
        }
        if variants.fields.contains(&ACCEPT_LANGUAGE) {
            for other in &variants.keys {
                if let Some(Entry::Object(object)) = self.entry(other)
                    && vary::selects_language(&object.head.headers, request)
                {
                    return Found::Object(other.clone(), object);
                }
            }
        }
        Found::NoVariant(wanted)
    }

    fn entry(&self, key: &Key) -> Option<Entry> {
        let mut shard = self.shard(key.hash());
        shard.policy.touch(key.hash());
        let (text, entry) = shard.entries.get(&key.hash())?;
        // The body of an object on disk may have given way to others.
        let is_here = !matches!(entry, Entry::Object(object) if object.body.is_gone());
        (text == key.text() && is_here).then(|| entry.clone())
    }

    /// True when the disk may have what is not in memory for a target.
    pub(crate) fn may_recall(&self, target: &Key) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.may_have(target))
    }

    /// What the disk has for a request.
    pub(crate) async fn recall(&self, target: &Key, request: &HeaderMap) -> Option<Arc<Object>> {
        self.disk.as_ref()?.find(target, request).await
    }

    /// True when the disk may have slices of a target of which memory knows nothing.
    pub(crate) fn may_recall_slices(&self, target: &Key) -> bool {
        let may_have = |disk: &Tier| disk.may_have(&target.slices());
        self.disk.as_ref().is_some_and(may_have) && self.slicing.of(target).is_none()
    }

    /// Takes up the generation that the disk has of a target.
    pub(crate) async fn recall_slices(&self, target: &Key) {
        let Some(disk) = &self.disk else { return };
        let record = disk.find(&target.slices(), &HeaderMap::new()).await;
        if let Some(sliced) = record.and_then(|record| Sliced::of_record(&record)) {
            self.slicing.begin(target, Arc::new(sliced));
        }
    }

    /// Begins a generation of slices; one before it is forgotten.
    pub(crate) fn begin_slices(&self, target: &Key, sliced: Arc<Sliced>) {
        if let Some(disk) = &self.disk
            && !target.text().contains('\n')
        {
            disk.put(&target.slices(), &Arc::new(sliced.recorded()));
        }
        self.slicing.begin(target, sliced);
    }

    /// Forgets a generation of slices, unless another has taken its place.
    pub(crate) fn end_slices(&self, target: &Key, sliced: &Sliced) {
        if self.slicing.end(target, sliced)
            && let Some(disk) = &self.disk
        {
            disk.forget(&target.slices());
        }
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
        let (fields, selected) = &object.head.varies;
        if fields.is_empty() {
            return self.insert_newer(target, object);
        }
        let variant = target.variant(selected);
        self.list(target, fields, &variant);
        self.insert_newer(&variant, object)
    }

    fn insert_newer(&self, key: &Key, object: Arc<Object>) -> bool {
        let mut shard = self.shard(key.hash());
        if let Some((text, Entry::Object(kept))) = shard.entries.get(&key.hash())
            && text == key.text()
            && kept.is_beyond(&object)
            && !object.is_beyond(kept)
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

    /// Has the disk keep a variant of an image, under a key that says of which form.
    pub(crate) fn keep_image(&self, variant: &Key, object: &Arc<Object>) {
        if let Some(disk) = &self.disk {
            disk.put(variant, object);
        }
    }

    /// A variant of an image as the disk has it.
    pub(crate) async fn recall_image(&self, variant: &Key) -> Option<Arc<Object>> {
        let disk = self.disk.as_ref().filter(|disk| disk.may_have(variant))?;
        disk.find(variant, &HeaderMap::new()).await
    }

    /// The object under just this key.
    pub(crate) fn object(&self, key: &Key) -> Option<Arc<Object>> {
        match self.entry(key) {
            Some(Entry::Object(object)) => Some(object),
            _ => None,
        }
    }

    /// Adds a variant to a list. The oldest gives way when there are too many.
    fn list(&self, at: &Key, fields: &[HeaderName], variant: &Key) {
        let (mut keys, mut too_many) = match self.entry(at) {
            Some(Entry::Varies(before)) if before.fields == fields => (before.keys.clone(), vec![]),
            // The answers vary in another way than before: what was kept by the old way is found no more.
            Some(Entry::Varies(before)) => (vec![], before.keys.clone()),
            _ => (vec![], vec![]),
        };
        keys.retain(|key| key != variant);
        too_many.extend(keys.drain(..keys.len().saturating_sub(MAX_VARIANTS - 1)));
        keys.push(variant.clone());
        self.insert(at, Entry::Varies(Arc::new(Variants { fields: fields.to_vec(), keys })));
        too_many.iter().for_each(|key| drop(self.take(key)));
    }

    /// Counts an object's bytes anew, after a form of its body was made. Nothing happens when it is kept no more.
    pub(crate) fn reweigh(&self, target: &Key, object: &Arc<Object>) {
        let (fields, selected) = &object.head.varies;
        let variant = (!fields.is_empty()).then(|| target.variant(selected));
        let key = variant.as_ref().unwrap_or(target);
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
        self.insert_in(&mut shard, key, Entry::Object(kept));
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

    fn insert(&self, key: &Key, entry: Entry) {
        self.insert_in(&mut self.shard(key.hash()), key, entry);
    }

    fn insert_in(&self, shard: &mut Shard, key: &Key, entry: Entry) {
        let (bytes, entries) = (shard.policy.bytes(), shard.entries.len());
        let Shard { entries: kept, policy, evicted, .. } = &mut *shard;
        let weight = entry.weight();
        kept.insert(key.hash(), (Arc::clone(key.text()), entry));
        policy.insert(key.hash(), weight, evicted);
        self.forget_evicted(shard);
        self.gauge(shard, bytes, entries);
    }

    fn take(&self, key: &Key) -> Option<Entry> {
        let mut shard = self.shard(key.hash());
        let (bytes, entries) = (shard.policy.bytes(), shard.entries.len());
        let (_, found) = shard.entries.remove(&key.hash())?;
        shard.policy.remove(key.hash());
        self.gauge(&shard, bytes, entries);
        Some(found)
    }

    fn gauge(&self, shard: &Shard, bytes_before: u64, entries_before: usize) {
        self.metrics.cache_bytes.add(shard.policy.bytes().cast_signed() - bytes_before.cast_signed());
        let (now, before) = (shard.entries.len() as u64, entries_before as u64);
        self.metrics.cache_objects.add(now.cast_signed() - before.cast_signed());
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        // The low bits choose within a shard's map.
        let index = (hash >> 56) as usize % SHARDS;
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("budget", &self.budget).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Head;
    use crate::cache::freshness::Lifetimes;
    use crate::cache::{FeedMark, Growing};
    use bytes::Bytes;
    use http::StatusCode;

    fn resident() -> u64 {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
    }

    #[test]
    fn an_object_costs_no_more_than_the_budget_is_charged_for_it() {
        const OBJECTS: u64 = 100_000;
        let metrics = Metrics::new(&sluice_service::Metrics::default());
        let store = Store::new(1 << 40, metrics, None);
        let tenant = Tenant::own();
        let before = resident();
        for i in 0..OBJECTS {
            let body = Arc::new(Growing::whole(Bytes::from_static(b"body")));
            let (headers, varies) = (HeaderMap::new(), (vec![], String::new()));
            let head = Head { status: StatusCode::OK, headers, lifetimes: Lifetimes::NONE, varies };
            let object = Arc::new(Object::new(head, body, FeedMark::default()));
            store.put(&Key::new(&tenant, &format!("/{i:08}")), object);
        }
        let each = (resident() - before) / OBJECTS;
        assert!(each > 100 && each <= OVERHEAD, "{each} bytes each");
    }
}
