//! The binary, replaced while it serves: a new process takes the listening sockets over, and nothing is refused meanwhile.
//!
//! ```text
//! old: SIGUSR2 -> starts the program again, with its sockets -> serves on ------> drains, ends
//! new:            reads its configuration, takes the sockets, loads -> says it is ready -> relied on: announces, serves
//! ```
//!
//! Until the new process has said that it is ready and has lived a moment after that, the old one serves as before, and the
//! new one takes no connection; when the new one cannot start, is killed or takes too long, nothing has happened. TCP
//! connections wait in queues that both processes share, so none is lost. A UDP port cannot be read by two: the new process
//! reads it from when the old one has stopped to, and passes on what is for the old one's HTTP/3 connections, over a line
//! that it got with the sockets.
//!
//! - `sockets`: what is handed over, and how the new process finds it; this file: the old process's side

mod sockets;

use sockets::Passed;
pub(crate) use sockets::{Inherited, Sockets, UDP, VARIABLE};

use crate::Drain;
use crate::reload::Source;
use prometheus::IntCounterVec;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

/// Time for a new process to become ready: it may have to read an index from a slow disk.
const START: Duration = Duration::from_secs(30);
/// How long a new process must live after it was ready before the old one relies on it. Until then it takes no connection:
/// what kills it in its first second costs nobody anything.
const SETTLE: Duration = Duration::from_secs(1);

/// Why a new process did not take over.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("it cannot be started: {0}")]
    Start(#[from] io::Error),
    #[error("it ended before it was ready ({0})")]
    Ended(std::process::ExitStatus),
    #[error("it was not ready within {} seconds", START.as_secs())]
    Late,
}

/// The program to start again: as the command line named it, so that a link that was turned to a new version counts.
fn program(source: &Source) -> PathBuf {
    let named = source.args.first().map(PathBuf::from).filter(|path| path.components().count() > 1);
    named.or_else(|| std::env::current_exe().ok()).unwrap_or_else(|| source.program.into())
}

/// Waits for SIGUSR2, and has a new process take over; the drain begins once it serves. Ends with the drain.
pub(crate) async fn watch(source: Source, sockets: Sockets, drain: Drain, results: IntCounterVec) {
    let Ok(mut asked) = signal(SignalKind::user_defined2()) else { return };
    let begun = drain.token();
    loop {
        tokio::select! {
            _ = asked.recv() => {}
            () = begun.cancelled() => return,
        }
        tracing::info!(program = %program(&source).display(), "a new process is started in place of this one");
        match start(&source, &sockets).await {
            Ok((pid, release, line)) => {
                results.with_label_values(&["done"]).inc();
                tracing::info!(pid, "a new process has taken over");
                drop(sockets);
                drain.begin_succeeded(line);
                let cut = drain.cut();
                tokio::select! {
                    () = drain.udp_free().cancelled() => {}
                    () = cut.cancelled() => {}
                }
                drop(release);
                return;
            }
            Err(error) => {
                results.with_label_values(&["failed"]).inc();
                tracing::error!(%error, "the new process did not take over; this one serves on");
            }
        }
    }
}

/// Starts the new process, waits until it can be relied on, and tells it. Its id, what tells it by its end that the UDP port
/// is free, and where it passes on what is for HTTP/3 connections of this one.
async fn start(source: &Source, sockets: &Sockets) -> Result<(u32, OwnedFd, Option<OwnedFd>), Failure> {
    let (ready, says_ready) = io::pipe()?;
    let (released, release) = io::pipe()?;
    let (go, relies) = io::pipe()?;
    let Passed { fds, names, line } = sockets.passed(says_ready.into(), released.into(), go.into())?;
    let mut child = Command::new(program(source))
        .args(source.args.iter().skip(1))
        .env(VARIABLE, names)
        .stdin(Stdio::null())
        .spawn()?;
    // The new process has its own; while these were open its end would not be seen.
    drop(fds);
    match timeout(START, settled(&mut child, ready.into())).await {
        Ok(Ok(())) => {
            drop(relies);
            Ok((child.id().unwrap_or_default(), release.into(), line))
        }
        Ok(Err(failure)) => Err(failure),
        Err(_) => {
            child.kill().await?;
            Err(Failure::Late)
        }
    }
}

async fn settled(child: &mut Child, ready: OwnedFd) -> Result<(), Failure> {
    let mut ready = Receiver::from_file(File::from(ready))?;
    let mut said = [0];
    if ready.read(&mut said).await? == 0 {
        return Err(Failure::Ended(child.wait().await?));
    }
    match timeout(SETTLE, child.wait()).await {
        Ok(ended) => Err(Failure::Ended(ended?)),
        Err(_) => Ok(()),
    }
}
