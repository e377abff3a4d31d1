//! A source on its way to the codec: its pieces are fetched into the [local copy](crate::stock) as they are there to be
//! fetched, and the codec is told which bytes it has.
//!
//! A source that is still being uploaded is fetched as it comes. What the codec waits for goes first.

use crate::error::JobError;
use crate::stock::{Local, Stock};
use sluice_storage::{Piece, Source, Storage, StorageError};
use sluice_wire::codec::{Order, encode_order};
use sluice_wire::{UploadId, VideoId};
use std::convert::Infallible;
use std::future::pending;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// Between two looks for more of a source that is still coming: a fraction of what an origin waits before it stores a
/// part.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long more of it is waited for, before the worker does something else.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same while other videos wait.
const SHORT_PATIENCE: Duration = Duration::from_secs(1);
/// Bytes fetched ahead of what a codec waits for that needs only a part of the source.
const AHEAD: u64 = 8 << 20;
/// Steps of a source's coming that are remembered: some minutes of it.
const MOST_ARRIVALS: usize = 1_024;

/// How much of a source a job needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// All of it: what the codec does not wait for yet is fetched from the beginning on.
    All,
    /// What the codec asks for.
    Asked,
}

/// When bytes of a source that is still coming were there, counted from its beginning without a gap. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arrivals(Arc<Mutex<Vec<(u64, Instant)>>>);

impl Arrivals {
    /// When the bytes before this one were all there; `None` if they are not yet.
    pub(crate) fn of(&self, end: u64) -> Option<Instant> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().find(|(reached, _)| *reached >= end).map(|(_, at)| *at)
    }

    /// The source is so far at this time. Only what decides on the first segments is kept.
    fn note(&self, source: &Source, at: Instant) {
        let reached = source.pieces.iter().fold(0, |end, piece| {
            if piece.offset <= end { end.max(piece.offset + piece.bytes) } else { end }
        });
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() < MOST_ARRIVALS && seen.last().is_none_or(|(before, _)| *before < reached) {
            seen.push((reached, at));
        }
    }
}

/// One job's source.
#[derive(Debug)]
pub(crate) struct Supply {
    storage: Storage,
    upload: UploadId,
    local: Arc<Local>,
    source: Source,
    need: Need,
    /// Jobs of this kind make it less patient.
    rivals: &'static str,
    arrivals: Arrivals,
}

impl Supply {
    /// Finds the source, and its local copy.
    pub(crate) async fn open(
        storage: &Storage,
        stock: &Stock,
        video: VideoId,
        need: Need,
        rivals: &'static str,
    ) -> Result<Self, JobError> {
        let upload = video.upload();
        let source = storage.uploads().source(upload).await?;
        let local = stock.copy(video, source.length.unwrap_or(0)).await?;
        let (storage, arrivals) = (storage.clone(), Arrivals::default());
        Ok(Self { storage, upload, local, source, need, rivals, arrivals })
    }

    /// Keeps account of what comes from now on. What is there already came at this time at the earliest.
    pub(crate) fn arrivals(&self, earliest: Instant) -> Arrivals {
        self.arrivals.note(&self.source, earliest);
        self.arrivals.clone()
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        self.local.path()
    }

    /// True when nothing of the source is still to be uploaded.
    pub(crate) const fn is_complete(&self) -> bool {
        self.source.complete
    }

    /// Fetches, and tells a codec of it, until dropped. `wanted` is the byte that it waits for.
    ///
    /// # Errors
    /// The only way it ends: [`JobError::Gone`] when the upload was given up, [`JobError::Idle`] when nothing more came for
    /// long; the store's.
    ///
    /// # Cancel safety
    /// A piece that was being fetched is fetched again; nothing was said of it.
    pub(crate) async fn feed(
        &mut self,
        codec: &mut ChildStdin,
        mut wanted: watch::Receiver<u64>,
    ) -> Result<Infallible, JobError> {
        let (mut told, mut here) = (Told::default(), self.local.here());
        let mut progress = Instant::now();
        loop {
            let pieces = here.borrow_and_update().clone();
            told.tell(&self.source, &pieces, codec).await?;
            let want = *wanted.borrow_and_update();
            if let Some(piece) = self.next_piece(want) {
                self.fetch(&piece).await?;
                progress = Instant::now();
                continue;
            }
            tokio::select! {
                Ok(()) = wanted.changed() => {}
                Ok(()) = here.changed() => {}
                () = sleep(LOOK_EVERY), if !self.source.complete => {
                    self.be_patient(progress).await?;
                    self.look().await?;
                }
                else => return pending().await,
            }
        }
    }

    /// Gives up waiting for more when it was long enough.
    async fn be_patient(&self, since: Instant) -> Result<(), JobError> {
        let waited = since.elapsed();
        let over = waited > PATIENCE
            || waited > SHORT_PATIENCE
                && self.storage.jobs().is_waiting(&[self.rivals], u64::MAX >> 1).await?;
        if over { Err(JobError::Idle) } else { Ok(()) }
    }

    /// Looks for what came since.
    async fn look(&mut self) -> Result<(), JobError> {
        self.source = match self.storage.uploads().source(self.upload).await {
            Err(StorageError::NotFound(_)) => return Err(JobError::Gone),
            other => other?,
        };
        self.arrivals.note(&self.source, Instant::now());
        Ok(())
    }

    /// The piece to fetch next: the one that holds a wanted byte or comes soon after it, else the first that is missing.
    fn next_piece(&self, wanted: u64) -> Option<Piece> {
        let missing = || self.source.pieces.iter().filter(|piece| !self.local.has(piece));
        let soon = missing().find(|piece| wanted < piece.offset + piece.bytes);
        let piece = match self.need {
            Need::All => soon.or_else(|| missing().next()),
            Need::Asked => soon.filter(|piece| piece.offset < wanted.saturating_add(AHEAD)),
        };
        piece.copied()
    }

    async fn fetch(&mut self, piece: &Piece) -> Result<(), JobError> {
        match self.local.fetch(piece).await {
            // Its bytes are another upload's now, perhaps.
            Err(JobError::Missing(what)) => {
                self.look().await?;
                let moved = !self.source.pieces.contains(piece);
                if moved { Ok(()) } else { Err(JobError::Missing(what)) }
            }
            other => other,
        }
    }
}

/// What one codec was told so far.
#[derive(Debug, Default)]
struct Told {
    pieces: usize,
    length: bool,
    complete: Option<bool>,
}

impl Told {
    async fn tell(
        &mut self,
        source: &Source,
        here: &[Piece],
        codec: &mut ChildStdin,
    ) -> Result<(), JobError> {
        let mut orders = vec![];
        if self.complete != Some(source.complete) {
            self.complete = Some(source.complete);
            orders.push(if source.complete { Order::Complete } else { Order::Growing });
        }
        for piece in &here[self.pieces..] {
            orders.push(Order::Here { from: piece.offset, to: piece.offset + piece.bytes });
        }
        self.pieces = here.len();
        if let Some(bytes) =
            source.length.filter(|_| !std::mem::replace(&mut self.length, source.length.is_some()))
        {
            orders.push(Order::Length { bytes });
        }
        let text = orders.iter().map(encode_order).collect::<Result<Vec<_>, _>>();
        let text = text.map_err(|e| JobError::Again(e.to_string()))?.concat();
        // A codec that is gone says so on its output, or does not; either way its end is seen there.
        if !text.is_empty() && codec.write_all(&text).await.is_err() {
            return pending().await;
        }
        Ok(())
    }
}
