//! The worker's configuration.

use crate::judging::Rungs;
use crate::sandbox::Mode;
use serde::{Deserialize, Serialize};
use sluice_service::{Faults, ListenConfig, ProcessConfig, ServerConfig};
use sluice_storage::StorageConfig;
use sluice_wire::ladder::VideoCodec;
use std::path::PathBuf;

/// Beside "nobody" (65534), which other programs run as; within the 65536 ids that a container has.
const SANDBOX_USER: u32 = 65_533;

/// The transcoder's keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Its listeners, certificate, log and drain. Of the listeners only `listen.admin` is used: a worker serves nobody.
    #[serde(flatten)]
    pub server: ServerConfig,
    /// Where rows and objects are.
    pub storage: StorageConfig,
    /// This worker's name, for people.
    pub worker: String,
    /// Jobs at a time.
    pub slots: u32,
    /// Folder for sources while they are worked on.
    pub scratch_dir: PathBuf,
    /// What pictures are encoded with: `h264` always, and `hevc` and `av1` beside it, which keep the range of bright sources.
    /// It is decided when a video is planned; each worker on the same database must have the encoders.
    pub codecs: Vec<VideoCodec>,
    /// The codec program; beside this one when absent.
    pub codec: Option<PathBuf>,
    /// `required`: the worker does not start where the codec cannot be walled in. `best-effort`, for developers'
    /// machines: it goes without the walls that cannot be put up, and says which.
    pub sandbox: Mode,
    /// The codec's user and group where the worker is root: a number that nothing else on the machine uses.
    pub sandbox_user: u32,
    /// `fixed`: the ladder goes by the source's size and frame rate. `per-title`: of that the rungs that are of use to the title,
    /// by samples of it, once all of its source is there.
    pub ladder: Rungs,
    /// Pictures whose short side has at least so many pixels are listed with the others and made when they are first asked for:
    /// 1080 of a library whose highest rungs few people watch. None of them without it; the lowest rung never is.
    pub defer: Option<u32>,
    /// Milliseconds that a job stays ours without a heartbeat.
    pub lease_ms: u64,
    /// Milliseconds between two looks for a job.
    pub poll_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: ServerConfig {
                listen: ListenConfig { http: None, ..ListenConfig::loopback() },
                ..ServerConfig::default()
            },
            storage: StorageConfig::default(),
            worker: "worker".into(),
            slots: 1,
            scratch_dir: "var/scratch".into(),
            codecs: vec![VideoCodec::H264],
            codec: None,
            sandbox: Mode::Required,
            sandbox_user: SANDBOX_USER,
            ladder: Rungs::Fixed,
            defer: None,
            lease_ms: 10_000,
            poll_ms: 250,
        }
    }
}

impl ProcessConfig for Config {
    fn server(&self) -> &ServerConfig {
        &self.server
    }

    fn validate(&self, faults: &mut Faults) {
        self.storage.faults().iter().for_each(|fault| faults.add("storage", fault));
        if self.server.listen.http.is_some() || self.server.listen.https.is_some() {
            faults.add("listen", "a transcoder serves nobody; only listen.admin may be set");
        }
        if !(1..=64).contains(&self.slots) {
            faults.add("slots", "1 to 64 jobs at a time");
        }
        if self.lease_ms < 300 {
            faults.add("lease_ms", "at least 300, or a busy machine loses its leases");
        }
        if !self.codecs.contains(&VideoCodec::H264) {
            faults.add("codecs", "h264 is always among them: every device plays it");
        }
        if VideoCodec::ALL.iter().any(|codec| self.codecs.iter().filter(|other| *other == codec).count() > 1)
        {
            faults.add("codecs", "each codec once");
        }
        if self.defer == Some(0) {
            faults.add("defer", "pixels of the short side, at least 1; without it every rung is made");
        }
        if self.sandbox_user == 0 || self.sandbox_user == u32::MAX {
            faults.add("sandbox_user", "an unprivileged user's number, not root's");
        }
        if self.worker.is_empty() {
            faults.add("worker", "give it a name");
        }
    }
}
