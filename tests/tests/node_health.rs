//! An edge that reports that all is well and cannot be reached: seen by its public address, given nothing, taken back late.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests report a broken assumption by panicking"
)]

use serde_json::Value;
use sluice_tests::client::client;
use sluice_tests::origin::{ScriptedOrigin, answer};
use sluice_tests::process::free_port;
use sluice_tests::proxy::{Line, Proxy};
use sluice_tests::stack::{Engines, control_plane, lone_edge};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// What the table says of a node.
async fn node(plane: &str, name: &str) -> Value {
    let table = client().get(format!("{plane}/v1/routes?after=0")).send().await.unwrap();
    let table: Value = table.json().await.unwrap();
    let nodes = table["nodes"].as_array().cloned().unwrap_or_default();
    nodes.into_iter().find(|node| node["node"] == name).unwrap_or_default()
}

/// The percent of its weight that a node is given.
fn share(node: &Value) -> u64 {
    node["seat"]["health"].as_u64().unwrap_or(100)
}

/// Waits until a node's health is as it should be; how long that took.
async fn until(plane: &str, name: &str, health: u64) -> Duration {
    let begun = Instant::now();
    loop {
        let now = node(plane, name).await;
        if share(&now) == health && now["state"] == "ready" {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < LIMIT, "{name} never at {health}: {now}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_edge_that_cannot_be_reached_is_given_nothing_though_it_reports() {
    let dir = tempfile::tempdir().unwrap();
    let origin =
        ScriptedOrigin::start(|_| async { answer(200, &[("cache-control", "no-store")], "here") }).await;
    let flags = [
        ("health.look_ms", "100".to_owned()),
        ("health.probe_timeout_ms", "500".to_owned()),
        ("health.good_ms", "1000".to_owned()),
    ];
    let mut plane = control_plane(dir.path(), "control", &Engines::embedded(dir.path()), &flags);
    plane.start().await;
    let url = plane.url();
    let at = format!("127.0.0.1:{}", free_port());
    let line = Proxy::start(at.parse().unwrap());
    let public = line.url();
    let mut edges = vec![];
    for name in ["near-a", "near-b", "near-c"] {
        let mut flags = vec![("control", url.as_str()), ("report_ms", "100")];
        if name == "near-a" {
            flags.extend([("listen.http", at.as_str()), ("public_url", public.as_str())]);
        }
        let mut edge = lone_edge(dir.path(), name, &origin.url(), &flags);
        edge.start().await;
        edges.push(edge);
    }
    for name in ["near-a", "near-b", "near-c"] {
        until(&url, name, 100).await;
    }
    plane.until("sluice_control_probes_total", &["result=\"good\""], |count| count >= 6.0).await;
    let asked = origin.asked("/.well-known/sluice-health");
    assert_eq!(asked, 0, "an edge answers for itself");

    line.set(Line::Silent);
    let took = until(&url, "near-a", 0).await;
    println!("an edge that falls silent is given nothing after {:.0} ms", took.as_secs_f64() * 1e3);
    let nodes: Value = client().get(format!("{url}/v1/nodes")).send().await.unwrap().json().await.unwrap();
    assert_eq!(nodes["nodes"][0]["health"]["why"], "probe", "{nodes}");
    assert!(plane.metric("sluice_control_node_health", &["node=\"near-a\""]).await < 35.0);
    let begun = Instant::now();
    loop {
        let sent = client().get(format!("{url}/r/0000000000001")).send().await.unwrap();
        assert_eq!(sent.status(), 302);
        let to = sent.headers()["location"].to_str().unwrap().to_owned();
        if !to.starts_with(&public) {
            break;
        }
        assert!(begun.elapsed() < LIMIT, "players are still sent to {to}");
        sleep(Duration::from_millis(20)).await;
    }
    for other in ["near-b", "near-c"] {
        assert_eq!(share(&node(&url, other).await), 100);
    }

    line.set(Line::Up);
    until(&url, "near-a", 50).await;
    let took = until(&url, "near-a", 100).await;
    assert!(took >= Duration::from_millis(500), "a step at a time, each after a while: {took:?}");
}
