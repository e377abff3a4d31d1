//! One process of the stack: started, waited for until it announces itself, ended.

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, ChildStdin, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, timeout};

/// How long a process may take from its start to its announcement: migrations on a slow disk fit.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long it may take to drain before it is killed: the servers' own grace and a second.
const STOP_LIMIT: Duration = Duration::from_secs(11);
/// How often the announcement is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(30);

/// Runs this program as one of the servers: `role NAME FLAG...`.
pub(crate) fn play_role(mut words: impl Iterator<Item = OsString>) -> ExitCode {
    let role = words.next().unwrap_or_default();
    end_with_parent();
    let words = std::iter::once(role.clone()).chain(words);
    match role.to_str() {
        Some("origin") => sluice_origin::main_with(words),
        Some("transcoder") => sluice_transcoder::main_with(words),
        Some("edge") => sluice_edge::main_with(words),
        Some("control-plane") => sluice_control_plane::main_with(words),
        _ => ExitCode::FAILURE,
    }
}

/// Asks this process to end when its standard input closes, that is, when the launcher is gone however it went.
fn end_with_parent() {
    std::thread::spawn(|| {
        let ended = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        drop((ended, kill(Pid::this(), Signal::SIGTERM)));
    });
}

/// Ctrl-C or SIGTERM, to be waited for anywhere.
pub(crate) struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    pub(crate) fn listen() -> anyhow::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Ends when somebody asked the demo to stop. Cancel safe.
    pub(crate) async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Where a process listens; each `host:port`.
#[derive(Debug, Clone, Default, Deserialize, serde::Serialize)]
pub(crate) struct Addresses {
    pub(crate) http: Option<String>,
    pub(crate) https: Option<String>,
    pub(crate) h3: Option<String>,
    pub(crate) admin: Option<String>,
}

/// A server of the stack.
pub(crate) struct Member {
    pub(crate) name: String,
    role: &'static str,
    dir: PathBuf,
    config: toml::Table,
    process: Option<(Child, Option<ChildStdin>)>,
    pub(crate) at: Addresses,
    /// Starts after the first.
    pub(crate) restarts: u32,
}

impl Member {
    pub(crate) fn new(name: &str, role: &'static str, dir: &Path, config: toml::Table) -> Self {
        let (name, dir) = (name.to_owned(), dir.to_owned());
        Self { name, role, dir, config, process: None, at: Addresses::default(), restarts: 0 }
    }

    fn announce(&self) -> PathBuf {
        self.dir.join("run").join(format!("{}.json", self.name))
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("logs").join(format!("{}.log", self.name))
    }

    /// Starts the process and waits until it has announced its addresses.
    pub(crate) async fn start(&mut self) -> anyhow::Result<()> {
        let (config, announce) = (self.dir.join("run").join(format!("{}.toml", self.name)), self.announce());
        std::fs::write(&config, toml::to_string(&self.config)?)?;
        if announce.exists() {
            std::fs::remove_file(&announce)?;
        }
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log())?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["role", self.role, "--config"])
            .arg(&config)
            .arg("--listen.announce")
            .arg(&announce)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", self.name))?;
        let stdin = child.stdin.take();
        self.process = Some((child, stdin));
        self.at = timeout(START_LIMIT, self.announced(&announce)).await.with_context(|| {
            format!("{} did not come up in time; see {}", self.name, self.log().display())
        })??;
        Ok(())
    }

    async fn announced(&mut self, file: &Path) -> anyhow::Result<Addresses> {
        loop {
            if let Ok(text) = std::fs::read(file) {
                return serde_json::from_slice(&text).with_context(|| format!("reading {}", file.display()));
            }
            if let Some(status) = self.ended()? {
                bail!("{} ended at its start ({status}):\n{}", self.name, self.last_words());
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// The end of its log, for a person.
    pub(crate) fn last_words(&self) -> String {
        let text = std::fs::read(self.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        match &mut self.process {
            Some((child, _)) => Ok(child.try_wait()?),
            None => Ok(None),
        }
    }

    /// Keeps the addresses it had, so that a restart is found where the others know it.
    pub(crate) fn pin_addresses(&mut self) {
        let Some(listen) = self.config.get_mut("listen").and_then(toml::Value::as_table_mut) else { return };
        for (key, at) in [("http", &self.at.http), ("https", &self.at.https), ("admin", &self.at.admin)] {
            if let Some(at) = at {
                listen.insert(key.into(), at.clone().into());
            }
        }
    }

    /// Asks it to drain, and kills it when it takes too long. True when it ended by itself.
    pub(crate) async fn stop(&mut self) -> bool {
        let Some((mut child, stdin)) = self.process.take() else { return true };
        drop(stdin);
        if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok())
            && kill(Pid::from_raw(pid), Signal::SIGTERM).is_err()
        {
            return true;
        }
        let begun = Instant::now();
        match timeout(STOP_LIMIT, child.wait()).await {
            Ok(Ok(_)) => begun.elapsed() < STOP_LIMIT,
            _ => {
                drop(child.kill().await);
                false
            }
        }
    }
}
