//! Keys in order of use, with their bytes.

use lru::LruCache;
use std::hash::{BuildHasherDefault, Hasher};

/// Keys are hashes already.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

/// A queue of keys, the least recently used at its end.
#[derive(Debug)]
pub(super) struct Queue {
    keys: LruCache<u64, u64, BuildHasherDefault<Identity>>,
    bytes: u64,
}

impl Default for Queue {
    fn default() -> Self {
        Self { keys: LruCache::unbounded_with_hasher(BuildHasherDefault::default()), bytes: 0 }
    }
}

impl Queue {
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Keys in it.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Moves a key to the front. True when it is here.
    pub(super) fn touch(&mut self, key: u64) -> bool {
        self.keys.get(&key).is_some()
    }

    /// Puts a key to the front.
    pub(super) fn push(&mut self, key: u64, size: u64) {
        self.bytes = self.bytes + size - self.keys.put(key, size).unwrap_or(0);
    }

    /// Takes the key that was not used for the longest time.
    pub(super) fn pop(&mut self) -> Option<(u64, u64)> {
        let (key, size) = self.keys.pop_lru()?;
        self.bytes -= size;
        Some((key, size))
    }

    /// Takes a key out; its size.
    pub(super) fn remove(&mut self, key: u64) -> Option<u64> {
        let size = self.keys.pop(&key)?;
        self.bytes -= size;
        Some(size)
    }

    /// The keys, the least recently used first.
    pub(super) fn oldest(&self) -> impl Iterator<Item = (u64, u64)> {
        self.keys.iter().rev().map(|(key, size)| (*key, *size))
    }
}
