//! Broken media, thousands of them: whatever is uploaded is ready or refused with a reason, and no service and no codec
//! dies of it.
//!
//! `MUTATIONS=20000` is the long run; `MUTATIONS_STATE=FILE` remembers how far it is, and goes on from there.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]
#![allow(clippy::print_stdout, reason = "how far a run of hours is, for whoever reads along")]

use futures::StreamExt;
use reqwest::Client;
use serde_json::Value;
use sluice_tests::clips::media_dir;
use sluice_tests::mutate::mutation;
use sluice_tests::stack::Stack;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Mutations of one run.
const MUTATIONS: u64 = 150;
/// Uploads at a time: as many as two workers have slots, and two that wait.
const PARALLEL: usize = 4;
/// Mutations between two notes of how far the run is.
const ROUND: u64 = 50;
/// How long one may take from its upload to its end, with others before it, on a busy machine.
const LIMIT: Duration = Duration::from_secs(240);
/// The largest clip that is taken whole; of others it is the first moments.
const WHOLE: u64 = 160 << 10;

fn ffmpeg(arguments: &[&str], out: &Path) -> Option<Vec<u8>> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-y"]).args(arguments).arg(out);
    command.status().ok().filter(std::process::ExitStatus::success)?;
    std::fs::read(out).ok().filter(|bytes| bytes.len() > 500)
}

/// Small films in each container and codec that is accepted and can be made here.
fn made(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let picture = "testsrc2=size=128x96:rate=10:duration=1";
    let sound = "sine=frequency=440:sample_rate=16000:duration=1";
    let kinds = [
        ("a.mp4", "-c:v libx264 -preset ultrafast -g 5 -c:a aac"),
        ("b.mp4", "-c:v libx264 -preset ultrafast -g 5 -c:a aac -movflags +frag_keyframe+empty_moov"),
        ("c.mov", "-c:v mjpeg -q:v 20 -c:a pcm_s16le"),
        ("d.mkv", "-c:v libx265 -preset ultrafast -x265-params log-level=none -c:a libopus"),
        ("e.webm", "-c:v libvpx -b:v 50k -c:a libvorbis"),
        ("f.webm", "-c:v libvpx-vp9 -deadline realtime -b:v 50k -c:a libopus"),
        ("g.ts", "-c:v mpeg2video -q:v 20 -c:a mp2"),
        ("h.ts", "-c:v libx264 -preset ultrafast -g 5 -c:a aac"),
        ("i.avi", "-c:v mpeg4 -q:v 20 -c:a libmp3lame"),
        ("j.flv", "-c:v libx264 -preset ultrafast -g 5 -c:a aac -ar 44100"),
        ("k.mp4", "-c:v libaom-av1 -cpu-used 8 -usage realtime -c:a aac"),
        ("l.ogg", "-vn -c:a libvorbis"),
        ("m.flac", "-vn -c:a flac"),
        ("n.wav", "-vn -c:a pcm_s16le"),
        ("o.mp3", "-vn -c:a libmp3lame"),
    ];
    let film = |(name, codecs): (&str, &str)| {
        let mut arguments =
            vec!["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, "-pix_fmt", "yuv420p"];
        arguments.extend(codecs.split(' '));
        Some((name.to_owned(), ffmpeg(&arguments, &dir.join(name))?))
    };
    kinds.into_iter().filter_map(film).collect()
}

/// Every clip at hand: small ones whole, of others the first half second as it is and the first bytes.
fn real(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let Some(folder) = media_dir() else { return vec![] };
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().flatten().map(|e| e.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end != "md"));
    paths.sort();
    let mut all = vec![];
    for path in paths {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.metadata().unwrap().len() <= WHOLE {
            all.push((name, std::fs::read(&path).unwrap()));
        } else {
            let arguments = ["-i", path.to_str().unwrap(), "-t", "0.5", "-map", "0", "-c", "copy"];
            all.extend(ffmpeg(&arguments, &dir.join(&name)).map(|bytes| (name, bytes)));
        }
    }
    all
}

/// One mutation from its upload to its end.
async fn run(http: &Client, edge: &str, number: u64, name: &str, bytes: Vec<u8>) -> (u64, String, Value) {
    let begun = Instant::now();
    let sent = http.put(format!("{edge}/v1/videos/{number}-{name}")).body(bytes).send().await.unwrap();
    assert_eq!(sent.status(), 201, "{number}");
    let mut document: Value = sent.json().await.unwrap();
    let url = format!("{edge}/v1/videos/{}", document["id"].as_str().unwrap());
    while document["state"] != "ready" && document["state"] != "failed" {
        assert!(begun.elapsed() < LIMIT, "{number} of {name} has no end: {document}");
        sleep(Duration::from_millis(50)).await;
        document = http.get(&url).send().await.unwrap().json().await.unwrap();
    }
    http.delete(format!("{url}?now=true")).send().await.unwrap();
    (number, name.to_owned(), document)
}

/// What the codec's end without a last word looks like from outside, and an end for no reason.
fn is_crash(document: &Value) -> bool {
    let failed = document["state"] == "failed";
    let why = document["error"].as_str().unwrap_or_default();
    failed
        && (why.is_empty()
            || why.contains("in the middle")
            || why.contains("every worker")
            || why.contains("was not done"))
}

#[tokio::test]
async fn whatever_is_uploaded_is_ready_or_refused_and_nothing_dies_of_it() {
    let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse::<u64>().ok());
    let (total, state) = (number("MUTATIONS").unwrap_or(MUTATIONS), std::env::var_os("MUTATIONS_STATE"));
    let state = state.map(PathBuf::from);
    let before = state.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
    let mut next: u64 = before.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    let dir = tempfile::tempdir().unwrap();
    let mut seeds = made(dir.path());
    seeds.extend(real(dir.path()));
    assert!(seeds.len() >= 10, "{} seeds", seeds.len());

    let stack = Stack::start().await;
    let mut second = stack.another_worker("worker-b");
    second.start().await;
    let (http, edge) = (sluice_tests::client::client(), stack.edge());
    let (mut ready, mut crashes) = (0, vec![]);
    while next < total {
        let round = next..total.min(next + ROUND);
        next = round.end;
        let runs: Vec<_> = round
            .map(|number| {
                let (name, bytes) = mutation(&seeds, number);
                run(&http, &edge, number, name, bytes)
            })
            .collect();
        let ended: Vec<_> = futures::stream::iter(runs).buffer_unordered(PARALLEL).collect().await;
        ready += ended.iter().filter(|(.., document)| document["state"] == "ready").count();
        crashes.extend(ended.into_iter().filter(|(.., document)| is_crash(document)));
        if let Some(state) = &state {
            std::fs::write(state, next.to_string()).unwrap();
            println!("{next} of {total}: {ready} ready, crashes {crashes:?}");
        }
    }
    for service in [&stack.origin, &stack.transcoder, &second, &stack.control, &stack.shield, &stack.near[0]]
    {
        assert!(!service.has_said("panicked at"), "{}: {}", service.name(), service.output());
        service.metric("process_open_fds", &[]).await;
    }
    assert!(crashes.is_empty(), "{crashes:#?}");
    assert!(ready > 0 || state.is_some(), "some can still be played");
}
