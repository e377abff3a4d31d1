//! Large bodies that go to clients without being copied are the same bytes, whatever happens to the memory or the file that
//! they come from.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use nix::sys::signal::Signal;
use sluice_tests::client::{client, header};
use sluice_tests::origin::{ScriptedOrigin, answer, pattern};
use sluice_tests::process::Process;
use sluice_tests::raw::Raw;
use sluice_tests::stack::lone_edge;
use std::os::unix::fs::FileExt;
use std::path::Path;

const LARGE: usize = 1 << 20;
const UNCOPIED: &str = "sluice_http_uncopied_bytes_total";

/// `/SEED`: a large body that follows from it.
async fn origin() -> ScriptedOrigin {
    ScriptedOrigin::start(|request| async move {
        answer(
            200,
            &[("cache-control", "max-age=3600"), ("content-type", "video/mp4")],
            body(request.uri().path()),
        )
    })
    .await
}

fn body(path: &str) -> Vec<u8> {
    pattern(LARGE, path.trim_start_matches('/').parse().unwrap())
}

async fn edge(dir: &Path, origin: &ScriptedOrigin, flags: &[(&str, &str)]) -> Process {
    let mut edge = lone_edge(dir, "edge", &origin.url(), flags);
    edge.start().await;
    edge
}

/// Fetches what must be right; gives its `Cache-Status`.
async fn get(edge: &Process, path: &str) -> String {
    let answer = client().get(format!("{}{path}", edge.url())).send().await.unwrap();
    let status = header(&answer, "cache-status");
    assert!(answer.bytes().await.unwrap() == body(path), "{path}: {status}");
    status
}

#[tokio::test]
async fn hits_and_their_parts_go_out_of_the_caches_memory_as_they_are() {
    let (dir, origin) = (tempfile::tempdir().unwrap(), origin().await);
    let edge = edge(dir.path(), &origin, &[]).await;
    get(&edge, "/1").await;
    let before = edge.metric(UNCOPIED, &[]).await;
    assert!(get(&edge, "/1").await.contains("hit"));
    assert_eq!(edge.metric(UNCOPIED, &[]).await - before, LARGE as f64);
    let asking = client().get(format!("{}/1", edge.url())).header("range", "bytes=100-700099");
    let part = asking.send().await.unwrap();
    assert_eq!(part.status(), 206);
    assert!(part.bytes().await.unwrap() == body("/1")[100..700_100]);
    let (uncopied, all) = (edge.metric(UNCOPIED, &[]).await - before, (LARGE + 700_000) as f64);
    assert!(uncopied <= all && uncopied > all - 70_000.0, "all but a last small piece: {uncopied} of {all}");
}

#[tokio::test]
async fn a_slow_client_gets_the_body_it_asked_for_though_its_memory_went_to_others() {
    let (dir, origin) = (tempfile::tempdir().unwrap(), origin().await);
    let edge = edge(
        dir.path(),
        &origin,
        &[("cache.memory_bytes", "67108864"), ("cache.max_object_bytes", "2097152")],
    )
    .await;
    get(&edge, "/1").await;
    let at = edge.url().trim_start_matches("http://").to_owned();
    let mut slow = vec![];
    for _ in 0..8 {
        let mut client = Raw::get(&at, "/1", "").await;
        assert!(client.head().await.unwrap().starts_with("http/1.1 200"));
        slow.push(client);
    }
    let all = serde_json::json!({ "everything": true });
    let purge = client().post(format!("http://{}/purge", edge.at.admin.as_ref().unwrap())).json(&all);
    assert!(purge.send().await.unwrap().status().is_success());
    for other in 2..90 {
        get(&edge, &format!("/{other}")).await;
    }
    for mut client in slow {
        assert!(client.bytes(LARGE).await.unwrap() == body("/1"));
    }
}

#[tokio::test]
async fn the_disk_is_sent_from_once_it_was_found_sound_and_never_after_others_wrote_to_it() {
    let (dir, origin) = (tempfile::tempdir().unwrap(), origin().await);
    let disk = dir.path().join("disk");
    let flags = [("cache.disk.dir", disk.to_str().unwrap()), ("cache.disk.bytes", "67108864")];
    let mut edge = edge(dir.path(), &origin, &flags).await;
    get(&edge, "/1").await;
    edge.until("sluice_edge_disk_writes_total", &[], |writes| writes >= 1.0).await;
    edge.signal(Signal::SIGTERM);
    assert_eq!(edge.ended().await, Some(0));
    edge.start().await;
    edge.until("sluice_edge_disk_rebuilt", &[], |rebuilt| rebuilt == 1.0).await;
    for uncopied in [0, LARGE, 2 * LARGE] {
        assert!(get(&edge, "/1").await.contains("detail=disk"));
        assert_eq!(edge.metric(UNCOPIED, &[]).await, uncopied as f64, "read and compared once, sent then");
    }
    let region = std::fs::read_dir(&disk).unwrap().map(|entry| entry.unwrap().path());
    let region = region.into_iter().find(|path| path.extension().is_some_and(|e| e == "region")).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(region).unwrap();
    file.write_all_at(b"not what was written", LARGE as u64 / 2).unwrap();
    // A body on its way is cut where the damage is, and the next is fetched.
    let cut = client().get(format!("{}/1", edge.url())).send().await.unwrap();
    assert!(cut.bytes().await.is_err());
    assert!(!get(&edge, "/1").await.contains("detail=disk"));
    assert_eq!(edge.metric("sluice_edge_disk_corruptions_total", &[]).await, 1.0);
}
