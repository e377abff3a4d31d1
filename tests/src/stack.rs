//! A whole Sluice of real processes.

use crate::client::ask;
use crate::process::{Process, binary, free_port};
use futures::future::join_all;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// Which engines stand behind the storage seams: URLs as the configuration takes them.
#[derive(Debug, Clone)]
pub struct Engines {
    /// Database URL.
    pub database: String,
    /// Bus URL.
    pub bus: String,
    /// Objects URL.
    pub objects: String,
}

impl Engines {
    /// SQLite, in process, local folder: all below one folder.
    #[must_use]
    pub fn embedded(dir: &Path) -> Self {
        Self {
            database: format!("sqlite:{}", dir.join("sluice.db").display()),
            bus: "local:".into(),
            objects: format!("file:{}", dir.join("objects").display()),
        }
    }

    fn flags(&self) -> Vec<(&'static str, String)> {
        vec![
            ("storage.database", self.database.clone()),
            ("storage.bus", self.bus.clone()),
            ("storage.objects", self.objects.clone()),
        ]
    }
}

/// A running stack: one control plane, one origin, one transcoder, one shield, two near edges.
#[derive(Debug)]
pub struct Stack {
    /// The control plane.
    pub control: Process,
    /// The origin.
    pub origin: Process,
    /// The transcoder.
    pub transcoder: Process,
    /// The shield.
    pub shield: Process,
    /// Near edges, `near-a` and `near-b`.
    pub near: Vec<Process>,
    engines: Engines,
    transcoders: Vec<(&'static str, String)>,
    dir: TempDir,
}

/// What may differ from story to story.
#[derive(Debug, Default, Clone)]
pub struct Options {
    /// Engines; embedded ones when absent.
    pub engines: Option<Engines>,
    /// Further flags of the control plane.
    pub control: Vec<(&'static str, String)>,
    /// Further flags of the origin.
    pub origin: Vec<(&'static str, String)>,
    /// Further flags of every transcoder.
    pub transcoders: Vec<(&'static str, String)>,
    /// Further flags of every edge.
    pub edges: Vec<(&'static str, String)>,
    /// Further flags of the near edges alone.
    pub near: Vec<(&'static str, String)>,
    /// The built pages.
    pub pages: Option<PathBuf>,
    /// True when the story starts the transcoder itself.
    pub hold_transcoder: bool,
}

impl Stack {
    /// Starts a stack on the embedded engines.
    pub async fn start() -> Self {
        Self::with(Options::default()).await
    }

    /// Starts a stack and waits until every edge is in the route table and follows it.
    pub async fn with(options: Options) -> Self {
        let dir = tempfile::Builder::new().prefix("sluice-story-").tempdir().unwrap();
        let engines = options.engines.clone().unwrap_or_else(|| Engines::embedded(dir.path()));
        let origin_port = free_port();
        let origin_url = format!("http://127.0.0.1:{origin_port}");
        // Who joins counts in full at once: a story is not to wait.
        let mut flags = vec![("origins", origin_url.clone()), ("placement.ramp_ms", "0".into())];
        flags.extend(options.control.clone());
        let mut control = server(&dir, "control", "sluice-control-plane", &engines, flags);
        control.start().await;
        let mut flags =
            vec![("listen.http", format!("127.0.0.1:{origin_port}")), ("steering_url", control.url())];
        if let Some(pages) = &options.pages {
            flags.push(("pages.dir", pages.display().to_string()));
        }
        flags.extend(options.origin.clone());
        let mut origin = server(&dir, "origin", "sluice-origin", &engines, flags);
        origin.start().await;
        let mut transcoder = worker(&dir, "worker-a", &engines, &options.transcoders);
        let mut shield = edge(&dir, "shield-a", "shield", &control.url(), &origin_url, &options.edges);
        let more = [options.edges.as_slice(), &options.near].concat();
        let mut near = Vec::from(
            ["near-a", "near-b"].map(|name| edge(&dir, name, "near", &control.url(), &origin_url, &more)),
        );
        // What they need is there: none of them waits for another.
        let held = (!options.hold_transcoder).then_some(&mut transcoder);
        join_all(near.iter_mut().chain([&mut shield]).chain(held).map(|process| process.start())).await;
        let transcoders = options.transcoders;
        let stack = Self { control, origin, transcoder, shield, near, engines, transcoders, dir };
        stack.settled().await;
        stack
    }

    /// Waits until all edges are ready in the table and each follows its newest version.
    pub async fn settled(&self) {
        let begun = Instant::now();
        loop {
            let nodes: serde_json::Value =
                match ask(format!("{}/v1/routes?after=0", self.control.url())).await {
                    Ok(answer) => answer.json().await.unwrap_or_default(),
                    Err(_) => serde_json::Value::Null,
                };
            let ready = nodes["nodes"]
                .as_array()
                .map_or(0, |all| all.iter().filter(|n| n["state"] == "ready").count());
            let mut follow = true;
            for edge in self.near.iter().chain([&self.shield]) {
                let admin = edge.at.admin.as_ref().unwrap();
                follow &= ask(format!("http://{admin}/readyz")).await.is_ok_and(|a| a.status().is_success());
            }
            if follow && ready == self.near.len() + 1 {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "the fleet did not settle: {nodes}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Base URL of the first near edge.
    #[must_use]
    pub fn edge(&self) -> String {
        self.near[0].url()
    }

    /// The engines it runs on.
    #[must_use]
    pub const fn engines(&self) -> &Engines {
        &self.engines
    }

    /// The folder that holds its state.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// One more transcoder, not started.
    #[must_use]
    pub fn another_worker(&self, name: &str) -> Process {
        worker(&self.dir, name, &self.engines, &self.transcoders)
    }
}

fn server(
    dir: &TempDir,
    name: &str,
    program: &str,
    engines: &Engines,
    flags: Vec<(&'static str, String)>,
) -> Process {
    let mut all = vec![("listen.http", "127.0.0.1:0".to_owned()), ("listen.admin", "127.0.0.1:0".to_owned())];
    all.extend(engines.flags());
    all.extend(flags);
    Process::new(name, program, dir.path(), &all)
}

fn worker(dir: &TempDir, name: &str, engines: &Engines, more: &[(&'static str, String)]) -> Process {
    let mut flags = vec![
        ("listen.admin", "127.0.0.1:0".to_owned()),
        ("worker", name.to_owned()),
        ("scratch_dir", dir.path().join("scratch").display().to_string()),
        ("codec", binary("sluice-codec").display().to_string()),
        ("lease_ms", "3000".to_owned()),
    ];
    flags.extend(engines.flags());
    flags.extend(more.iter().cloned());
    Process::new(name, "sluice-transcoder", dir.path(), &flags)
}

fn edge(
    dir: &TempDir,
    name: &str,
    tier: &str,
    control: &str,
    origin: &str,
    more: &[(&'static str, String)],
) -> Process {
    let mut flags = vec![
        ("listen.http", "127.0.0.1:0".to_owned()),
        ("listen.https", "127.0.0.1:0".to_owned()),
        ("listen.h3", "true".to_owned()),
        ("listen.admin", "127.0.0.1:0".to_owned()),
        ("node", name.to_owned()),
        ("tier", tier.to_owned()),
        ("site", "local".to_owned()),
        ("control", control.to_owned()),
        ("origins", origin.to_owned()),
        ("state_dir", dir.path().join(name).display().to_string()),
        ("report_ms", "200".to_owned()),
    ];
    flags.extend(more.iter().cloned());
    Process::new(name, "sluice-edge", dir.path(), &flags)
}

/// An edge alone in front of these origins, without a control plane; not started. `flags` come last and win.
#[must_use]
pub fn lone_edge(dir: &Path, name: &str, origin: &str, flags: &[(&str, &str)]) -> Process {
    let state = dir.join(name).display().to_string();
    let mut all: Vec<(&str, String)> = vec![
        ("listen.http", "127.0.0.1:0".into()),
        ("listen.admin", "127.0.0.1:0".into()),
        ("node", name.into()),
        ("origins", origin.into()),
        ("state_dir", state),
    ];
    all.extend(flags.iter().map(|(key, value)| (*key, (*value).to_owned())));
    Process::new(name, "sluice-edge", dir, &all)
}

/// A control plane alone; not started. `flags` come last and win.
#[must_use]
pub fn control_plane(dir: &Path, name: &str, engines: &Engines, flags: &[(&'static str, String)]) -> Process {
    let mut all = vec![("listen.http", "127.0.0.1:0".to_owned()), ("listen.admin", "127.0.0.1:0".to_owned())];
    all.extend(engines.flags());
    all.extend(flags.iter().cloned());
    Process::new(name, "sluice-control-plane", dir, &all)
}
