//! A server process that cannot outlive the test.

use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

/// How long a server may take to answer: a busy machine that runs every suite at once needs seconds.
pub(super) const START_DEADLINE: Duration = Duration::from_secs(60);

/// Pause between two looks.
pub(super) const PAUSE: Duration = Duration::from_millis(25);

/// Runs the server and waits; ends it when its own input ends, which happens when the test lets go of the other end or
/// dies. `$0` is the signal, the rest the command.
const GUARD: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- &
child=$!
( read -r _ <&3; kill -s "$0" "$child"; sleep 5; kill -s KILL "$child" ) >/dev/null 2>&1 &
watch=$!
wait "$child"
code=$?
kill "$watch" 2>/dev/null
exit "$code"
"#;

/// A running server.
#[derive(Debug)]
pub(super) struct Server {
    guard: Child,
    lifeline: Option<ChildStdin>,
    log: PathBuf,
}

/// A user to run as, when the test is root and the program refuses to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Server {
    /// Starts a program whose output goes to `log`; `signal` ends it at once.
    pub(super) fn spawn(
        program: &Path,
        args: &[String],
        signal: &str,
        user: Option<User>,
        log: &Path,
    ) -> io::Result<Self> {
        let output = File::create(log)?;
        let mut command = Command::new("sh");
        command.arg("-c").arg(GUARD).arg(signal).arg(program).args(args);
        command.stdin(Stdio::piped()).stdout(output.try_clone()?).stderr(output);
        if let Some(folder) = log.parent() {
            command.current_dir(folder);
        }
        if let Some(user) = user {
            command.uid(user.uid).gid(user.gid);
        }
        let mut guard = command.spawn()?;
        let lifeline = guard.stdin.take();
        Ok(Self { guard, lifeline, log: log.to_path_buf() })
    }

    /// Waits until `ready` says so; fails when the server ends before that, or takes too long.
    pub(super) async fn wait_until<F: Future<Output = bool>>(
        &mut self,
        ready: impl Fn() -> F,
    ) -> Result<(), String> {
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            if ready().await {
                return Ok(());
            }
            if let Ok(Some(status)) = self.guard.try_wait() {
                return Err(format!("it ended with {status}: {}", self.output()));
            }
            if Instant::now() >= deadline {
                return Err(format!("no answer within {START_DEADLINE:?}: {}", self.output()));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// What it printed last.
    fn output(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(8).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        if let Err(error) = self.guard.wait() {
            tracing::warn!(%error, "a private server was not waited for");
        }
    }
}

/// A port that was free a moment ago.
pub(super) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Where a program is, among these folders and then those of `PATH`.
pub(super) fn find(program: &str, folders: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// Attempts at starting a server, since another process may take a free port first.
pub(super) const ATTEMPTS: u32 = 3;
