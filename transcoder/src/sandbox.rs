//! The walls around the codec: the one place where its process is made.
//!
//! What stands today: no environment, only pipes, a process group of its own, and limits on memory, processor time, open
//! files and written files. What does not stand yet: its own user and namespaces, landlock, a seccomp list. Until it
//! does, a codec taken over by a hostile file can read what the worker's user can read and open sockets.
#![expect(unsafe_code, reason = "limits are set between fork and exec, where only a pre_exec hook can")]

use nix::sys::resource::{Resource, setrlimit};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// Address space: an 8K source with its rungs measured below half of it.
const MEMORY: u64 = 16 << 30;
/// Open files: the source, three pipes, the libraries while they are loaded.
const FILES: u64 = 64;

/// The codec's command. `limit` is how long it may take in all; processor time is bounded by it too.
pub(crate) fn command(program: &Path, task: &str, source: &Path, limit: Duration) -> Command {
    let processors = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let seconds = limit.as_secs().saturating_mul(processors).max(1);
    let limits = [
        (Resource::RLIMIT_AS, MEMORY),
        (Resource::RLIMIT_CPU, seconds),
        (Resource::RLIMIT_NOFILE, FILES),
        // It has nothing to write but its pipes, which this does not count.
        (Resource::RLIMIT_FSIZE, 0),
        (Resource::RLIMIT_CORE, 0),
    ];
    let mut command = Command::new(program);
    command
        .arg(task)
        .arg(source)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let set = move || {
        limits.iter().try_for_each(|&(what, most)| setrlimit(what, most, most).map_err(std::io::Error::from))
    };
    // SAFETY: the hook runs in the forked child before exec; it calls setrlimit alone, which is async-signal-safe, and
    // neither allocates nor locks. When a limit is refused, the child is not started.
    unsafe { command.pre_exec(set) };
    command
}
