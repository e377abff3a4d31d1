//! The processes: a control plane, an origin, three edges.

use crate::process::{Process, free_port, sibling};
use anyhow::{Context, ensure};
use reqwest::Client;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::process::Command;
use tokio::time::sleep;

/// The edges' names.
pub(super) const EDGES: [&str; 3] = ["near-a", "near-b", "near-c"];
/// What is purged: a file that the origin lets everybody keep for a year.
pub(super) const PAGE: &str = "/assets/page.txt";
/// How long the fleet may take to find itself.
const SETTLED: Duration = Duration::from_secs(30);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The running fleet.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) client: Client,
    /// The control plane's URL.
    pub(super) control: String,
    /// The edges' URLs.
    pub(super) edges: Vec<String>,
    /// How each was started.
    pub(super) commands: Vec<String>,
    admins: Vec<String>,
    processes: Vec<Process>,
    pages: PathBuf,
    folder: PathBuf,
}

impl Fleet {
    /// Starts it, and waits until every edge is in the route table and hears the log.
    pub(super) async fn start(folder: &Path) -> anyhow::Result<Self> {
        let pages = folder.join("pages");
        std::fs::create_dir_all(pages.join("assets"))?;
        std::fs::write(pages.join("index.html"), "<!doctype html>")?;
        let client = Client::builder().timeout(PATIENCE).build()?;
        let (control, edges, commands, admins, processes) = Default::default();
        let folder = folder.to_path_buf();
        let mut fleet = Self { client, control, edges, commands, admins, processes, pages, folder };
        fleet.write(0)?;
        let origin_at = free_port()?;
        let origin = format!("http://{origin_at}");
        let database = format!("sqlite:{}", fleet.folder.join("sluice.db").display());
        let objects = format!("file:{}", fleet.folder.join("objects").display());
        let storage = ["--storage.database", &database, "--storage.objects", &objects];
        let flags = [&storage[..], &["--listen.http", "127.0.0.1:0", "--origins", &origin]].concat();
        fleet.control = fleet.add("control", "control-plane", &flags).await?;
        let (at, pages) = (origin_at.to_string(), fleet.pages.display().to_string());
        let flags = [&storage[..], &["--listen.http", &at, "--pages.dir", &pages]].concat();
        fleet.add("origin", "origin", &flags).await?;
        for name in EDGES {
            let state = fleet.folder.join(name).display().to_string();
            let control = fleet.control.clone();
            let flags = ["--listen.http", "127.0.0.1:0", "--node", name, "--tier", "near"];
            let more = ["--control", &control, "--origins", &origin, "--state_dir", &state];
            let edge = fleet.add(name, "edge", &[&flags[..], &more].concat()).await?;
            fleet.edges.push(edge);
        }
        fleet.settled().await?;
        Ok(fleet)
    }

    async fn add(&mut self, name: &str, role: &str, flags: &[&str]) -> anyhow::Result<String> {
        let announce = self.folder.join(format!("{name}.json"));
        let mut command = Command::new(sibling("sluice-demo")?);
        command.args(["role", role]).args(flags);
        command.args(["--listen.admin", "127.0.0.1:0", "--log.filter", "warn"]);
        let folder = self.folder.display().to_string();
        let words = command.as_std().get_args().map(|word| word.to_string_lossy().replace(&folder, "DIR"));
        self.commands.push(format!("sluice-demo {}", words.collect::<Vec<_>>().join(" ")));
        command.arg("--listen.announce").arg(&announce);
        let mut process = Process::start(name, command, None, &self.folder)?;
        let text = process.until(|| async { std::fs::read(&announce).ok() }).await?;
        self.processes.push(process);
        let at: Value = serde_json::from_slice(&text).context("reading an announcement")?;
        let url = |key: &str| at[key].as_str().map(|at| format!("http://{at}"));
        self.admins.push(url("admin").context("no admin listener")?);
        url("http").context("no plain listener")
    }

    async fn settled(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let table: Value =
                self.client.get(format!("{}/v1/routes?after=0", self.control)).send().await?.json().await?;
            let nodes = table["nodes"].as_array().map_or(&[][..], Vec::as_slice);
            let ready = nodes.iter().filter(|node| node["state"] == "ready").count();
            let mut live = 0;
            for admin in self.admins.iter().skip(2) {
                live += usize::from(
                    self.metrics(admin).await?.lines().any(|line| line == "sluice_edge_feed_live 1"),
                );
            }
            if ready == EDGES.len() && live == EDGES.len() {
                return Ok(());
            }
            ensure!(begun.elapsed() < SETTLED, "the fleet did not settle: {table}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn metrics(&self, admin: &str) -> anyhow::Result<String> {
        Ok(self.client.get(format!("{admin}/metrics")).send().await?.text().await?)
    }

    /// Has the origin say this number from now on.
    pub(super) fn write(&self, number: usize) -> anyhow::Result<()> {
        let (next, page) = (self.pages.join("next"), self.pages.join(PAGE.trim_start_matches('/')));
        std::fs::write(&next, number.to_string())?;
        Ok(std::fs::rename(&next, page)?)
    }

    /// What an edge answers.
    pub(super) async fn page(&self, edge: &str) -> anyhow::Result<String> {
        let answer = self.client.get(format!("{edge}{PAGE}")).send().await?;
        ensure!(answer.status() == 200, "{} of {edge}{PAGE}", answer.status());
        Ok(answer.text().await?)
    }

    /// The control plane's histogram of purges.
    pub(super) async fn counted(&self) -> anyhow::Result<String> {
        let text = self.metrics(&self.admins[0]).await?;
        let lines = text.lines().filter(|line| line.starts_with("sluice_control_purge_seconds"));
        Ok(lines.collect::<Vec<_>>().join("\n"))
    }

    /// Ends it, edges first.
    pub(super) async fn stop(self) {
        for process in self.processes.into_iter().rev() {
            process.stop().await;
        }
    }
}
