//! Parts of large objects: fetched in slices, each once, never mixed; and what is bounded when a client asks for much.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use axum::extract::Request;
use axum::response::Response;
use futures::stream::{self, StreamExt};
use reqwest::StatusCode;
use sluice_tests::client::{client, header};
use sluice_tests::origin::{ScriptedOrigin, answer, pattern, range_of};
use sluice_tests::process::Process;
use sluice_tests::raw::Raw;
use sluice_tests::stack::lone_edge;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use tokio::sync::watch;

const SLICE: usize = 256 << 10;
const WHOLE: usize = 4 << 20;
const FLAGS: [(&str, &str); 1] = [("cache.slice_bytes", "262144")];

/// What an origin with ranges says of a body.
fn ranged(request: &Request, whole: &[u8], etag: &str) -> Response {
    let fields = [("cache-control", "max-age=60"), ("accept-ranges", "bytes"), ("etag", etag)];
    match range_of(request, whole.len()) {
        Some((from, to)) => {
            let range = format!("bytes {from}-{}/{}", to - 1, whole.len());
            let mut all = fields.to_vec();
            all.push(("content-range", &range));
            answer(206, &all, whole[from..to].to_vec())
        }
        None => answer(200, &fields, whole.to_vec()),
    }
}

async fn edge_of(dir: &std::path::Path, origin: &ScriptedOrigin, flags: &[(&str, &str)]) -> Process {
    let mut edge = lone_edge(dir, "edge", &origin.url(), flags);
    edge.start().await;
    edge
}

async fn part(edge: &Process, target: &str, range: &str) -> (StatusCode, String, Vec<u8>) {
    let asking = client().get(format!("{}{target}", edge.url())).header("range", range);
    let answer = asking.send().await.unwrap();
    let (status, said) = (answer.status(), header(&answer, "content-range"));
    (status, said, answer.bytes().await.unwrap().to_vec())
}

#[tokio::test]
async fn a_thousand_ranges_cost_the_origin_the_object_once() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, sent) = (Arc::new(pattern(WHOLE + 777, 1)), Arc::new(AtomicU64::new(0)));
    let (body, counted) = (Arc::clone(&whole), Arc::clone(&sent));
    let origin = ScriptedOrigin::start(move |request| {
        let (from, to) = range_of(&request, body.len()).unwrap_or((0, body.len()));
        counted.fetch_add((to - from) as u64, Ordering::Relaxed);
        let answer = ranged(&request, &body, "\"a\"");
        async move { answer }
    })
    .await;
    let edge = edge_of(dir.path(), &origin, &FLAGS).await;
    let total = whole.len();
    let ranges = (0..1_000u64).map(|i| {
        let from = (i.wrapping_mul(6_364_136_223_846_793_005) >> 20) as usize % total;
        (from, (from + 1 + (i as usize * 7_919) % 60_000).min(total))
    });
    stream::iter(ranges)
        .for_each_concurrent(25, async |(from, to)| {
            let (status, said, bytes) = part(&edge, "/large", &format!("bytes={from}-{}", to - 1)).await;
            assert_eq!(
                (status, said),
                (StatusCode::PARTIAL_CONTENT, format!("bytes {from}-{}/{total}", to - 1))
            );
            assert!(bytes == whole[from..to], "{from}-{to}");
        })
        .await;
    let (_, said, bytes) = part(&edge, "/large", "bytes=-1000").await;
    assert_eq!(
        (said, bytes.as_slice()),
        (format!("bytes {}-{}/{total}", total - 1_000, total - 1), &whole[total - 1_000..])
    );
    let (_, _, bytes) = part(&edge, "/large", "bytes=100000-900000").await;
    assert!(bytes == whole[100_000..=900_000], "over several slices");
    let (status, said, _) = part(&edge, "/large", &format!("bytes={total}-")).await;
    assert_eq!((status, said), (StatusCode::RANGE_NOT_SATISFIABLE, format!("bytes */{total}")));
    let (status, _, bytes) = part(&edge, "/large", "bytes=0-9,300000-300009").await;
    assert_eq!(status, StatusCode::PARTIAL_CONTENT);
    assert!(bytes.windows(10).any(|w| *w == whole[300_000..300_010]), "multipart/byteranges");

    let sent = sent.load(Ordering::Relaxed);
    assert!(sent as f64 <= total as f64 * 1.05, "the origin sent {sent} bytes for an object of {total}");
    let (fetched, misses) =
        (origin.asked("/large") as f64, edge.metric("sluice_edge_misses_total", &[]).await);
    assert!(fetched <= (total / SLICE + 2) as f64, "{fetched} fetches");
    assert_eq!(misses, edge.metric("sluice_edge_requests_total", &["outcome=\"miss\""]).await);
}

