//! Several control planes over one database: any answers, none is missed; and what a drain means for who watches.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use serde_json::{Value, json};
use sluice_storage::testing;
use sluice_tests::client::{self, client};
use sluice_tests::nodes;
use sluice_tests::origin::{ScriptedOrigin, answer, gated, pattern};
use sluice_tests::process::Process;
use sluice_tests::raw::Raw;
use sluice_tests::stack::{Engines, control_plane, lone_edge};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// A video's id; nobody here asks for its media.
const VIDEO: &str = "0000000000001";
/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

async fn table(plane: &str) -> Value {
    client().get(format!("{plane}/v1/routes?after=0")).send().await.unwrap().json().await.unwrap()
}

fn ready(table: &Value) -> usize {
    table["nodes"].as_array().map_or(0, |nodes| nodes.iter().filter(|node| node["state"] == "ready").count())
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < LIMIT, "never: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// An edge that reports to these control planes.
async fn edge(dir: &Path, name: &str, origin: &str, control: &str) -> Process {
    let mut edge = lone_edge(dir, name, origin, &[("control", control), ("report_ms", "200")]);
    edge.start().await;
    edge
}

/// Waits until a player can be sent to both edges.
async fn steerable(plane: &str) {
    nodes::steerable(2, async || {
        client::get(&format!("{plane}/v1/steering/view")).await.json().await.unwrap()
    })
    .await;
}

/// Where a player is sent: the pathways by preference, and the redirect.
async fn steered(plane: &str) -> (Vec<String>, String) {
    let manifest = client().get(format!("{plane}/steer/v/{VIDEO}")).send().await.unwrap();
    let manifest: Value = manifest.error_for_status().unwrap().json().await.unwrap();
    let order = manifest["PATHWAY-PRIORITY"].as_array().unwrap().iter();
    let order = order.map(|pathway| pathway.as_str().unwrap().to_owned()).collect();
    let redirect = client().get(format!("{plane}/r/{VIDEO}")).send().await.unwrap();
    assert_eq!(redirect.status(), 302);
    (order, redirect.headers()["location"].to_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_control_planes_one_is_killed_and_nobody_notices() {
    let dir = tempfile::tempdir().unwrap();
    let postgres = testing::Postgres::start().await;
    let engines = Engines { database: postgres.url(), ..Engines::embedded(dir.path()) };
    let origin =
        ScriptedOrigin::start(|_| async { answer(200, &[("cache-control", "no-store")], "here") }).await;
    let flags = [("origins", origin.url()), ("lease_ms", "3000".into())];
    let mut planes = vec![];
    for name in ["control-a", "control-b"] {
        let mut plane = control_plane(dir.path(), name, &engines, &flags);
        plane.start().await;
        planes.push(plane);
    }
    let (a, b) = (planes[0].url(), planes[1].url());
    let mut edges = vec![];
    for name in ["near-a", "near-b"] {
        edges.push(edge(dir.path(), name, &origin.url(), &format!("{a},{b}")).await);
    }
    until("both planes know both edges", async || {
        ready(&table(&a).await) == 2 && ready(&table(&b).await) == 2
    })
    .await;
    steerable(&b).await;
    let key = async |plane: &str| -> Value {
        client().get(format!("{plane}/v1/routes/key")).send().await.unwrap().json().await.unwrap()
    };
    assert_eq!(key(&a).await, key(&b).await, "the planes of one database sign with one key");

    // From here on a player is steered by the one that stays, and viewers ask both edges.
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let mut viewers = JoinSet::new();
    for url in [edges[0].url(), edges[1].url()] {
        let (stop, asked, b) = (Arc::clone(&stop), Arc::clone(&asked), b.clone());
        viewers.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let got = client().get(format!("{url}/x")).send().await.unwrap();
                assert_eq!(got.status(), 200);
                assert_eq!(steered(&b).await.0.len(), 3, "both edges and where one is");
                asked.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_millis(20)).await;
            }
        });
    }
    let mut reported = planes[1].metric("sluice_control_reports_total", &[]).await;
    planes[0].kill9();
    let killed = Instant::now();
    // Three leases: a node whose reports had gone to the other one alone would be gone by now.
    while killed.elapsed() < Duration::from_secs(9) {
        let now = table(&b).await;
        assert_eq!(ready(&now), 2, "{:?} after the kill: {now}", killed.elapsed());
        sleep(Duration::from_millis(50)).await;
    }
    let since = planes[1].metric("sluice_control_reports_total", &[]).await;
    assert!(since - reported >= 20.0, "both edges went on reporting: {reported}, {since}");
    reported = since;

    // A change is made where it can be, and the edges, which followed the other one, have it.
    let heavy = json!({ "nodes": { "near-a": { "weight": 3.0 } } });
    let put =
        client().put(format!("{b}/v1/config")).header("if-match", "\"0\"").json(&heavy).send().await.unwrap();
    assert_eq!(put.status(), 200);
    let version = table(&b).await["version"].clone();
    until("both edges follow the one that is left", async || {
        let nodes = client().get(format!("{b}/v1/nodes")).send().await.unwrap();
        let nodes: Value = nodes.json().await.unwrap();
        nodes["nodes"].as_array().unwrap().iter().all(|node| node["report"]["table_version"] == version)
    })
    .await;

    planes[0].start().await;
    until("the other is back, with all of it", async || table(&a).await["version"] == version).await;
    assert_eq!(key(&a).await, key(&b).await);
    stop.store(true, Ordering::Relaxed);
    while let Some(viewer) = viewers.join_next().await {
        viewer.unwrap();
    }
    let drained = client().post(format!("{a}/v1/nodes/near-a/drain")).send().await.unwrap();
    assert_eq!(drained.status(), 200);
    assert!(asked.load(Ordering::Relaxed) > 100);
    until("a drain at one is known at the other", async || ready(&table(&b).await) == 1).await;
    assert!(planes[1].metric("sluice_control_reports_total", &[]).await > reported);
}

