//! The journal: what was heard of the log, in a file below `state_dir`.
//!
//! It is written behind: a journal that ends earlier than what was applied only makes the log tell that again.

use super::lines::{Kept, Line};
use crate::cache::FeedMark;
use serde_json::Value;
use sluice_wire::{Event, EventKind};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

/// Lines after which the journal is written anew with the fewest that say the same.
const MAX_LINES: usize = 100_000;
/// Bytes that wait to be written. When more come, the journal ends here until the next start.
const MAX_WAITING: usize = 4 << 20;

/// A file that says that this edge alone was purged, of which the log knows nothing.
const PURGED_HERE: &str = "purged-here";

/// Has the next process believe nothing of what is on disk: a purge at this edge alone is in no log to be read again.
/// Blocks.
///
/// # Errors
/// Those of writing a file below `state_dir`.
pub(crate) fn distrust(state_dir: &Path) -> io::Result<()> {
    File::create(state_dir.join(PURGED_HERE)).and_then(|file| file.sync_all())
}

/// The journal of one process.
#[derive(Debug)]
pub(crate) struct Journal {
    kept: Kept,
    waiting: Vec<u8>,
    lines: usize,
    /// Absent while it is being written.
    file: Option<Written>,
    writing: Option<Writing>,
    ended: bool,
}

/// An append under way: gives back the file, and the lines in case they were not written.
type Writing = JoinHandle<(Written, Vec<u8>, io::Result<()>)>;

/// The file as far as it is good.
#[derive(Debug)]
struct Written {
    path: PathBuf,
    file: Option<File>,
    lines: usize,
    bytes: u64,
}

impl Journal {
    /// Reads what an earlier process has left. Without anything that can be read, everything of before counts as stale.
    pub(crate) fn open(state_dir: &Path) -> Self {
        let path = state_dir.join("feed.journal");
        let distrusted = state_dir.join(PURGED_HERE);
        if distrusted.exists() && remove(&path).is_ok() {
            // The journal goes first: whatever stops this in between is safe.
            drop(remove(&distrusted));
        }
        let read = fs::read(&path).ok().and_then(|bytes| Kept::read(&bytes)).filter(|_| !distrusted.exists());
        let fresh = read.is_none();
        let (kept, lines, bytes) = read.unwrap_or_else(|| {
            // Above every epoch of before, as long as the clock goes forward.
            let epoch =
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_millis() as u64);
            (Kept { epoch, ..Kept::default() }, 0, 0)
        });
        let file = Some(Written { path, file: None, lines, bytes });
        let mut journal = Self { kept, waiting: vec![], lines: 0, file, writing: None, ended: false };
        if fresh {
            journal.push(&Line::Epoch { epoch: journal.kept.epoch, after: None });
        }
        journal
    }

    /// What was heard before this process.
    pub(crate) const fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Where the log goes on.
    pub(crate) const fn cursor(&self) -> Option<u64> {
        self.kept.cursor
    }

    /// Continuity was lost, and begins again at a mark.
    pub(crate) fn restart(&mut self, mark: FeedMark) {
        self.push(&Line::Epoch { epoch: mark.epoch, after: Some(mark.seq) });
    }

    /// An event was applied. Of what it says, only what a purge is of and how hard it is counts later.
    pub(crate) fn note(&mut self, event: &Event) {
        let data = if event.kind == EventKind::Purged { event.data.clone() } else { Value::Null };
        self.push(&Line::Event(Event { data, ..event.clone() }));
    }

    fn push(&mut self, line: &Line) {
        if self.waiting.len() > MAX_WAITING && !self.ended {
            tracing::warn!("the feed's journal cannot be written: it ends here");
            self.ended = true;
        }
        if !self.ended {
            self.waiting.extend(line.render());
            self.lines += 1;
        }
    }

    /// Has what waits written, off the runtime. Called again and again; never waits.
    pub(crate) fn flush(&mut self) {
        if self.writing.as_ref().is_some_and(JoinHandle::is_finished) {
            self.finish();
        }
        if self.waiting.is_empty() {
            return;
        }
        let Some(mut file) = self.file.take() else { return };
        let (bytes, lines) = (std::mem::take(&mut self.waiting), std::mem::take(&mut self.lines));
        self.writing = Some(spawn_blocking(move || {
            let written = file.append(&bytes, lines);
            (file, bytes, written)
        }));
    }

    /// Waits until all that was noted is written, or could not be.
    pub(crate) async fn written(&mut self) {
        // What comes while a write is under way waits for the next.
        for _ in 0..2 {
            self.flush();
            let Some(writing) = self.writing.take() else { return };
            let done = writing.await;
            self.finished(done);
        }
    }

    fn finish(&mut self) {
        use futures::FutureExt;
        let Some(done) = self.writing.take().and_then(FutureExt::now_or_never) else { return };
        self.finished(done);
    }

    fn finished(&mut self, done: Result<(Written, Vec<u8>, io::Result<()>), JoinError>) {
        match done {
            Ok((file, _, Ok(()))) => self.file = Some(file),
            Ok((file, mut bytes, Err(error))) => {
                tracing::warn!(%error, path = %file.path.display(), "the feed's journal cannot be written");
                self.file = Some(file);
                bytes.append(&mut self.waiting);
                self.waiting = bytes;
            }
            Err(error) => {
                tracing::error!(%error, "the feed's journal is lost");
                self.ended = true;
            }
        }
    }
}

