//! The failure contract: media that an edge cannot serve is redirected or cut; it is never an error status, and never a
//! stream that stands still.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use reqwest::StatusCode;
use serde_json::json;
use sluice_tests::client::{self, header};
use sluice_tests::origin::{ScriptedOrigin, answer, gated, pattern};
use sluice_tests::process::{Process, free_port};
use sluice_tests::raw::Raw;
use sluice_tests::stack::lone_edge;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// A segment of a video that only the scripted origins have.
const SEGMENT: &str = "/v/0000000000001/v240/0-00112233445566778899aabbccddeeff.m4s";

fn at(edge: &Process) -> &str {
    edge.at.http.as_ref().unwrap()
}

/// What a player sees of an answer that is cut: a head without an error, no byte, an end that is no end.
async fn assert_cut(edge: &Process, target: &str) {
    let mut h1 = Raw::get(at(edge), target, "").await;
    let head = h1.head().await.unwrap();
    assert!(head.starts_with("http/1.1 200") && head.contains("transfer-encoding: chunked"), "{head}");
    assert!(head.contains("access-control-allow-origin: *") && head.contains("no-store"), "{head}");
    assert_eq!(h1.rest().await.unwrap(), b"", "no chunk, above all not the last one");

    let h2 = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let answer = h2.get(format!("{}{target}", edge.url())).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.bytes().await.is_err(), "the stream is reset");

    for text in [
        format!("HEAD {target} HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("GET {target} HTTP/1.0\r\nHost: a\r\n\r\n"),
    ] {
        let mut old = Raw::send(at(edge), &text).await;
        assert_eq!(old.rest().await.unwrap(), b"", "where a cut cannot be seen, no answer: {text}");
    }
}

