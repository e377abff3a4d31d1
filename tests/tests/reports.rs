//! Reports that are forged, replayed, of another time or absurd: refused, counted, harmless.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use serde_json::{Value, json};
use sluice_tests::client::client;
use sluice_tests::origin::{ScriptedOrigin, answer};
use sluice_tests::process::Process;
use sluice_tests::stack::{Engines, control_plane, lone_edge};
use sluice_wire::reports::{self, Signed};
use sluice_wire::token::mint::SigningKey;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, sleep};

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// A key in a file, and the same to sign with.
fn key(dir: &Path, name: &str) -> (String, SigningKey) {
    let (file, pem) = (dir.join(name), SigningKey::generate().unwrap());
    std::fs::write(&file, &pem).unwrap();
    (file.to_str().unwrap().to_owned(), SigningKey::from_pem(pem.as_bytes(), "k").unwrap())
}

fn report(node: &str, change: impl Fn(&mut Value)) -> Value {
    let mut report = json!({
        "node": node, "tier": "near", "site": "local", "weight": 1.0, "peer_url": "http://127.0.0.1:9",
        "public_url": "http://127.0.0.1:9", "ready": true, "counters": { "requests": 100 }, "log_seq": 0,
        "table_version": 0, "started_ms": 1, "at_ms": now_ms(),
    });
    change(&mut report);
    report
}

/// Sends a report as it is, signed or not.
async fn send(plane: &Process, to: &str, body: &Value, key: Option<&SigningKey>) -> u16 {
    let body = body.to_string();
    let request = client().post(format!("{}/v1/nodes/{to}/report", plane.url()));
    let request = request.header("content-type", "application/json");
    let request = match key {
        Some(key) => {
            let (key, signature) = reports::sign(Signed::Report, key, body.as_bytes());
            request.header(reports::KEY, key).header(reports::SIGNATURE, signature)
        }
        None => request,
    };
    let answer = request.body(body).send().await.unwrap();
    let status = answer.status().as_u16();
    if status != 200 {
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
    status
}

async fn states(plane: &Process) -> Value {
    let table = client().get(format!("{}/v1/routes?after=0", plane.url())).send().await.unwrap();
    let table: Value = table.json().await.unwrap();
    table["nodes"].as_array().unwrap().iter().map(|node| json!([node["node"], node["state"]])).collect()
}

/// Until the control plane goes by this report of a node: it reads what is kept four times a second.
async fn until_known(plane: &Process, report: &Value) {
    let begun = Instant::now();
    loop {
        let nodes = client().get(format!("{}/v1/nodes", plane.url())).send().await.unwrap();
        let nodes: Value = nodes.json().await.unwrap();
        let known = |node: &Value| {
            node["report"]["node"] == report["node"] && node["report"]["at_ms"] == report["at_ms"]
        };
        if nodes["nodes"].as_array().unwrap().iter().any(known) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(2), "it is read soon: {nodes}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn only_who_has_the_key_reports_and_nothing_false_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (file, ours) = key(dir.path(), "near-a.pem");
    let (_, shared) = key(dir.path(), "shared.pem");
    let (_, forger) = key(dir.path(), "forger.pem");
    let keys = json!([{ "key": ours.public(), "nodes": ["near-a"] }, { "key": shared.public() }]).to_string();
    let flags = [("report_keys", keys), ("lease_ms", "3000".into())];
    let mut plane = control_plane(dir.path(), "control", &Engines::embedded(dir.path()), &flags);
    plane.start().await;
    let origin = ScriptedOrigin::start(|_| async { answer(200, &[], "here") }).await;
    let (url, origin) = (plane.url(), origin.url());
    let flags = [("control", url.as_str()), ("report_ms", "100"), ("report_key_file", &file)];
    let mut edge = lone_edge(dir.path(), "near-a", &origin, &flags);
    edge.start().await;
    plane.until("sluice_control_nodes", &["state=\"ready\""], |count| count >= 1.0).await;

    let plain = |node: &str| report(node, |_| {});
    let refused = async |reason: &str| {
        plane.metric("sluice_control_reports_refused_total", &[&format!("reason=\"{reason}\"")]).await
    };
    assert_eq!(send(&plane, "evil", &plain("evil"), None).await, 401);
    assert_eq!(send(&plane, "evil", &plain("evil"), Some(&forger)).await, 401);
    assert_eq!(send(&plane, "near-a", &plain("near-a"), Some(&forger)).await, 401);
    assert_eq!(refused("forged").await, 3.0);
    assert_eq!(send(&plane, "evil", &plain("evil"), Some(&ours)).await, 403);
    assert_eq!(refused("other-node").await, 1.0);
    assert_eq!(send(&plane, "near-a", &plain("evil"), Some(&ours)).await, 422);
    for far in [now_ms() - 60_000, now_ms() + 60_000, 0] {
        let skewed = report("other", |r| r["at_ms"] = json!(far));
        assert_eq!(send(&plane, "other", &skewed, Some(&shared)).await, 422);
    }
    assert_eq!(refused("clock").await, 3.0);
    for (key, value) in [("weight", json!(1e300)), ("weight", json!(0)), ("log_seq", json!(u64::MAX))] {
        let absurd = report("other", |r| r[key] = value.clone());
        assert_eq!(send(&plane, "other", &absurd, Some(&shared)).await, 422, "{key} {value}");
    }
    assert_eq!(refused("absurd").await, 3.0);
    let without_number = report("other", |r| r["weight"] = json!("NaN"));
    assert_eq!(send(&plane, "other", &without_number, Some(&shared)).await, 422);
    assert!(refused("malformed").await >= 2.0);
    assert_eq!(states(&plane).await, json!([["near-a", "ready"]]), "nothing of all that was kept");

    // A node of the shared key: its own reports again, older ones, and counts that fall.
    let first = report("other", |_| {});
    assert_eq!(send(&plane, "other", &first, Some(&shared)).await, 200);
    let later = report("other", |r| r["at_ms"] = json!(now_ms() + 10));
    assert_eq!(send(&plane, "other", &later, Some(&shared)).await, 200);
    assert_eq!(send(&plane, "other", &later, Some(&shared)).await, 200, "the newest again changes nothing");
    until_known(&plane, &later).await;
    assert_eq!(send(&plane, "other", &first, Some(&shared)).await, 409, "a replay");
    assert_eq!(refused("replayed").await, 1.0);
    let fewer = report("other", |r| {
        r["counters"]["requests"] = json!(99);
        r["at_ms"] = json!(now_ms() + 20);
    });
    assert_eq!(send(&plane, "other", &fewer, Some(&shared)).await, 422);
    assert_eq!(refused("backwards").await, 1.0);
    assert!(plane.metric("sluice_control_nodes", &["state=\"ready\""]).await >= 1.0);
    plane.until("sluice_control_reports_total", &[], |count| count >= 10.0).await;
}
