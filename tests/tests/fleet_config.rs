//! The fleet's configuration as data: who may change it, against which version, and how it comes back.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use http::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sluice_tests::client::{client, header};
use sluice_tests::origin::{ScriptedOrigin, answer};
use sluice_tests::process::{Process, binary};
use sluice_tests::programs::printed;
use sluice_tests::stack::{Engines, control_plane, lone_edge};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A control plane, and what is asked of it.
struct Plane {
    process: Process,
}

impl Plane {
    /// On SQLite; with an administrator `ann` and a viewer `eve`, whose tokens are their names.
    async fn start(dir: &Path) -> Self {
        let of = |name: &str, role: &str| json!({ "name": name, "role": role, "token_sha256": hex::encode(Sha256::digest(name)) });
        let operators = json!([of("ann", "admin"), of("eve", "viewer"), of("bob", "operator")]).to_string();
        let flags = [("operators", operators), ("origins", "http://127.0.0.1:9".into())];
        let mut process = control_plane(dir, "control", &Engines::embedded(dir), &flags);
        process.start().await;
        Self { process }
    }

    async fn ask(&self, who: &str, method: Method, path: &str, from: &str, body: &Value) -> (u16, Value) {
        let request = client().request(method, format!("{}{path}", self.process.url())).bearer_auth(who);
        let request = if from.is_empty() { request } else { request.header("if-match", from) };
        let answer = if body.is_null() { request.send().await } else { request.json(body).send().await };
        let answer = answer.unwrap();
        (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default())
    }

    async fn get(&self, who: &str, path: &str) -> (u16, Value) {
        self.ask(who, Method::GET, path, "", &Value::Null).await
    }

    async fn put(&self, who: &str, from: &str, config: &Value) -> (u16, Value) {
        self.ask(who, Method::PUT, "/v1/config?note=a+story", from, config).await
    }

