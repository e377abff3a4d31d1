//! Disks that fail under the cache: without inodes, with errors, or silent. The edge goes on without them, serves nothing
//! wrong, holds nobody up, and uses them again.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use futures::future::join_all;
use nix::sys::signal::Signal;
use sluice_tests::client::{client, header};
use sluice_tests::faulty::{Inodes, LoopDisk};
use sluice_tests::origin::{ScriptedOrigin, answer, pattern};
use sluice_tests::process::Process;
use sluice_tests::raw::Raw;
use sluice_tests::stack::lone_edge;
use std::path::Path;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// Time of a request: a lookup's second, and some for a busy machine.
const BOUND: Duration = Duration::from_secs(4);
/// Until the disk is used again.
const RECOVERY: Duration = Duration::from_secs(5);
/// More than a connection's buffers hold.
const LARGE: usize = 16 << 20;
const FAULTS: &str = "sluice_edge_disk_faults_total";
const WRITES: &str = "sluice_edge_disk_writes_total";
const UNCOPIED: &str = "sluice_http_uncopied_bytes_total";

/// `/SEED/LENGTH`: bytes that follow from it.
fn body(path: &str) -> Vec<u8> {
    let (seed, length) = path.trim_start_matches('/').split_once('/').unwrap();
    pattern(length.parse().unwrap(), seed.parse().unwrap())
}

fn paths(seeds: std::ops::Range<usize>, length: usize) -> Vec<String> {
    seeds.map(|seed| format!("/{seed}/{length}")).collect()
}

async fn origin() -> ScriptedOrigin {
    ScriptedOrigin::start(|request| async move {
        let fields = [("cache-control", "max-age=3600"), ("content-type", "video/mp4")];
        answer(200, &fields, body(request.uri().path()))
    })
    .await
}

/// An edge with its cache in a folder of a disk; regions are a thirty-second of `bytes`.
fn edge(dir: &Path, disk: &Path, bytes: u64, origin: &ScriptedOrigin) -> Process {
    let (disk, bytes) = (disk.join("cache"), bytes.to_string());
    let flags = [("cache.disk.dir", disk.to_str().unwrap()), ("cache.disk.bytes", bytes.as_str())];
    lone_edge(dir, "edge", &origin.url(), &flags)
}

/// Fetches what must be there, be right, and come in time; gives its `Cache-Status`.
async fn get(edge: &Process, path: &str) -> String {
    let (expected, begun) = (body(path), Instant::now());
    let answer = client().get(format!("{}{path}", edge.url())).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    let status = header(&answer, "cache-status");
    assert!(answer.bytes().await.unwrap() == expected, "{path}: wrong bytes, {status}");
    assert!(begun.elapsed() < BOUND, "{path}: {:?}, {status}", begun.elapsed());
    status
}

/// Has objects written, and starts again: all of them are on disk alone.
async fn kept_on_disk_alone(edge: &mut Process, paths: &[String]) {
    edge.start().await;
    rebuilt(edge).await;
    for path in paths {
        get(edge, path).await;
    }
    edge.until(WRITES, &[], |writes| writes >= paths.len() as f64).await;
    edge.signal(Signal::SIGTERM);
    assert_eq!(edge.ended().await, Some(0));
    edge.start().await;
    rebuilt(edge).await;
}

async fn rebuilt(edge: &Process) {
    edge.until("sluice_edge_disk_rebuilt", &[], |rebuilt| rebuilt == 1.0).await;
}

