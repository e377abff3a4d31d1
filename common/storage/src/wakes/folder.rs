//! Beside a SQLite file: a folder with an empty file for each topic. Opening one for writing and closing it says that
//! there is something new; who watches the folder hears it.
//!
//! Watching the write-ahead log itself would tell too early, before a commit can be read, and of every write there is.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::{Path, PathBuf};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::TOPICS;

#[derive(Debug, Clone)]
pub(super) struct Folder {
    path: PathBuf,
}

/// Hears what is said in a folder.
#[derive(Debug)]
pub(super) struct Ear {
    watch: AsyncFd<Watch>,
}

#[derive(Debug)]
struct Watch(Inotify);

impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Folder {
    /// `NAME-wake`, as the engine names what lies beside a file.
    pub(super) fn beside(database: &Path) -> Self {
        let mut name = database.as_os_str().to_owned();
        name.push("-wake");
        Self { path: name.into() }
    }

    pub(super) async fn touch(&self, topic: &str) -> io::Result<()> {
        let opened =
            tokio::fs::OpenOptions::new().append(true).create(true).open(self.path.join(topic)).await?;
        drop(opened.into_std().await);
        Ok(())
    }

    /// Hears what is said from now on. The folder is made if it is missing; that blocks for a moment.
    pub(super) fn listen(&self) -> io::Result<Ear> {
        std::fs::create_dir_all(&self.path)?;
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        inotify.add_watch(&self.path, AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_ONLYDIR)?;
        Ok(Ear { watch: registered(inotify)? })
    }
}

#[expect(unsafe_code, reason = "the runtime takes descriptors only so")]
fn registered(inotify: Inotify) -> io::Result<AsyncFd<Watch>> {
    // SAFETY: the watch owns its descriptor and always names the same one; the `AsyncFd` owns the watch, lends it
    // immutably, and takes the descriptor out of the reactor before it drops it.
    unsafe { AsyncFd::register_with_interest(Watch(inotify), Interest::READABLE) }.map_err(io::Error::from)
}

impl Ear {
    /// The topics on which something was said since the last call; waits until there is one. Fails when the folder is
    /// gone.
    pub(super) async fn heard(&self) -> io::Result<Vec<&'static str>> {
        loop {
            let mut ready = self.watch.readable().await?;
            let read = ready.try_io(|watch| watch.get_ref().0.read_events().map_err(io::Error::from));
            let Ok(events) = read else { continue };
            let events = events?;
            if events.iter().any(|event| event.mask.contains(AddWatchFlags::IN_IGNORED)) {
                return Err(io::Error::new(io::ErrorKind::NotFound, "the folder is gone"));
            }
            return Ok(named(&events));
        }
    }
}

/// Each topic named by any event, once; all of them when events were lost.
fn named(events: &[InotifyEvent]) -> Vec<&'static str> {
    let names = |event: &InotifyEvent, topic: &str| {
        event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) || event.name.as_deref() == Some(topic.as_ref())
    };
    TOPICS.into_iter().filter(|topic| events.iter().any(|event| names(event, topic))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::topics;

    #[tokio::test]
    async fn what_is_said_is_heard_by_all_and_a_folder_that_goes_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::beside(&dir.path().join("rows.db"));
        let (one, other) = (folder.listen().unwrap(), folder.listen().unwrap());
        for topic in [topics::LOG, topics::LOG, topics::JOBS] {
            folder.touch(topic).await.unwrap();
            assert_eq!(one.heard().await.unwrap(), [topic]);
        }
        assert_eq!(other.heard().await.unwrap(), [topics::LOG, topics::JOBS], "each once");
        assert_eq!(std::fs::read_dir(dir.path().join("rows.db-wake")).unwrap().count(), 2);

        std::fs::remove_dir_all(dir.path().join("rows.db-wake")).unwrap();
        let gone = loop {
            if let Err(error) = one.heard().await {
                break error;
            }
        };
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
        assert!(folder.touch(topics::LOG).await.is_err(), "only who listens makes it");
        let again = folder.listen().unwrap();
        folder.touch(topics::OUTBOX).await.unwrap();
        assert_eq!(again.heard().await.unwrap(), [topics::OUTBOX]);
    }
}