    async fn sluice(&self, args: &[&str]) -> Output {
        let mut command = Command::new(binary("sluice"));
        command.args(args).env("SLUICE_CONTROL", self.process.url()).env("SLUICE_TOKEN", "ann");
        command.stdin(Stdio::null());
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// What a node of the table is said to be, once it is so.
    async fn until(&self, node: &str, good: impl Fn(&Value) -> bool) {
        let begun = Instant::now();
        loop {
            let table: Value = sluice_tests::client::ask(format!("{}/v1/routes?after=0", self.process.url()))
                .await
                .unwrap()
                .json()
                .await
                .unwrap();
            let nodes = table["nodes"].as_array().unwrap();
            if nodes.iter().any(|n| n["node"] == node && good(n)) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{table}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

#[track_caller]
fn said(output: &Output) -> String {
    printed("sluice", output)
}

#[tokio::test]
async fn a_change_is_made_against_a_version_by_whoever_may_and_is_written_down() {
    let dir = tempfile::tempdir().unwrap();
    let plane = Plane::start(dir.path()).await;
    let heavy = |weight: f64| json!({ "nodes": { "near-a": { "weight": weight } } });
    assert_eq!(plane.get("nobody", "/v1/config").await.0, 401);
    assert_eq!(plane.put("eve", "\"0\"", &heavy(2.0)).await.0, 403);
    assert_eq!(plane.put("bob", "\"0\"", &heavy(2.0)).await.0, 403);
    assert_eq!(plane.put("ann", "", &heavy(2.0)).await.0, 428);
    let first = plane.put("ann", "\"0\"", &heavy(2.0)).await;
    assert_eq!((first.0, &first.1["version"]), (200, &json!(1)));
    let (status, late) = plane.put("ann", "\"0\"", &heavy(3.0)).await;
    assert_eq!((status, &late["type"]), (412, &json!("/problems/config-moved")));
    let wrong = json!({ "nodes": { "near-a": { "weight": -1.0 } }, "sites": { "fra": { "latitude": 200 } } });
    let (status, bad) = plane.put("ann", "\"1\"", &wrong).await;
    let detail = bad["detail"].as_str().unwrap();
    assert_eq!(status, 422);
    assert!(
        detail.contains("nodes.near-a.weight: from 0 to 1000") && detail.contains("sites.fra.latitude"),
        "{detail}"
    );
    let (status, bad) = plane.put("ann", "\"1\"", &json!({ "nodes": { "near-a": { "wieght": 1 } } })).await;
    assert!(status == 422 && bad["detail"].as_str().unwrap().contains("nodes.near-a"), "{bad}");
    assert_eq!(plane.put("ann", "*", &heavy(3.0)).await.1["version"], 2);
    let asked =
        client().get(format!("{}/v1/config", plane.process.url())).bearer_auth("eve").send().await.unwrap();
    assert_eq!(header(&asked, "etag"), "\"2\"");
    assert_eq!(asked.json::<Value>().await.unwrap()["nodes"]["near-a"]["weight"], 3.0);

    let purge = json!({ "tags": ["video:1"] });
    assert_eq!(plane.ask("eve", Method::POST, "/v1/purge", "", &purge).await.0, 403);
    assert_eq!(plane.ask("bob", Method::POST, "/v1/purge", "", &purge).await.0, 202);
    let (_, page) = plane.get("eve", "/v1/audit?limit=2").await;
    let acts = |page: &Value| -> Vec<String> {
        let entries = page["entries"].as_array().unwrap().iter();
        entries.map(|e| format!("{} {}", e["who"].as_str().unwrap(), e["action"].as_str().unwrap())).collect()
    };
    assert_eq!(acts(&page), ["bob purge", "ann config"]);
    assert_eq!(page["entries"][1]["before"], json!({ "nodes.near-a.weight": 2.0, "version": 1 }));
    assert_eq!(page["entries"][1]["after"], json!({ "nodes.near-a.weight": 3.0, "version": 2 }));
    let (_, rest) = plane.get("eve", &format!("/v1/audit?before={}", page["next"].as_str().unwrap())).await;
    assert_eq!((acts(&rest), &rest["next"]), (vec!["ann config".into()], &Value::Null));
    assert!(plane.process.metric("sluice_control_refused_total", &["what=\"operator\""]).await >= 1.0);
    assert!(plane.process.metric("sluice_control_refused_total", &["what=\"config\""]).await >= 2.0);
}

#[tokio::test]
async fn one_command_rolls_back_and_a_kill_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut plane = Plane::start(dir.path()).await;
    let origin = ScriptedOrigin::start(|_| async { answer(200, &[], "here") }).await;
    let control = plane.process.url();
    let mut edge =
        lone_edge(dir.path(), "near-a", &origin.url(), &[("control", &control), ("report_ms", "100")]);
    edge.start().await;
    plane.until("near-a", |node| node["state"] == "ready" && node["weight"] == 1.0).await;

    let file = dir.path().join("fleet.json");
    std::fs::write(&file, json!({ "nodes": { "near-a": { "weight": 4.0 } } }).to_string()).unwrap();
    let file = file.to_str().unwrap();
    assert!(
        said(&plane.sluice(&["config", "set", file, "--note", "more of it"]).await).contains("version 1")
    );
    plane.until("near-a", |node| node["weight"] == 4.0).await;
    let again = plane.sluice(&["config", "set", file]).await;
    assert!(String::from_utf8_lossy(&again.stderr).contains("version 1 is in force"), "{again:?}");
    std::fs::write(file, json!({ "nodes": { "near-a": { "weight": 0.0 } } }).to_string()).unwrap();
    said(&plane.sluice(&["config", "set", file, "--force"]).await);
    plane.until("near-a", |node| node["weight"] == 0.0).await;
    assert_eq!(plane.ask("bob", Method::POST, "/v1/nodes/near-a/drain", "", &Value::Null).await.0, 200);

    plane.process.kill9();
    plane.process.start().await;
    plane.until("near-a", |node| node["weight"] == 0.0 && node["state"] == "draining").await;
    said(&plane.sluice(&["config", "rollback", "1"]).await);
    plane.until("near-a", |node| node["weight"] == 4.0).await;
    let log = said(&plane.sluice(&["config", "log"]).await);
    let lines: Vec<&str> = log.lines().collect();
    assert!(
        lines.len() == 3 && lines[0].contains("rollback to 1") && lines[2].contains("more of it"),
        "{log}"
    );
    let shown: Value = serde_json::from_str(&said(&plane.sluice(&["config", "show"]).await)).unwrap();
    assert_eq!((&shown["version"], &shown["nodes"]["near-a"]["weight"]), (&json!(3), &json!(4.0)));
    let audit = said(&plane.sluice(&["audit"]).await);
    assert!(audit.contains("bob") && audit.contains("drain") && audit.contains("config rollback"), "{audit}");
    assert_eq!(plane.sluice(&["config", "rollback", "9"]).await.status.code(), Some(1));
}

#[tokio::test]
async fn a_token_that_the_command_makes_lets_its_bearer_in() {
    let dir = tempfile::tempdir().unwrap();
    let made = Command::new(binary("sluice"))
        .args(["--json", "operator", "zoe", "--role", "viewer"])
        .output()
        .unwrap();
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let flags = [("operators", json!([made["operator"]]).to_string())];
    let mut process = control_plane(dir.path(), "control", &Engines::embedded(dir.path()), &flags);
    process.start().await;
    let plane = Plane { process };
    let token = made["token"].as_str().unwrap();
    let (status, config) = plane.get(token, "/v1/config").await;
    assert_eq!((status, &config["version"], &config["nodes"]), (200, &json!(0), &json!({})));
    assert_eq!(plane.get(made["operator"]["token_sha256"].as_str().unwrap(), "/v1/config").await.0, 401);
}
