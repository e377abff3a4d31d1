//! One server process of a story.

use crate::client::ask;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a process may take to come up on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long a counter may take to get where it should.
const METRIC_LIMIT: Duration = Duration::from_secs(20);

/// Where a process listens, `host:port` each.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Addresses {
    /// HTTP/1.1 and h2c.
    pub http: Option<String>,
    /// TLS: HTTP/1.1 and HTTP/2.
    pub https: Option<String>,
    /// HTTP/3.
    pub h3: Option<String>,
    /// Metrics and health.
    pub admin: Option<String>,
}

/// A server process. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    program: PathBuf,
    flags: BTreeMap<String, String>,
    environment: BTreeMap<String, String>,
    dir: PathBuf,
    child: Option<Child>,
    /// Where it listens; kept over restarts.
    pub at: Addresses,
}

impl Process {
    /// Describes a process of one of our programs, with its configuration as dotted keys.
    #[must_use]
    pub fn new(name: &str, program: &str, dir: &Path, flags: &[(&str, String)]) -> Self {
        Self {
            name: name.into(),
            program: binary(program),
            flags: flags.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect(),
            environment: BTreeMap::new(),
            dir: dir.into(),
            child: None,
            at: Addresses::default(),
        }
    }

    /// Says a flag otherwise, from its next start on.
    pub fn set(&mut self, flag: &str, value: &str) {
        self.flags.insert(flag.to_owned(), value.to_owned());
    }

    /// The point (`sluice_service::crash`) at which it is to end once it is started; `None` for no such point.
    pub fn crash_at(&mut self, point: Option<&str>) {
        self.environment.clear();
        self.environment.extend(point.map(|point| ("CRASH_AT".to_owned(), point.to_owned())));
    }

    /// Starts it and waits until it serves. Started again, it takes the addresses it had.
    pub async fn start(&mut self) {
        let announce = self.dir.join(format!("{}.json", self.name));
        drop(std::fs::remove_file(&announce));
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log()).unwrap();
        let mut command = Command::new(&self.program);
        command.arg("--listen.announce").arg(&announce);
        for (key, value) in &self.flags {
            command.arg(format!("--{key}")).arg(value);
        }
        command.envs(&self.environment);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child =
            command.spawn().unwrap_or_else(|e| panic!("cannot start {}: {e}", self.program.display()));
        self.child = Some(child);
        let begun = Instant::now();
        self.at = loop {
            if let Ok(text) = std::fs::read(&announce) {
                break serde_json::from_slice(&text).unwrap();
            }
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                panic!("{} ended at its start ({status}):\n{}", self.name, self.output());
            }
            assert!(begun.elapsed() < START_LIMIT, "{} did not come up:\n{}", self.name, self.output());
            sleep(Duration::from_millis(20)).await;
        };
        for (key, at) in [("http", &self.at.http), ("https", &self.at.https), ("admin", &self.at.admin)] {
            if let Some(at) = at {
                self.flags.insert(format!("listen.{key}"), at.clone());
            }
        }
    }

    /// Base URL of its plain listener.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.at.http.as_ref().expect("the process has a plain listener"))
    }

    /// Kills it as a power cut would, and reaps it.
    pub fn kill9(&mut self) {
        self.signal(Signal::SIGKILL);
        if let Some(mut child) = self.child.take() {
            child.wait().unwrap();
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
        }
    }

    /// Waits until it has ended by itself; its exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        let begun = Instant::now();
        let mut child = self.child.take().expect("it was started");
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < START_LIMIT, "{} did not end:\n{}", self.name, self.output());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Its id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it was started").id()
    }

    /// KiB of memory it has resident now.
    #[must_use]
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_ascii_whitespace().next().unwrap().parse().unwrap()
    }

    /// Its name in the story.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn log(&self) -> PathBuf {
        self.dir.join(format!("{}.log", self.name))
    }

    /// The end of what it wrote.
    #[must_use]
    pub fn output(&self) -> String {
        let text = std::fs::read(self.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// True when it wrote this at any time.
    #[must_use]
    pub fn has_said(&self, text: &str) -> bool {
        let written = std::fs::read(self.log()).unwrap_or_default();
        String::from_utf8_lossy(&written).contains(text)
    }

    /// One of its counters or gauges: the sum over all series of this name whose labels contain every given text.
    pub async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let admin = self.at.admin.as_ref().expect("the process has an admin listener");
        let text = ask(format!("http://{admin}/metrics")).await.unwrap().text().await.unwrap();
        let matches = |line: &&str| {
            let series = line.split_ascii_whitespace().next().unwrap_or_default();
            series.split('{').next() == Some(name) && labels.iter().all(|l| series.contains(l))
        };
        text.lines().filter(matches).filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Waits until one of its counters or gauges is as it should be.
    pub async fn until(&self, name: &str, labels: &[&str], good: impl Fn(f64) -> bool) {
        let begun = Instant::now();
        loop {
            let value = self.metric(name, labels).await;
            if good(value) {
                return;
            }
            assert!(begun.elapsed() < METRIC_LIMIT, "{name} is {value}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop((child.kill(), child.wait()));
        }
        if std::thread::panicking() {
            let mut err = std::io::stderr().lock();
            drop(std::io::Write::write_fmt(&mut err, format_args!("--- {}\n{}\n", self.name, self.output())));
        }
    }
}

/// One of our programs, built beside the tests.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let mut dir = std::env::current_exe().unwrap();
    dir.pop();
    if dir.ends_with("deps") {
        dir.pop();
    }
    let program = dir.join(name);
    assert!(program.is_file(), "{} is missing: `make binaries` builds it", program.display());
    program
}

/// A port that nobody listens at, for who is to be known by it before it starts. It is not of those that outgoing connections
/// are given (`ip_local_port_range`), or one of them could have it by then.
#[must_use]
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const PORTS: std::ops::Range<u32> = 16_000..32_000;
    // Each story is a process of its own: they begin far from one another.
    let first = std::process::id().wrapping_mul(97);
    let mut tried = std::iter::repeat_with(|| first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)));
    let port = |n: u32| u16::try_from(PORTS.start + n % (PORTS.end - PORTS.start)).unwrap();
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    tried.by_ref().take(1_000).map(port).find(is_free).expect("a port of a thousand is free")
}
