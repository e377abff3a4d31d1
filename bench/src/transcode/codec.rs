//! Our way: `sluice-codec probe`, then `sluice-codec encode`; segments are written to a folder, as ffmpeg does.

use super::clip::Clip;
use super::{LIMIT, Made, Room, Way};
use crate::measure::Taken;
use crate::process::Process;
use anyhow::{Context, bail, ensure};
use bytes::{Bytes, BytesMut};
use sluice_wire::codec::{ChunkWork, CodecMessage, EncodeRequest, Order, SOURCE_FD, decode, encode_order};
use sluice_wire::ladder::{Source, plan};
use std::path::{Path, PathBuf};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdout, Command};
use tokio::time::timeout;

/// Our way, before its first round.
pub(super) fn way() -> Way {
    Way {
        name: "sluice-codec",
        version: format!("Sluice {}", env!("CARGO_PKG_VERSION")),
        command: "sluice-codec probe 3<CLIP <ORDERS\nsluice-codec encode 3<CLIP <ORDERS".into(),
        rounds: vec![],
    }
}

/// Looks at a clip and plans its ladder.
pub(super) async fn probe(program: &Path, file: PathBuf, folder: &Path) -> anyhow::Result<Clip> {
    let (source, _) = measured_probe(program, &file, &Room::make(folder)?).await?;
    Ok(Clip { ladder: plan(&source), source, file })
}

async fn measured_probe(program: &Path, file: &Path, room: &Room) -> anyhow::Result<(Source, Taken)> {
    let command = on_source(room.measured(Path::new("sh"))?, program, "probe", file);
    let (process, mut input, mut output) = Process::converse("probe", command, room.0.path())?;
    input.write_all(&all_of(file)?).await?;
    let mut frames = Frames::default();
    let first = timeout(LIMIT, frames.next(&mut output)).await??;
    process.finish(LIMIT).await?;
    match first {
        Some((CodecMessage::Probed { source }, _)) => Ok((source, room.taken()?)),
        other => bail!("the probe answered {:?}", other.map(|(message, _)| message)),
    }
}

/// The codec with a source as its descriptor.
fn on_source(mut shell: Command, program: &Path, task: &str, source: &Path) -> Command {
    debug_assert_eq!(SOURCE_FD, 3);
    shell.args(["-c", "exec \"$0\" \"$1\" 3<\"$2\""]).arg(program).arg(task).arg(source);
    shell
}

/// The orders that say that all of a source is there.
fn all_of(source: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = source.metadata()?.len();
    Ok(Order::whole(bytes).iter().map(encode_order).collect::<Result<Vec<_>, _>>()?.concat())
}

/// One round: the probe counts as well, since ffmpeg has to look at the file too.
pub(super) async fn encode(program: &Path, clip: &Clip, room: &Room) -> anyhow::Result<Made> {
    let (source, probing) = measured_probe(program, &clip.file, room).await?;
    let ladder = clip.ladder.clone();
    let chunks = vec![ChunkWork { chunk: 0, rungs: ladder.names().map(|name| (name.clone(), 0)).collect() }];
    let request = EncodeRequest { source, ladder, chunks, named: vec![], onward: true, poster: false };
    let command = on_source(room.measured(Path::new("sh"))?, program, "encode", &clip.file);
    let (process, mut input, mut output) = Process::converse("encode", command, room.0.path())?;
    input.write_all(&encode_order(&Order::Encode(Box::new(request)))?).await?;
    input.write_all(&all_of(&clip.file)?).await?;
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
