//! Bodies on disk that go out without being read: of those that were read and found sound a moment ago.

use super::Shared;
use super::body::{Pin, Recorded};
use super::region::Region;
use crate::cache::Growing;
use sluice_service::{Body, Filed, InFile};
use std::io;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Seconds for which a block that was found sound is taken for it. Until then nobody but the kernel can have changed it: a
/// region that was written to by others is never trusted.
const TRUSTED: u32 = 60;

/// When each block of a body was last found sound, in seconds since the tier's start; 0 when it was not.
#[derive(Debug)]
pub(super) struct Sound(Box<[AtomicU32]>);

impl Sound {
    pub(super) fn none_of(blocks: usize) -> Self {
        Self((0..blocks).map(|_| AtomicU32::new(0)).collect())
    }

    pub(super) fn found(&self, blocks: Range<usize>, now: u32) {
        self.0.get(blocks).unwrap_or_default().iter().for_each(|block| block.store(now, Ordering::Relaxed));
    }

    fn are(&self, blocks: Range<usize>, now: u32) -> bool {
        let trusted = |block: &AtomicU32| {
            let at = block.load(Ordering::Relaxed);
            at > 0 && now - at.min(now) < TRUSTED
        };
        self.0.get(blocks).is_some_and(|blocks| blocks.iter().all(trusted))
    }
}

impl Shared {
    /// Seconds since the tier's start, from 1 on.
    pub(super) fn seconds(&self) -> u32 {
        u32::try_from(self.begun.elapsed().as_secs()).unwrap_or(u32::MAX).saturating_add(1)
    }
}

/// A region that is being sent of.
#[derive(Debug)]
struct Sending {
    body: Arc<Recorded>,
    pin: Pin,
}

impl Filed for Sending {
    fn file(&self) -> BorrowedFd<'_> {
        self.pin.0.file()
    }

    fn sent(&self, bytes: u64) {
        self.body.tier.metrics.read_bytes.inc_by(bytes);
    }

    fn failed(&self, error: &io::Error) {
        self.body.failed(error);
    }

    fn read(self: Arc<Self>, from: u64, to: u64) -> Body {
        let (from, to) = (from.saturating_sub(self.body.from), to.saturating_sub(self.body.from));
        let body = Arc::new(Growing::recorded(Arc::clone(&self.body)));
        Body::from_stream(body.read_held(Some(self.pin.clone()), from, to))
    }
}

impl Recorded {
    /// A part of it as a part of a file: when all of that is in the kernel's cache, and as it was written.
    pub(crate) fn in_file(self: &Arc<Self>, from: u64, to: u64) -> Option<InFile> {
        if !self.sound.are(self.blocks(from, to), self.tier.seconds()) {
            return None;
        }
        let pin = self.pin().filter(|pin| pin.0.is_ours_alone())?;
        let sending = Sending { body: Arc::clone(self), pin };
        InFile::cached(Arc::new(sending), self.from + from, self.from + to)
    }
}

impl Region {
    fn file(&self) -> BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_sound_is_trusted_for_a_minute() {
        let sound = Sound::none_of(4);
        assert!(!sound.are(0..1, 1));
        sound.found(0..3, 1);
        assert!(sound.are(0..3, 60) && !sound.are(2..4, 60) && !sound.are(3..9, 60));
        assert!(!sound.are(1..2, 61));
        sound.found(1..2, 61);
        assert!(sound.are(1..2, 61) && !sound.are(0..2, 61));
    }
}
