//! What a cache that knows the future would miss (Belady 1966; by size as a greedy bound).

use super::Misses;
use super::trace::Trace;
use std::collections::{BTreeSet, HashMap};

/// What a bound makes room by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Worth {
    /// What is asked for again last goes first.
    Bytes,
    /// What is asked for again last for its size goes first.
    Objects,
}

pub(super) fn play(trace: &Trace, budget: u64, worth: Worth) -> Misses {
    let next = next_uses(trace);
    let (mut held, mut order) = (HashMap::<u64, (u128, u64)>::new(), BTreeSet::<(u128, u64)>::new());
    let (mut bytes, mut misses) = (0u64, Misses::default());
    for (at, request) in trace.requests.iter().enumerate() {
        match held.remove(&request.key) {
            Some((rank, size)) => {
                order.remove(&(rank, request.key));
                bytes -= size;
            }
            None => misses.add(request.size),
        }
        // What never comes back is not kept.
        let Some(next) = next[at] else { continue };
        let rank = match worth {
            Worth::Bytes => next as u128,
            Worth::Objects => (next - at) as u128 * u128::from(request.size),
        };
        held.insert(request.key, (rank, request.size));
        order.insert((rank, request.key));
        bytes += request.size;
        while bytes > budget
            && let Some((_, key)) = order.pop_last()
            && let Some((_, size)) = held.remove(&key)
        {
            bytes -= size;
        }
    }
    misses
}

/// Where each request's key is asked for again.
fn next_uses(trace: &Trace) -> Vec<Option<usize>> {
    let mut seen = HashMap::new();
    let mut next = vec![None; trace.requests.len()];
    for (at, request) in trace.requests.iter().enumerate().rev() {
        next[at] = seen.insert(request.key, at);
    }
    next
}
