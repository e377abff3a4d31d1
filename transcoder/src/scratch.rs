//! The source in one local file, for the codec alone. Removed when dropped.

use crate::error::JobError;
use futures::TryStreamExt;
use sluice_storage::{Part, Storage};
use sluice_wire::{ObjectKey, UploadId, VideoId};
use std::path::{Path, PathBuf};
use tokio::fs::File;
use tokio::io::{AsyncWriteExt, BufWriter};

/// A source on local disk.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Fetches a source's parts, in order.
    pub(crate) async fn fetch(storage: &Storage, video: VideoId, dir: &Path) -> Result<Self, JobError> {
        tokio::fs::create_dir_all(dir).await?;
        let scratch = Self(dir.join(format!("{video}-{}", std::process::id())));
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&scratch.0).await?);
        for part in storage.uploads().parts(video.upload()).await? {
            copy(storage, video.upload(), &part, &mut file).await?;
        }
        file.flush().await?;
        Ok(scratch)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

async fn copy(
    storage: &Storage,
    upload: UploadId,
    part: &Part,
    file: &mut BufWriter<File>,
) -> Result<(), JobError> {
    let object = storage.objects.get(&ObjectKey::SourcePart(upload, part.index)).await?;
    let mut stream = object.stream;
    let mut copied = 0;
    while let Some(piece) = stream.try_next().await? {
        copied += piece.len() as u64;
        file.write_all(&piece).await?;
    }
    if copied == part.bytes {
        Ok(())
    } else {
        Err(JobError::Again(format!("part {} has {copied} of {} bytes", part.index, part.bytes)))
    }
}
