//! What the stories share: a store, sources in it, and real worker processes.
#![allow(clippy::unwrap_used, reason = "helpers of tests: what fails here fails the story")]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sha2::{Digest, Sha256};
use sluice_storage::{
    NewJob, NewUpload, NewVideo, Part, SegmentRow, Storage, StorageConfig, StorageError, UploadKind, Video,
    VideoState,
};
use sluice_wire::{JobId, ObjectKey, RungName, VideoId};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The longest that anything in a story takes, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The codec program.
pub(crate) fn codec() -> PathBuf {
    static CODEC: OnceLock<PathBuf> = OnceLock::new();
    CODEC.get_or_init(|| program("sluice-codec", "sluice-codec")).clone()
}

/// A program in the codec's place that does what its source says.
pub(crate) fn hostile() -> PathBuf {
    program("sluice-hostile", "sluice-tests")
}

/// A program beside the tests, built when it is not there.
fn program(name: &str, package: &str) -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let program = exe.parent().unwrap().parent().unwrap().join(name);
    if !program.is_file() {
        let built =
            Command::new(env!("CARGO")).args(["build", "--quiet", "-p", package, "--bin", name]).status();
        assert!(built.unwrap().success());
    }
    program
}

/// A store in a folder, and the worker processes on it.
pub(crate) struct House {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) storage: Storage,
}

impl House {
    pub(crate) async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let storage = Storage::open(&Self::config(dir.path())).await.unwrap();
        Self { dir, storage }
    }

    fn config(dir: &Path) -> StorageConfig {
        StorageConfig {
            database: format!("sqlite:{}", dir.join("sluice.db").display()),
            bus: "local:".into(),
            objects: format!("file:{}", dir.join("objects").display()),
        }
    }

    /// Uploads a source in parts of uneven size and queues its job, as the origin does.
    pub(crate) async fn upload(&self, source: &[u8], attempts: u32) -> (VideoId, JobId) {
        let storage = &self.storage;
        let (video, videos, uploads, jobs) =
            (storage.ids.video(), storage.videos(), storage.uploads(), storage.jobs());
        let new = NewVideo {
            id: video,
            name: "clip.mp4".into(),
            title: "A clip".into(),
            state: VideoState::Queued,
            bytes: Some(source.len() as u64),
            sha256: None,
            edition_of: None,
        };
        let upload = NewUpload {
            id: video.upload(),
            kind: UploadKind::Whole,
            owner: String::new(),
            name: "clip.mp4".into(),
            length: Some(source.len() as u64),
            metadata: BTreeMap::new(),
            expires_ms: u64::MAX >> 1,
            hash_state: vec![],
        };
        let mut parts = vec![];
        let mut offset = 0;
        for piece in source.chunks(source.len() / 3 + 7) {
            let index = parts.len() as u32;
            let key = ObjectKey::SourcePart(video.upload(), index);
            storage.objects.put(&key, piece.to_vec().into()).await.unwrap();
            let (bytes, sha256) = (piece.len() as u64, hex::encode(Sha256::digest(piece)));
            parts.push(Part { upload: video.upload(), index, offset, bytes, sha256 });
            offset += bytes;
        }
        let job = storage.database.write::<_, StorageError, _>(|tx| {
            let (new, upload, parts, videos, uploads, jobs) =
                (&new, &upload, &parts, &videos, &uploads, &jobs);
            Box::pin(async move {
                videos.create(tx, new).await?;
                uploads.create(tx, upload).await?;
                for part in parts {
                    uploads.append(tx, part.upload, part.offset, part, b"").await?;
                }
                uploads.complete(tx, upload.id, upload.length.unwrap_or(0)).await?;
                let payload = serde_json::json!({ "video": new.id });
                jobs.enqueue(
                    tx,
                    NewJob {
                        kind: "transcode".into(),
                        payload,
                        priority: 0,
                        max_attempts: attempts,
                        subject: Some(new.id),
                        due_ms: None,
                    },
                )
                .await
            })
        });
        (video, job.await.unwrap())
    }

    pub(crate) fn worker(&self, name: &str) -> Worker {
        self.worker_with(name, &codec())
    }

    /// A worker process of its own, with any program as its codec.
    pub(crate) fn worker_with(&self, name: &str, codec: &Path) -> Worker {
        let config = Self::config(self.dir.path());
        let announce = self.dir.path().join(format!("{name}.json"));
        let child = Command::new(env!("CARGO_BIN_EXE_sluice-transcoder"))
            .args(["--storage.database", &config.database, "--storage.objects", &config.objects])
            .args(["--worker", name, "--lease_ms", "1500", "--poll_ms", "50"])
            .arg("--scratch_dir")
            .arg(self.scratch())
            .arg("--codec")
            .arg(codec)
            .arg("--listen.announce")
            .arg(&announce)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(self.dir.path().join(format!("{name}.log"))).unwrap())
            .spawn()
            .unwrap();
        Worker { child, announce }
    }

    pub(crate) fn scratch(&self) -> PathBuf {
        self.dir.path().join("scratch")
    }

    /// Files in the scratch folder.
    pub(crate) fn scratch_files(&self) -> usize {
        std::fs::read_dir(self.scratch()).map_or(0, Iterator::count)
    }

    pub(crate) async fn video(&self, id: VideoId) -> Video {
        self.storage.videos().get(id).await.unwrap().unwrap()
    }

    /// Waits until the video has come to its end.
    pub(crate) async fn finished(&self, id: VideoId) -> Video {
        until("the video is finished", async || {
            Some(self.video(id).await).filter(|video| video.state.is_final())
        })
        .await
    }

    /// All segment rows, by rung.
    pub(crate) async fn rows(&self, id: VideoId) -> BTreeMap<RungName, Vec<SegmentRow>> {
        let mut rows = BTreeMap::new();
        for rendition in self.storage.videos().media(id).await.unwrap().renditions {
            let segments = self.storage.videos().segments(id, &rendition.rung).await.unwrap();
            rows.insert(rendition.rung, segments);
        }
        rows
    }

    /// Checks that what is published is whole: numbers without gaps, times that join, bytes that are what the rows say.
    /// Gives each rung's header and segments in one.
    pub(crate) async fn whole(&self, id: VideoId) -> BTreeMap<RungName, Vec<u8>> {
        let mut whole = BTreeMap::new();
        let renditions = self.storage.videos().media(id).await.unwrap().renditions;
        for (rung, rows) in self.rows(id).await {
            let init = renditions.iter().find(|r| r.rung == rung).unwrap().init;
            let mut bytes = self.object(&ObjectKey::Init(id, rung.clone(), init)).await;
            let mut end = 0;
            for (row, seq) in rows.iter().zip(0u32..) {
                assert_eq!((row.seq, row.start), (seq, end), "{rung}: no gap and no overlap");
                end += row.duration;
                let object = self.object(&ObjectKey::Segment(id, rung.clone(), seq, row.digest)).await;
                assert_eq!(row.bytes, object.len() as u64, "{rung} {seq}");
                assert_eq!(row.sha256, hex::encode(Sha256::digest(&object)), "{rung} {seq}");
                bytes.extend(object);
            }
            whole.insert(rung, bytes);
        }
        whole
    }

    async fn object(&self, key: &ObjectKey) -> Vec<u8> {
        self.storage.objects.bytes(key, 64 << 20).await.unwrap().to_vec()
    }
}

