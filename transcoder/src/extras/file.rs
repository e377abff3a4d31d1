//! A file for the codec alone. Of a source it gets what the codec asks for. Removed when dropped; what a killed worker left
//! is swept by the next one, as its sources are.

use crate::child;
use crate::error::JobError;
use futures::TryStreamExt;
use sluice_storage::{Lease, Piece, Source, Storage};
use sluice_wire::codec::Order;
use sluice_wire::{ObjectKey, VideoId};
use std::convert::Infallible;
use std::future::pending;
use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use tokio::process::ChildStdin;
use tokio::sync::watch;

#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
    file: File,
}

impl Scratch {
    /// An empty file that belongs to one lease.
    pub(super) async fn make(dir: &Path, video: VideoId, lease: &Lease) -> Result<Self, JobError> {
        tokio::fs::create_dir_all(dir).await?;
        let path = dir.join(format!("{video}-extras-{}.{}.source", lease.token, std::process::id()));
        let file = File::create(&path).await?;
        Ok(Self { path, file })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes bytes at a place.
    pub(super) async fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), JobError> {
        self.file.seek(SeekFrom::Start(at)).await?;
        self.file.write_all(bytes).await?;
        Ok(self.file.flush().await?)
    }

    /// Fetches the pieces of a complete source that a codec waits for, and tells it, until dropped.
    ///
    /// # Errors
    /// The only way it ends.
    pub(super) async fn feed(
        &mut self,
        storage: &Storage,
        source: &Source,
        orders: &mut ChildStdin,
        mut wanted: watch::Receiver<u64>,
    ) -> Result<Infallible, JobError> {
        let end = source.pieces.iter().map(|piece| piece.offset + piece.bytes).max().unwrap_or(0);
        for order in [Order::Length { bytes: end }, Order::Complete] {
            child::order(orders, &order).await?;
        }
        let mut here: Vec<Piece> = vec![];
        loop {
            let want = *wanted.borrow_and_update();
            let holds = |piece: &&Piece| piece.offset <= want && want < piece.offset + piece.bytes;
            match source.pieces.iter().find(holds).filter(|piece| !here.contains(piece)) {
                Some(piece) => {
                    self.fetch(storage, piece).await?;
                    here.push(*piece);
                    let (from, to) = (piece.offset, piece.offset + piece.bytes);
                    child::order(orders, &Order::Here { from, to }).await?;
                }
                None if wanted.changed().await.is_err() => return pending().await,
                None => {}
            }
        }
    }

    async fn fetch(&mut self, storage: &Storage, piece: &Piece) -> Result<(), JobError> {
        let object = storage.objects.get(&ObjectKey::SourcePart(piece.upload, piece.index)).await?;
        let (mut stream, mut at) = (object.stream, piece.offset);
        while let Some(bytes) = stream.try_next().await? {
            self.write(at, &bytes).await?;
            at += bytes.len() as u64;
        }
        match at == piece.offset + piece.bytes {
            true => Ok(()),
            false => Err(JobError::Again(format!("part {} is shorter than it was", piece.index))),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.path));
    }
}
