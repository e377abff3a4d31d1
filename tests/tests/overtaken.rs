//! Fills that begin in one order and end in another: an edge that has shown a version of a document shows no older one
//! after it.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use sluice_tests::client::{client, header};
use sluice_tests::origin::{ScriptedOrigin, answer, broken, gated};
use sluice_tests::process::Process;
use sluice_tests::stack::lone_edge;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(20);
const REST: &str = " and the rest";

fn document(version: u64, control: &str, body: impl Into<Body>) -> Response {
    let version = format!("doc:1={version}");
    answer(200, &[("cache-control", control), ("surrogate-key", "doc:1"), ("sluice-version", &version)], body)
}

/// The doors of an origin: behind the first two an answer is held that was read at version 5, behind the last the second
/// part of a body of version 6.
struct Doors {
    early: watch::Sender<bool>,
    late: watch::Sender<bool>,
    body: watch::Sender<bool>,
    /// A permit for each answer that is held.
    held: Arc<Semaphore>,
}

impl Doors {
    fn new() -> Self {
        let shut = || watch::channel(false).0;
        Self { early: shut(), late: shut(), body: shut(), held: Arc::new(Semaphore::new(0)) }
    }

    /// The origin: version 4 first, then 6; and 5 for those who are known to it, once their door is open.
    async fn origin(&self) -> ScriptedOrigin {
        let (early, late, body) = (self.early.subscribe(), self.late.subscribe(), self.body.subscribe());
        let (held, plain) = (Arc::clone(&self.held), Arc::new(AtomicUsize::new(0)));
        ScriptedOrigin::start(move |request| {
            let known = request.headers().get("authorization").map(|field| field.as_bytes().to_vec());
            let door = known.map(|name| if name == b"Basic early" { early.clone() } else { late.clone() });
            let (held, plain, body) = (Arc::clone(&held), Arc::clone(&plain), body.clone());
            async move {
                if let Some(mut door) = door {
                    held.add_permits(1);
                    door.wait_for(|open| *open).await.unwrap();
                    return document(5, "public, max-age=60", "5");
                }
                match plain.fetch_add(1, Ordering::SeqCst) {
                    0 => document(4, "max-age=60", "4"),
                    _ => document(6, "public, max-age=60", gated(b"6".to_vec(), body, REST.into())),
                }
            }
        })
        .await
    }
}

/// Asks for the document; the answer once its head is there.
async fn ask(url: String, field: Option<(&'static str, &'static str)>) -> reqwest::Response {
    let asking =
        field.into_iter().fold(client().get(url), |asking, (name, value)| asking.header(name, value));
    let answer = timeout(LIMIT, asking.send()).await.unwrap().unwrap();
    assert_eq!(answer.status(), 200);
    answer
}

fn version(answer: &reqwest::Response) -> String {
    header(answer, "sluice-version")
}

async fn edge(dir: &Path, origin: &ScriptedOrigin) -> Process {
    // A body stands still for as long as its door is shut.
    let mut edge = lone_edge(dir, "edge", &origin.url(), &[("watchdog_ms", "20000")]);
    edge.start().await;
    edge
}

#[tokio::test]
async fn what_was_asked_for_earlier_and_comes_later_is_not_shown_after_what_is_newer() {
    let (dir, doors) = (tempfile::tempdir().unwrap(), Doors::new());
    let origin = doors.origin().await;
    let edge = edge(dir.path(), &origin).await;
    let url = format!("{}/doc", edge.url());
    let fetched = ["result=\"stored\""];
    assert_eq!(version(&ask(url.clone(), None).await), "doc:1=4");
    edge.until("sluice_edge_fetches_total", &fetched, |stored| stored == 1.0).await;

    // Two ask for themselves, and the origin reads version 5 for them, but holds it.
    let (mut early, mut late) = (JoinSet::new(), JoinSet::new());
    early.spawn(ask(url.clone(), Some(("authorization", "Basic early"))));
    late.spawn(ask(url.clone(), Some(("authorization", "Basic late"))));
    timeout(LIMIT, doors.held.acquire_many(2)).await.unwrap().unwrap().forget();

    // Version 6 is demanded, and shown as it comes.
    let newest = ask(url.clone(), Some(("sluice-at-least", "doc:1=6"))).await;
    assert_eq!(version(&newest), "doc:1=6");
    let next = ask(url.clone(), None).await;
    assert_eq!(version(&next), "doc:1=6", "what is kept still is older than what was shown");
    doors.early.send_replace(true);
    let early = timeout(LIMIT, early.join_next()).await.unwrap().unwrap().unwrap();
    assert_eq!(version(&early), "doc:1=6", "an answer that is overtaken by what is coming");
    doors.body.send_replace(true);
    for answer in [newest, next, early] {
        assert_eq!(timeout(LIMIT, answer.text()).await.unwrap().unwrap(), format!("6{REST}"));
    }

    // It is kept.
    edge.until("sluice_edge_fetches_total", &fetched, |stored| stored == 2.0).await;
    doors.late.send_replace(true);
    let late = timeout(LIMIT, late.join_next()).await.unwrap().unwrap().unwrap();
    assert_eq!(version(&late), "doc:1=6", "an answer that is overtaken by what is kept");
    assert_eq!(version(&ask(url, None).await), "doc:1=6");
    assert_eq!(origin.asked("/doc"), 4);
    assert_eq!(edge.metric("sluice_edge_fetches_total", &["result=\"overtaken\""]).await, 2.0);
}

