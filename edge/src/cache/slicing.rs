//! Objects kept in slices: which part of the whole each is, and which slices belong together.
//!
//! Slices of one generation have one validator and one length of the whole. Their keys carry the generation's random
//! number, so that slices of two generations are never found together, and forgetting a generation forgets its slices. On
//! disk a generation is a record of its own, by which the next process finds its slices.

use super::object::{FeedMark, Head, Object};
use super::{Growing, Key};
use crate::same;
use http::HeaderValue;
use lru::LruCache;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Objects whose slices are remembered: beyond that the least asked for is begun anew.
const MAX_SLICED: NonZeroUsize = NonZeroUsize::new(8_192).expect("above 0");
/// How long an object that cannot be sliced is fetched whole before slices are tried again.
const WHOLE_FOR: Duration = Duration::from_secs(10);

/// One generation of an object in slices.
#[derive(Debug)]
pub(crate) struct Sliced {
    /// The head of the whole, with status 200 and without the fields of a part.
    pub(crate) head: Head,
    /// Bytes of the whole.
    pub(crate) total: u64,
    /// What all its slices have in common.
    pub(crate) validator: HeaderValue,
    /// Where the event feed was when its first slice was asked for.
    pub(crate) asked_at: FeedMark,
    /// Bytes of its slices, whatever is configured by now.
    pub(crate) size: u64,
    number: u64,
}

impl Sliced {
    /// A new generation, in slices of `size` bytes.
    pub(crate) fn new(
        head: Head,
        (total, size): (u64, u64),
        validator: HeaderValue,
        asked_at: FeedMark,
    ) -> Self {
        Self { head, total, validator, asked_at, size, number: rand::random() }
    }

    /// The generation as a record of the disk has it: its head, and its numbers as the body.
    pub(super) fn recorded(&self) -> Object {
        let numbers = [self.number, self.size, self.total].map(u64::to_le_bytes).concat();
        Object::new(self.head.clone(), Arc::new(Growing::whole(numbers.into())), self.asked_at)
    }

    /// Reads it back.
    pub(super) fn of_record(record: &Object) -> Option<Self> {
        let body = record.body.joined()?;
        let (numbers, []) = body.as_chunks::<8>() else { return None };
        let &[number, size, total] = numbers else { return None };
        let [number, size, total] = [number, size, total].map(u64::from_le_bytes);
        let validator = same::validator(&record.head.headers)?.clone();
        let (head, asked_at) = (record.head.clone(), record.asked_at);
        (size > 0).then_some(Self { head, total, validator, asked_at, size, number })
    }

    /// What one of its slices is kept under.
    pub(crate) fn key(&self, of: &Key, index: u64) -> Key {
        of.slice(self.number, index)
    }
}

/// What is known of how an object is to be fetched.
#[derive(Debug, Clone)]
pub(crate) enum Known {
    /// In slices.
    Sliced(Arc<Sliced>),
    /// Whole, until then.
    Whole(Instant),
}

/// The objects of which that is known.
#[derive(Debug)]
pub(crate) struct Slicing(Mutex<LruCache<Key, Known>>);

impl Default for Slicing {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(MAX_SLICED)))
    }
}

impl Slicing {
    /// What is known of an object.
    pub(crate) fn of(&self, key: &Key) -> Option<Known> {
        let mut known = self.lock();
        match known.get(key)? {
            Known::Whole(until) if *until <= Instant::now() => {
                known.pop(key);
                None
            }
            known => Some(known.clone()),
        }
    }

    /// Begins a generation; one before it is forgotten.
    pub(super) fn begin(&self, key: &Key, sliced: Arc<Sliced>) {
        self.lock().put(key.clone(), Known::Sliced(sliced));
    }

    /// Remembers that an object cannot be sliced.
    pub(crate) fn mark_whole(&self, key: &Key) {
        self.lock().put(key.clone(), Known::Whole(Instant::now() + WHOLE_FOR));
    }

    /// Forgets a generation, unless another has taken its place. True when it was there.
    pub(super) fn end(&self, key: &Key, sliced: &Sliced) -> bool {
        let mut known = self.lock();
        let is_it = matches!(known.peek(key), Some(Known::Sliced(now)) if now.number == sliced.number);
        if is_it {
            known.pop(key);
        }
        is_it
    }

