//! The processes: a control plane, an origin, three edges.

use crate::fleet::Node;
use crate::process::free_port;
use anyhow::ensure;
use reqwest::Client;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
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
    nodes: Vec<Node>,
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
        let (control, edges, nodes) = Default::default();
        let folder = folder.to_path_buf();
        let mut fleet = Self { client, control, edges, nodes, pages, folder };
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
        let node = Node::start(name, role, flags, None, &self.folder).await?;
        let url = node.url()?;
        self.nodes.push(node);
        Ok(url)
    }

    async fn settled(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let table: Value =
                self.client.get(format!("{}/v1/routes?after=0", self.control)).send().await?.json().await?;
            let nodes = table["nodes"].as_array().map_or(&[][..], Vec::as_slice);
            let ready = nodes.iter().filter(|node| node["state"] == "ready").count();
            let mut live = 0;
            for edge in self.nodes.iter().skip(2) {
                live += usize::from(edge.metric(&self.client, "sluice_edge_feed_live").await? == 1.0);
            }
            if ready == EDGES.len() && live == EDGES.len() {
                return Ok(());
            }
            ensure!(begun.elapsed() < SETTLED, "the fleet did not settle: {table}");
            sleep(Duration::from_millis(50)).await;
        }
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
        let text = self.nodes[0].metrics(&self.client).await?;
        let lines = text.lines().filter(|line| line.starts_with("sluice_control_purge_seconds"));
        Ok(lines.collect::<Vec<_>>().join("\n"))
    }

    /// How each was started.
    pub(super) fn commands(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.command.clone()).collect()
    }

    /// Ends it, edges first.
    pub(super) async fn stop(self) {
        for node in self.nodes.into_iter().rev() {
            node.stop().await;
        }
    }
}