impl Written {
    /// Appends lines behind what is good. Blocks.
    fn append(&mut self, bytes: &[u8], lines: usize) -> io::Result<()> {
        if self.lines > MAX_LINES {
            self.shorten()?;
        }
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                let file = OpenOptions::new().create(true).truncate(false).write(true).open(&self.path)?;
                // What an append left half done, or what was damaged, goes.
                file.set_len(self.bytes)?;
                file
            }
        };
        file.write_all_at(bytes, self.bytes)?;
        (self.bytes, self.lines, self.file) =
            (self.bytes + bytes.len() as u64, self.lines + lines, Some(file));
        Ok(())
    }

    fn shorten(&mut self) -> io::Result<()> {
        let Some((kept, ..)) = Kept::read(&fs::read(&self.path)?) else { return Ok(()) };
        let (next, bytes) = (self.path.with_extension("next"), kept.render());
        fs::write(&next, &bytes)?;
        fs::rename(&next, &self.path)?;
        // So that a catalogue of many tags is not written anew with each line.
        (self.lines, self.bytes, self.file) = (0, bytes.len() as u64, None);
        Ok(())
    }
}

/// Removes a file; one that is not there is removed.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_wire::Tag;
    use sluice_wire::tag::Version;
    use std::time::Duration;
    use tokio::time::{Instant, sleep};

    async fn written(journal: &mut Journal) {
        let begun = Instant::now();
        loop {
            journal.flush();
            if journal.waiting.is_empty() && journal.file.is_some() {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "the journal was never written");
            sleep(Duration::from_millis(5)).await;
        }
    }

    fn event(seq: u64) -> Event {
        let (tag, version, kind) = (Tag::new("a").unwrap(), Version(seq), EventKind::Purged);
        Event { seq, tag, version, kind, at_ms: 0, data: Value::Null }
    }

    #[tokio::test]
    async fn the_next_process_goes_on_where_this_one_ended() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = Journal::open(dir.path());
        assert_eq!(first.cursor(), None);
        written(&mut first).await;
        let unfollowed = Journal::open(dir.path());
        assert_eq!(unfollowed.kept(), first.kept(), "no log was followed: the same epoch");
        first.restart(FeedMark { epoch: first.kept().epoch + 1, seq: 10, here: 0 });
        first.note(&event(11));
        written(&mut first).await;
        OpenOptions::new()
            .append(true)
            .open(dir.path().join("feed.journal"))
            .and_then(|mut file| io::Write::write_all(&mut file, b"torn"))
            .unwrap();
        let mut second = Journal::open(dir.path());
        assert_eq!((second.cursor(), second.kept().epoch), (Some(11), first.kept().epoch + 1));
        second.note(&event(12));
        written(&mut second).await;
        assert_eq!(Journal::open(dir.path()).kept().events, [event(12)]);
    }

    #[tokio::test]
    async fn after_a_purge_here_the_next_process_believes_nothing_of_before() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = Journal::open(dir.path());
        first.restart(FeedMark { epoch: first.kept().epoch + 1, seq: 10, here: 0 });
        written(&mut first).await;
        let before = Journal::open(dir.path()).kept().epoch;
        distrust(dir.path()).unwrap();
        first.note(&event(11));
        written(&mut first).await;
        let mut second = Journal::open(dir.path());
        assert!(second.cursor().is_none() && second.kept().epoch > before);
        written(&mut second).await;
        assert_eq!(Journal::open(dir.path()).kept(), second.kept(), "the one after it does again");
    }

    #[tokio::test]
    async fn many_lines_become_few() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(dir.path());
        journal.restart(FeedMark { epoch: 5, seq: 0, here: 0 });
        written(&mut journal).await;
        for round in 0..3 {
            for seq in 1..=MAX_LINES as u64 / 2 + 1 {
                journal.note(&event(round * MAX_LINES as u64 + seq));
                if journal.waiting.len() > MAX_WAITING / 2 {
                    written(&mut journal).await;
                }
            }
            written(&mut journal).await;
        }
        journal.note(&event(u64::MAX));
        written(&mut journal).await;
        let file = journal.file.as_ref().unwrap();
        assert!(file.lines < MAX_LINES, "{}", file.lines);
        assert_eq!(Journal::open(dir.path()).kept().events, [event(u64::MAX)]);
    }
}
