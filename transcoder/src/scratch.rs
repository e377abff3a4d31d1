//! The source in one local file, for the codec alone. Removed when dropped; what a killed worker left is swept by the
//! next one that starts in the same folder.

use crate::error::JobError;
use nix::sys::statvfs::statvfs;
use sluice_wire::VideoId;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::fs::File;

/// Bytes of the disk left to others.
const RESERVE: u64 = 256 << 20;
/// What a source's file name ends in, after the id of its worker's process.
const SUFFIX: &str = "source";

/// A source on local disk.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// An empty file for a source of this length (0 if that is not known yet), of its own name.
    pub(crate) async fn make(dir: &Path, video: VideoId, length: u64) -> Result<(Self, File), JobError> {
        static MADE: AtomicU64 = AtomicU64::new(0);
        tokio::fs::create_dir_all(dir).await?;
        room(dir, length)?;
        let made = MADE.fetch_add(1, Ordering::Relaxed);
        let scratch = Self(dir.join(format!("{video}-{made}.{}.{SUFFIX}", std::process::id())));
        let file = File::create(&scratch.0).await?;
        Ok((scratch, file))
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

/// Removes sources whose worker is gone. What cannot be removed is left.
pub(crate) async fn sweep(dir: &Path) {
    let Ok(mut files) = tokio::fs::read_dir(dir).await else { return };
    while let Ok(Some(file)) = files.next_entry().await {
        let (path, name) = (file.path(), file.file_name());
        let worker = name.to_str().and_then(worker_of);
        if worker.is_some_and(|id| !Path::new("/proc").join(id.to_string()).exists()) {
            tracing::info!(file = %path.display(), "left by a worker that is gone");
            drop(tokio::fs::remove_file(path).await);
        }
    }
}

/// The process whose source this is.
fn worker_of(name: &str) -> Option<u32> {
    let (_, id) = name.strip_suffix(SUFFIX)?.strip_suffix('.')?.rsplit_once('.')?;
    id.parse().ok()
}

/// Refuses a source for which there is no room now: the disk is shared, and others' sources go away.
fn room(dir: &Path, bytes: u64) -> Result<(), JobError> {
    let disk = statvfs(dir).map_err(std::io::Error::from)?;
    let free = disk.blocks_available().saturating_mul(disk.fragment_size());
    if free < bytes.saturating_add(RESERVE) {
        return Err(JobError::Again(format!("no room for the source: {bytes} bytes, {free} are free")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_sources_of_workers_that_are_gone_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        // No process has an id above the kernel's limit of 2^22.
        let names =
            [format!("v-1.{}.{SUFFIX}", std::process::id()), "notes.txt".into(), format!("v.x.{SUFFIX}")];
        let left = dir.path().join(format!("v-1.99999999.{SUFFIX}"));
        for name in &names {
            std::fs::write(dir.path().join(name), b"").unwrap();
        }
        std::fs::write(&left, b"").unwrap();
        sweep(dir.path()).await;
        assert!(!left.exists());
        assert!(names.iter().all(|name| dir.path().join(name).exists()));
    }

    #[test]
    fn a_source_without_room_is_for_later() {
        assert!(matches!(room(Path::new("/tmp"), u64::MAX), Err(JobError::Again(_))));
        assert!(room(Path::new("/tmp"), 1).is_ok());
    }
}
