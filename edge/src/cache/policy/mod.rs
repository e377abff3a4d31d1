//! Eviction and admission: which keys a budget of bytes holds. Pure: no clock, no I/O, no bodies.
//!
//! - [`SizedTinyLfu`]: what the edge uses; [`Lru`]: beside it, for comparison
//! - `queue`: keys in order of use, with their bytes; `sketch`: how often a key was asked for lately

mod lru;
mod queue;
mod sized_tiny_lfu;
mod sketch;

pub use lru::Lru;
pub(crate) use queue::Identity;
pub use sized_tiny_lfu::SizedTinyLfu;

/// A set of keys within a budget of bytes. Keys are hashes, spread evenly.
pub trait Policy: Send {
    /// A key was asked for. One that is not held counts too: it is asked for before it is inserted.
    fn touch(&mut self, key: u64);
    /// Holds a key of this size, or gives up others, or this very one: what is held no more is added to `evicted`, once
    /// each. A key that is held already takes its new size.
    fn insert(&mut self, key: u64, size: u64, evicted: &mut Vec<u64>);
    /// Forgets a key.
    fn remove(&mut self, key: u64);
    /// Bytes held: never more than the budget.
    fn bytes(&self) -> u64;
}

#[cfg(test)]
mod tests;
