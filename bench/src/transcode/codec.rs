//! Our way: `sluice-codec probe`, then `sluice-codec encode`; segments are written to a folder, as ffmpeg does.

use super::clip::Clip;
use super::{LIMIT, Made, Room, Way};
use crate::measure::Taken;
use crate::process::Process;
use anyhow::{Context, bail, ensure};
use bytes::{Bytes, BytesMut};
use sluice_wire::codec::{CodecMessage, EncodeRequest, decode};
use sluice_wire::ladder::{Source, plan};
use std::path::{Path, PathBuf};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::ChildStdout;
use tokio::time::timeout;

/// Our way, before its first round.
pub(super) fn way() -> Way {
    Way {
        name: "sluice-codec",
        version: format!("Sluice {}", env!("CARGO_PKG_VERSION")),
        command: "sluice-codec probe CLIP\nsluice-codec encode CLIP < REQUEST.json".into(),
        rounds: vec![],
    }
}

/// Looks at a clip and plans its ladder.
pub(super) async fn probe(program: &Path, file: PathBuf, folder: &Path) -> anyhow::Result<Clip> {
    let (source, _) = measured_probe(program, &file, &Room::make(folder)?).await?;
    Ok(Clip { ladder: plan(&source), source, file })
}

async fn measured_probe(program: &Path, file: &Path, room: &Room) -> anyhow::Result<(Source, Taken)> {
    let mut command = room.measured(program)?;
    command.arg("probe").arg(file);
    let (process, input, mut output) = Process::converse("probe", command, room.0.path())?;
    drop(input);
    let mut frames = Frames::default();
    let first = timeout(LIMIT, frames.next(&mut output)).await??;
    process.finish(LIMIT).await?;
    match first {
        Some((CodecMessage::Probed { source }, _)) => Ok((source, room.taken()?)),
        other => bail!("the probe answered {:?}", other.map(|(message, _)| message)),
    }
}

/// One round: the probe counts as well, since ffmpeg has to look at the file too.
pub(super) async fn encode(program: &Path, clip: &Clip, room: &Room) -> anyhow::Result<Made> {
    let (source, probing) = measured_probe(program, &clip.file, room).await?;
    let request = EncodeRequest { source, ladder: clip.ladder.clone(), resume: vec![], poster: false };
    let mut command = room.measured(program)?;
    command.arg("encode").arg(&clip.file);
    let (process, mut input, mut output) = Process::converse("encode", command, room.0.path())?;
    input.write_all(&serde_json::to_vec(&request)?).await?;
    drop(input);
    let (bytes, segments) = timeout(LIMIT, keep(&mut output, &room.output())).await??;
    process.finish(LIMIT).await?;
    let encoding = room.taken()?;
    let taken = Taken {
        wall_s: probing.wall_s + encoding.wall_s,
        cpu_s: probing.cpu_s + encoding.cpu_s,
        peak_kib: probing.peak_kib.max(encoding.peak_kib),
    };
    Ok(Made { taken, bytes, segments })
}

/// Writes all that comes; gives bytes and segments.
async fn keep(output: &mut ChildStdout, folder: &Path) -> anyhow::Result<(u64, usize)> {
    let (mut bytes, mut segments) = (0, 0);
    let mut frames = Frames::default();
    while let Some((message, payload)) = frames.next(output).await? {
        let file = match message {
            CodecMessage::Init { rung, .. } => {
                tokio::fs::create_dir_all(folder.join(rung.as_str())).await?;
                folder.join(rung.as_str()).join("init.mp4")
            }
            CodecMessage::Segment { rung, seq, .. } => {
                segments += 1;
                folder.join(rung.as_str()).join(format!("{seq}.m4s"))
            }
            CodecMessage::Done { damage, .. } => {
                ensure!(damage.is_none(), "the clip is damaged: {damage:?}");
                return Ok((bytes, segments));
            }
            CodecMessage::Failed { reason, detail } => {
                bail!("the codec gave up: {}: {detail}", reason.as_str())
            }
            _ => continue,
        };
        bytes += payload.len() as u64;
        tokio::fs::write(file, payload).await?;
    }
    bail!("the codec ended without saying so")
}

/// Frames out of a stream of bytes.
#[derive(Default)]
struct Frames(BytesMut);

impl Frames {
    /// The next frame; `None` at the end of the stream.
    async fn next(&mut self, output: &mut ChildStdout) -> anyhow::Result<Option<(CodecMessage, Bytes)>> {
        loop {
            if let Some(frame) = decode(&mut self.0)? {
                return Ok(Some(frame));
            }
            if output.read_buf(&mut self.0).await.context("reading frames")? == 0 {
                ensure!(self.0.is_empty(), "the codec ended within a frame");
                return Ok(None);
            }
        }
    }
}
