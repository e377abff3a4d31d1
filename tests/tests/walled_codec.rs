//! The real codec behind its walls: what it sees and what it makes are what they are without them.
#![allow(clippy::unwrap_used, reason = "helpers of tests: what fails here fails the story")]

use bytes::{Bytes, BytesMut};
use nix::sys::resource::{UsageWho, getrusage};
use sluice_tests::clips::media_dir;
use sluice_tests::process::binary;
use sluice_transcoder::sandbox::{Bounds, Mode, Options, Sandbox};
use sluice_wire::codec::{ChunkWork, CodecMessage, EncodeRequest, Order, decode, encode_order};
use sluice_wire::ladder::{Ladder, Source, plan};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

async fn sandbox() -> Sandbox {
    let options = Options { mode: Mode::Required, user: 65_533, slots: 1 };
    Sandbox::raise(&binary("sluice-codec"), options).await.unwrap()
}

/// What a codec says of a whole source when it is told this.
async fn said(mut codec: Child, file: &Path, told: Option<&EncodeRequest>) -> Vec<u8> {
    let mut input = codec.stdin.take().unwrap();
    let request = told.map(|request| Order::Encode(Box::new(request.clone())));
    for order in request.iter().chain(&Order::whole(file.metadata().unwrap().len())) {
        input.write_all(&encode_order(order).unwrap()).await.unwrap();
    }
    drop(input);
    codec.wait_with_output().await.unwrap().stdout
}

fn without(task: &str, file: &Path) -> Child {
    // A shell puts the source in its place.
    Command::new("sh")
        .args(["-c", "exec 3<\"$1\"; exec \"$0\" \"$2\""])
        .args([&binary("sluice-codec"), file, Path::new(task)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn within(sandbox: &Sandbox, task: &str, file: &Path, bounds: Bounds) -> Child {
    sandbox.command(task, &File::open(file).unwrap(), bounds).unwrap().spawn().unwrap()
}

/// A request for every rung, from the beginning to the end.
fn all_of(source: Source, ladder: Ladder) -> EncodeRequest {
    let chunks = vec![ChunkWork { chunk: 0, rungs: ladder.names().map(|name| (name.clone(), 0)).collect() }];
    EncodeRequest { source, ladder, chunks, named: vec![], onward: true, poster: true }
}

fn probed(answer: &[u8]) -> Result<Source, String> {
    let (mut buffer, mut last) = (BytesMut::from(answer), None);
    while let Some(frame) = decode(&mut buffer).unwrap() {
        last = Some(frame);
    }
    match last {
        Some((CodecMessage::Probed { source }, _)) => Ok(source),
        other => Err(format!("{other:?}")),
    }
}

/// All frames but those of progress and of waiting, in an order that does not depend on which of its threads came first.
fn frames(answer: &[u8]) -> Vec<(String, Bytes)> {
    let (mut buffer, mut frames) = (BytesMut::from(answer), vec![]);
    while let Some((message, payload)) = decode(&mut buffer).unwrap() {
        if !matches!(message, CodecMessage::Progress { .. } | CodecMessage::Want { .. }) {
            frames.push((format!("{message:?}"), payload));
        }
    }
    frames.sort();
    frames
}

/// Made by the ffmpeg command line: a container, and a codec for it.
fn made(dir: &Path, name: &str, arguments: &str) -> PathBuf {
    let file = dir.join(name);
    let status = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "sine=duration=3", "-f", "lavfi", "-i"])
        .arg("testsrc2=size=320x240:rate=25:duration=3")
        .args(arguments.split_whitespace())
        .arg(&file)
        .status();
    assert!(status.unwrap().success(), "{name}");
    file
}

/// A file in every container that is accepted, and the real clips where they are at hand.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = [
        ("a.mp3", "-map 0 -c:a libmp3lame"),
        ("a.flac", "-map 0 -c:a flac"),
        ("a.ogg", "-map 0 -c:a libvorbis"),
        ("a.opus", "-map 0 -c:a libopus"),
        ("a.wav", "-map 0 -c:a pcm_s16le"),
        ("a.aac", "-map 0 -c:a aac"),
        ("a.m4a", "-map 0 -c:a alac"),
        ("a.mov", "-c:v prores_ks -c:a pcm_s24le"),
        ("a.mp4", "-c:v libx264 -pix_fmt yuv420p -c:a aac"),
        ("a.mkv", "-c:v libx265 -x265-params log-level=none -c:a ac3"),
        ("a.webm", "-c:v libvpx -c:a libopus"),
        ("a.ts", "-c:v mpeg2video -c:a mp2"),
        ("b.mkv", "-c:v ffv1 -c:a flac"),
        ("c.mkv", "-c:v mjpeg -pix_fmt yuvj420p -c:a eac3"),
    ]
    .iter()
    .map(|(name, arguments)| made(dir, name, arguments))
    .collect();
    if let Some(folder) = media_dir() {
        // The half-minute and the six-minute clips are for benches.
        let short = |name: &str| !name.contains("30sec") && !name.starts_with("long") && name != "README.md";
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        all.extend(files.filter(|file| short(file.file_name().unwrap().to_str().unwrap())));
    }
    all
}

