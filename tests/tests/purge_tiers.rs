//! An acknowledged purge is final in every tier: by URL, prefix and everything, soft and hard, also while the tier above
//! has not heard of it yet.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use axum::extract::Request;
use axum::response::Response;
use serde_json::{Value, json};
use sluice_tests::client::{self, header};
use sluice_tests::log::ScriptedLog;
use sluice_tests::origin::{ScriptedOrigin, answer};
use sluice_tests::process::Process;
use sluice_tests::stack::lone_edge;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// A page whose text is a number, of one validator whatever it says: who validates, keeps what he has.
fn page(now: &AtomicUsize, request: &Request) -> Response {
    let fields = [
        ("cache-control", "max-age=600, stale-while-revalidate=600"),
        ("etag", "\"same\""),
        ("no-vary-search", "params=(\"utm\")"),
    ];
    let fields = if request.uri().path() == "/search" { &fields[..] } else { &fields[..2] };
    if request.headers().contains_key("if-none-match") {
        return answer(304, fields, "");
    }
    answer(200, fields, now.load(Ordering::SeqCst).to_string())
}

/// One near edge below one shield, each with a feed of its own.
struct Tiers {
    now: Arc<AtomicUsize>,
    near: Process,
    shield: Process,
    logs: [ScriptedLog; 2],
    _others: [ScriptedOrigin; 2],
    _dir: TempDir,
}

impl Tiers {
    /// Without a feed, nothing that changes is pushed.
    async fn start(fed: bool) -> Self {
        let now = Arc::new(AtomicUsize::new(1));
        let logs = [ScriptedLog::start().await, ScriptedLog::start().await];
        let shown = Arc::clone(&now);
        let origin = ScriptedOrigin::start(move |request| ready(page(&shown, &request))).await;
        let of =
            |log: &ScriptedLog| if fed { format!("{},{}", origin.url(), log.url()) } else { origin.url() };
        let dir = tempfile::tempdir().unwrap();
        let mut shield = lone_edge(dir.path(), "shield-a", &of(&logs[1]), &[("tier", "shield")]);
        shield.start().await;
        let url = shield.url();
        let control = ScriptedOrigin::start(move |request| control(url.clone(), request)).await;
        let mut near = lone_edge(dir.path(), "near-a", &of(&logs[0]), &[("control", &control.url())]);
        near.start().await;
        let tiers = Self { now, near, shield, logs, _others: [origin, control], _dir: dir };
        for edge in [&tiers.near, &tiers.shield] {
            let live = f64::from(u8::from(fed));
            until("a live feed", async || edge.metric("sluice_edge_feed_live", &[]).await == live).await;
        }
        let followed = async || {
            let admin = tiers.near.at.admin.clone().unwrap();
            client::ask(format!("http://{admin}/readyz")).await.unwrap().status().is_success()
        };
        until("a route table", followed).await;
        tiers
    }

    /// Tells tiers (0 the near edge, 1 the shield) of a purge, and waits until they have applied it.
    async fn purge(&self, tiers: &[usize], data: Value) {
        for tier in tiers {
            let edge = [&self.near, &self.shield][*tier];
            let before = edge.metric("sluice_edge_events_total", &[]).await;
            let tag = if data.get("all").is_some() { "all" } else { "purged" };
            self.logs[*tier].purge(tag, 1, &data);
            until("an applied purge", async || edge.metric("sluice_edge_events_total", &[]).await > before)
                .await;
        }
    }

    fn becomes(&self, number: usize) {
        self.now.store(number, Ordering::SeqCst);
    }

    /// What a client of the near edge gets: the text, and what that edge's cache did.
    async fn get(&self, path: &str) -> (String, String) {
        let got = client::get(&format!("{}{path}", self.near.url())).await;
        let did = header(&got, "cache-status").rsplit(", ").next().unwrap_or_default().to_owned();
        (got.text().await.unwrap(), did)
    }
}

async fn control(shield: String, request: Request) -> Response {
    match request.uri().path_and_query().map(|p| p.as_str()) {
        Some("/v1/routes?after=0") => {
            let node = json!({
                "node": "shield-a", "tier": "shield", "site": "local", "state": "ready", "weight": 1.0,
                "peer_url": shield, "public_url": shield,
            });
            answer(200, &[], json!({ "version": 1, "nodes": [node], "origins": [] }).to_string())
        }
        Some(routes) if routes.starts_with("/v1/routes") => {
            sleep(Duration::from_secs(25)).await;
            answer(304, &[], "")
        }
        _ => answer(200, &[], "{}"),
    }
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < Duration::from_secs(15), "never {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_purge_is_final_though_the_tier_above_has_not_heard_of_it() {
    let tiers = Tiers::start(true).await;
    assert_eq!(tiers.get("/a/b?c").await.0, "1");
    assert!(tiers.get("/a/b?c").await.1.contains("; hit"));

    // Only the near edge has heard: the shield's copy, and its validator, are not good enough.
    tiers.becomes(2);
    tiers.purge(&[0], json!({ "url": "/a/b?c" })).await;
    assert_eq!(tiers.get("/a/b?c").await.0, "2");
    assert!(tiers.get("/a/b?c").await.1.contains("; hit"));
    assert_eq!(tiers.shield.metric("sluice_edge_catch_ups_total", &["bypassed"]).await, 1.0);

    // The shield hears of it while the near edge asks.
    tiers.becomes(3);
    tiers.purge(&[0], json!({ "prefix": "/a" })).await;
    let catching_up = async {
        tiers.logs[1].purge("purged", 1, &json!({ "url": "/a/b?c" }));
        tiers.logs[1].purge("purged", 2, &json!({ "prefix": "/a" }));
    };
    let (got, ()) = tokio::join!(tiers.get("/a/b?c"), catching_up);
    assert_eq!(got.0, "3");
    assert!(tiers.get("/a/b?c").await.1.contains("; hit"));

    // What lies beside the prefix stays, until everything goes.
    assert_eq!(tiers.get("/ab").await.0, "3");
    tiers.becomes(4);
    tiers.purge(&[1, 0], json!({ "prefix": "/a" })).await;
    assert_eq!((tiers.get("/ab").await.0, tiers.get("/a/b?c").await.0), ("3".into(), "4".into()));
    tiers.becomes(5);
    tiers.purge(&[1, 0], json!({ "all": true })).await;
    assert_eq!(tiers.get("/ab").await.0, "5");
}

