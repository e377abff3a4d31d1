//! One record of a region: what an answer was kept under, its head, and the sums of its body's blocks. Pure.
//!
//! ```text
//! 0  magic      8 bytes
//! 8  mark       8 bytes, LIVE or dead; the only bytes that change after they were written, so no sum covers them
//! 16 sum        xxh3 of everything from 24 to the body
//! 24 region     4 bytes  \ where the record is: one that was moved or swapped is not believed
//! 28 head       4 bytes, length of what follows the fixed part
//! 32 at         8 bytes  /
//! 40 body       8 bytes, length of the body behind the head
//! 48 key, then a sign's or an answer's fields
//! ```

use super::fields::{Reader, Writer};
use super::sums::BLOCK;
use crate::cache::{FeedMark, Head, Lifetimes, Window};
use http::{HeaderName, StatusCode};
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

/// Bytes of the part of a fixed length.
pub(super) const FIXED: usize = 48;
/// Records begin at multiples of this, so that their places fit 32 bits in the index.
pub(super) const ALIGN: u64 = 64;
/// Bytes of a head: far above what the listeners let in as header fields, with sums for a body of 4 GiB.
pub(super) const MAX_HEAD: usize = 1 << 20;
/// Where the mark is.
pub(super) const MARK_AT: u64 = 8;

const MAGIC: u64 = u64::from_le_bytes(*b"SluiceR1");
const LIVE: u64 = u64::from_le_bytes(*b"in force");
const SIGN: u64 = 1;
const ANSWER: u64 = 2;

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) region: u32,
    pub(super) at: u64,
}

/// The fixed part of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fixed {
    pub(super) live: bool,
    pub(super) head: u32,
    pub(super) body: u64,
}

impl Fixed {
    /// Bytes from the record's beginning to the next one's.
    pub(super) const fn span(&self) -> u64 {
        (FIXED as u64 + self.head as u64 + self.body).next_multiple_of(ALIGN)
    }

    /// Bytes from the record's beginning to its body.
    pub(super) const fn body_from(&self) -> u64 {
        FIXED as u64 + self.head as u64
    }

    /// Reads the fixed part of a record at this place; its sum is not looked at yet.
    pub(super) fn read(bytes: &[u8], place: Place) -> Option<Self> {
        let mut reader = Reader(bytes.get(..FIXED)?);
        let (magic, mark, _sum) = (reader.number()?, reader.number()?, reader.number()?);
        let (region, head, at, body) = (reader.short()?, reader.short()?, reader.number()?, reader.number()?);
        let here = magic == MAGIC && region == place.region && at == place.at;
        // A length beyond all bounds would overflow sums of lengths.
        let sane = head as usize <= MAX_HEAD && body <= u64::from(u32::MAX);
        (here && sane).then_some(Self { live: mark == LIVE, head, body })
    }
}

/// What a record holds.
#[derive(Debug, PartialEq)]
pub(super) struct Record {
    /// The target, or a variant of it, in its one spelling.
    pub(super) key: String,
    pub(super) content: Content,
}

#[derive(Debug, PartialEq)]
pub(super) enum Content {
    /// The target's answers vary by these fields. Variants that name another family were forgotten with their sign.
    Sign {
        family: u64,
        fields: Vec<HeaderName>,
    },
    Answer(Box<Answer>),
}

/// A kept answer without its body.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) head: Head,
    /// The family of the sign it belongs to; 0 for an answer that does not vary.
    pub(super) family: u64,
    pub(super) asked_at: FeedMark,
    /// Its age when it was written, and when that was.
    pub(super) age: Duration,
    pub(super) unix_ms: u64,
    /// The sum of each block of its body.
    pub(super) sums: Box<[u64]>,
}

impl PartialEq for Answer {
    fn eq(&self, other: &Self) -> bool {
        let facts = |a: &Self| (a.family, a.asked_at, a.age, a.unix_ms, a.sums.clone());
        let head = |h: &Head| (h.status, h.headers.clone(), h.lifetimes, h.varies.clone());
        facts(self) == facts(other) && head(&self.head) == head(&other.head)
    }
}

