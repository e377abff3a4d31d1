//! The processes: an origin, workers as they are wanted, an edge where one is.

use crate::process::{Process, free_port, sibling};
use anyhow::{Context, bail, ensure};
use reqwest::Client;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::process::Command;
use tokio::time::sleep;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at a video: small beside what is measured.
const LOOK: Duration = Duration::from_millis(20);
/// How long a video may take.
const LIMIT: Duration = Duration::from_secs(3_600);

/// A store with an origin in front of it.
pub(super) struct House {
    pub(super) client: Client,
    /// The origin's URL.
    pub(super) origin: String,
    folder: PathBuf,
    processes: Vec<Process>,
}

impl House {
    /// Starts an origin on an empty store.
    pub(super) async fn start(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let client = Client::builder().timeout(PATIENCE).build()?;
        let (folder, processes) = (folder.to_path_buf(), vec![]);
        let mut house = Self { client, origin: String::new(), folder, processes };
        let at = free_port()?;
        house.origin = format!("http://{at}");
        house.add("origin", "origin", &["--listen.http", &at.to_string()], None).await?;
        Ok(house)
    }

    fn storage(&self) -> [String; 4] {
        let (database, objects) = (self.folder.join("sluice.db"), self.folder.join("objects"));
        let (database, objects) =
            (format!("sqlite:{}", database.display()), format!("file:{}", objects.display()));
        ["--storage.database".into(), database, "--storage.objects".into(), objects]
    }

    /// Starts a worker, on one processor if it is named.
    pub(super) async fn worker(&mut self, name: &str, cpu: Option<usize>) -> anyhow::Result<Process> {
        let scratch = self.folder.join(name).display().to_string();
        let flags =
            ["--worker", name, "--scratch_dir", &scratch, "--poll_ms", "50", "--sandbox", "best-effort"];
        self.launch(name, "transcoder", &flags, cpu, true).await.map(|started| started.0)
    }

    /// Starts an edge in front of the origin; its URL.
    pub(super) async fn edge(&mut self) -> anyhow::Result<String> {
        let (origin, state) = (self.origin.clone(), self.folder.join("edge").display().to_string());
        let flags =
            ["--listen.http", "127.0.0.1:0", "--node", "edge-a", "--tier", "near", "--origins", &origin];
        let more = ["--state_dir", &state];
        self.add("edge", "edge", &[&flags[..], &more].concat(), None).await
    }

    async fn add(
        &mut self,
        name: &str,
        role: &str,
        flags: &[&str],
        cpu: Option<usize>,
    ) -> anyhow::Result<String> {
        let stored = role != "edge";
        let (process, url) = self.launch(name, role, flags, cpu, stored).await?;
        self.processes.push(process);
        url.context("no plain listener")
    }

    async fn launch(
        &mut self,
        name: &str,
        role: &str,
        flags: &[&str],
        cpu: Option<usize>,
        stored: bool,
    ) -> anyhow::Result<(Process, Option<String>)> {
        let announce = self.folder.join(format!("{name}.json"));
        let mut command = Command::new(sibling("sluice-demo")?);
        command.args(["role", role]).args(flags).args([
            "--listen.admin",
            "127.0.0.1:0",
            "--log.filter",
            "warn",
        ]);
        if stored {
            command.args(self.storage());
        }
        command.arg("--listen.announce").arg(&announce);
        let mut process = Process::start(name, command, cpu, &self.folder)?;
        let text = process.until(|| async { std::fs::read(&announce).ok() }).await?;
        let at: Value = serde_json::from_slice(&text).context("reading an announcement")?;
        Ok((process, at["http"].as_str().map(|at| format!("http://{at}"))))
    }

    /// Sends a whole source; its id.
    pub(super) async fn upload(&self, name: &str, source: &[u8]) -> anyhow::Result<String> {
        let url = format!("{}/v1/videos/{name}", self.origin);
        let answer = self.client.put(url).body(source.to_vec()).send().await?;
        ensure!(answer.status().is_success(), "{} of an upload: {}", answer.status(), answer.text().await?);
        let video: Value = answer.json().await?;
        Ok(video["id"].as_str().context("no id")?.to_owned())
    }

    /// A video's document.
    pub(super) async fn video(&self, id: &str) -> anyhow::Result<Value> {
        let url = format!("{}/v1/videos/{id}", self.origin);
        let video: Value = self.client.get(url).send().await?.error_for_status()?.json().await?;
        if video["state"] == "failed" {
            bail!("video {id} has failed: {}", video["error"]);
        }
        Ok(video)
    }

    /// Looks at videos until each has come to a point; when that was, in their order.
    pub(super) async fn when(
        &self,
        ids: &[String],
        begun: Instant,
        point: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Vec<Duration>> {
        let mut times: Vec<Option<Duration>> = vec![None; ids.len()];
        while times.contains(&None) {
            ensure!(begun.elapsed() < LIMIT, "not within {LIMIT:?}");
            for (id, time) in ids.iter().zip(&mut times).filter(|(_, time)| time.is_none()) {
                if point(&self.video(id).await?) {
                    *time = Some(begun.elapsed());
                }
            }
            sleep(LOOK).await;
        }
        Ok(times.into_iter().flatten().collect())
    }

    /// Ends everything.
    pub(super) async fn stop(self) {
        for process in self.processes.into_iter().rev() {
            process.stop().await;
        }
    }
}

/// A clip, as the ffmpeg command line makes it of a test picture and noise that is hard on nobody.
pub(super) async fn clip(folder: &Path, name: &str, seconds: u32, size: &str) -> anyhow::Result<Vec<u8>> {
    let file = folder.join(name);
    let mut command = Command::new("ffmpeg");
    command.args([
        "-v",
        "error",
        "-nostdin",
        "-y",
        "-f",
        "lavfi",
        "-i",
        &format!("testsrc2=size={size}:rate=30"),
    ]);
    command.args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", &seconds.to_string()]);
    command.args(["-c:v", "libx264", "-preset", "veryfast", "-g", "60", "-pix_fmt", "yuv420p"]);
    command.args(["-c:a", "aac", "-movflags", "+frag_keyframe+empty_moov+default_base_moof"]).arg(&file);
    Process::start("clip", command, None, folder)?.finish(LIMIT).await?;
    Ok(std::fs::read(file)?)
}
