//! Collapse: any number of cold readers make one fetch, each is given bytes as they come, and nobody holds up anybody.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use axum::body::Body;
use futures::future::join_all;
use sluice_tests::origin::{ScriptedOrigin, answer, broken, gated, pattern, range_of};
use sluice_tests::process::Process;
use sluice_tests::raw::Raw;
use sluice_tests::stack::lone_edge;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Barrier, watch};
use tokio::time::timeout;

const READERS: usize = 1_000;
const HALF: usize = 20_000;
const KEPT: (&str, &str) = ("cache-control", "max-age=60");
/// A body may pause for as long as a story takes.
const PATIENT: (&str, &str) = ("watchdog_ms", "60000");

fn at(edge: &Process) -> &str {
    edge.at.http.as_ref().unwrap()
}

/// Readers that have each been given the first half.
async fn half_way(edge: &Process, target: &str, count: usize, half: &[u8]) -> Vec<Raw> {
    join_all((0..count).map(async |_| {
        let mut reader = Raw::get(at(edge), target, "").await;
        let head = reader.head().await.unwrap();
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert_eq!(reader.bytes(half.len()).await.unwrap(), half);
        reader
    }))
    .await
}

#[tokio::test]
async fn a_thousand_cold_readers_make_one_fetch_and_read_as_it_comes() {
    let dir = tempfile::tempdir().unwrap();
    let (open, gate) = watch::channel(false);
    let whole = pattern(2 * HALF, 1);
    let sent = whole.clone();
    let origin = ScriptedOrigin::start(move |_| {
        let body = gated(sent[..HALF].to_vec(), gate.clone(), sent[HALF..].to_vec());
        let length = sent.len().to_string();
        async move { answer(200, &[KEPT, ("content-length", &length)], body) }
    })
    .await;
    // All of them are one client.
    let crowd = ("listen.limits.connections_per_client", "2000");
    let mut edge = lone_edge(dir.path(), "edge", &origin.url(), &[PATIENT, crowd]);
    edge.start().await;
    // Whom the fetch was begun for goes away: nobody notices.
    let mut leader = Raw::get(at(&edge), "/cold", "").await;
    leader.head().await.unwrap();
    let readers = half_way(&edge, "/cold", READERS, &whole[..HALF]).await;
    drop(leader);
    open.send(true).unwrap();
    let rests = join_all(readers.into_iter().map(async |mut reader| reader.bytes(HALF).await.unwrap())).await;
    assert!(rests.iter().all(|rest| *rest == whole[HALF..]));
    assert_eq!(origin.asked("/cold"), 1);
    assert_eq!(edge.metric("sluice_edge_misses_total", &[]).await, 1.0);
    assert_eq!(edge.metric("sluice_edge_requests_total", &["outcome=\"collapsed\""]).await, READERS as f64);
}

/// An origin whose first answer is broken off half way, and what it says when it is asked for the rest.
async fn breaks_off(
    whole: Vec<u8>,
    gate: watch::Receiver<bool>,
    rest: impl Fn(&[u8], usize, usize) -> axum::response::Response + Send + Sync + 'static,
) -> ScriptedOrigin {
    ScriptedOrigin::start(move |request| {
        let length = whole.len().to_string();
        let given = match range_of(&request, whole.len()) {
            Some((from, to)) => {
                assert_eq!(request.headers()["if-range"], "\"a\"");
                rest(&whole, from, to)
            }
            None => answer(
                200,
                &[KEPT, ("etag", "\"a\""), ("content-length", &length)],
                broken(whole[..whole.len() / 2].to_vec(), gate.clone()),
            ),
        };
        async move { given }
    })
    .await
}

fn part(whole: &[u8], from: usize, to: usize, etag: &str) -> axum::response::Response {
    let range = format!("bytes {from}-{}/{}", to - 1, whole.len());
    answer(206, &[KEPT, ("etag", etag), ("content-range", &range)], whole[from..to].to_vec())
}

