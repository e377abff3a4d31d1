//! The cache's part on disk: it outlives the process, and never gives a wrong byte or holds a request up.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use axum::extract::Request;
use axum::response::Response;
use sluice_tests::client::{client, header};
use sluice_tests::log::ScriptedLog;
use sluice_tests::origin::{ScriptedOrigin, answer};
use sluice_tests::process::Process;
use sluice_tests::stack::lone_edge;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// `/NAME/LENGTH`: bytes that follow from name, length and version.
fn body(path: &str, version: u64) -> Vec<u8> {
    let length: usize = path.rsplit('/').next().unwrap().parse().unwrap();
    let seed = path.bytes().fold(version, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
    (0..length as u64).map(|i| (seed.wrapping_add(i.wrapping_mul(i)) >> (i % 5 * 8)) as u8).collect()
}

/// An answer that may be kept for an hour, tagged by the path's first part; 304 to who knows it.
fn kept(request: &Request, version: u64) -> Response {
    let path = request.uri().path().to_owned();
    let tag = path.split('/').nth(1).unwrap().to_owned();
    let (etag, versions) = (format!("\"{version}\""), format!("{tag}={version}"));
    let fields = [
        ("cache-control", "max-age=3600"),
        ("etag", etag.as_str()),
        ("surrogate-key", tag.as_str()),
        ("sluice-version", versions.as_str()),
        ("content-type", "video/mp4"),
    ];
    let known =
        request.headers().get("if-none-match").is_some_and(|known| known.as_bytes() == etag.as_bytes());
    if known { answer(304, &fields, "") } else { answer(200, &fields, body(&path, version)) }
}

async fn origin() -> ScriptedOrigin {
    ScriptedOrigin::start(|request| async move { kept(&request, 1) }).await
}

fn edge(dir: &Path, disk: &Path, origin: &ScriptedOrigin, more: &[(&str, &str)]) -> Process {
    let mut flags = vec![("cache.disk.dir", disk.to_str().unwrap()), ("cache.disk.bytes", "67108864")];
    flags.extend(more);
    lone_edge(dir, "edge", &origin.url(), &flags)
}

/// Fetches what must be there, and be right.
async fn get(edge: &Process, path: &str, version: u64) -> reqwest::Response {
    let answer = client().get(format!("{}{path}", edge.url())).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    let (status, headers) = (answer.status(), answer.headers().clone());
    let bytes = answer.bytes().await.unwrap();
    assert!(bytes == body(path, version), "{path}: wrong bytes");
    let mut seen = http::Response::new("");
    (*seen.status_mut(), *seen.headers_mut()) = (status, headers);
    seen.into()
}

async fn rebuilt(edge: &Process) {
    edge.until("sluice_edge_disk_rebuilt", &[], |v| v == 1.0).await;
}

async fn written(edge: &Process, objects: usize) {
    edge.until("sluice_edge_disk_writes_total", &[], |v| v >= objects as f64).await;
}

/// Waits until the edge's journal tells of an event: it is written behind.
async fn heard(dir: &Path, tag: &str) {
    let begun = Instant::now();
    let journal = dir.join("edge/feed.journal");
    while !std::fs::read_to_string(&journal).is_ok_and(|text| text.contains(tag)) {
        assert!(begun.elapsed() < Duration::from_secs(20), "the journal does not tell of {tag}");
        sleep(Duration::from_millis(10)).await;
    }
}

fn paths(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("/a{i}/{}", [500, 60_000, 200_000, 1 << 20][i % 4])).collect()
}

#[tokio::test]
async fn a_restart_keeps_what_was_kept() {
    let (dir, origin) = (tempfile::tempdir().unwrap(), origin().await);
    let mut edge = edge(dir.path(), &dir.path().join("disk"), &origin, &[]);
    edge.start().await;
    let paths = paths(24);
    for path in &paths {
        get(&edge, path, 1).await;
    }
    written(&edge, paths.len()).await;
    edge.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(edge.ended().await, Some(0));
    edge.start().await;
    rebuilt(&edge).await;
    for path in &paths {
        let first = get(&edge, path, 1).await;
        assert!(header(&first, "cache-status").contains("hit"), "{path}: {first:?}");
        let second = get(&edge, path, 1).await;
        assert!(header(&second, "cache-status").contains("hit"), "{path}: {second:?}");
        let on_disk = path.ends_with("200000") || path.ends_with("1048576");
        assert_eq!(header(&second, "cache-status").contains("detail=disk"), on_disk, "{path}: {second:?}");
    }
    let part = client()
        .get(format!("{}{}", edge.url(), paths[3]))
        .header("range", "bytes=100000-700000")
        .send()
        .await
        .unwrap();
    assert_eq!(part.status(), 206);
    assert!(part.bytes().await.unwrap() == body(&paths[3], 1)[100_000..=700_000]);
    assert_eq!(origin.asked_in_all(), paths.len(), "nothing was fetched again");
    // What an unsafe method made unusable stays so, whatever becomes of the process.
    let changed = client().post(format!("{}{}", edge.url(), paths[0])).send().await.unwrap();
    assert_eq!(changed.status(), 200);
    get(&edge, &paths[4], 1).await;
    sleep(Duration::from_millis(200)).await;
    edge.kill9();
    edge.start().await;
    rebuilt(&edge).await;
    let before = origin.asked(&paths[0]);
    get(&edge, &paths[0], 1).await;
    assert_eq!(origin.asked(&paths[0]), before + 1, "it was fetched again");
}

