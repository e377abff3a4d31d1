//! What the stories share: running the child, making clips, reading its output back with ffprobe.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use bytes::BytesMut;
use sluice_wire::codec::{
    ChunkWork, CodecFailure, CodecMessage, EncodeRequest, Key, Order, Track, decode, encode_order,
};
use sluice_wire::ladder::{Ladder, Source, plan};
use sluice_wire::limits::CHUNK_SEGMENTS;
use sluice_wire::{Digest, RungName};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};

/// The most memory that a child of this test process has had, in KiB. Each test has a process of its own.
pub(crate) static PEAK_KIB: AtomicI64 = AtomicI64::new(0);

pub(crate) type Frames = Vec<(CodecMessage, bytes::Bytes)>;

/// Runs the child on a whole source, after these orders.
pub(crate) fn child(task: &str, source: &Path, orders: &[Order]) -> Frames {
    let mut child = Command::new("sh")
        .args(["-c", "exec \"$0\" \"$1\" 3<\"$2\"", env!("CARGO_BIN_EXE_sluice-codec"), task])
        .arg(source)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let bytes = std::fs::metadata(source).unwrap().len();
    let mut stdin = child.stdin.take().unwrap();
    for order in orders.iter().chain(&Order::whole(bytes)) {
        stdin.write_all(&encode_order(order).unwrap()).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    let peak =
        nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN).unwrap().max_rss();
    PEAK_KIB.fetch_max(peak, Ordering::Relaxed);
    frames(&output.stdout)
}

/// The frames of a child's whole output.
pub(crate) fn frames(output: &[u8]) -> Frames {
    let mut buffer = BytesMut::from(output);
    let mut frames = vec![];
    while let Some(frame) = decode(&mut buffer).unwrap() {
        frames.push(frame);
    }
    assert!(buffer.is_empty(), "whole frames only");
    frames
}

pub(crate) fn probe(source: &Path) -> Result<Source, CodecFailure> {
    match child("probe", source, &[]).pop().unwrap().0 {
        CodecMessage::Probed { source } => Ok(source),
        CodecMessage::Failed { reason, detail } => {
            assert!(detail.len() > 20, "a person can read it: {detail}");
            Err(reason)
        }
        other => panic!("{other:?}"),
    }
}

/// A rung as it was sent: header, then segments with (number, start, duration, bytes).
#[derive(Default, Clone)]
pub(crate) struct Rung {
    pub(crate) codecs: String,
    pub(crate) timescale: u32,
    pub(crate) init: Vec<u8>,
    pub(crate) segments: Vec<(u32, u64, u64, Vec<u8>)>,
    pub(crate) names: Vec<Digest>,
    pub(crate) keys: Vec<Vec<Key>>,
}

impl Rung {
    pub(crate) fn whole(&self) -> Vec<u8> {
        self.segments.iter().fold(self.init.clone(), |mut all, s| {
            all.extend_from_slice(&s.3);
            all
        })
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.segments.iter().map(|s| s.2 as f64).sum::<f64>() / f64::from(self.timescale)
    }
}

pub(crate) struct Made {
    pub(crate) rungs: BTreeMap<RungName, Rung>,
    pub(crate) poster: Option<Vec<u8>>,
    pub(crate) ends: Vec<(u32, Track, bool)>,
    pub(crate) last: CodecMessage,
}

pub(crate) fn encode(file: &Path, source: &Source, resume: Vec<(RungName, u32)>) -> Made {
    encode_as(file, source, plan(source), resume)
}

/// As [`encode`], with the lowest picture rung alone: enough where rungs do not matter.
pub(crate) fn encode_low(file: &Path, source: &Source) -> Made {
    let mut ladder = plan(source);
    ladder.video.truncate(1);
    encode_as(file, source, ladder, vec![])
}

pub(crate) fn encode_as(file: &Path, source: &Source, ladder: Ladder, resume: Vec<(RungName, u32)>) -> Made {
    let first = |name: &RungName| resume.iter().find(|r| r.0 == *name).map_or(0, |r| r.1);
    let chunk = resume.iter().map(|r| r.1).min().unwrap_or(0) / CHUNK_SEGMENTS;
    let rungs = rungs_of(&ladder).map(|name| (name.clone(), first(name))).collect();
    encode_chunks(file, source, &ladder, vec![ChunkWork { chunk, rungs }], true)
}

/// All rungs of a ladder.
pub(crate) fn rungs_of(ladder: &Ladder) -> impl Iterator<Item = &RungName> {
    ladder.names()
}

pub(crate) fn encode_chunks(
    file: &Path,
    source: &Source,
    ladder: &Ladder,
    chunks: Vec<ChunkWork>,
    onward: bool,
) -> Made {
    name_and_encode(file, source, ladder, (chunks, vec![]), onward)
}

