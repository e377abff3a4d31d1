//! A slow parent: another is asked beside it, for few of all fetches.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use sluice_tests::client::{bytes, client};
use sluice_tests::origin::{ScriptedOrigin, answer};
use sluice_tests::stack::lone_edge;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// What the slow one takes: longer than any hedge waits, and shorter than the edge's patience.
const SLOW: Duration = Duration::from_secs(6);

#[tokio::test]
async fn the_first_good_head_wins_and_few_fetches_are_doubled() {
    let dir = tempfile::tempdir().unwrap();
    let slow = Arc::new(AtomicBool::new(false));
    let is_slow = Arc::clone(&slow);
    let first = ScriptedOrigin::start(move |_| {
        let slow = is_slow.load(Ordering::Relaxed);
        async move {
            if slow {
                sleep(SLOW).await;
            }
            answer(200, &[("cache-control", "max-age=600")], "first")
        }
    })
    .await;
    let second =
        ScriptedOrigin::start(|_| async { answer(200, &[("cache-control", "max-age=600")], "second") }).await;
    let origins = format!("{},{}", first.url(), second.url());
    let mut edge = lone_edge(dir.path(), "edge", &origins, &[]);
    edge.start().await;
    for object in 0..20 {
        bytes(&format!("{}/quick/{object}", edge.url())).await;
    }
    let won = edge.metric("sluice_edge_hedges_total", &["result=\"won\""]).await;

    slow.store(true, Ordering::Relaxed);
    let begun = Instant::now();
    assert_eq!(bytes(&format!("{}/slow", edge.url())).await, b"second");
    assert!(begun.elapsed() < SLOW, "it did not wait for the slow one");
    assert_eq!(edge.metric("sluice_edge_hedges_total", &["result=\"won\""]).await, won + 1.0);
    assert_eq!(bytes(&format!("{}/slow", edge.url())).await, b"second", "and was kept");

    // Many at once: the budget says how many of them may be doubled.
    let http = client();
    let asking = (0..60).map(|object| http.get(format!("{}/many/{object}", edge.url())).send());
    let answers = futures::future::join_all(asking).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap().status().is_success()));
    let doubled = edge.metric("sluice_edge_hedges_total", &["result=\"won\""]).await
        + edge.metric("sluice_edge_hedges_total", &["result=\"lost\""]).await;
    assert!(doubled <= 10.0 + 0.1 * 81.0, "{doubled} of 81 fetches were doubled");
}