#[tokio::test]
async fn a_kill_in_the_middle_of_writes_costs_what_was_not_written() {
    let (dir, origin) = (tempfile::tempdir().unwrap(), origin().await);
    let mut edge = edge(dir.path(), &dir.path().join("disk"), &origin, &[]);
    edge.start().await;
    let paths = paths(60);
    for round in 0..3 {
        let loading = paths[round * 20..(round + 1) * 20].iter().map(|path| get(&edge, path, 1));
        futures::future::join_all(loading).await;
        edge.kill9();
        edge.start().await;
    }
    rebuilt(&edge).await;
    let kept = edge.metric("sluice_edge_disk_objects", &[]).await;
    let before = origin.asked_in_all();
    for path in &paths {
        get(&edge, path, 1).await;
    }
    let fetched = origin.asked_in_all() - before;
    assert!(
        kept > 0.0 && fetched as f64 <= paths.len() as f64 - kept,
        "{kept} kept, {fetched} fetched again"
    );
}

#[tokio::test]
async fn what_was_purged_while_the_edge_was_down_is_not_served() {
    let (dir, log, version) =
        (tempfile::tempdir().unwrap(), ScriptedLog::start().await, Arc::new(AtomicU64::new(1)));
    log.raise("other", 1);
    let now = Arc::clone(&version);
    let origin = ScriptedOrigin::start(move |request| {
        let changed = request.uri().path().starts_with("/changes");
        let version = if changed { now.load(Ordering::SeqCst) } else { 1 };
        async move { kept(&request, version) }
    })
    .await;
    let origins = format!("{},{}", origin.url(), log.url());
    let mut edge = edge(dir.path(), &dir.path().join("disk"), &origin, &[("origins", &origins)]);
    edge.start().await;
    edge.until("sluice_edge_feed_live", &[], |v| v == 1.0).await;
    let (changes, stays) = ("/changes/100000", "/stays/100000");
    for path in [changes, stays] {
        get(&edge, path, 1).await;
    }
    written(&edge, 2).await;
    log.raise("older", 3);
    edge.until("sluice_edge_events_total", &[], |v| v >= 1.0).await;
    edge.kill9();
    version.store(2, Ordering::SeqCst);
    log.raise("changes", 2);
    edge.start().await;
    get(&edge, changes, 2).await;
    rebuilt(&edge).await;
    edge.until("sluice_edge_feed_live", &[], |v| v == 1.0).await;
    get(&edge, stays, 1).await;
    let hit = get(&edge, stays, 1).await;
    assert!(header(&hit, "cache-status").contains("hit"), "{hit:?}");

    // Restarted while nothing happened, the log goes on: nothing is asked for.
    written(&edge, 1).await;
    heard(dir.path(), "changes").await;
    edge.kill9();
    edge.start().await;
    rebuilt(&edge).await;
    edge.until("sluice_edge_feed_live", &[], |v| v == 1.0).await;
    let before = origin.asked_in_all();
    get(&edge, stays, 1).await;
    get(&edge, changes, 2).await;
    assert_eq!(origin.asked_in_all(), before);

    // With another log nothing can be known, and what is not heard of may be a hard purge: all is sent again.
    edge.kill9();
    log.begin_anew();
    edge.start().await;
    rebuilt(&edge).await;
    edge.until("sluice_edge_feed_live", &[], |v| v == 1.0).await;
    let before = origin.asked_in_all();
    for path in [changes, stays] {
        get(&edge, path, if path == changes { 2 } else { 1 }).await;
    }
    assert_eq!(origin.asked_in_all(), before + 2);
    assert_eq!(edge.metric("sluice_edge_fetches_total", &["confirmed"]).await, 0.0);
    assert_eq!(edge.metric("sluice_edge_bytes_in_total", &[]).await, 200_000.0);
}