#[tokio::test]
async fn what_stands_aside_serves_again_when_what_is_newer_does_not_come() {
    let (dir, gate) = (tempfile::tempdir().unwrap(), watch::channel(false).0);
    let (cut, plain) = (gate.subscribe(), AtomicUsize::new(0));
    let origin = ScriptedOrigin::start(move |_| {
        let first = plain.fetch_add(1, Ordering::SeqCst) == 0;
        let cut = cut.clone();
        async move {
            if first {
                return document(4, "max-age=60", "4");
            }
            let mut newer = document(6, "max-age=60", broken(b"6".to_vec(), cut));
            newer.headers_mut().insert("content-length", "100".parse().unwrap());
            newer
        }
    })
    .await;
    let edge = edge(dir.path(), &origin).await;
    let url = format!("{}/doc", edge.url());
    assert_eq!(version(&ask(url.clone(), None).await), "doc:1=4");
    edge.until("sluice_edge_fetches_total", &["result=\"stored\""], |stored| stored == 1.0).await;
    let newest = ask(url.clone(), Some(("sluice-at-least", "doc:1=6"))).await;
    assert_eq!(version(&newest), "doc:1=6");
    gate.send_replace(true);
    assert!(timeout(LIMIT, newest.text()).await.unwrap().is_err(), "it is cut");
    edge.until("sluice_edge_fetches_total", &["result=\"cut\""], |cut| cut == 1.0).await;
    assert_eq!(version(&ask(url, None).await), "doc:1=4", "what is kept is the best there is");
}

#[tokio::test]
async fn an_origin_that_is_behind_is_shown_as_it_answers_and_replaces_nothing() {
    let (dir, plain) = (tempfile::tempdir().unwrap(), AtomicUsize::new(0));
    let origin = ScriptedOrigin::start(move |_| {
        let first = plain.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if first {
                document(9, "max-age=0, stale-if-error=600", "9")
            } else {
                document(2, "max-age=60", "2")
            }
        }
    })
    .await;
    let edge = edge(dir.path(), &origin).await;
    let url = format!("{}/doc", edge.url());
    for (shown, stored) in [("doc:1=9", 1.0), ("doc:1=2", 2.0)] {
        assert_eq!(version(&ask(url.clone(), None).await), shown);
        edge.until("sluice_edge_fetches_total", &["result=\"stored\""], |now| now == stored).await;
    }
    assert_eq!(version(&ask(url, None).await), "doc:1=2");
    assert_eq!(origin.asked("/doc"), 3, "it is not kept over what is newer");
}

#[tokio::test]
async fn what_an_origin_confirms_whose_versions_went_back_is_kept_with_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let origin = ScriptedOrigin::start(|request| async move {
        let is_known = request.headers().get("if-none-match").is_some_and(|tag| tag == "\"a\"");
        let mut said = if is_known {
            document(2, "max-age=60", "")
        } else {
            document(9, "max-age=0, stale-if-error=600", "9")
        };
        if is_known {
            *said.status_mut() = StatusCode::NOT_MODIFIED;
        }
        said.headers_mut().insert("etag", HeaderValue::from_static("\"a\""));
        said
    })
    .await;
    let edge = edge(dir.path(), &origin).await;
    let url = format!("{}/doc", edge.url());
    assert_eq!(version(&ask(url.clone(), None).await), "doc:1=9");
    edge.until("sluice_edge_fetches_total", &["result=\"stored\""], |now| now == 1.0).await;
    for _ in 0..3 {
        let again = ask(url.clone(), None).await;
        assert_eq!(version(&again), "doc:1=2");
        assert_eq!(timeout(LIMIT, again.text()).await.unwrap().unwrap(), "9");
    }
    assert_eq!(origin.asked("/doc"), 2, "confirmed once, and kept");
}
