//! The disk tier: what outlives the process, and what memory has no room for.
//!
//! ```text
//! put   -> queue -> writer: append a record to the newest region; the oldest region goes when there is no room
//! find  -> index -> read the record's head, verify it, and its body block by block
//! start -> the regions of an earlier life are read from the newest to the oldest, while everything is served
//! ```
//!
//! - `fields`, `record`, `sums`: a record's bytes (pure); `index`: which record is in force for a key
//! - `region`: one file, appended to, removed as a whole; `writer`, `source` and `recovery`: what changes and reads them
//! - `body`: bodies read from regions; `extent`: those that need not be read; `health`: pauses after the disk failed
//!
//! Everything that memory keeps is written, behind its storing: what is worth having after a restart is just that. Slices are
//! found by a record of their generation, variants of images by the tag of their source.
//! Nothing here waits for the disk on the runtime, and nothing is owed to it: a write that finds the queue full is
//! dropped, a disk that fails is left alone for a while. What it leaves to others: whether an object may be served.

mod body;
mod config;
mod extent;
mod fields;
mod health;
mod index;
mod metrics;
mod record;
mod recovery;
mod region;
mod source;
mod sums;
mod tier;
mod writer;

pub(crate) use body::{Pin, Recorded};
pub use config::DiskConfig;
pub(crate) use metrics::DiskMetrics;
pub(crate) use tier::Tier;

use health::Health;
use index::Index;
use metrics::Fault;
use record::Place;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

/// Reads of the disk at a time: each holds a thread.
const READERS: usize = 16;
/// Records that wait to be marked as forgotten; with more, their whole region goes.
const MAX_MARKS: usize = 8_192;

/// What all parts of the tier share.
#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    bytes: u64,
    region_bytes: u64,
    index: Index,
    health: Health,
    metrics: DiskMetrics,
    readers: Arc<Semaphore>,
    begun: Instant,
    /// Records to mark as forgotten.
    marks: Mutex<Vec<Place>>,
    /// Regions to remove.
    doomed: Mutex<Vec<Arc<region::Region>>>,
    /// Something is to be marked or removed.
    wake: Notify,
}

impl Shared {
    /// Runs a read on a thread of its own, not too many at a time.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let permit = Arc::clone(&self.readers).acquire_owned().await.map_err(io::Error::other)?;
        let reading = spawn_blocking(move || {
            let _permit = permit;
            read()
        });
        reading.await.map_err(io::Error::other)?
    }

    /// A record was not as it was written: it is forgotten.
    fn corrupt(&self, hash: u64, place: Place) {
        self.metrics.corruptions.inc();
        tracing::warn!(region = place.region, at = place.at, "a record on disk is damaged");
        if self.index.forget_at(hash, place) {
            self.mark(place);
        }
    }

    /// Has a record marked as forgotten, so that it stays so after a restart.
    fn mark(&self, place: Place) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        if marks.len() < MAX_MARKS {
            marks.push(place);
        } else if let Some(region) = self.index.take_out(place.region) {
            // Rather all of it than one record too many.
            self.doomed.lock().unwrap_or_else(PoisonError::into_inner).push(region);
        }
        drop(marks);
        self.wake.notify_one();
    }

    fn take_marks(&self) -> Vec<Place> {
        std::mem::take(&mut *self.marks.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn take_doomed(&self) -> Vec<Arc<region::Region>> {
        std::mem::take(&mut *self.doomed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Shows how much there is.
    fn gauge(&self) {
        let (bytes, _, records) = self.index.extent();
        self.metrics.bytes.set(bytes.cast_signed());
        self.metrics.objects.set(i64::try_from(records).unwrap_or(i64::MAX));
    }

    fn fault(&self, at: Fault, error: &io::Error) {
        self.metrics.failed(at);
        tracing::warn!(%error, at = ?at, dir = %self.dir.display(), "the cache's disk failed");
    }
}

/// What was read is not what was written.
#[derive(Debug)]
struct Corrupt;

impl Corrupt {
    fn error() -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, Self)
    }

    fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Self>())
    }
}

impl std::fmt::Display for Corrupt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("what was read from the cache's disk is not what was written")
    }
}

impl std::error::Error for Corrupt {}

#[cfg(test)]
mod tests;