#[tokio::test]
async fn media_is_cut_and_anything_else_told_plainly_when_no_parent_can_serve() {
    let dir = tempfile::tempdir().unwrap();
    let origin = ScriptedOrigin::start(|_| async { answer(503, &[], "out of order") }).await;
    let mut edge = lone_edge(dir.path(), "erring", &origin.url(), &[]);
    edge.start().await;
    assert_cut(&edge, SEGMENT).await;
    let plain = client::client().get(format!("{}/page", edge.url())).send().await.unwrap();
    assert_eq!(plain.status(), StatusCode::SERVICE_UNAVAILABLE, "not media: what the origin says");
    assert!(edge.metric("sluice_edge_requests_total", &["outcome=\"cut\""]).await >= 4.0);
    assert!(edge.metric("sluice_http_requests_total", &["status=\"cut\""]).await >= 4.0);

    let nobody = format!("http://127.0.0.1:{}", free_port());
    let mut edge = lone_edge(dir.path(), "orphan", &nobody, &[]);
    edge.start().await;
    assert_cut(&edge, SEGMENT).await;
    let plain = client::client().get(format!("{}/page", edge.url())).send().await.unwrap();
    assert_eq!(plain.status(), StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn a_body_whose_parent_falls_silent_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let (_never, gate) = watch::channel(false);
    let origin = ScriptedOrigin::start(move |request| {
        let body = gated(pattern(1_000, 1), gate.clone(), vec![]);
        let kept = request.uri().path().contains("/0-");
        let control = if kept { "max-age=60" } else { "private" };
        async move { answer(200, &[("cache-control", control), ("content-length", "2000")], body) }
    })
    .await;
    let mut edge = lone_edge(dir.path(), "edge", &origin.url(), &[("watchdog_ms", "300")]);
    edge.start().await;
    for target in [
        SEGMENT,
        "/v/0000000000001/v240/1-00112233445566778899aabbccddeeff.m4s",
        "/v/0000000000001/v240/1-00112233445566778899aabbccddeeff.m4s",
    ] {
        let mut reader = Raw::get(at(&edge), target, "").await;
        assert!(reader.head().await.unwrap().starts_with("http/1.1 200"));
        let begun = Instant::now();
        assert_eq!(reader.rest().await.unwrap(), pattern(1_000, 1), "{target}");
        assert!(begun.elapsed() < Duration::from_secs(10), "cut, not left open");
    }
}

#[tokio::test]
async fn a_part_of_a_body_that_still_grows_is_a_206() {
    let dir = tempfile::tempdir().unwrap();
    let (open, gate) = watch::channel(false);
    let whole = pattern(20_000, 2);
    let sent = whole.clone();
    let origin = ScriptedOrigin::start(move |_| {
        let body = gated(sent[..10_000].to_vec(), gate.clone(), sent[10_000..].to_vec());
        async move { answer(200, &[("cache-control", "max-age=60"), ("content-length", "20000")], body) }
    })
    .await;
    // A body may pause for as long as this story takes.
    let mut edge = lone_edge(dir.path(), "edge", &origin.url(), &[("watchdog_ms", "60000")]);
    edge.start().await;
    let mut first = Raw::get(at(&edge), "/growing", "").await;
    first.head().await.unwrap();
    assert_eq!(first.bytes(10_000).await.unwrap(), whole[..10_000]);
    let mut part = Raw::get(at(&edge), "/growing", "Range: bytes=100-199\r\n").await;
    let head = part.head().await.unwrap();
    assert!(
        head.starts_with("http/1.1 206") && head.contains("content-range: bytes 100-199/20000"),
        "{head}"
    );
    assert_eq!(part.bytes(100).await.unwrap(), whole[100..200]);
    let mut last = Raw::get(at(&edge), "/growing", "Range: bytes=-50\r\n").await;
    let head = last.head().await.unwrap();
    assert!(head.contains("content-range: bytes 19950-19999/20000"), "{head}");
    open.send(true).unwrap();
    assert_eq!(last.bytes(50).await.unwrap(), whole[19_950..]);
    assert_eq!(first.bytes(10_000).await.unwrap(), whole[10_000..]);
    assert_eq!(origin.asked("/growing"), 1);
}

/// A control plane whose table has another edge in it until `alone` is set, and an origin.
async fn control_and_origin(alone: Arc<AtomicBool>) -> ScriptedOrigin {
    ScriptedOrigin::start(move |request| {
        let alone = Arc::clone(&alone);
        async move {
            match request.uri().path() {
                "/v1/routes" => {
                    let known = request.uri().query().unwrap_or_default().trim_start_matches("after=").to_owned();
                    while known == "2" || (known == "1" && !alone.load(Ordering::Relaxed)) {
                        sleep(Duration::from_millis(20)).await;
                    }
                    let node = |name: &str| json!({"node": name, "tier": "near", "site": "local", "state": "ready",
                        "weight": 1.0, "peer_url": format!("http://{name}"), "public_url": format!("http://{name}.test")});
                    let (version, nodes) = match alone.load(Ordering::Relaxed) {
                        false => (1, vec![node("edge"), node("other")]),
                        true => (2, vec![node("edge")]),
                    };
                    let table = json!({"version": version, "nodes": nodes, "origins": []});
                    answer(200, &[("content-type", "application/json")], table.to_string())
                }
                "/v1/nodes/edge" => answer(200, &[("content-type", "application/json")], "{}"),
                "/broken.m4s" => answer(503, &[], ""),
                path if path.contains("/9-") => answer(503, &[], ""),
                path if path.starts_with("/stale") => {
                    answer(200, &[("cache-control", "max-age=0"), ("etag", "\"a\"")], "stale")
                }
                _ => answer(200, &[("cache-control", "max-age=60")], pattern(30_000, 3)),
            }
        }
    })
    .await
}

async fn start_in_fleet(dir: &Path, origin: &ScriptedOrigin, flags: &[(&str, &str)]) -> Process {
    let url = origin.url();
    let mut all = vec![("control", url.as_str())];
    all.extend(flags);
    let mut edge = lone_edge(dir, "edge", &url, &all);
    edge.start().await;
    let admin = edge.at.admin.clone().unwrap();
    let begun = Instant::now();
    while !client::ask(format!("http://{admin}/readyz")).await.is_ok_and(|a| a.status().is_success()) {
        assert!(begun.elapsed() < Duration::from_secs(20), "no route table:\n{}", edge.output());
        sleep(Duration::from_millis(20)).await;
    }
    edge
}

#[tokio::test]
async fn media_goes_to_the_next_edge_while_one_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let origin = control_and_origin(Arc::default()).await;
    let edge = start_in_fleet(dir.path(), &origin, &[]).await;
    let broken = "/v/0000000000001/v240/9-00112233445566778899aabbccddeeff.m4s";
    let sent = client::client().get(format!("{}{broken}", edge.url())).send().await.unwrap();
    assert_eq!(sent.status(), StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(header(&sent, "location"), format!("http://other.test{broken}?sluice-tried=edge"));
    assert_eq!(header(&sent, "access-control-allow-origin"), "*");
    assert_cut(&edge, &format!("{broken}?sluice-tried=other")).await;
}

#[tokio::test]
async fn every_miss_has_one_class() {
    let dir = tempfile::tempdir().unwrap();
    let alone = Arc::new(AtomicBool::new(false));
    let origin = control_and_origin(Arc::clone(&alone)).await;
    // A shard holds a sixteenth: four bodies.
    let flags = [("cache.memory_bytes", "2000000"), ("cache.max_object_bytes", "2000000")];
    let edge = start_in_fleet(dir.path(), &origin, &flags).await;
    let get = async |path: &str| drop(client::bytes(&format!("{}{path}", edge.url())).await);
    let class =
        async |name: &str| edge.metric("sluice_edge_misses_total", &[&format!("class=\"{name}\"")]).await;

    get("/stale").await;
    get("/stale").await;
    assert_eq!((class("first-ever").await, class("expired").await), (1.0, 1.0));

    get("/changed").await;
    client::client().put(format!("{}/changed", edge.url())).body("new").send().await.unwrap();
    get("/changed").await;
    assert_eq!((class("first-ever").await, class("purged").await), (2.0, 1.0));

    get("/v/0000000000001/v240/1-00112233445566778899aabbccddeeff.m4s?sluice-tried=other").await;
    assert_eq!(class("health").await, 1.0);

    for name in 0..400 {
        get(&format!("/many/{name}")).await;
    }
    let mut name = 0;
    while class("evicted").await == 0.0 {
        assert!(name < 400, "none of 400 objects of 30 kB gave way in 2 MB");
        get(&format!("/many/{name}")).await;
        name += 1;
    }

    alone.store(true, Ordering::Relaxed);
    let begun = Instant::now();
    let mut number = 100;
    while class("ring-moved").await == 0.0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "half of all groups were the other's");
        get(&format!("/v/0000000000001/v240/{number}-00112233445566778899aabbccddeeff.m4s")).await;
        number += 15;
    }
    let all = edge.metric("sluice_edge_misses_total", &[]).await;
    let misses = edge.metric("sluice_edge_requests_total", &["outcome=\"miss\""]).await;
    assert_eq!(all, misses, "each has exactly one");
}