/// New objects are written again within the time for that.
async fn written_again(edge: &Process, seeds: usize) {
    let (begun, before) = (Instant::now(), edge.metric(WRITES, &[]).await);
    for path in paths(seeds..seeds + 1_000, 1_000) {
        get(edge, &path).await;
        if edge.metric(WRITES, &[]).await > before {
            return;
        }
        assert!(begun.elapsed() < RECOVERY, "nothing is written again");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Objects that are on disk alone are served from there within the time for that.
async fn read_again(edge: &Process, kept: &[String]) {
    let begun = Instant::now();
    for path in kept {
        if get(edge, path).await.contains("detail=disk") {
            return;
        }
        assert!(begun.elapsed() < RECOVERY, "nothing is read again");
        sleep(Duration::from_millis(200)).await;
    }
    panic!("nothing was read from disk");
}

/// A client that has read the head of what is sent from the disk, and nothing of the body.
async fn slow(edge: &Process, path: &str) -> Raw {
    let mut client = Raw::narrow(edge.at.http.as_ref().unwrap(), path).await;
    assert!(client.head().await.unwrap().starts_with("http/1.1 200"));
    client
}

/// Waits until clients that do not read have all that their connections hold.
async fn stuck(edge: &Process) {
    let mut before = -1.0;
    loop {
        let sent = edge.metric(UNCOPIED, &[]).await;
        if sent > LARGE as f64 && sent == before {
            return;
        }
        before = sent;
        sleep(Duration::from_millis(200)).await;
    }
}

/// Reads a body that ends too early: every byte of it is right.
async fn cut(mut client: Raw, whole: &[u8]) -> usize {
    const STEP: usize = 16 << 10;
    for (number, expected) in whole.chunks(STEP).enumerate() {
        match client.bytes(expected.len()).await {
            Ok(bytes) => assert!(bytes == expected, "wrong bytes"),
            Err(_) => return number * STEP,
        }
    }
    panic!("the body came whole");
}

#[tokio::test]
async fn a_disk_without_inodes_is_done_without_and_used_again() {
    let Some(disk) = Inodes::mount(32) else { return };
    let (dir, origin) = (tempfile::tempdir().unwrap(), origin().await);
    let mut edge = edge(dir.path(), disk.at(), 64 << 20, &origin);
    disk.use_up();
    edge.start().await;
    let early = paths(0..10, 70_000);
    for path in early.iter().chain(&early) {
        get(&edge, path).await;
    }
    edge.until(FAULTS, &["open"], |faults| faults > 0.0).await;
    assert_eq!(origin.asked_in_all(), early.len(), "memory goes on");
    disk.free();
    written_again(&edge, 100).await;

    // Used up while regions are there: the oldest gives its own to the next.
    let before = edge.metric(WRITES, &[]).await;
    let (first, second) = (paths(2_000..2_008, 1 << 20), paths(2_100..2_120, 1 << 20));
    for path in &first {
        get(&edge, path).await;
    }
    edge.until(WRITES, &[], |writes| writes >= before + first.len() as f64).await;
    disk.use_up();
    let asked = origin.asked_in_all();
    for path in second.iter().chain(&second) {
        get(&edge, path).await;
    }
    edge.until(FAULTS, &["write"], |faults| faults > 0.0).await;
    assert_eq!(origin.asked_in_all(), asked + second.len(), "memory goes on");
    disk.free();
    written_again(&edge, 3_000).await;
}

#[tokio::test]
async fn a_disk_with_errors_costs_fetches_and_is_read_again() {
    let Some(disk) = LoopDisk::mount(96) else { return };
    let (dir, origin) = (tempfile::tempdir().unwrap(), origin().await);
    let mut edge = edge(dir.path(), disk.at(), 64 << 20, &origin);
    let mut kept = paths(0..60, 100_000);
    kept.extend(paths(100..110, 1 << 20));
    kept_on_disk_alone(&mut edge, &kept).await;
    let (reserve, asked) = kept.split_at(30);
    assert!(get(&edge, &asked[0]).await.contains("detail=disk"));
    let before = origin.asked_in_all();
    disk.forget_pages();
    let errors = disk.errors();
    for path in &asked[1..] {
        get(&edge, path).await;
    }
    assert!(edge.metric(FAULTS, &["read"]).await > 0.0);
    assert!(edge.metric("sluice_edge_disk_lookups_total", &["failed"]).await > 0.0);
    assert_eq!(origin.asked_in_all(), before + asked.len() - 1, "all of it was fetched");
    assert_eq!(edge.metric("sluice_edge_disk_corruptions_total", &[]).await, 0.0);
    drop(errors);
    read_again(&edge, reserve).await;
    written_again(&edge, 1_000).await;
}

#[tokio::test]
async fn errors_end_a_body_that_is_on_its_way_and_give_no_wrong_byte() {
    let Some(disk) = LoopDisk::mount(160) else { return };
    let (dir, origin) = (tempfile::tempdir().unwrap(), origin().await);
    let mut edge = edge(dir.path(), disk.at(), 1 << 30, &origin);
    let large = paths(1..3, LARGE);
    let kept = [large.clone(), paths(10..40, 100_000)].concat();
    kept_on_disk_alone(&mut edge, &kept).await;
    // One is sent uncopied, of the other nothing was read yet but its beginning.
    for uncopied in [0, LARGE] {
        assert!(get(&edge, &large[0]).await.contains("detail=disk"));
        assert_eq!(edge.metric(UNCOPIED, &[]).await, uncopied as f64);
    }
    let clients = [slow(&edge, &large[0]).await, slow(&edge, &large[1]).await];
    stuck(&edge).await;
    disk.forget_pages();
    let errors = disk.errors();
    for (client, path) in clients.into_iter().zip(&large) {
        let came = cut(client, &body(path)).await;
        assert!(came > 0, "{path}: what was sent had come");
    }
    assert!(edge.metric(FAULTS, &["read"]).await > 0.0);
    for path in &large {
        assert!(!get(&edge, path).await.contains("detail=disk"));
    }
    drop(errors);
    read_again(&edge, &kept[2..]).await;
}

#[tokio::test]
async fn a_frozen_disk_loses_writes_and_no_time() {
    let Some(disk) = LoopDisk::mount(96) else { return };
    let (dir, origin) = (tempfile::tempdir().unwrap(), origin().await);
    let mut edge = edge(dir.path(), disk.at(), 64 << 20, &origin);
    let kept = paths(0..10, 100_000);
    kept_on_disk_alone(&mut edge, &kept).await;
    let frozen = disk.freeze();
    let (small, large) = (paths(100..500, 1_000), paths(500..580, 1 << 20));
    for some in [small, large].concat().chunks(8) {
        join_all(some.iter().map(|path| get(&edge, path))).await;
    }
    assert!(edge.metric("sluice_edge_disk_drops_total", &["queue"]).await > 0.0);
    for path in &kept {
        assert!(get(&edge, path).await.contains("hit"), "{path}: a frozen disk can be read");
    }
    drop(frozen);
    written_again(&edge, 1_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_hangs_holds_nobody_up_and_is_read_again() {
    let Some(disk) = LoopDisk::mount(160) else { return };
    if let Err(missing) = disk.can_hang() {
        return eprintln!("skipped: {missing}");
    }
    let (dir, origin) = (tempfile::tempdir().unwrap(), origin().await);
    let mut edge = edge(dir.path(), disk.at(), 1 << 30, &origin);
    let large = format!("/1/{LARGE}");
    let kept = [vec![large.clone()], paths(10..110, 100_000)].concat();
    kept_on_disk_alone(&mut edge, &kept).await;
    for _ in 0..2 {
        assert!(get(&edge, &large).await.contains("detail=disk"));
    }
    // More clients than the edge has threads are being sent to from the disk.
    let clients = join_all((0..8).map(|_| slow(&edge, &large))).await;
    stuck(&edge).await;
    disk.forget_pages();
    let hanging = disk.hang(edge.pid());
    let whole = body(&large);
    let mut cuts = JoinSet::new();
    cuts.spawn(async move { join_all(clients.into_iter().map(|one| cut(one, &whole))).await });
    let (asked, reserve) = kept[1..].split_at(60);
    for some in asked.chunks(6) {
        join_all(some.iter().map(|path| get(&edge, path))).await;
    }
    assert!(edge.metric(FAULTS, &["read"]).await > 0.0);
    // A read has five seconds; then the body ends.
    let begun = Instant::now();
    assert!(cuts.join_next().await.unwrap().unwrap().into_iter().all(|came| came > 0 && came < LARGE));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    drop(hanging);
    read_again(&edge, reserve).await;
    written_again(&edge, 1_000).await;
}
