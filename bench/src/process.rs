//! Private processes: started on chosen processors, with their words kept, ended with the run however it goes.

use crate::cpu;
use anyhow::{Context, bail};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{sleep, timeout};

/// How long a server may take until it serves: Varnish compiles its configuration with a C compiler first.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long one may take to end when asked.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// How often a start is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A running process and all it started, which are its process group. Dropped, they are killed.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    /// Kept open: the demo's roles end when it closes.
    stdin: Option<ChildStdin>,
    log: PathBuf,
}

impl Process {
    /// Starts a command on the given processor (any when `None`); what it says goes to `NAME.log` in the folder.
    pub(crate) fn start(
        name: &str,
        command: Command,
        cpu: Option<usize>,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        Self::spawn(name, command, cpu, folder, None)
    }

    /// Starts a command to be spoken with over its standard input and output; what it complains about is logged.
    pub(crate) fn converse(
        name: &str,
        command: Command,
        folder: &Path,
    ) -> anyhow::Result<(Self, ChildStdin, ChildStdout)> {
        let mut process = Self::spawn(name, command, None, folder, Some(Stdio::piped()))?;
        let input = process.stdin.take().context("its standard input is piped")?;
        let output = process.child.stdout.take().context("its standard output is piped")?;
        Ok((process, input, output))
    }

    fn spawn(
        name: &str,
        mut command: Command,
        cpu: Option<usize>,
        folder: &Path,
        stdout: Option<Stdio>,
    ) -> anyhow::Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let words = std::fs::File::create(&log).context("making a log")?;
        let stdout = match stdout {
            Some(stdout) => stdout,
            None => words.try_clone()?.into(),
        };
        command.stdin(Stdio::piped()).stdout(stdout).stderr(words).process_group(0).kill_on_drop(true);
        let spawned = match cpu {
            Some(cpu) => cpu::pinned(&[cpu], || command.spawn())?,
            None => command.spawn(),
        };
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let mut child = spawned.with_context(|| format!("cannot start {program}"))?;
        let stdin = child.stdin.take();
        Ok(Self { name: name.to_owned(), child, stdin, log })
    }

    /// Its process number, while it is alive.
    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().with_context(|| format!("{} has ended:\n{}", self.name, self.last_words()))
    }

    /// Waits until `ready` gives something.
    pub(crate) async fn until<T, F>(&mut self, mut ready: impl FnMut() -> F) -> anyhow::Result<T>
    where
        F: Future<Output = Option<T>>,
    {
        let begun = Instant::now();
        loop {
            if let Some(result) = ready().await {
                return Ok(result);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended at its start ({status}):\n{}", self.name, self.last_words());
            }
            if begun.elapsed() > START_LIMIT {
                bail!("{} did not come up in time:\n{}", self.name, self.last_words());
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until something accepts connections at an address.
    pub(crate) async fn until_accepts(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        self.until(|| async move { TcpStream::connect(address).await.ok().map(drop) }).await
    }

    /// The end of what it said.
    fn last_words(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }

    /// Asks it to end, and waits until it has.
    pub(crate) async fn stop(mut self) {
        drop(self.stdin.take());
        self.signal(Signal::SIGTERM);
        drop(timeout(STOP_LIMIT, self.child.wait()).await);
    }

    /// Waits until it ends by itself, at most this long.
    pub(crate) async fn finish(mut self, limit: Duration) -> anyhow::Result<()> {
        let ended = timeout(limit, self.child.wait()).await;
        let status = ended.with_context(|| format!("{} took more than {limit:?}", self.name))??;
        if !status.success() {
            bail!("{} failed ({status}):\n{}", self.name, self.last_words());
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            // An error means that it has ended already.
            killpg(Pid::from_raw(pid), signal).ok();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Some of Pushpin's are groups of their own, and stay when who started them is killed.
        let all = self.child.id().map(cpu::members).unwrap_or_default();
        self.signal(Signal::SIGKILL);
        for pid in all.into_iter().filter_map(|pid| i32::try_from(pid).ok()) {
            kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
        }
    }
}

/// As many open files as the system allows: thousands of connections need them, here and in the servers
/// that are started from now on.
pub(crate) fn raise_file_limit() -> anyhow::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("raising the limit of open files")
}

/// A port of loopback that is free now. Whoever is to use it should do so soon.
pub(crate) fn free_port() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port")?;
    Ok(listener.local_addr()?)
}

/// A program of this workspace: it lies beside this one.
pub(crate) fn sibling(name: &str) -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe().context("asking for this program's path")?;
    let file = here.with_file_name(name);
    if !file.is_file() {
        bail!("{name} is not built; `make bench` builds it");
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};

    #[tokio::test]
    async fn a_process_that_ends_at_its_start_tells_why() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such option >&2; exit 3"]);
        let mut process = Process::start("server", command, None, folder.path()).unwrap();
        let error = process.until(|| async { None::<()> }).await.unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("no such option"), "{error}");
    }

    #[tokio::test]
    async fn a_dropped_process_takes_its_children_along() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let mut command = Command::new("sh");
        // The grandchild holds the pipe open for a minute; its end is seen when nobody does any more.
        command.args(["-c", "sh -c 'echo begun; sleep 60' >\"$0\"; true"]).arg(&pipe);
        let process = Process::start("server", command, None, folder.path()).unwrap();
        let limit = Duration::from_secs(20);
        let begin = tokio::task::spawn_blocking(move || {
            let mut reader = BufReader::new(std::fs::File::open(pipe).unwrap());
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            (reader, line)
        });
        let (mut reader, line) = timeout(limit, begin).await.unwrap().unwrap();
        assert_eq!(line, "begun\n");
        drop(process);
        let end = tokio::task::spawn_blocking(move || reader.read_line(&mut String::new()).unwrap());
        assert_eq!(timeout(limit, end).await.unwrap().unwrap(), 0);
    }
}
