//! The index, as the one who writes it has it. All of it blocks.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sluice_wire::Version;
use tantivy::indexer::{IndexWriterOptions, UserOperation};
use tantivy::{Index, IndexReader, IndexWriter, ReloadPolicy};
use tokio_util::sync::CancellationToken;

use super::Shown;
use super::fields::{Entry, Fields};
use super::folder::Folder;
use super::trouble::Trouble;
use crate::ids::ProductId;

/// Bytes of what is gathered before a part of the index is written: what tantivy needs at least, and some products.
const MEMORY: usize = 32_000_000;
/// Bytes of documents, about, that wait to be gathered while an index is made: the library takes in 10,000 products, however large
/// they are in all their languages and variants.
pub(super) const MAX_HELD: usize = 128_000_000;
/// What is made of a product, by number: an index of another one is made anew.
const FORMAT: u32 = 2;

/// How far an index has come: the last event of the log that it has seen, and the versions that it has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) format: u32,
    pub(super) seq: u64,
    /// Of the event with this number: another log has another event there.
    pub(super) tag: String,
    pub(super) at_ms: u64,
    pub(super) products: u64,
    pub(super) availability: u64,
}

impl Mark {
    /// Reads what is kept with an index; `None` where it is another format's.
    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().filter(|mark: &Self| mark.format == FORMAT)
    }
}

/// Writes the index.
pub(super) struct Writer {
    writer: IndexWriter,
    reader: IndexReader,
    fields: Arc<Fields>,
    damaged: CancellationToken,
    /// Bytes that were added since all of it was gathered.
    held: usize,
    _folder: Option<Folder>,
}

impl Writer {
    /// Opens the index of a folder, with how far it had come; an empty one where there is none that is sound. In memory without a
    /// folder, or where another process has it.
    ///
    /// # Errors
    /// The file system's; the index's.
    pub(super) fn open(dir: Option<&Path>, fields: Arc<Fields>) -> Result<(Self, Option<Mark>), Trouble> {
        let folder = take(dir)?;
        let found = folder.as_ref().and_then(|folder| folder.sound(&fields.schema));
        Self::over(folder, found, fields)
    }

    /// An empty index in a folder, whatever was there; otherwise as [`Writer::open`].
    ///
    /// # Errors
    /// As [`Writer::open`].
    pub(super) fn anew(dir: Option<&Path>, fields: Arc<Fields>) -> Result<Self, Trouble> {
        Ok(Self::over(take(dir)?, None, fields)?.0)
    }

    fn over(
        folder: Option<Folder>,
        found: Option<(Index, Mark)>,
        fields: Arc<Fields>,
    ) -> Result<(Self, Option<Mark>), Trouble> {
        let (index, mark) = match (found, &folder) {
            (Some((index, mark)), _) => (index, Some(mark)),
            (None, Some(folder)) => (folder.empty(fields.schema.clone())?, None),
            (None, None) => (Index::create_in_ram(fields.schema.clone()), None),
        };
        let options =
            IndexWriterOptions::builder().memory_budget_per_thread(MEMORY).num_merge_threads(1).build();
        let writer = index.writer_with_options(options)?;
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let damaged = CancellationToken::new();
        Ok((Self { writer, reader, fields, damaged, held: 0, _folder: folder }, mark))
    }

    /// Forgets all products, once it is committed.
    pub(super) fn clear(&self) -> Result<(), Trouble> {
        self.writer.delete_all_documents()?;
        Ok(())
    }

    /// Adds a product of which nothing is known; where too much waits to be gathered, once that is. What is on the disk by then is
    /// no index yet: it has no mark.
    pub(super) fn add(&mut self, entry: &Entry) -> Result<(), Trouble> {
        self.run(self.fields.documents(entry).into_iter().map(UserOperation::Add).collect())?;
        self.held += entry.bytes();
        if self.held > MAX_HELD {
            self.writer.commit()?;
            self.held = 0;
        }
        Ok(())
    }

    /// Puts a product in the place of what was known of it; nothing, where it is not shown any more.
    pub(super) fn put(&self, id: ProductId, entry: Option<&Entry>) -> Result<(), Trouble> {
        let documents = entry.map(|entry| self.fields.documents(entry)).unwrap_or_default();
        let old = UserOperation::Delete(self.fields.product(id));
        self.run([old].into_iter().chain(documents.into_iter().map(UserOperation::Add)).collect())
    }

    /// Those of one group are put into one segment, in order.
    fn run(&self, group: Vec<UserOperation>) -> Result<(), Trouble> {
        self.writer.run(group)?;
        Ok(())
    }

    /// Has all of it found from now on, and after a crash.
    pub(super) fn commit(&mut self, mark: &Mark) -> Result<(), Trouble> {
        let mark = Mark { format: FORMAT, ..mark.clone() };
        let mut commit = self.writer.prepare_commit()?;
        commit.set_payload(&serde_json::to_string(&mark).expect("numbers and texts are JSON"));
        commit.commit()?;
        self.reader.reload()?;
        Ok(())
    }

    /// What searches look into.
    pub(super) fn shown(&self, mark: &Mark) -> Shown {
        Shown {
            reader: self.reader.clone(),
            fields: Arc::clone(&self.fields),
            products: Version(mark.products),
            availability: Version(mark.availability),
            seq: mark.seq,
            damaged: self.damaged.clone(),
        }
    }

    /// Told once a search in what was shown fails.
    pub(super) fn damaged(&self) -> CancellationToken {
        self.damaged.clone()
    }
}

/// A folder's turn; `None` without a folder, or where another process has it.
fn take(dir: Option<&Path>) -> Result<Option<Folder>, Trouble> {
    let folder = dir.map(Folder::take).transpose()?.flatten();
    if let Some(dir) = dir.filter(|_| folder.is_none()) {
        tracing::warn!(dir = %dir.display(), "another process has the search's folder; the index is in memory");
    }
    Ok(folder)
}