#[tokio::test]
async fn who_watches_a_drained_edge_is_steered_elsewhere_and_open_streams_end_well() {
    let dir = tempfile::tempdir().unwrap();
    let (open, gate) = watch::channel(false);
    let whole = pattern(300_000, 3);
    let sent = whole.clone();
    let origin = ScriptedOrigin::start(move |request| {
        let slow = request.uri().path() == "/slow";
        let gate = if slow { gate.clone() } else { watch::channel(true).1 };
        let body = gated(sent[..100_000].to_vec(), gate, sent[100_000..].to_vec());
        async move { answer(200, &[("cache-control", "max-age=60"), ("content-length", "300000")], body) }
    })
    .await;
    let mut plane = control_plane(dir.path(), "control", &Engines::embedded(dir.path()), &[]);
    plane.start().await;
    let url = plane.url();
    let mut edges = vec![];
    for name in ["near-a", "near-b"] {
        let flags = [("control", url.as_str()), ("report_ms", "200"), ("watchdog_ms", "60000")];
        let mut edge = lone_edge(dir.path(), name, &origin.url(), &flags);
        edge.start().await;
        edges.push(edge);
    }
    until("both edges are ready", async || ready(&table(&url).await) == 2).await;
    steerable(&url).await;
    let (order, redirect) = steered(&url).await;
    let first = order[0].clone();
    let second = if first == "near-a" { "near-b" } else { "near-a" };
    let at = |name: &str| edges.iter().find(|edge| edge.name() == name).unwrap();
    assert!(redirect.starts_with(&at(&first).url()), "{redirect}");

    let mut watching = Raw::get(at(&first).at.http.as_ref().unwrap(), "/slow", "").await;
    watching.head().await.unwrap();
    assert_eq!(watching.bytes(100_000).await.unwrap(), whole[..100_000]);
    let drained = client().post(format!("{url}/v1/nodes/{first}/drain")).send().await.unwrap();
    assert_eq!(drained.status(), 200);
    let (order, redirect) = steered(&url).await;
    assert_eq!(order[0], second, "who asks next is sent elsewhere, at once");
    assert!(!order.contains(&first) && redirect.starts_with(&at(second).url()), "{order:?} {redirect}");
    let mine = format!("{url}/steer/v/{VIDEO}?_HLS_pathway={first}");
    let told: Value = client().get(mine).send().await.unwrap().json().await.unwrap();
    assert_eq!(told["PATHWAY-PRIORITY"][0], second, "also who is there now");
    open.send(true).unwrap();
    assert_eq!(watching.bytes(200_000).await.unwrap(), whole[100_000..], "what was open ends well");
    let still = client().get(format!("{}/other", at(&first).url())).send().await.unwrap();
    assert_eq!(still.status(), 200, "and who comes all the same is served");
    plane.kill9();
    plane.start().await;
    until("the drain outlives a kill", async || {
        let now = table(&url).await;
        let draining = |node: &&Value| node["state"] == "draining";
        now["nodes"].as_array().unwrap().iter().filter(draining).count() == 1
    })
    .await;
    let undone = client().delete(format!("{url}/v1/nodes/{first}/drain")).send().await.unwrap();
    assert_eq!(undone.status(), 200);
    until("it takes part again", async || ready(&table(&url).await) == 2).await;
}
