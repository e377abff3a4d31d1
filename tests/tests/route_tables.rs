//! Route tables on their way: signed, told as what changed, refused when anything is wrong with them, and soon everywhere.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests report a broken assumption by panicking"
)]

use serde_json::{Value, json};
use sluice_tests::client::{ask, client};
use sluice_tests::origin::{ScriptedOrigin, answer};
use sluice_tests::process::Process;
use sluice_tests::stack::{Engines, control_plane, lone_edge};
use sluice_wire::RouteTable;
use sluice_wire::published::{CHANGES, Document, Message};
use sluice_wire::token::mint::SigningKey;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Barrier, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// Followers of one control plane.
const FOLLOWERS: usize = 100;

fn key() -> SigningKey {
    SigningKey::from_pem(SigningKey::generate().unwrap().as_bytes(), "k").unwrap()
}

/// A table that names nobody, signed.
fn signed(version: u64, key: &SigningKey) -> String {
    let table = RouteTable { version, ..RouteTable::default() };
    let document = Document::of(&table);
    String::from_utf8(document.message(Some(&document.sign(key)))).unwrap()
}

/// A control plane that answers with whatever it was told last, and says which version it was asked after.
struct Plane {
    server: ScriptedOrigin,
    says: watch::Sender<String>,
    asked_after: watch::Receiver<u64>,
}

impl Plane {
    async fn start(first: String) -> Self {
        let says = watch::Sender::new(first);
        let (heard, asked_after) = watch::channel(0);
        let said = says.subscribe();
        let server = ScriptedOrigin::start(move |request| {
            let (mut said, heard) = (said.clone(), heard.clone());
            async move {
                if request.uri().path() != "/v1/routes" {
                    return answer(200, &[("content-type", "application/json")], "{}");
                }
                let query = request.uri().query().unwrap_or_default().to_owned();
                let after: u64 = query.trim_start_matches("after=").parse().unwrap();
                heard.send_replace(after);
                let known = said.borrow_and_update().clone();
                if known.contains(&format!("\"version\":{after}")) {
                    drop(timeout(Duration::from_secs(20), said.changed()).await);
                }
                let now = said.borrow().clone();
                answer(200, &[("content-type", "application/json")], now)
            }
        })
        .await;
        Self { server, says, asked_after }
    }

    /// Waits until the edge asks for what is newer than a version.
    async fn follows(&self, version: u64) {
        let mut asked = self.asked_after.clone();
        let found = timeout(Duration::from_secs(20), asked.wait_for(|after| *after == version)).await;
        found.unwrap_or_else(|_| panic!("never at {version}")).unwrap();
    }
}

async fn ready(edge: &Process) -> bool {
    let admin = edge.at.admin.as_ref().unwrap();
    ask(format!("http://{admin}/readyz")).await.is_ok_and(|answer| answer.status().is_success())
}

