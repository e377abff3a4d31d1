//! A body on disk: read block by block, off the runtime, each block compared with its sum before a byte of it goes on.

use super::extent::Sound;
use super::metrics::Fault;
use super::record::Place;
use super::region::Region;
use super::sums::{BLOCK, is_sound};
use super::{Corrupt, Shared};
use bytes::Bytes;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::timeout;

/// Blocks read at a time: as much as a slow reader of memory is given.
const AT_ONCE: usize = 4;
/// Time for one read. A disk that takes longer is as good as gone.
const READ_LIMIT: Duration = Duration::from_secs(5);

/// A body in a region.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(super) tier: Arc<Shared>,
    /// Not held: a region that gives way to others goes at once.
    region: Weak<Region>,
    hash: u64,
    record: Place,
    pub(super) from: u64,
    pub(super) length: u64,
    sums: Box<[u64]>,
    pub(super) sound: Sound,
    damaged: AtomicBool,
}

impl Recorded {
    pub(super) fn new(
        tier: &Arc<Shared>,
        region: &Arc<Region>,
        (hash, record): (u64, Place),
        (from, length): (u64, u64),
        sums: Box<[u64]>,
    ) -> Self {
        let (tier, region) = (Arc::clone(tier), Arc::downgrade(region));
        let (sound, damaged) = (Sound::none_of(sums.len()), AtomicBool::new(false));
        Self { tier, region, hash, record, from, length, sums, sound, damaged }
    }

    /// Its length in bytes.
    pub(crate) const fn length(&self) -> u64 {
        self.length
    }

    pub(super) const fn sums(&self) -> &[u64] {
        &self.sums
    }

    /// Holds its region for a reader; `None` when it cannot be read any more, or not now.
    pub(crate) fn pin(&self) -> Option<Pin> {
        let usable = !self.damaged.load(Ordering::Relaxed) && self.tier.health.may_read();
        usable.then(|| self.region.upgrade().map(Pin)).flatten()
    }

    /// Some bytes from `at` on, before `to`. An error when they are not what was written, or cannot be read in time.
    pub(crate) async fn piece(self: &Arc<Self>, pin: &Pin, at: u64, to: u64) -> io::Result<Bytes> {
        let (body, region) = (Arc::clone(self), Arc::clone(&pin.0));
        let blocks = body.blocks(at, to);
        let blocks = blocks.start..blocks.end.min(blocks.start + AT_ONCE);
        let first = blocks.start as u64 * BLOCK as u64;
        let (sound, read) = (blocks.clone(), self.tier.read(move || body.read(&region, blocks)));
        let read = timeout(READ_LIMIT, read).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let bytes = read.inspect_err(|error| self.failed(error))?;
        self.sound.found(sound, self.tier.seconds());
        let (from, until) = (at - first, (to - first).min(bytes.len() as u64));
        let piece = bytes.slice(usize::try_from(from).unwrap_or(0)..usize::try_from(until).unwrap_or(0));
        self.tier.metrics.read_bytes.inc_by(piece.len() as u64);
        Ok(piece)
    }

    /// It could not be read, or is not what was written.
    pub(super) fn failed(&self, error: &io::Error) {
        if Corrupt::is(error) {
            if !self.damaged.swap(true, Ordering::Relaxed) {
                self.tier.corrupt(self.hash, self.record);
            }
        } else {
            self.tier.metrics.failed(Fault::Read);
            self.tier.health.read_failed();
        }
    }

    /// The blocks in which the bytes from `at` to before `to` are.
    pub(super) fn blocks(&self, at: u64, to: u64) -> Range<usize> {
        let block = BLOCK as u64;
        let (first, last) = (at / block, to.min(self.length).div_ceil(block));
        usize::try_from(first).unwrap_or(0)..usize::try_from(last).unwrap_or(0)
    }

    /// Reads whole blocks and compares them with their sums. Blocks.
    pub(super) fn read(&self, region: &Region, blocks: Range<usize>) -> io::Result<Bytes> {
        let from = blocks.start as u64 * BLOCK as u64;
        let until = (blocks.end as u64 * BLOCK as u64).min(self.length);
        let length = usize::try_from(until.saturating_sub(from)).map_err(|_| Corrupt::error())?;
        let bytes = match region.read(self.from + from, length) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(Corrupt::error()),
            read => read?,
        };
        if is_sound(&bytes, blocks.start, &self.sums) { Ok(bytes) } else { Err(Corrupt::error()) }
    }

    /// Reads all blocks in turn. Blocks.
    pub(super) fn read_all(
        &self,
        region: &Region,
        mut each: impl FnMut(Bytes) -> io::Result<()>,
    ) -> io::Result<()> {
        (0..self.sums.len())
            .step_by(AT_ONCE)
            .try_for_each(|first| each(self.read(region, first..self.sums.len().min(first + AT_ONCE))?))
    }
}

/// Keeps a region readable.
#[derive(Debug, Clone)]
pub(crate) struct Pin(pub(super) Arc<Region>);
