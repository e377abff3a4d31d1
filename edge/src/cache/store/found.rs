//! What is found: by key alone, or as a request selects it.

use super::Store;
use super::shard::{Entry, Variants};
use crate::cache::key::{Key, hashed};
use crate::cache::object::Object;
use crate::cache::policy::Policy;
use crate::cache::vary;
use crate::tenant::Tenant;
use http::header::{ACCEPT_LANGUAGE, HeaderMap};
use std::sync::Arc;
use tokio::time::Instant;

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

impl Store {
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
                    && object.is_selected_by(request)
                {
                    return Found::Object(other.clone(), object);
                }
            }
        }
        Found::NoVariant(wanted)
    }

    pub(super) fn entry(&self, key: &Key) -> Option<Entry> {
        let mut shard = self.shard(key.hash());
        shard.policy.touch(key.hash());
        let (text, entry) = shard.entries.get(&key.hash())?;
        // The body of an object on disk may have given way to others.
        let is_here = !matches!(entry, Entry::Object(object) if object.body.is_gone());
        (text == key.text() && is_here).then(|| entry.clone())
    }

    /// The object under just this key.
    pub(crate) fn object(&self, key: &Key) -> Option<Arc<Object>> {
        match self.entry(key) {
            Some(Entry::Object(object)) => Some(object),
            _ => None,
        }
    }

    /// The same, without its counting as asked for.
    pub(crate) fn peek(&self, key: &Key) -> Option<Arc<Object>> {
        match self.shard(key.hash()).entries.get(&key.hash()) {
            Some((text, Entry::Object(kept))) if text == key.text() && !kept.body.is_gone() => {
                Some(Arc::clone(kept))
            }
            _ => None,
        }
    }

    /// True when something else than this is kept under a key.
    pub(crate) fn holds_other(&self, key: &Key, than: Option<&Arc<Object>>) -> bool {
        match self.shard(key.hash()).entries.get(&key.hash()) {
            Some((text, Entry::Object(kept))) => {
                text == key.text() && !than.is_some_and(|than| Arc::ptr_eq(kept, than))
            }
            Some((text, Entry::Varies(_))) => text == key.text(),
            Some((_, Entry::Unshared(_))) | None => false,
        }
    }
}
