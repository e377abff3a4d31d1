//! Local copies of sources: a worker's jobs that have the same source share one, and find it again for a while.

use crate::error::JobError;
use crate::scratch::Scratch;
use futures::TryStreamExt;
use sluice_storage::{Piece, Storage};
use sluice_wire::{ObjectKey, VideoId};
use std::collections::HashMap;
use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt, BufWriter};
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::time::Instant;

/// How long a copy is kept that no job has.
const KEPT: Duration = Duration::from_secs(30);
/// Copies that no job has, at most: the one used longest ago goes first.
const MOST_KEPT: usize = 4;

/// The copies of one worker.
#[derive(Debug)]
pub(crate) struct Stock {
    storage: Storage,
    dir: PathBuf,
    copies: Mutex<HashMap<VideoId, Kept>>,
}

#[derive(Debug)]
struct Kept {
    copy: Arc<Local>,
    used: Instant,
}

impl Kept {
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.copy) == 1
    }
}

impl Stock {
    pub(crate) fn new(storage: &Storage, dir: &Path) -> Self {
        Self { storage: storage.clone(), dir: dir.to_owned(), copies: Mutex::default() }
    }

    /// The folder for what is on local disk while it is worked on.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The copy of a video's source, of this length (0 if that is not known yet): an empty file at first.
    pub(crate) async fn copy(&self, video: VideoId, length: u64) -> Result<Arc<Local>, JobError> {
        self.tidy();
        if let Some(kept) = self.copies().get_mut(&video) {
            kept.used = Instant::now();
            return Ok(Arc::clone(&kept.copy));
        }
        let (scratch, file) = Scratch::make(&self.dir, video, length).await?;
        let copy = Arc::new(Local {
            storage: self.storage.clone(),
            scratch,
            file: AsyncMutex::new(BufWriter::with_capacity(1 << 20, file)),
            here: watch::Sender::new(vec![]),
        });
        let used = Instant::now();
        // Another job of the same video may have been here meanwhile.
        let mut copies = self.copies();
        let kept = copies.entry(video).or_insert(Kept { copy, used });
        Ok(Arc::clone(&kept.copy))
    }

    /// A video needs its source no more: the copy goes with the last job that has it.
    pub(crate) fn forget(&self, video: VideoId) {
        self.copies().remove(&video);
    }

    /// Removes copies that no job wanted for a while.
    pub(crate) fn tidy(&self) {
        let mut copies = self.copies();
        copies.retain(|_, kept| !kept.is_idle() || kept.used.elapsed() < KEPT);
        let mut idle: Vec<_> =
            copies.iter().filter(|(_, k)| k.is_idle()).map(|(id, k)| (k.used, *id)).collect();
        idle.sort();
        for (_, video) in idle.iter().take(idle.len().saturating_sub(MOST_KEPT)) {
            copies.remove(video);
        }
    }

    fn copies(&self) -> MutexGuard<'_, HashMap<VideoId, Kept>> {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A source on local disk, as far as it was fetched.
#[derive(Debug)]
pub(crate) struct Local {
    storage: Storage,
    scratch: Scratch,
    file: AsyncMutex<BufWriter<File>>,
    /// Pieces in the file.
    here: watch::Sender<Vec<Piece>>,
}

impl Local {
    /// The file.
    pub(crate) fn path(&self) -> &Path {
        self.scratch.path()
    }

    /// The pieces that are in the file, as they come.
    pub(crate) fn here(&self) -> watch::Receiver<Vec<Piece>> {
        self.here.subscribe()
    }

    /// True when all bytes of a piece are in the file. A source that is shared later is cut otherwise, of the same bytes.
    pub(crate) fn has(&self, piece: &Piece) -> bool {
        covered(&self.here.borrow(), piece)
    }

    /// Fetches a piece into the file, unless another job did meanwhile.
    ///
    /// # Errors
    /// [`JobError::Missing`] when its object is not there; the store's.
    ///
    /// # Cancel safety
    /// A piece that was being fetched is fetched again; nothing was said of it.
    pub(crate) async fn fetch(&self, piece: &Piece) -> Result<(), JobError> {
        let mut file = self.file.lock().await;
        if self.has(piece) {
            return Ok(());
        }
        let object = self.storage.objects.get(&ObjectKey::SourcePart(piece.upload, piece.index)).await?;
        file.seek(SeekFrom::Start(piece.offset)).await?;
        let (mut stream, mut copied) = (object.stream, 0);
        while let Some(bytes) = stream.try_next().await? {
            copied += bytes.len() as u64;
            file.write_all(&bytes).await?;
        }
        file.flush().await?;
        if copied != piece.bytes {
            let (index, bytes) = (piece.index, piece.bytes);
            return Err(JobError::Again(format!("part {index} has {copied} of {bytes} bytes")));
        }
        self.here.send_modify(|here| here.push(*piece));
        Ok(())
    }
}

fn covered(here: &[Piece], piece: &Piece) -> bool {
    let (mut from, to) = (piece.offset, piece.offset + piece.bytes);
    while from < to {
        let next = here.iter().filter(|p| p.offset <= from).map(|p| p.offset + p.bytes).max();
        match next {
            Some(next) if next > from => from = next,
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_wire::UploadId;

    #[test]
    fn a_piece_is_there_when_all_of_it_is_however_it_was_cut() {
        let piece = |offset, bytes| Piece { upload: UploadId::from_u64(7).unwrap(), index: 0, offset, bytes };
        let here = [piece(0, 10), piece(20, 10), piece(10, 5)];
        assert!(
            covered(&here, &piece(0, 15)) && covered(&here, &piece(3, 9)) && covered(&here, &piece(20, 10))
        );
        assert!(
            !covered(&here, &piece(0, 16))
                && !covered(&here, &piece(0, 30))
                && !covered(&here, &piece(30, 1))
        );
    }
}