#[tokio::test]
async fn a_table_with_anything_wrong_is_refused_by_reason_and_the_last_good_one_serves() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (key(), key());
    let plane = Plane::start(signed(5, &ours)).await;
    let origin =
        ScriptedOrigin::start(|_| async { answer(200, &[("cache-control", "no-store")], "here") }).await;
    let pinned = ours.public();
    let url = plane.server.url();
    let flags = [("control", url.as_str()), ("control_keys", pinned.as_str())];
    let mut edge = lone_edge(dir.path(), "edge", &origin.url(), &flags);
    edge.start().await;
    plane.follows(5).await;

    let bad_content = {
        let table = RouteTable { version: 6, origins: vec!["file:///etc".into()], ..RouteTable::default() };
        let document = Document::of(&table);
        String::from_utf8(document.message(Some(&document.sign(&ours)))).unwrap()
    };
    let unsigned =
        String::from_utf8(Document::of(&RouteTable { version: 6, ..RouteTable::default() }).message(None));
    for (reason, text) in [
        ("key", signed(6, &theirs)),
        ("signature", signed(6, &ours).replace("\"version\":6", "\"version\":7")),
        ("older", signed(4, &ours)),
        ("format", signed(6, &ours).replace("\"format\":1", "\"format\":2")),
        ("unsigned", unsigned.unwrap()),
        ("content", bad_content),
        ("malformed", "<html>".to_owned()),
    ] {
        plane.says.send_replace(text);
        let label = format!("reason=\"{reason}\"");
        edge.until("sluice_edge_tables_refused_total", &[&label], |count| count >= 1.0).await;
        plane.follows(5).await;
        assert!(ready(&edge).await, "{reason}");
        let got = client().get(format!("{}/x", edge.url())).send().await.unwrap();
        assert_eq!(got.status(), 200, "{reason}");
    }
    plane.says.send_replace(signed(8, &ours));
    plane.follows(8).await;

    // Nobody is there when it starts again: it goes on with what it kept, unless that was touched.
    edge.kill9();
    let file = dir.path().join("edge/routes.json");
    let nobody = "http://127.0.0.1:9";
    edge.set("control", nobody);
    edge.start().await;
    assert!(ready(&edge).await, "by the table on disk");
    edge.kill9();
    let kept = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, kept.replace("\"version\":8", "\"version\":9")).unwrap();
    edge.start().await;
    assert_eq!(edge.metric("sluice_edge_tables_refused_total", &["reason=\"signature\""]).await, 1.0);
    assert!(!ready(&edge).await);
}

#[tokio::test]
async fn the_first_key_is_trusted_for_good_where_none_is_configured() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (key(), key());
    let plane = Plane::start(signed(5, &ours)).await;
    let origin = ScriptedOrigin::start(|_| async { answer(200, &[], "here") }).await;
    let mut edge = lone_edge(dir.path(), "edge", &origin.url(), &[("control", &plane.server.url())]);
    edge.start().await;
    plane.follows(5).await;
    edge.kill9();
    plane.says.send_replace(signed(6, &theirs));
    edge.start().await;
    edge.until("sluice_edge_tables_refused_total", &["reason=\"key\""], |count| count >= 1.0).await;
    assert!(ready(&edge).await);
    plane.says.send_replace(signed(7, &ours));
    plane.follows(7).await;
}