/// As [`encode_chunks`], with these rungs named and not made.
pub(crate) fn name_and_encode(
    file: &Path,
    source: &Source,
    ladder: &Ladder,
    (chunks, named): (Vec<ChunkWork>, Vec<RungName>),
    onward: bool,
) -> Made {
    let (source, ladder, poster) = (source.clone(), ladder.clone(), chunks[0].chunk == 0);
    let request = EncodeRequest { source, ladder, chunks, named, onward, poster };
    made(child("encode", file, &[Order::Encode(Box::new(request))]))
}

/// What frames say was made.
pub(crate) fn made(mut frames: Frames) -> Made {
    let last = frames.pop().unwrap().0;
    let mut made = Made { rungs: BTreeMap::new(), poster: None, ends: vec![], last };
    for (message, payload) in frames {
        match message {
            CodecMessage::Init { rung, codecs, timescale, .. } => {
                made.rungs
                    .insert(rung, Rung { codecs, timescale, init: payload.to_vec(), ..Rung::default() });
            }
            CodecMessage::Segment { rung, seq, digest, start, duration, keys } => {
                let rung = made.rungs.get_mut(&rung).expect("a header goes before segments");
                rung.segments.push((seq, start, duration, payload.to_vec()));
                rung.names.push(digest);
                rung.keys.push(keys);
            }
            CodecMessage::Named { rung, seq, digest, start, duration } => {
                let rung = made.rungs.get_mut(&rung).expect("a header goes before names");
                rung.segments.push((seq, start, duration, payload.to_vec()));
                rung.names.push(digest);
            }
            CodecMessage::Poster { .. } => made.poster = Some(payload.to_vec()),
            CodecMessage::Chunk { chunk, track, last } => made.ends.push((chunk, track, last)),
            _ => {}
        }
    }
    made
}

pub(crate) fn media(name: &str) -> Option<PathBuf> {
    let dir = std::env::var_os("SLUICE_MEDIA_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/media"),
        PathBuf::from,
    );
    Some(dir.join(name)).filter(|f| f.is_file())
}

/// A clip of what the ffmpeg command line is told, in words without spaces of their own.
pub(crate) fn made_clip(dir: &Path, name: &str, arguments: &str) -> PathBuf {
    let file = dir.join(name);
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-y"])
        .args(arguments.split_whitespace())
        .arg(&file)
        .status()
        .unwrap();
    assert!(status.success());
    file
}

pub(crate) fn test_clip(dir: &Path, seconds: u32, size: &str, rate: &str) -> PathBuf {
    let (picture, sound) = (
        format!("testsrc2=size={size}:rate={rate}:duration={seconds}"),
        format!("sine=f=440:duration={seconds}"),
    );
    made_clip(
        dir,
        &format!("{size}-{}.mp4", rate.replace('/', "-")),
        &format!(
            "-f lavfi -i {picture} -f lavfi -i {sound} -c:v libx264 -preset ultrafast -pix_fmt \
             yuv420p -c:a aac"
        ),
    )
}

pub(crate) struct Packet {
    pub(crate) pts: f64,
    pub(crate) dts: f64,
    pub(crate) key: bool,
}

pub(crate) fn packets(bytes: &[u8]) -> Vec<Packet> {
    let file = tempfile::Builder::new().suffix(".mp4").tempfile().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "packet=pts_time,dts_time,flags", "-of", "csv=p=0"])
        .arg(file.path())
        .output()
        .unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| {
            let mut fields = line.split(',');
            let mut number = || fields.next().unwrap().parse().unwrap();
            let (pts, dts) = (number(), number());
            Packet { pts, dts, key: fields.next().unwrap().starts_with('K') }
        })
        .collect()
}

/// Decodes everything, so that damage inside a frame is found too; the number of frames.
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

/// Writes bytes to a file that lives as long as the folder.
pub(crate) fn written(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let file = dir.join(name);
    std::fs::write(&file, bytes).unwrap();
    file
}

/// What the ffmpeg command line writes to its output.
pub(crate) fn ffmpeg(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("ffmpeg").args(["-v", "error"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The first picture of a file at this size, as red, green and blue.
pub(crate) fn first_picture(file: &Path, width: u32, height: u32) -> Vec<u8> {
    let filter = format!("scale={width}:{height}:flags=bicubic,format=rgb24");
    ffmpeg(&["-i", file.to_str().unwrap(), "-frames:v", "1", "-vf", &filter, "-f", "rawvideo", "-"])
}

/// Mean difference of two pictures, in values of 0 to 255.
pub(crate) fn difference(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(x, y)| f64::from(x.abs_diff(*y))).sum::<f64>() / a.len() as f64
}

/// The rung of a kind: `v` or `a`.
pub(crate) fn only(made: &Made, kind: char) -> &Rung {
    made.rungs.iter().find(|(name, _)| name.as_str().starts_with(kind)).expect("a rung of this kind").1
}

/// What ffprobe says of the first stream, separated by commas.
pub(crate) fn ffprobe(file: &Path, entries: &str) -> String {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "0", "-show_entries", entries, "-of", "csv=p=0"])
        .arg(file)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
