//! Files that may change while a server runs: looked at every second, and at once on SIGHUP.

use crate::Drain;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

/// Time between two looks: nobody waits longer for a new certificate, and a look is a few calls to the system.
const EVERY: Duration = Duration::from_secs(1);

/// Something that is read from files.
pub(crate) trait Watched: Send + Sync + 'static {
    /// The files that there are now.
    fn files(&self) -> Vec<PathBuf>;
    /// Reads them again; keeps what it has of those that cannot be used.
    fn reload(&self);
}

/// What tells a file from its successor.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    file: PathBuf,
    state: Option<(u64, u64, SystemTime)>,
}

fn seen(file: &Path) -> Seen {
    let state = std::fs::metadata(file)
        .ok()
        .map(|data| (data.ino(), data.len(), data.modified().unwrap_or(SystemTime::UNIX_EPOCH)));
    Seen { file: file.into(), state }
}

fn look(watched: &dyn Watched) -> Vec<Seen> {
    watched.files().iter().map(|file| seen(file)).collect()
}

/// Starts to watch, as a task of the drain.
///
/// # Errors
/// Signals cannot be watched.
pub(crate) fn start(watched: Arc<dyn Watched>, drain: &Drain) -> std::io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let begun = drain.token();
    let mut last = look(watched.as_ref());
    drain.tasks().spawn(async move {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                _ = ticks.tick() => false,
                told = hangup.recv() => told.is_some(),
                () = begun.cancelled() => return,
            };
            let watched = Arc::clone(&watched);
            let looked = spawn_blocking(move || {
                let now = look(watched.as_ref());
                // What was seen before it was read is compared next time: a change in between is not missed.
                if asked || now != last {
                    watched.reload();
                }
                now
            });
            match looked.await {
                Ok(now) => last = now,
                Err(error) => return tracing::error!(%error, "files are no longer watched"),
            }
        }
    });
    Ok(())
}