/// A follower as an edge is one: applies what it is told, checks what it has then, and asks for what is newer.
async fn follow(base: String, key: String, barrier: Arc<Barrier>, wanted: f64) -> (Instant, bool) {
    let http = client();
    let mut document = Document::default();
    let mut by_changes = false;
    loop {
        let asked =
            http.get(format!("{base}/v1/routes?after={}", document.version())).header("accept", CHANGES);
        if document.version() > 0 && document.table().unwrap().nodes.len() == FOLLOWERS && !by_changes {
            by_changes = true;
            barrier.wait().await;
        }
        let answer = asked.send().await.unwrap();
        if answer.status() == 304 {
            continue;
        }
        let text = answer.bytes().await.unwrap();
        let (next, signature, changes) = match Message::read(&text).unwrap() {
            Message::Whole(next, signature) => (next, signature.unwrap(), false),
            Message::Changes(changes, signature) => (document.with(&changes).unwrap(), signature, true),
        };
        signature.check(&next, std::slice::from_ref(&key)).unwrap();
        document = next;
        if document.table().unwrap().nodes[0].weight == wanted {
            return (Instant::now(), changes);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_reaches_a_hundred_edges_in_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let flags = [("lease_ms", "600000".to_owned()), ("health.look_ms", "0".to_owned())];
    let mut plane = control_plane(dir.path(), "control", &Engines::embedded(dir.path()), &flags);
    plane.start().await;
    let base = plane.url();
    for n in 0..FOLLOWERS {
        let node = format!("edge-{n:03}");
        let url = format!("http://{node}.test");
        let report = json!({
            "node": node, "tier": "near", "site": "local", "weight": 1.0, "peer_url": url, "public_url": url,
            "ready": true, "counters": {}, "log_seq": 0, "table_version": 0, "started_ms": 1,
        });
        let sent =
            client().post(format!("{base}/v1/nodes/{node}/report")).json(&report).send().await.unwrap();
        assert_eq!(sent.status(), 200);
    }
    let key: Value = ask(format!("{base}/v1/routes/key")).await.unwrap().json().await.unwrap();
    let barrier = Arc::new(Barrier::new(FOLLOWERS + 1));
    let mut followers = JoinSet::new();
    for _ in 0..FOLLOWERS {
        let key = key["key"].as_str().unwrap().to_owned();
        followers.spawn(follow(base.clone(), key, Arc::clone(&barrier), 7.0));
    }
    timeout(Duration::from_secs(60), barrier.wait()).await.expect("all follow");
    plane.until("sluice_control_waiting", &[], |waiting| waiting >= FOLLOWERS as f64).await;
    let config = json!({ "nodes": { "edge-000": { "weight": 7.0 } } });
    let begun = Instant::now();
    let put = client()
        .put(format!("{base}/v1/config"))
        .header("if-match", "\"0\"")
        .json(&config)
        .send()
        .await
        .unwrap();
    assert_eq!(put.status(), 200);
    let seen = timeout(Duration::from_secs(60), followers.join_all()).await.expect("everybody heard");
    let mut took: Vec<Duration> = seen.iter().map(|(at, _)| at.duration_since(begun)).collect();
    took.sort();
    let by_changes = seen.iter().filter(|(_, changes)| *changes).count();
    println!(
        "a change at {FOLLOWERS} followers: half after {:.0} ms, all after {:.0} ms; {by_changes} were told what changed alone",
        took[FOLLOWERS / 2].as_secs_f64() * 1e3,
        took[FOLLOWERS - 1].as_secs_f64() * 1e3,
    );
    assert_eq!(by_changes, FOLLOWERS);
    // The aim is a second; machines that do much else are given more.
    assert!(took[FOLLOWERS - 1] < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn real_edges_follow_by_changes() {
    let dir = tempfile::tempdir().unwrap();
    let mut plane = control_plane(dir.path(), "control", &Engines::embedded(dir.path()), &[]);
    plane.start().await;
    let origin = ScriptedOrigin::start(|_| async { answer(200, &[], "here") }).await;
    let url = plane.url();
    let mut edges = vec![];
    for name in ["near-a", "near-b", "near-c"] {
        let mut edge = lone_edge(dir.path(), name, &origin.url(), &[("control", &url), ("report_ms", "100")]);
        edge.start().await;
        edges.push(edge);
    }
    let version = async || {
        let table: Value = ask(format!("{url}/v1/routes?after=0")).await.unwrap().json().await.unwrap();
        (table["version"].as_u64().unwrap(), table["nodes"].as_array().unwrap().len())
    };
    let begun = Instant::now();
    while version().await.1 < 3 {
        assert!(begun.elapsed() < Duration::from_secs(20));
        sleep(Duration::from_millis(20)).await;
    }
    let drained = client().post(format!("{url}/v1/nodes/near-b/drain")).send().await.unwrap();
    assert_eq!(drained.status(), 200);
    for edge in &edges {
        edge.until("sluice_edge_tables_total", &["form=\"changes\""], |count| count >= 1.0).await;
        assert_eq!(edge.metric("sluice_edge_tables_refused_total", &[]).await, 0.0);
    }
    let nodes = async || -> Value { ask(format!("{url}/v1/nodes")).await.unwrap().json().await.unwrap() };
    let begun = Instant::now();
    loop {
        let (told, now) = (nodes().await, version().await.0);
        if told["nodes"].as_array().unwrap().iter().all(|node| node["report"]["table_version"] == now) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "all follow {now}: {told}");
        sleep(Duration::from_millis(20)).await;
    }
}
