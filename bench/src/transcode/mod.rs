//! Transcoding: the codec child beside the ffmpeg command line, making the same ladder out of the same clip.
//!
//! The ladder is planned from what the codec child's probe saw, as the transcoder does it. Both then get every processor
//! of the machine, one after the other, round by round. What is not measured here is the transcoder around the child:
//! leases, storing segments, playlists.

mod clip;
mod codec;
mod ffmpeg;
mod table;

use crate::args::{Bench, Options};
use crate::measure::{self, Taken};
use crate::process::sibling;
use crate::report::{Report, progress};
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;

/// A round of one way takes no longer than this: long clips at a tenth of real time.
const LIMIT: Duration = Duration::from_secs(3_600);

/// What one way made of the clip in one round.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Made {
    taken: Taken,
    /// Bytes of all segments and their headers.
    bytes: u64,
    /// Segments of all rungs.
    segments: usize,
}

/// One way to make the ladder, with all its rounds.
#[derive(Debug)]
struct Way {
    name: &'static str,
    version: String,
    command: String,
    rounds: Vec<Made>,
}

/// Runs it.
pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    crate::run_alone(bench(options))
}

async fn bench(options: &Options) -> anyhow::Result<Report> {
    let folder = tempfile::tempdir()?;
    let program = options.codec.clone().map_or_else(|| sibling("sluice-codec"), Ok)?;
    let file = clip::find(options.clip.as_deref(), folder.path()).await?;
    let clip = codec::probe(&program, file, folder.path()).await?;
    let words = ffmpeg::words(&clip)?;
    progress(format!("transcode: {}", clip.describe()));
    let mut ways = [codec::way(), ffmpeg::way(&words, &clip)];
    for round in 1..=options.rounds {
        let ours = codec::encode(&program, &clip, &Room::make(folder.path())?).await?;
        let theirs = ffmpeg::encode(&words, &Room::make(folder.path())?).await?;
        for (way, made) in ways.iter_mut().zip([ours, theirs]) {
            progress(format!("round {round}: {}: {}", way.name, table::outcome(&made)));
            way.rounds.push(made);
        }
    }
    Ok(table::report(Bench::Transcode.name(), options, &clip, &ways))
}

/// An empty folder for one round, emptied again after it.
struct Room(tempfile::TempDir);

impl Room {
    fn make(folder: &Path) -> anyhow::Result<Self> {
        Ok(Self(tempfile::tempdir_in(folder).context("making a folder")?))
    }

    /// Where segments go.
    fn output(&self) -> PathBuf {
        self.0.path().join("out")
    }

    /// A command under the measuring process; `taken` reads what it took.
    fn measured(&self, program: &Path) -> anyhow::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(measure::WORD).arg(self.taken_file()).arg(program);
        Ok(command)
    }

    fn taken(&self) -> anyhow::Result<Taken> {
        measure::read(&self.taken_file())
    }

    fn taken_file(&self) -> PathBuf {
        self.0.path().join("taken.json")
    }
}
