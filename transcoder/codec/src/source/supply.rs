//! The source's bytes: a file of which not all need to be there yet.
//!
//! The parent says which are ([`Order::Here`]) and how many there are in all ([`Order::Length`]). A reader that comes to
//! bytes which are not there asks for them ([`CodecMessage::Want`]) and waits: the parent ends this process when nobody
//! should wait any longer.

use crate::emit::Emit;
use sluice_wire::codec::{CodecMessage, Order, read_order};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes asked for at a time: half a second of a good source, so that the parent fetches ahead of the reader.
const AHEAD: u64 = 1 << 20;

/// What is known of the source.
#[derive(Debug, Default)]
struct Known {
    length: Option<u64>,
    /// Ranges that are there: ascending, apart from each other.
    here: Vec<(u64, u64)>,
    /// Whether all of it can be had for the asking; `None` until it is said.
    complete: Option<bool>,
    /// True when nothing more will be said: the parent is gone.
    silent: bool,
}

impl Known {
    /// Adds a range.
    fn add(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        let first = self.here.partition_point(|range| range.1 < from);
        let last = self.here.partition_point(|range| range.0 <= to);
        let merged = self.here[first..last].iter().fold((from, to), |m, r| (m.0.min(r.0), m.1.max(r.1)));
        self.here.splice(first..last, [merged]);
    }

    /// The end of what is there from `at` on; `at` when nothing is.
    fn end_of(&self, at: u64) -> u64 {
        let range = self.here.iter().find(|range| range.0 <= at && at < range.1);
        range.map_or(at, |range| range.1)
    }
}

/// The source, shared by its readers.
pub(crate) struct Supply {
    file: File,
    known: Mutex<Known>,
    changed: Condvar,
    emit: Arc<Emit>,
}

impl Supply {
    pub(crate) fn new(file: File, emit: Arc<Emit>) -> Arc<Self> {
        Arc::new(Self { file, known: Mutex::default(), changed: Condvar::new(), emit })
    }

    /// Takes orders until there are no more.
    pub(crate) fn follow(&self, mut orders: impl Read) {
        while let Ok(Some(order)) = read_order(&mut orders) {
            let mut known = self.lock();
            match order {
                Order::Length { bytes } => known.length = Some(bytes),
                Order::Here { from, to } => known.add(from, to),
                Order::Growing => known.complete = Some(false),
                Order::Complete => known.complete = Some(true),
                Order::Encode(_) | Order::Judge(_) | Order::Text { .. } | Order::Sheets(_) => {}
            }
            drop(known);
            self.changed.notify_all();
        }
        self.lock().silent = true;
        self.changed.notify_all();
    }

    /// A reader of its own, at the beginning. One without `ends` never knows where the source ends before it is there.
    pub(crate) fn reader(self: &Arc<Self>, ends: bool) -> Reader {
        Reader { supply: Arc::clone(self), at: 0, ends, skips: true, waits: true }
    }

    /// A reader for which the source ends where what is there ends.
    pub(crate) fn impatient_reader(self: &Arc<Self>) -> Reader {
        Reader { waits: false, skips: false, ..self.reader(false) }
    }

