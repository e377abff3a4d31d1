//! The folder of an index: one process's at a time, and nobody's loss.

use std::fs::{File, TryLockError, create_dir_all, remove_dir_all};
use std::io;
use std::path::{Path, PathBuf};

use tantivy::schema::Schema;
use tantivy::{Index, ReloadPolicy, TantivyError};

use super::writer::Mark;

/// A folder that is this process's until it is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    index: PathBuf,
    _lock: File,
}

impl Folder {
    /// Takes a folder, made where it is not there; `None` where another process has it.
    ///
    /// # Errors
    /// The file system's.
    pub(super) fn take(path: &Path) -> io::Result<Option<Self>> {
        create_dir_all(path)?;
        let lock = File::options().create(true).truncate(false).write(true).open(path.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { index: path.join("index"), _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The index that is there, with how far it had come: if it is whole, and of this schema.
    pub(super) fn sound(&self, schema: &Schema) -> Option<(Index, Mark)> {
        if !self.index.join("meta.json").exists() {
            return None;
        }
        self.look(schema).unwrap_or_else(|error| {
            tracing::warn!(%error, path = %self.index.display(), "the search's index is damaged; it is made anew");
            None
        })
    }

    fn look(&self, schema: &Schema) -> Result<Option<(Index, Mark)>, TantivyError> {
        let index = Index::open_in_dir(&self.index)?;
        if index.schema() != *schema {
            return Ok(None);
        }
        let damaged = index.validate_checksum()?;
        if let Some(file) = damaged.iter().next() {
            let path = file.display();
            return Err(TantivyError::InternalError(format!("{path} is not what was written")));
        }
        // Files that are named and not there are found missing by whoever opens them.
        drop(index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?);
        let mark = index.load_metas()?.payload.as_deref().and_then(Mark::parse);
        Ok(mark.map(|mark| (index, mark)))
    }

    /// An empty index in the place of whatever is there.
    ///
    /// # Errors
    /// The file system's; the index's.
    pub(super) fn empty(&self, schema: Schema) -> Result<Index, TantivyError> {
        if self.index.exists() {
            remove_dir_all(&self.index)?;
        }
        create_dir_all(&self.index)?;
        Index::create_in_dir(&self.index, schema)
    }
}