#[tokio::test]
async fn damaged_files_cost_a_fetch_and_never_a_wrong_byte() {
    let (dir, origin) = (tempfile::tempdir().unwrap(), origin().await);
    let disk = dir.path().join("disk");
    let mut edge = edge(dir.path(), &disk, &origin, &[]);
    edge.start().await;
    let paths = paths(40);
    for path in &paths {
        get(&edge, path, 1).await;
    }
    written(&edge, paths.len()).await;
    for round in 0..4u64 {
        edge.kill9();
        let files = regions(&disk);
        for (i, file) in files.iter().enumerate() {
            let mut bytes = std::fs::read(file).unwrap();
            let length = bytes.len();
            match round {
                0 => (0..length).step_by(700_001).for_each(|at| bytes[at] ^= 0x10),
                1 => bytes.truncate(length / 2),
                2 => bytes.rotate_left((64 << 10).min(length)),
                _ => {
                    let other = &files[(i + 1) % files.len()];
                    let others = std::fs::read(other).unwrap();
                    std::fs::write(other, &bytes).unwrap();
                    bytes = others;
                }
            }
            std::fs::write(file, bytes).unwrap();
        }
        edge.start().await;
        rebuilt(&edge).await;
        let before = edge.metric("sluice_edge_disk_writes_total", &[]).await;
        let asked = origin.asked_in_all();
        for path in paths.iter().chain(&paths) {
            get(&edge, path, 1).await;
        }
        let again = origin.asked_in_all() - asked;
        assert!(again > 0 && again <= paths.len(), "round {round}: {again} fetched again");
        written(&edge, before as usize + again).await;
    }
}

fn regions(disk: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(disk).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "region")).collect();
    files.sort();
    files
}

/// A file system of 16 MiB, unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        let mounted = disk.run("mount", &["-t", "tmpfs", "-o", "size=16m", "tmpfs"]);
        if !mounted {
            let mut err = std::io::stderr().lock();
            drop(std::io::Write::write_all(&mut err, b"skipped: mounting a small disk needs root\n"));
        }
        mounted.then_some(disk)
    }

    fn remount(&self, options: &str) {
        assert!(self.run("mount", &["-o", &format!("remount,{options}")]));
    }

    fn run(&self, program: &str, args: &[&str]) -> bool {
        std::process::Command::new(program).args(args).arg(self.0.path()).status().is_ok_and(|s| s.success())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        self.run("umount", &["-l"]);
    }
}

/// Writes go on within the pause after a fault, and some for a busy machine.
async fn recovers(edge: &Process, name: &str) {
    let (begun, before) = (Instant::now(), edge.metric("sluice_edge_disk_writes_total", &[]).await);
    for i in 0.. {
        get(edge, &format!("/{name}{i}/1000"), 1).await;
        if edge.metric("sluice_edge_disk_writes_total", &[]).await > before {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{name}: nothing is written again");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_full_disk_is_done_without_and_used_again() {
    let Some(disk) = SmallDisk::mount() else { return };
    let (dir, origin) = (tempfile::tempdir().unwrap(), origin().await);
    std::fs::write(disk.0.path().join("ballast"), vec![1; 14 << 20]).unwrap();
    let mut edge = edge(dir.path(), &disk.0.path().join("cache"), &origin, &[]);
    edge.start().await;
    rebuilt(&edge).await;
    let paths = paths(40);
    for path in paths.iter().chain(&paths) {
        get(&edge, path, 1).await;
    }
    edge.until("sluice_edge_disk_faults_total", &["write"], |v| v > 0.0).await;
    assert_eq!(origin.asked_in_all(), paths.len(), "memory goes on");
    std::fs::remove_file(disk.0.path().join("ballast")).unwrap();
    recovers(&edge, "freed").await;
}

#[tokio::test]
async fn a_read_only_folder_is_done_without_and_used_once_it_is_not() {
    let Some(disk) = SmallDisk::mount() else { return };
    let (dir, origin) = (tempfile::tempdir().unwrap(), origin().await);
    // As the service of a system that mounts its cache late finds it.
    disk.remount("ro");
    let mut edge = edge(dir.path(), &disk.0.path().join("cache"), &origin, &[]);
    edge.start().await;
    get(&edge, "/early/1000", 1).await;
    edge.until("sluice_edge_disk_faults_total", &["open"], |v| v > 0.0).await;
    disk.remount("rw");
    recovers(&edge, "first").await;
    get(&edge, "/kept/300000", 1).await;
    let before = edge.metric("sluice_edge_disk_writes_total", &[]).await;
    written(&edge, before as usize).await;
    edge.kill9();
    disk.remount("ro");
    edge.start().await;
    for i in 0..20 {
        get(&edge, &format!("/readonly{i}/70000"), 1).await;
        get(&edge, "/kept/300000", 1).await;
    }
    edge.until("sluice_edge_disk_faults_total", &["open"], |v| v > 0.0).await;
    disk.remount("rw");
    recovers(&edge, "again").await;
}
