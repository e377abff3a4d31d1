//! An edge whose binary is replaced while it serves, and its successors.

use crate::client::ask;
use crate::process::binary;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::Client;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// Time for anything that is waited for.
pub const LIMIT: Duration = Duration::from_secs(60);
/// What an old process logs when it has been replaced.
const TAKEN: &str = "a new process has taken over";

/// An edge that is started through a link and reads a file, and its successors.
#[derive(Debug)]
pub struct Swapped {
    dir: TempDir,
    first: Child,
    http: String,
    /// Where HTTP/3 is served, if it is.
    pub h3: Option<std::net::SocketAddr>,
    /// Where its admin listener is.
    pub admin: String,
}

impl Swapped {
    /// Starts one with these lines of configuration.
    pub async fn start(origin: &str, config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        std::fs::write(dir.path().join("edge.toml"), format!("origins = [\"{origin}\"]\n{config}")).unwrap();
        let link = dir.path().join("sluice-edge");
        std::os::unix::fs::symlink(binary("sluice-edge"), &link).unwrap();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let first = Command::new(&link)
            .args(["--listen.announce", dir.path().join("at.json").to_str().unwrap()])
            .args(["--config", dir.path().join("edge.toml").to_str().unwrap()])
            .args(["--state_dir", state.to_str().unwrap()])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut edge = Self { dir, first, http: String::new(), h3: None, admin: String::new() };
        let at = edge.announced(0).await;
        edge.http = at["http"].as_str().unwrap().to_owned();
        edge.h3 = at["h3"].as_str().map(|at| at.parse().unwrap());
        edge.admin = at["admin"].as_str().unwrap().to_owned();
        edge
    }

    /// What the newest process announces, once it is another than this one.
    pub async fn announced(&self, not: i32) -> Value {
        let begun = Instant::now();
        loop {
            let text = std::fs::read(self.dir.path().join("at.json")).unwrap_or_default();
            if let Ok(at) = serde_json::from_slice::<Value>(&text)
                && at["pid"].as_i64() != Some(i64::from(not))
            {
                return at;
            }
            assert!(begun.elapsed() < LIMIT, "nothing new is announced:\n{}", self.log());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Where it is plainly served.
    #[must_use]
    pub fn http(&self) -> &str {
        &self.http
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The process that serves.
    #[must_use]
    pub fn pid(&self) -> i32 {
        let text = std::fs::read(self.dir.path().join("at.json")).unwrap();
        let at: Value = serde_json::from_slice(&text).unwrap();
        i32::try_from(at["pid"].as_i64().unwrap()).unwrap()
    }

    /// Sends a signal.
    pub fn signal(&self, pid: i32, signal: Signal) {
        kill(Pid::from_raw(pid), signal).unwrap_or_else(|e| panic!("{pid}: {e}\n{}", self.log()));
    }

    /// What all of them have logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// A URL over plain HTTP.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    /// Has a new process take over; the old one's id.
    pub async fn swap(&self) -> i32 {
        let (old, before) = (self.pid(), self.log().matches(TAKEN).count());
        self.signal(old, Signal::SIGUSR2);
        self.announced(old).await;
        self.logged(TAKEN, before + 1).await;
        old
    }

    /// Waits until this was logged so often.
    pub async fn logged(&self, text: &str, times: usize) {
        let begun = Instant::now();
        while self.log().matches(text).count() < times {
            assert!(begun.elapsed() < LIMIT, "{text} was not logged {times} times:\n{}", self.log());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Makes the link point at another program.
    pub fn turn_link(&self, program: &Path) {
        let next = self.dir.path().join("next");
        std::os::unix::fs::symlink(program, &next).unwrap();
        std::fs::rename(next, self.dir.path().join("sluice-edge")).unwrap();
    }

    /// A program that does this instead of serving.
    #[must_use]
    pub fn script(&self, name: &str, lines: &str) -> PathBuf {
        let file = self.dir.path().join(name);
        std::fs::write(&file, format!("#!/bin/bash\n{lines}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    /// A program that is killed so many seconds after it was ready. It stands between the two: what it starts says to it
    /// that it is ready, and is dead by when it passes that on.
    #[must_use]
    pub fn doomed(&self, name: &str, moment: &str) -> PathBuf {
        let (program, killed) = (binary("sluice-edge"), self.dir.path().join("killed"));
        let lines = format!(
            "real=$(sed 's/.*ready=\\([0-9]*\\).*/\\1/' <<<\"$SLUICE_TAKEOVER\")\n\
             export SLUICE_TAKEOVER=$(sed 's/ready=[0-9]*/ready=200/' <<<\"$SLUICE_TAKEOVER\")\n\
             mkfifo $0.ready\nexec 201<>$0.ready\n{} \"$@\" 200>$0.ready & new=$!\n\
             read -r -n1 -u201\nsleep {moment}\nkill -9 $new\necho $new >> {}\nprintf 1 >&$real\nexit 1",
            program.display(),
            killed.display()
        );
        self.script(name, &lines)
    }

    /// How many of those were killed.
    #[must_use]
    pub fn killed(&self) -> usize {
        std::fs::read_to_string(self.dir.path().join("killed")).unwrap_or_default().lines().count()
    }

    /// Writes the configuration anew.
    pub fn configure(&self, text: &str) {
        std::fs::write(self.dir.path().join("edge.toml"), text).unwrap();
    }

    /// Asks for a reload: the status, and what was answered.
    pub async fn reload(&self) -> (u16, Value) {
        let answer = Client::new().post(format!("http://{}/reload", self.admin)).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// The sum of the series that begin so, at the newest.
    pub async fn metric(&self, series: &str) -> f64 {
        let text = ask(format!("http://{}/metrics", self.admin)).await.unwrap().text().await.unwrap();
        text.lines().filter_map(|line| line.strip_prefix(series)?.trim().parse::<f64>().ok()).sum()
    }
}

impl Drop for Swapped {
    fn drop(&mut self) {
        let newest = self.pid();
        if u32::try_from(newest).unwrap() != self.first.id() {
            kill(Pid::from_raw(newest), Signal::SIGKILL).unwrap_or_default();
        }
        drop((self.first.kill(), self.first.wait()));
        if std::thread::panicking() {
            let mut err = std::io::stderr().lock();
            drop(std::io::Write::write_fmt(&mut err, format_args!("{}\n", self.log())));
        }
    }
}
