//! Orders once they are made: a bounded table that is open to all threads, four orders to a bucket, each bucket behind a
//! lock of its own. A full bucket lets go of the order it has had longest.

use std::sync::{Arc, Mutex, PoisonError};

use super::PlacementKey;

/// Orders of a bucket.
const WAYS: usize = 4;
/// Buckets: room for 16,384 orders, the groups of 270 hours of one rung; with 200 nodes 7 MB.
const BUCKETS: usize = 4_096;

/// A key's order: places in a table's nodes, the owner first.
pub type Order = Arc<[u16]>;

#[derive(Debug, Default)]
struct Bucket {
    kept: [Option<(PlacementKey, Order)>; WAYS],
    oldest: usize,
}

/// Orders by key. They are of one table: another has orders of its own.
#[derive(Debug)]
pub struct Orders(Box<[Mutex<Bucket>]>);

impl Default for Orders {
    fn default() -> Self {
        Self((0..BUCKETS).map(|_| Mutex::default()).collect())
    }
}

impl Orders {
    /// The order kept for a key, or the one that is made now if there is none that is `enough`.
    pub fn of(
        &self,
        key: PlacementKey,
        enough: impl Fn(&[u16]) -> bool,
        make: impl FnOnce() -> Vec<u16>,
    ) -> Order {
        // A key's value is spread over all its bits.
        let bucket = &self.0[key.as_u64() as usize % BUCKETS];
        let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
        for (known, order) in bucket.kept.iter().flatten() {
            if *known == key && enough(order) {
                return Arc::clone(order);
            }
        }
        let order: Order = make().into();
        let same = bucket.kept.iter().position(|kept| kept.as_ref().is_some_and(|(known, _)| *known == key));
        let at = same.unwrap_or(bucket.oldest);
        if same.is_none() {
            bucket.oldest = (bucket.oldest + 1) % WAYS;
        }
        bucket.kept[at] = Some((key, Arc::clone(&order)));
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn an_order_is_made_once_and_anew_when_it_is_too_short() {
        let (orders, made) = (Orders::default(), Cell::new(0));
        let of = |key, count: usize| {
            orders.of(
                PlacementKey::from_u64(key),
                |order| order.len() >= count,
                || {
                    made.set(made.get() + 1);
                    (0..count as u16).collect()
                },
            )
        };
        assert_eq!((of(1, 2).len(), of(1, 2).len(), of(1, 1).len(), made.get()), (2, 2, 2, 1));
        assert_eq!((of(1, 3).len(), of(1, 2).len(), made.get()), (3, 3, 2));
    }

    #[test]
    fn a_bucket_keeps_the_newest() {
        let orders = Orders::default();
        let key = |n: usize| PlacementKey::from_u64((n * BUCKETS) as u64);
        for n in 0..=WAYS {
            orders.of(key(n), |_| true, || vec![n as u16]);
        }
        let kept = |n| orders.of(key(n), |_| true, || vec![99])[0];
        assert_eq!(kept(1), 1, "the others are still there");
        assert_eq!(kept(0), 99, "the oldest is gone");
    }
}