#[tokio::test]
async fn every_source_is_seen_and_made_as_without_walls() {
    let (sandbox, dir) = (sandbox().await, tempfile::tempdir().unwrap());
    let mut seen = 0;
    for file in sources(dir.path()) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let inside = said(within(&sandbox, "probe", &file, Bounds::probe()), &file, None).await;
        let outside = said(without("probe", &file), &file, None).await;
        assert_eq!(frames(&inside), frames(&outside), "{name}");
        let source = match probed(&inside) {
            Ok(source) => source,
            Err(why) => {
                assert!(name.starts_with("invalid") || name.contains("missing"), "{name}: {why}");
                continue;
            }
        };
        seen += 1;
        let mut ladder = plan(&source);
        ladder.video.truncate(1);
        let request = all_of(source.clone(), ladder);
        let bounds = Bounds::encode(&source, Duration::from_secs(600));
        let inside = frames(&said(within(&sandbox, "encode", &file, bounds), &file, Some(&request)).await);
        let outside = frames(&said(without("encode", &file), &file, Some(&request)).await);
        let heads =
            |frames: &[(String, Bytes)]| frames.iter().map(|frame| frame.0.clone()).collect::<Vec<_>>();
        assert!(heads(&inside).iter().any(|head| head.starts_with("Done")), "{name}: {:?}", heads(&inside));
        assert_eq!(heads(&inside), heads(&outside), "{name}");
        assert!(inside == outside, "{name}: not the same bytes");
    }
    assert!(seen >= 14, "{seen}");
}

#[tokio::test]
async fn large_films_are_made_within_the_memory_that_their_size_gives_them() {
    let (sandbox, dir) = (sandbox().await, tempfile::tempdir().unwrap());
    for (size, most_mib) in [("1920x1080", 600), ("3840x2160", 1_700)] {
        let file = dir.path().join(format!("{size}.mp4"));
        let picture = format!("testsrc2=size={size}:rate=30:duration=5");
        let made = std::process::Command::new("ffmpeg")
            .args(["-v", "error", "-f", "lavfi", "-i", &picture, "-c:v", "libx264", "-preset", "ultrafast"])
            .args(["-bf", "3", "-refs", "4", "-threads", "1", "-pix_fmt", "yuv420p"])
            .arg(&file)
            .status();
        assert!(made.unwrap().success());
        let source =
            probed(&said(within(&sandbox, "probe", &file, Bounds::probe()), &file, None).await).unwrap();
        let bounds = Bounds::encode(&source, Duration::from_secs(600));
        let request = all_of(source.clone(), plan(&source));
        let codec = within(&sandbox, "encode", &file, bounds);
        let frames = frames(&said(codec, &file, Some(&request)).await);
        assert!(frames.iter().any(|(head, _)| head.starts_with("Done")), "{size}: {:?}", frames.last());
        let most = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss() >> 10;
        println!("{size}: {most} MiB of {}", bounds.memory >> 20);
        assert!(most < most_mib, "{size}: {most} MiB");
    }
}
