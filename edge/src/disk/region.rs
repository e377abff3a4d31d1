//! A region: one file that is only ever appended to, and goes as a whole.

use super::record::{MARK_AT, Place};
use bytes::Bytes;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// How a region's file is called: its number in hexadecimal before this.
const SUFFIX: &str = ".region";

/// A region's file, open. Whoever holds it may read it, even after its name is gone.
#[derive(Debug)]
pub(super) struct Region {
    pub(super) id: u32,
    path: PathBuf,
    pub(super) file: File,
    /// When its file was last changed by this process, as the file system has it: nanoseconds.
    changed: AtomicI64,
    length: AtomicU64,
    /// Hashes of the keys of its records, for when it goes.
    keys: Mutex<Vec<u64>>,
}

impl Region {
    /// Makes a new one.
    pub(super) fn create(dir: &Path, id: u32) -> io::Result<Self> {
        let path = dir.join(format!("{id:08x}{SUFFIX}"));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        let changed = AtomicI64::new(changed_at(&file.metadata()?));
        Ok(Self { id, path, file, changed, length: AtomicU64::new(0), keys: Mutex::default() })
    }

    /// Opens one of an earlier life.
    pub(super) fn open(dir: &Path, id: u32) -> io::Result<Self> {
        let path = dir.join(format!("{id:08x}{SUFFIX}"));
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let metadata = file.metadata()?;
        let (length, changed) = (AtomicU64::new(metadata.len()), AtomicI64::new(changed_at(&metadata)));
        Ok(Self { id, path, file, changed, length, keys: Mutex::default() })
    }

    /// The numbers of the regions of a folder, the oldest first.
    pub(super) fn list(dir: &Path) -> io::Result<Vec<u32>> {
        let number = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            u32::from_str_radix(name.strip_suffix(SUFFIX)?, 16).ok()
        };
        let mut ids: Vec<u32> = fs::read_dir(dir)?
            .filter_map(|entry| entry.map(number).transpose())
            .collect::<io::Result<_>>()?;
        ids.sort_unstable();
        Ok(ids)
    }

    pub(super) fn length(&self) -> u64 {
        self.length.load(Ordering::Acquire)
    }

    /// Bytes from a place on; an error when they are not all there.
    pub(super) fn read(&self, at: u64, length: usize) -> io::Result<Bytes> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes.into())
    }

    /// At most so many bytes from a place on.
    pub(super) fn read_some(&self, at: u64, most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; most];
        let mut filled = 0;
        while filled < most {
            match self.file.read_at(&mut bytes[filled..], at + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// Writes at a place beyond everything that was committed.
    pub(super) fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.change(|| self.file.write_all_at(bytes, at))
    }

    /// True when nobody but this process has changed the file since it was opened. A change of our own may make it false for
    /// an instant.
    pub(super) fn is_ours_alone(&self) -> bool {
        self.file.metadata().is_ok_and(|now| changed_at(&now) == self.changed.load(Ordering::Acquire))
    }

    /// Changes the file. A change by others before it is not forgotten over it.
    fn change(&self, change: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let ours = self.is_ours_alone();
        change()?;
        if ours {
            self.changed.store(changed_at(&self.file.metadata()?), Ordering::Release);
        }
        Ok(())
    }

    /// What was written up to here counts.
    pub(super) fn commit(&self, length: u64, keys: impl IntoIterator<Item = u64>) {
        self.length.store(length, Ordering::Release);
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).extend(keys);
    }

    /// Gives back what is beyond its length.
    pub(super) fn cut(&self, length: u64) -> io::Result<()> {
        self.change(|| self.file.set_len(length))?;
        self.length.store(length, Ordering::Release);
        Ok(())
    }

    /// Marks a record as no longer in force: it is not found again after a restart.
    pub(super) fn kill(&self, place: Place) -> io::Result<()> {
        self.change(|| self.file.write_all_at(&[0; 8], place.at + MARK_AT))
    }

    /// Takes the keys of its records.
    pub(super) fn take_keys(&self) -> Vec<u64> {
        std::mem::take(&mut *self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Removes its name; its bytes go when the last reader is done.
    pub(super) fn remove(&self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

/// When a file's content was last changed: nanoseconds.
fn changed_at(metadata: &Metadata) -> i64 {
    metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec())
}