impl Record {
    /// The bytes in front of the body.
    pub(super) fn encode(&self, place: Place, body: u64) -> Vec<u8> {
        let mut out = Writer(Vec::with_capacity(1 << 10));
        [MAGIC, LIVE, 0].into_iter().for_each(|number| out.number(number));
        [place.region, 0].into_iter().for_each(|number| out.short(number));
        [place.at, body].into_iter().for_each(|number| out.number(number));
        out.text(self.key.as_bytes());
        match &self.content {
            Content::Sign { family, fields } => {
                out.number(SIGN);
                out.number(*family);
                out.names(fields);
            }
            Content::Answer(answer) => {
                out.number(ANSWER);
                answer.encode(&mut out);
            }
        }
        let mut bytes = out.0;
        let head = u32::try_from(bytes.len() - FIXED).unwrap_or(u32::MAX);
        bytes[28..32].copy_from_slice(&head.to_le_bytes());
        let sum = xxh3_64(&bytes[24..]);
        bytes[16..24].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads the bytes in front of the body. `None` when anything is not as it was written.
    pub(super) fn decode(bytes: &[u8], place: Place) -> Option<(Fixed, Self)> {
        let fixed = Fixed::read(bytes, place)?;
        let bytes = bytes.get(..usize::try_from(fixed.body_from()).ok()?)?;
        let sum = u64::from_le_bytes(bytes[16..24].try_into().ok()?);
        if xxh3_64(&bytes[24..]) != sum {
            return None;
        }
        let mut reader = Reader(&bytes[FIXED..]);
        let key = reader.string()?;
        let content = match reader.number()? {
            SIGN => Content::Sign { family: reader.number()?, fields: reader.names()? },
            ANSWER => Content::Answer(Box::new(Answer::decode(&mut reader, fixed.body)?)),
            _ => return None,
        };
        Some((fixed, Self { key, content }))
    }
}

impl Answer {
    fn encode(&self, out: &mut Writer) {
        let Head { status, headers, lifetimes, varies } = &self.head;
        out.short(u32::from(status.as_u16()));
        out.headers(headers);
        out.names(&varies.0);
        out.text(varies.1.as_bytes());
        for window in [&lifetimes.pushed, &lifetimes.plain] {
            let Window { fresh, while_revalidating, if_error, if_disconnected } = *window;
            [fresh, while_revalidating, if_error, if_disconnected]
                .into_iter()
                .for_each(|time| out.number(millis(time)));
        }
        out.short(u32::from(lifetimes.for_authorised));
        let FeedMark { epoch, seq, here } = self.asked_at;
        [self.family, epoch, seq, here, millis(self.age), self.unix_ms]
            .into_iter()
            .for_each(|n| out.number(n));
        self.sums.iter().for_each(|sum| out.number(*sum));
    }

    fn decode(reader: &mut Reader<'_>, body: u64) -> Option<Self> {
        let status = StatusCode::from_u16(u16::try_from(reader.short()?).ok()?).ok()?;
        let headers = reader.headers()?;
        let varies = (reader.names()?, reader.string()?);
        let mut window = || {
            let mut time = || reader.number().map(Duration::from_millis);
            let (fresh, while_revalidating, if_error, if_disconnected) = (time()?, time()?, time()?, time()?);
            Some(Window { fresh, while_revalidating, if_error, if_disconnected })
        };
        let (pushed, plain) = (window()?, window()?);
        let lifetimes = Lifetimes { pushed, plain, for_authorised: reader.short()? == 1 };
        let head = Head { status, headers, lifetimes, varies };
        let (family, epoch, seq) = (reader.number()?, reader.number()?, reader.number()?);
        let here = reader.number()?;
        let (age, unix_ms) = (Duration::from_millis(reader.number()?), reader.number()?);
        let blocks = body.div_ceil(BLOCK as u64);
        let sums = (0..blocks).map(|_| reader.number()).collect::<Option<Box<[u64]>>>()?;
        let asked_at = FeedMark { epoch, seq, here };
        reader.0.is_empty().then_some(Self { head, family, asked_at, age, unix_ms, sums })
    }

    /// Its age now. A clock that went back by more than a little says nothing: the answer counts as old.
    pub(super) fn age_at(&self, now_ms: u64) -> Duration {
        match now_ms.checked_sub(self.unix_ms) {
            Some(since) => self.age + Duration::from_millis(since),
            None if self.unix_ms - now_ms <= CLOCK_SLACK_MS => self.age,
            None => ANCIENT,
        }
    }
}

/// How far a clock may have gone back.
const CLOCK_SLACK_MS: u64 = 60_000;
/// An age beyond every lifetime: a century.
const ANCIENT: Duration = Duration::from_secs(100 * 366 * 86_400);

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
