//! No-Vary-Search: queries that an origin says are alike are one object, for exactly as long as it says so, at one host.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use axum::extract::Request;
use axum::response::Response;
use futures::future::join_all;
use serde_json::json;
use sluice_tests::client::{client, header};
use sluice_tests::origin::{ScriptedOrigin, answer, pattern, range_of};
use sluice_tests::process::Process;
use sluice_tests::stack::lone_edge;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const RULE: &str = "params=(\"utm\"), key-order";

/// A page that says what was searched for, and which edition of it this is.
fn page(request: &Request, edition: usize, rule: &str) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let mut counted: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("utm=")).collect();
    counted.sort_unstable();
    let fields = [("cache-control", "max-age=600"), ("etag", "\"same\""), ("no-vary-search", rule)];
    let fields = if rule.is_empty() { &fields[..2] } else { &fields };
    answer(200, fields, format!("{edition} {}", counted.join("&")))
}

struct Site {
    edition: Arc<AtomicUsize>,
    origin: ScriptedOrigin,
    edge: Process,
    _dir: tempfile::TempDir,
}

impl Site {
    /// `rule` is what the origin says at a host.
    async fn start(rule: fn(&Request) -> &'static str) -> Self {
        let edition = Arc::new(AtomicUsize::new(1));
        let shown = Arc::clone(&edition);
        let origin = ScriptedOrigin::start(move |request| {
            ready(page(&request, shown.load(Ordering::SeqCst), rule(&request)))
        })
        .await;
        let dir = tempfile::tempdir().unwrap();
        let mut edge = lone_edge(dir.path(), "edge", &origin.url(), &[]);
        edge.start().await;
        Self { edition, origin, edge, _dir: dir }
    }

    /// What a client gets: the text, and what the cache did.
    async fn get(&self, target: &str) -> (String, String) {
        self.at("", target).await
    }

    async fn at(&self, host: &str, target: &str) -> (String, String) {
        let asking = client().get(format!("{}{target}", self.edge.url()));
        let asking = if host.is_empty() { asking } else { asking.header("host", host) };
        let answer = asking.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{target}");
        let did = header(&answer, "cache-status");
        (answer.text().await.unwrap(), did)
    }

