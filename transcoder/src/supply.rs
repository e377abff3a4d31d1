//! A source on its way to the codec: its pieces are fetched into one local file as they are there to be fetched, and the
//! codec is told which bytes it has.
//!
//! A source that is still being uploaded is fetched as it comes. What the codec waits for goes first, then what is missing
//! from the beginning on.

use crate::error::JobError;
use crate::scratch::Scratch;
use futures::TryStreamExt;
use sluice_storage::{Lease, Piece, Source, Storage, StorageError};
use sluice_wire::codec::{Order, encode_order};
use sluice_wire::{ObjectKey, UploadId, VideoId};
use std::convert::Infallible;
use std::future::pending;
use std::io::SeekFrom;
use std::path::Path;
use std::time::Duration;
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt, BufWriter};
use tokio::process::ChildStdin;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// Between two looks for more of a source that is still coming: a fraction of what an origin waits before it stores a
/// part.
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// How long more of it is waited for, before the worker does something else.
const PATIENCE: Duration = Duration::from_secs(30);

/// One job's source.
#[derive(Debug)]
pub(crate) struct Supply {
    storage: Storage,
    upload: UploadId,
    scratch: Scratch,
    file: BufWriter<File>,
    source: Source,
    /// Pieces in the file.
    here: Vec<Piece>,
}

impl Supply {
    /// Begins with an empty file.
    pub(crate) async fn open(
        storage: &Storage,
        lease: &Lease,
        video: VideoId,
        dir: &Path,
    ) -> Result<Self, JobError> {
        let upload = video.upload();
        let source = storage.uploads().source(upload).await?;
        let (scratch, file) = Scratch::make(dir, video, lease, source.length.unwrap_or(0)).await?;
        let file = BufWriter::with_capacity(1 << 20, file);
        Ok(Self { storage: storage.clone(), upload, scratch, file, source, here: vec![] })
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        self.scratch.path()
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
        let mut told = Told::default();
        let mut progress = Instant::now();
        loop {
            told.tell(&self.source, &self.here, codec).await?;
            let want = *wanted.borrow_and_update();
            if let Some(piece) = self.next_piece(want) {
                self.fetch(&piece).await?;
                progress = Instant::now();
                continue;
            }
            if self.source.complete {
                return pending().await;
            }
            if progress.elapsed() > PATIENCE {
                return Err(JobError::Idle);
            }
            sleep(LOOK_EVERY).await;
            self.look().await?;
        }
    }

    /// Looks for what came since.
    async fn look(&mut self) -> Result<(), JobError> {
        self.source = match self.storage.uploads().source(self.upload).await {
            Err(StorageError::NotFound(_)) => return Err(JobError::Gone),
            other => other?,
        };
        Ok(())
    }

    /// The piece to fetch next: the one that holds a wanted byte or comes soon after it, else the first that is missing.
    fn next_piece(&self, wanted: u64) -> Option<Piece> {
        let missing = || self.source.pieces.iter().filter(|piece| !self.has(piece));
        let soon = missing().find(|piece| wanted < piece.offset + piece.bytes);
        soon.or_else(|| missing().next()).copied()
    }

    /// Pieces never overlap, and one that is shared later is the same bytes.
    fn has(&self, piece: &Piece) -> bool {
        self.here.iter().any(|here| here.offset <= piece.offset && piece.offset < here.offset + here.bytes)
    }

    async fn fetch(&mut self, piece: &Piece) -> Result<(), JobError> {
        let object = match self.storage.objects.get(&ObjectKey::SourcePart(piece.upload, piece.index)).await {
            // Its bytes are another upload's now, perhaps.
            Err(StorageError::NotFound(what)) => {
                self.look().await?;
                let moved = !self.source.pieces.contains(piece);
                return if moved { Ok(()) } else { Err(JobError::Missing(what)) };
            }
            other => other?,
        };
        self.file.seek(SeekFrom::Start(piece.offset)).await?;
        let (mut stream, mut copied) = (object.stream, 0);
        while let Some(bytes) = stream.try_next().await? {
            copied += bytes.len() as u64;
            self.file.write_all(&bytes).await?;
        }
        self.file.flush().await?;
        if copied != piece.bytes {
            let (index, bytes) = (piece.index, piece.bytes);
            return Err(JobError::Again(format!("part {index} has {copied} of {bytes} bytes")));
        }
        self.here.push(*piece);
        Ok(())
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