#[tokio::test]
async fn a_purge_by_any_spelling_of_a_query_is_final_in_every_tier() {
    let tiers = Tiers::start(true).await;
    assert_eq!(tiers.get("/search?utm=1&q=a").await.0, "1");
    assert!(tiers.get("/search?utm=2&q=a").await.1.contains("; hit"));
    tiers.becomes(2);
    tiers.purge(&[1, 0], json!({ "url": "/search?utm=3&q=a" })).await;
    assert_eq!(tiers.get("/search?utm=4&q=a").await.0, "2");
    assert!(tiers.get("/search?q=a").await.1.contains("; hit"));
    // Also while the shield has not heard of it.
    tiers.becomes(3);
    tiers.purge(&[0], json!({ "url": "/search?q=a&utm=5" })).await;
    assert_eq!(tiers.get("/search?utm=6&q=a").await.0, "3");
}

#[tokio::test]
async fn a_soft_purge_lets_copies_be_validated_and_served_meanwhile() {
    let tiers = Tiers::start(true).await;
    assert_eq!(tiers.get("/soft").await.0, "1");
    tiers.becomes(2);
    tiers.purge(&[1, 0], json!({ "url": "/soft", "soft": true })).await;
    let (text, did) = tiers.get("/soft").await;
    assert!(text == "1" && did.contains("served-stale"), "{text} {did}");
    // Validated at last in both tiers: the origin says that it is the same.
    until("fresh again", async || tiers.get("/soft").await.1.contains("; hit; ttl")).await;
    assert_eq!(tiers.get("/soft").await.0, "1");
    // A hard one does not ask whether it is the same.
    tiers.purge(&[1, 0], json!({ "url": "/soft" })).await;
    assert_eq!(tiers.get("/soft").await.0, "2");
}

#[tokio::test]
async fn an_unsafe_request_passes_every_tier_that_keeps_what_it_changes() {
    let mut tiers = Tiers::start(false).await;
    assert_eq!(tiers.get("/form").await.0, "1");
    tiers.becomes(2);
    let post = async |tiers: &Tiers| {
        let posted =
            client::client().post(format!("{}/form", tiers.near.url())).body("x=1").send().await.unwrap();
        assert_eq!(posted.status(), 200);
        header(&posted, "cache-status")
    };
    assert!(post(&tiers).await.starts_with("shield-a; fwd=method, near-a"));
    assert_eq!(tiers.get("/form").await.0, "2", "neither tier gives what it held before");
    // A shield that is gone holds nothing up: nothing of the request was sent to it.
    tiers.shield.kill9();
    assert!(post(&tiers).await.starts_with("near-a; fwd=method"));
}

#[tokio::test]
async fn an_edge_alone_is_purged_at_its_admin_listener() {
    let now = Arc::new(AtomicUsize::new(1));
    let shown = Arc::clone(&now);
    let origin = ScriptedOrigin::start(move |request| ready(page(&shown, &request))).await;
    let dir = tempfile::tempdir().unwrap();
    let mut edge = lone_edge(dir.path(), "lone", &origin.url(), &[]);
    edge.start().await;
    let url = format!("{}/page", edge.url());
    let purge = async |body: Value| {
        let admin = edge.at.admin.clone().unwrap();
        client::client().post(format!("http://{admin}/purge")).json(&body).send().await.unwrap()
    };
    for (number, body) in [
        json!({ "urls": ["/page"] }),
        json!({ "urls": [url] }),
        json!({ "prefixes": ["/"] }),
        json!({ "everything": true }),
    ]
    .into_iter()
    .enumerate()
    {
        let before = client::bytes(&url).await;
        assert!(header(&client::get(&url).await, "cache-status").contains("; hit"));
        now.store(number + 2, Ordering::SeqCst);
        assert_eq!(purge(body.clone()).await.status(), 200);
        assert_ne!(client::bytes(&url).await, before, "{body}");
    }
    assert_eq!(purge(json!({})).await.status(), 400);
    assert_eq!(purge(json!({ "urls": ["page"] })).await.status(), 400);
    let plain = format!("http://{}/purge", edge.at.admin.clone().unwrap());
    let plain = client::client().post(plain).body("{\"everything\":true}").send().await.unwrap();
    assert_eq!(plain.status(), 415, "no page of another origin can send this");
    assert_eq!(edge.metric("sluice_edge_purges_total", &["hard"]).await, 4.0);
}