    async fn purge(&self, url: &str) {
        let admin = self.edge.at.admin.clone().unwrap();
        let purge = client().post(format!("http://{admin}/purge")).json(&json!({ "urls": [url] }));
        assert_eq!(purge.send().await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn queries_that_are_alike_are_one_object_and_one_purge() {
    let site = Site::start(|_| RULE).await;
    let spellings =
        ["/search?utm=1&q=a&r=2", "/search?r=2&q=a&utm=2", "/search?q=a&r=2", "/search?%71=a&&r=2&utm"];
    for spelling in spellings {
        assert_eq!(site.get(spelling).await.0, "1 q=a&r=2", "{spelling}");
    }
    assert_eq!(site.origin.asked_in_all(), 1, "one object");
    assert_eq!(site.get("/search?utm=1&q=b").await.0, "1 q=b", "another");
    let many =
        (0..40).map(|n| site.at("", if n % 2 == 0 { "/search?q=c&utm=1" } else { "/search?utm=2&q=c" }));
    assert!(join_all(many).await.iter().all(|(text, _)| text == "1 q=c"));
    assert_eq!(site.origin.asked_in_all(), 3, "askers of one class wait for one fetch");
    assert_eq!(site.edge.metric("sluice_edge_searches", &[]).await, 1.0);

    // Any spelling purges them all, and nothing else.
    for (edition, spelling) in ["/search?utm=9&r=2&q=a", spellings[2], spellings[3]].into_iter().enumerate() {
        let edition = edition + 2;
        site.edition.store(edition, Ordering::SeqCst);
        site.purge(spelling).await;
        for spelling in spellings {
            assert_eq!(site.get(spelling).await.0, format!("{edition} q=a&r=2"), "{spelling}");
        }
        assert!(site.get(spellings[1]).await.1.contains("; hit"));
    }
    assert_eq!(site.get("/search?q=b").await.0, "1 q=b");

    // So does what changes it.
    site.edition.store(7, Ordering::SeqCst);
    let posting = client().post(format!("{}/search?utm=5&q=b", site.edge.url()));
    assert_eq!(posting.send().await.unwrap().status(), 200);
    assert_eq!(site.get("/search?q=b&utm=6").await.0, "7 q=b");
}

#[tokio::test]
async fn what_one_host_says_is_said_of_no_other() {
    let says = |request: &Request| {
        let host = request.headers().get("host").and_then(|host| host.to_str().ok());
        if host == Some("a.example") { RULE } else { "" }
    };
    let site = Site::start(says).await;
    for utm in 1..=3 {
        for host in ["a.example", "b.example"] {
            assert_eq!(site.at(host, &format!("/search?utm={utm}&q=a")).await.0, "1 q=a");
            assert_eq!(site.at(host, &format!("/other?utm={utm}&q=a")).await.0, "1 q=a");
        }
    }
    let asked = |target: &str| site.origin.asked(target);
    assert_eq!(asked("/search?utm=1&q=a"), 2, "each host for itself");
    assert_eq!(
        (asked("/search?utm=2&q=a"), asked("/search?utm=3&q=a")),
        (1, 1),
        "b.example has said nothing"
    );
    assert_eq!(site.edge.metric("sluice_edge_searches", &[]).await, 2.0, "two paths of one host");
}

#[tokio::test]
async fn an_answer_that_says_nothing_is_for_its_own_spelling() {
    let says = |request: &Request| {
        if request.uri().query().unwrap_or_default().contains("plain") { "" } else { RULE }
    };
    let site = Site::start(says).await;
    assert_eq!(site.get("/search?utm=1&q=a").await.0, "1 q=a");
    for round in 0..2 {
        for utm in ["1", "2", "3"] {
            let (text, did) = site.get(&format!("/search?utm={utm}&q=plain")).await;
            assert_eq!((text.as_str(), did.contains("; hit")), ("1 q=plain", round == 1), "{utm}");
        }
    }
    assert_eq!(site.origin.asked_in_all(), 4, "each spelling once");
    let many = (0..30)
        .map(|n| site.at("", if n % 2 == 0 { "/search?utm=4&r=plain" } else { "/search?r=plain&utm=5" }));
    assert!(join_all(many).await.iter().all(|(text, _)| text == "1 r=plain"));
}

#[tokio::test]
async fn a_large_object_is_one_in_slices_too() {
    const WHOLE: usize = 1 << 20;
    let dir = tempfile::tempdir().unwrap();
    let whole = Arc::new(pattern(WHOLE, 3));
    let body = Arc::clone(&whole);
    let origin = ScriptedOrigin::start(move |request| {
        let (from, to) = range_of(&request, WHOLE).unwrap_or((0, WHOLE));
        let range = format!("bytes {from}-{}/{WHOLE}", to - 1);
        let fields = [
            ("cache-control", "max-age=60"),
            ("accept-ranges", "bytes"),
            ("etag", "\"a\""),
            ("no-vary-search", RULE),
            ("content-range", &range),
        ];
        ready(answer(206, &fields, body[from..to].to_vec()))
    })
    .await;
    let mut edge = lone_edge(dir.path(), "edge", &origin.url(), &[("cache.slice_bytes", "262144")]);
    edge.start().await;
    for utm in 1..=5 {
        let asking = client().get(format!("{}/film.mp4?utm={utm}&v=2", edge.url()));
        let answer = asking.header("range", "bytes=1000-599999").send().await.unwrap();
        assert_eq!(answer.status(), 206);
        assert!(answer.bytes().await.unwrap() == whole[1_000..600_000]);
    }
    assert_eq!(origin.asked_in_all(), 3, "each slice once");
}
