//! The folder engine: `LocalFileSystem`, and what it leaves undone.
//!
//! It writes to a temporary name, fsyncs, and renames (or links, for a conditional put) into place, fsyncing the
//! directory and those it made itself. Left to do: when another writer made a directory a moment ago and has not synced
//! its parent yet, our file would hang in the air after a power cut. So every directory from the object up to the root is
//! synced before a put is acknowledged; on one that did not change that costs next to nothing.

use std::fs::File;
use std::io;
use std::path::{Path as FilePath, PathBuf};

use object_store::local::LocalFileSystem;
use object_store::path::Path;

use super::error::io_full;
use crate::error::StorageError;

pub(super) fn path_of(url: &str) -> Result<PathBuf, StorageError> {
    let wrong = || {
        let scheme = url.split_once(':').map_or(url, |(scheme, _)| scheme);
        StorageError::Config(format!(
            "storage.objects is file:PATH or s3://BUCKET/PREFIX, not a {scheme:?} URL"
        ))
    };
    let path = url.strip_prefix("file:").ok_or_else(wrong)?;
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() { Err(wrong()) } else { Ok(PathBuf::from(path)) }
}

pub(super) fn open(root: &FilePath) -> Result<LocalFileSystem, StorageError> {
    std::fs::create_dir_all(root)
        .map_err(|e| StorageError::Config(format!("cannot make {}: {e}", root.display())))?;
    let store = LocalFileSystem::new_with_prefix(root).map_err(super::storage_error)?;
    Ok(store.with_fsync(true))
}

/// Syncs every directory from the object's own up to the root.
pub(super) async fn sync_folders(root: PathBuf, path: Path) -> Result<(), StorageError> {
    let sync = move || -> io::Result<()> {
        let file = root.join(path.as_ref());
        let mut folder = file.parent();
        while let Some(here) = folder {
            File::open(here)?.sync_all()?;
            if here == root {
                break;
            }
            folder = here.parent();
        }
        Ok(())
    };
    match tokio::task::spawn_blocking(sync).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) if io_full(&error) => Err(StorageError::Full { seam: "objects" }),
        Ok(Err(error)) => Err(StorageError::objects(error)),
        Err(panicked) => Err(StorageError::objects(panicked)),
    }
}

/// Removes what is left of a deleted prefix: directories, and the temporary files of writers that were killed.
pub(super) async fn remove_empty(folder: PathBuf) {
    let remove = move || {
        sweep(&folder);
        folder.parent().map(File::open).transpose()?.map_or(Ok(()), |parent| parent.sync_all())
    };
    if let Ok(Err(error)) = tokio::task::spawn_blocking(remove).await {
        tracing::debug!(%error, "empty folders stay behind");
    }
}

fn sweep(folder: &FilePath) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            sweep(&path);
        } else if entry.file_name().to_string_lossy().contains('#')
            && let Err(error) = std::fs::remove_file(&path)
        {
            tracing::debug!(%error, path = %path.display(), "temporary file stays behind");
        }
    }
    if let Err(error) = std::fs::remove_dir(folder) {
        tracing::debug!(%error, path = %folder.display(), "folder stays behind");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_urls_name_a_folder() {
        assert_eq!(path_of("file:var/objects").unwrap(), PathBuf::from("var/objects"));
        assert_eq!(path_of("file:///srv/o").unwrap(), PathBuf::from("/srv/o"));
        for bad in ["file:", "file://", "/srv/o", "gopher://x"] {
            assert!(path_of(bad).is_err(), "{bad}");
        }
    }
}