    /// Forgets whatever is known of an object.
    pub(crate) fn forget(&self, key: &Key) {
        self.lock().pop(key);
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<Key, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One slice: the first byte of it and the byte after its last, in a whole of `total` bytes.
pub(crate) fn bounds(index: u64, size: u64, total: u64) -> (u64, u64) {
    let from = index.saturating_mul(size).min(total);
    (from, from.saturating_add(size).min(total))
}

/// The pieces of slices that make up the bytes from `from` to before `to`: index, and the bounds within that slice.
pub(crate) fn pieces(from: u64, to: u64, size: u64) -> impl Iterator<Item = (u64, u64, u64)> + Send + use<> {
    let indices = if from < to { from / size..(to - 1) / size + 1 } else { 0..0 };
    indices.map(move |index| {
        let begin = index * size;
        (index, from.max(begin) - begin, to.min(begin.saturating_add(size)) - begin)
    })
}

/// The slice to begin with for a `Range` field before the length of the whole is known. `None` when the field is no range
/// of bytes. For a suffix it is the first slice: any would tell the length.
pub(crate) fn first_of(range: &str, size: u64) -> Option<u64> {
    let (unit, specs) = range.split_once('=')?;
    let (first, last) = specs.split(',').next()?.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match (digits(first), digits(last)) {
        (true, _) => first.parse::<u64>().ok().map(|first| first / size),
        (false, true) if first.is_empty() => Some(0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_of_slices_are_the_slice_of_the_whole(total in 1usize..2_000, size in 1u64..300, a in 0u64..2_000, b in 0u64..2_000) {
            let whole: Vec<u8> = (0..total).map(|i| (i * 7 % 251) as u8).collect();
            let slice = |index| {
                let (from, to) = bounds(index, size, total as u64);
                &whole[from as usize..to as usize]
            };
            let (from, to) = (a.min(b).min(total as u64), a.max(b).min(total as u64));
            let got: Vec<u8> = pieces(from, to, size)
                .flat_map(|(index, begin, end)| slice(index)[begin as usize..end as usize].to_vec())
                .collect();
            prop_assert_eq!(got, &whole[from as usize..to as usize]);
        }
    }

    #[test]
    fn the_first_slice_of_a_range_is_known_before_the_length() {
        for (range, first) in [
            ("bytes=0-9", Some(0)),
            ("bytes=1024-", Some(1)),
            ("Bytes=2047-9,5000-", Some(1)),
            ("bytes=-5", Some(0)),
            ("bytes=a-b", None),
            ("items=0-9", None),
            ("bytes=-", None),
            ("bytes=99999999999999999999-", None),
        ] {
            assert_eq!(first_of(range, 1024), first, "{range}");
        }
    }

    #[tokio::test]
    async fn a_generation_is_read_back_from_its_record() {
        let mut headers = http::HeaderMap::new();
        headers.insert("etag", HeaderValue::from_static("\"a\""));
        let head = Head {
            status: http::StatusCode::OK,
            headers,
            lifetimes: super::super::Lifetimes::NONE,
            varies: (vec![], String::new()),
        };
        let asked_at = FeedMark { epoch: 1, seq: 2, here: 3 };
        let sliced = Sliced::new(head, (9, 4), HeaderValue::from_static("\"a\""), asked_at);
        let key = Key::new(&crate::tenant::Tenant::own(), "/a");
        let read = Sliced::of_record(&sliced.recorded()).unwrap();
        assert!(read.key(&key, 1) == sliced.key(&key, 1) && read.key(&key, 1).is_slice());
        assert!(!key.is_slice() && !key.slices().is_slice() && !key.image("w=1").is_slice());
        assert_eq!(
            (read.total, read.size, read.asked_at, &read.validator),
            (9, 4, asked_at, &sliced.validator)
        );
        let other =
            Object::new(sliced.head, Arc::new(Growing::whole(bytes::Bytes::from_static(b"short"))), asked_at);
        assert!(Sliced::of_record(&other).is_none());
    }

    #[tokio::test]
    async fn a_generation_ends_with_its_object_and_never_another() {
        let sliced = || {
            let head = Head {
                status: http::StatusCode::OK,
                headers: http::HeaderMap::new(),
                lifetimes: super::super::Lifetimes::NONE,
                varies: (vec![], String::new()),
            };
            Arc::new(Sliced::new(head, (9, 4), HeaderValue::from_static("\"a\""), FeedMark::default()))
        };
        let (slicing, key, old, new) =
            (Slicing::default(), Key::new(&crate::tenant::Tenant::own(), "/a"), sliced(), sliced());
        slicing.begin(&key, Arc::clone(&old));
        slicing.begin(&key, Arc::clone(&new));
        slicing.end(&key, &old);
        assert!(matches!(slicing.of(&key), Some(Known::Sliced(_))));
        assert!(old.key(&key, 0) != new.key(&key, 0));
        slicing.end(&key, &new);
        assert!(slicing.of(&key).is_none());
        slicing.mark_whole(&key);
        assert!(matches!(slicing.of(&key), Some(Known::Whole(_))));
    }
}