#[tokio::test]
async fn slices_of_two_generations_never_stand_in_one_body() {
    let dir = tempfile::tempdir().unwrap();
    let generation = Arc::new(AtomicU32::new(1));
    let (open, gate) = watch::channel(false);
    let now = Arc::clone(&generation);
    let origin = ScriptedOrigin::start(move |request| {
        let (now, mut gate) = (Arc::clone(&now), gate.clone());
        async move {
            // The later slices are held back until the object has changed.
            if range_of(&request, WHOLE).is_some_and(|(from, _)| from >= 2 * SLICE) {
                gate.wait_for(|open| *open).await.unwrap();
            }
            let number = now.load(Ordering::Relaxed);
            ranged(&request, &pattern(WHOLE, number), &format!("\"{number}\""))
        }
    })
    .await;
    let edge = edge_of(dir.path(), &origin, &FLAGS).await;
    let mut reader = Raw::get(edge.at.http.as_ref().unwrap(), "/large", "Range: bytes=0-2000000\r\n").await;
    assert!(reader.head().await.unwrap().starts_with("http/1.1 206"));
    let old = pattern(WHOLE, 1);
    assert!(reader.bytes(2 * SLICE).await.unwrap() == old[..2 * SLICE]);
    generation.store(2, Ordering::Relaxed);
    open.send(true).unwrap();
    assert_eq!(reader.rest().await.unwrap(), b"", "cut: the rest of it is nowhere any more");
    let (status, _, bytes) = part(&edge, "/large", "bytes=0-2000000").await;
    assert_eq!(status, StatusCode::PARTIAL_CONTENT);
    assert!(bytes == pattern(WHOLE, 2)[..=2_000_000], "begun anew");
}

#[tokio::test]
async fn a_parent_without_ranges_is_asked_once_for_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let whole = pattern(WHOLE, 5);
    let sent = whole.clone();
    let origin = ScriptedOrigin::start(move |_| {
        let answer = answer(200, &[("cache-control", "max-age=60")], sent.clone());
        async move { answer }
    })
    .await;
    let edge = edge_of(dir.path(), &origin, &FLAGS).await;
    for from in [3_000_000, 5, 1_000_000] {
        let (status, _, bytes) = part(&edge, "/plain", &format!("bytes={from}-{}", from + 99)).await;
        assert_eq!(status, StatusCode::PARTIAL_CONTENT);
        assert!(bytes == whole[from..from + 100]);
    }
    assert_eq!(origin.asked("/plain"), 1);
}

#[tokio::test]
async fn a_whole_that_is_too_large_to_keep_is_kept_in_slices() {
    let dir = tempfile::tempdir().unwrap();
    let origin =
        ScriptedOrigin::start(|request| async move { ranged(&request, &pattern(WHOLE, 6), "\"a\"") }).await;
    let flags = [FLAGS[0], ("cache.max_object_bytes", "1000000")];
    let edge = edge_of(dir.path(), &origin, &flags).await;
    for _ in 0..2 {
        let answer = client().get(format!("{}/large", edge.url())).send().await.unwrap();
        assert_eq!((answer.status(), answer.content_length()), (StatusCode::OK, Some(WHOLE as u64)));
        assert!(answer.bytes().await.unwrap() == pattern(WHOLE, 6));
        assert_eq!(origin.asked("/large"), 1 + WHOLE / SLICE, "each slice once, after one look");
    }
    let head = client().head(format!("{}/large", edge.url())).send().await.unwrap();
    assert_eq!((head.status(), header(&head, "content-length")), (StatusCode::OK, WHOLE.to_string()));
    assert_eq!(origin.asked("/large"), 2 + WHOLE / SLICE, "a head is asked for as a head");
}

#[tokio::test]
async fn a_large_whole_that_cannot_be_had_in_parts_after_all_passes_through() {
    let dir = tempfile::tempdir().unwrap();
    let fields = [("cache-control", "max-age=60"), ("accept-ranges", "bytes"), ("etag", "\"a\"")];
    let origin = ScriptedOrigin::start(move |_| async move { answer(200, &fields, pattern(WHOLE, 8)) }).await;
    let flags = [FLAGS[0], ("cache.max_object_bytes", "1000000")];
    let edge = edge_of(dir.path(), &origin, &flags).await;
    for _ in 0..2 {
        let answer = client().get(format!("{}/large", edge.url())).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(answer.bytes().await.unwrap() == pattern(WHOLE, 8));
    }
    assert!(origin.asked("/large") <= 4, "a look, a slice, and a whole each: {}", origin.asked("/large"));
}

#[tokio::test]
async fn invented_forms_and_queries_do_not_fill_the_cache() {
    let dir = tempfile::tempdir().unwrap();
    let fields = [("cache-control", "max-age=60"), ("vary", "x-form")];
    let origin = ScriptedOrigin::start(move |_| async move { answer(200, &fields, pattern(2_000, 7)) }).await;
    let edge = edge_of(
        dir.path(),
        &origin,
        &[("cache.memory_bytes", "2000000"), ("cache.max_object_bytes", "100000")],
    )
    .await;
    let http = client();
    for form in 0..100 {
        let asking = http.get(format!("{}/forms", edge.url())).header("x-form", form.to_string());
        assert_eq!(asking.send().await.unwrap().status(), StatusCode::OK);
    }
    let objects = edge.metric("sluice_edge_cache_objects", &[]).await;
    assert!(objects <= 33.0, "32 forms and what names them, not {objects}");
    for query in 0..1_500 {
        drop(http.get(format!("{}/queries?q={query}", edge.url())).send().await.unwrap());
    }
    let bytes = edge.metric("sluice_edge_cache_bytes", &[]).await;
    assert!(bytes <= 2_000_000.0, "within its memory, not {bytes}");
}