/// A worker process, killed when dropped.
pub(crate) struct Worker {
    child: Child,
    announce: PathBuf,
}

impl Worker {
    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Kills it with -9.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for it to end by itself.
    pub(crate) async fn exit_code(&mut self) -> Option<i32> {
        until("the worker ends", async || self.child.try_wait().unwrap()).await.code()
    }

    /// Its codec processes.
    pub(crate) fn codecs(&self) -> Vec<Pid> {
        let me = self.child.id();
        let tasks = std::fs::read_dir(format!("/proc/{me}/task")).unwrap();
        let children =
            tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok());
        children
            .flat_map(|c| {
                c.split_whitespace().filter_map(|p| p.parse().ok()).map(Pid::from_raw).collect::<Vec<_>>()
            })
            .collect()
    }

    /// What its admin listener says.
    pub(crate) async fn metrics(&self) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let file = until("it serves", async || std::fs::read(&self.announce).ok()).await;
        let at: serde_json::Value = serde_json::from_slice(&file).unwrap();
        let mut stream = tokio::net::TcpStream::connect(at["admin"].as_str().unwrap()).await.unwrap();
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// True while a process runs.
pub(crate) fn alive(process: Pid) -> bool {
    kill(process, None).is_ok()
}

/// Asks until there is an answer.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// A clip with picture and sound.
pub(crate) fn clip(dir: &Path, seconds: u32, size: &str) -> Vec<u8> {
    let file = dir.join(format!("{seconds}-{size}.mp4"));
    let (picture, sound) = (
        format!("testsrc2=size={size}:rate=25:duration={seconds}"),
        format!("sine=f=440:duration={seconds}"),
    );
    let made = Command::new("ffmpeg")
        .args([
            "-v", "error", "-y", "-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &sound, "-c:v",
            "libx264",
        ])
        .args(["-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"])
        .arg(&file)
        .status();
    assert!(made.unwrap().success());
    std::fs::read(file).unwrap()
}

/// Frames that decode without a complaint.
pub(crate) fn decoded_frames(bytes: &[u8]) -> usize {
    let file = tempfile::Builder::new().suffix(".mp4").tempfile().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"])
        .arg(file.path())
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().trim_end_matches(',').parse().unwrap()
}