    /// Whether the source is complete, as it was said at first.
    pub(crate) fn is_complete(&self) -> bool {
        let known = self.lock();
        let waits = |known: &mut Known| known.complete.is_none() && !known.silent;
        let known = self.changed.wait_while(known, waits).unwrap_or_else(PoisonError::into_inner);
        known.complete == Some(true)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something is there at this place. Gives the end of it; `at` at the end of the source.
    fn wait(&self, at: u64) -> io::Result<u64> {
        let mut known = self.lock();
        let mut asked = false;
        loop {
            let end = known.end_of(at);
            if end > at || known.length.is_some_and(|length| at >= length) {
                return Ok(end);
            }
            if known.silent {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the rest of the source did not come",
                ));
            }
            if !asked {
                asked = true;
                drop(known);
                self.emit.message(&CodecMessage::Want { from: at, to: at.saturating_add(AHEAD) })?;
                known = self.lock();
                continue;
            }
            known = self.changed.wait(known).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Reads a source as a file.
pub(crate) struct Reader {
    supply: Arc<Supply>,
    at: u64,
    ends: bool,
    /// True when skipping ahead is worth waiting for. Matroska's reader looks for what is behind the media (tags,
    /// attachments) before it begins, and does without.
    skips: bool,
    /// True when what is not there is waited for.
    waits: bool,
}

/// What a Matroska file begins with (RFC 8794, section 8.1).
const EBML: [u8; 4] = [0x1a, 0x45, 0xdf, 0xa3];

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = if self.waits { self.supply.wait(self.at)? } else { self.supply.lock().end_of(self.at) };
        let most = usize::try_from(end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.supply.file.read_at(&mut buffer[..most], self.at)?;
        self.skips &= self.at > 0 || !buffer[..read].starts_with(&EBML);
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Reader {
    /// The end is where it is only when the source is complete.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let before = || io::Error::new(io::ErrorKind::InvalidInput, "a place before the beginning");
        let unknown = || io::Error::new(io::ErrorKind::Unsupported, "the end is not known yet");
        let at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::Current(by) => self.at.checked_add_signed(by).ok_or_else(before)?,
            SeekFrom::End(by) => {
                // Who looks at the end before it is there (for a stream's length, say) does without.
                let known = self.supply.lock();
                let length =
                    known.length.filter(|_| self.ends && known.complete == Some(true)).ok_or_else(unknown)?;
                length.checked_add_signed(by).ok_or_else(before)?
            }
        };
        if !self.skips {
            let known = self.supply.lock();
            if known.complete != Some(true) && at > known.end_of(self.at) && known.end_of(at) == at {
                return Err(io::Error::new(io::ErrorKind::Unsupported, "it did not come yet"));
            }
        }
        self.at = at;
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sluice_wire::codec::encode_order;

    proptest! {
        #[test]
        fn ranges_join_into_what_is_there(ranges in prop::collection::vec((0u64..60, 0u64..20), 0..12)) {
            let mut known = Known::default();
            let mut there = [false; 100];
            for (from, bytes) in ranges {
                known.add(from, from + bytes);
                there[from as usize..(from + bytes) as usize].fill(true);
            }
            for at in 0..100u64 {
                let end = (at..100).find(|i| !there[*i as usize]).unwrap_or(100);
                prop_assert_eq!(known.end_of(at), end);
            }
            prop_assert!(known.here.windows(2).all(|w| w[0].1 < w[1].0));
        }
    }

    #[test]
    fn a_reader_waits_for_what_is_not_there_and_says_so() {
        use std::io::Write;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let (mut says, frames) = io::pipe().unwrap();
        let (orders, mut parent) = io::pipe().unwrap();
        let supply = Supply::new(file, Arc::new(Emit::new(frames)));
        let follower = Arc::clone(&supply);
        let follows = std::thread::spawn(move || follower.follow(orders));
        let mut order = |order| parent.write_all(&encode_order(&order).unwrap()).unwrap();
        order(Order::Here { from: 0, to: 4 });
        let mut reader = supply.reader(true);
        let reads = std::thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).map(|_| text)
        });
        let mut prefix = [0; 8];
        says.read_exact(&mut prefix).unwrap();
        order(Order::Here { from: 4, to: 10 });
        order(Order::Length { bytes: 10 });
        order(Order::Complete);
        assert_eq!(reads.join().unwrap().unwrap(), "0123456789");
        drop(parent);
        follows.join().unwrap();
        let mut beyond = supply.reader(true);
        assert_eq!(beyond.seek(SeekFrom::End(0)).unwrap(), 10);
        assert_eq!(beyond.read(&mut [0; 4]).unwrap(), 0);
    }

    #[test]
    fn a_parent_that_is_gone_ends_the_wait() {
        let supply = Supply::new(tempfile::tempfile().unwrap(), Arc::new(Emit::new(io::sink())));
        supply.follow(io::empty());
        assert_eq!(supply.reader(true).read(&mut [0; 4]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(supply.reader(true).seek(SeekFrom::End(0)).is_err());
    }
}