#[tokio::test]
async fn a_fetch_that_is_broken_off_goes_on_once_and_no_reader_sees_the_seam() {
    let dir = tempfile::tempdir().unwrap();
    let (open, gate) = watch::channel(false);
    let whole = pattern(2 * HALF, 2);
    let origin = breaks_off(whole.clone(), gate, |whole, from, to| part(whole, from, to, "\"a\"")).await;
    let mut edge = lone_edge(dir.path(), "edge", &origin.url(), &[PATIENT]);
    edge.start().await;
    let readers = half_way(&edge, "/seam", 50, &whole[..HALF]).await;
    open.send(true).unwrap();
    let rests = join_all(readers.into_iter().map(async |mut reader| reader.bytes(HALF).await.unwrap())).await;
    assert!(rests.iter().all(|rest| *rest == whole[HALF..]));
    assert_eq!(origin.asked("/seam"), 2, "one, and one more after the break");
    assert_eq!(edge.metric("sluice_edge_resumes_total", &["result=\"resumed\""]).await, 1.0);
    half_way(&edge, "/seam", 1, &whole).await;
    assert_eq!(origin.asked("/seam"), 2, "it was kept whole");
}

#[tokio::test]
async fn a_body_is_cut_rather_than_mixed_when_the_object_has_changed() {
    let dir = tempfile::tempdir().unwrap();
    let (open, gate) = watch::channel(false);
    let whole = pattern(2 * HALF, 3);
    let origin = breaks_off(whole.clone(), gate, |whole, from, to| part(whole, from, to, "\"b\"")).await;
    let mut edge = lone_edge(dir.path(), "edge", &origin.url(), &[PATIENT]);
    edge.start().await;
    let readers = half_way(&edge, "/changed", 5, &whole[..HALF]).await;
    open.send(true).unwrap();
    for mut reader in readers {
        assert_eq!(reader.rest().await.unwrap(), b"", "no byte of the other");
    }
    assert_eq!(edge.metric("sluice_edge_resumes_total", &["result=\"refused\""]).await, 1.0);
}

#[tokio::test]
async fn a_reader_that_takes_nothing_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let whole = pattern(12 << 20, 4);
    let sent = whole.clone();
    let origin = ScriptedOrigin::start(move |_| {
        let body = Body::from(sent.clone());
        async move { answer(200, &[KEPT], body) }
    })
    .await;
    let mut edge = lone_edge(dir.path(), "edge", &origin.url(), &[]);
    edge.start().await;
    // It takes a head, and nothing more than what sockets hold.
    let mut slow = Raw::get(at(&edge), "/large", "").await;
    slow.head().await.unwrap();
    let mut quick = Raw::get(at(&edge), "/large", "").await;
    quick.head().await.unwrap();
    assert!(quick.bytes(whole.len()).await.unwrap() == whole);
    assert_eq!(origin.asked("/large"), 1);
    assert!(slow.bytes(whole.len()).await.unwrap() == whole, "it may still read on");
    let held = edge.metric("sluice_edge_cache_bytes", &[]).await;
    assert!(held < 1.1 * whole.len() as f64, "held once, however many read it: {held}");
}

#[tokio::test]
async fn answers_for_one_alone_are_not_fetched_one_after_the_other() {
    const ASKERS: usize = 20;
    let dir = tempfile::tempdir().unwrap();
    // Nobody is answered before all the others ask too: fetched in turn, they would wait for ever.
    let (together, served) = (Arc::new(Barrier::new(ASKERS - 1)), Arc::new(AtomicUsize::new(0)));
    let origin = ScriptedOrigin::start(move |_| {
        let (together, first) = (Arc::clone(&together), served.fetch_add(1, Ordering::Relaxed) == 0);
        async move {
            if !first {
                together.wait().await;
            }
            answer(200, &[("cache-control", "private")], "yours")
        }
    })
    .await;
    let mut edge = lone_edge(dir.path(), "edge", &origin.url(), &[]);
    edge.start().await;
    let asking = join_all((0..ASKERS).map(async |_| {
        let mut asker = Raw::get(at(&edge), "/private", "").await;
        asker.head().await.unwrap();
        asker.bytes(5).await.unwrap()
    }));
    let answers =
        timeout(Duration::from_secs(30), asking).await.expect("all are fetched for at the same time");
    assert!(answers.iter().all(|body| body == b"yours"));
    assert_eq!(origin.asked("/private"), ASKERS);
}
