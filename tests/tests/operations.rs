//! What the operations page is made of: who asks, the fleet once a second, an answer of steering made again.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use futures::StreamExt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sluice_tests::process::Process;
use sluice_tests::stack::{Engines, control_plane};
use sluice_tests::{client, nodes};
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long any frame may take.
const SOON: Duration = Duration::from_secs(20);

/// Operators whose tokens are their names.
fn operators() -> String {
    let of = |name: &str, role: &str| json!({ "name": name, "role": role, "token_sha256": hex::encode(Sha256::digest(name)) });
    json!([of("ann", "admin"), of("bob", "operator"), of("eve", "viewer")]).to_string()
}

async fn started(dir: &Path) -> Process {
    let flags = [
        ("operators", operators()),
        ("origins", "http://127.0.0.1:9".into()),
        ("lease_ms", "600000".into()),
        ("health.look_ms", "0".into()),
    ];
    let mut process = control_plane(dir, "control", &Engines::embedded(dir), &flags);
    process.start().await;
    process
}

async fn ask(process: &Process, who: &str, path: &str) -> (u16, Value) {
    let answer =
        client::client().get(format!("{}{path}", process.url())).bearer_auth(who).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// Waits until who is steered can be steered to the node that has reported.
async fn steerable(process: &Process) {
    nodes::steerable(1, async || ask(process, "eve", "/v1/steering/view").await.1).await;
}

/// Reads events until one is as it should be; it, and the names of all that came.
async fn until(process: &Process, good: impl Fn(&Value) -> bool) -> (Value, Vec<String>) {
    let request = client::client().get(format!("{}/v1/fleet/live", process.url())).bearer_auth("eve");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let (mut body, mut text, mut names) = (answer.bytes_stream(), String::new(), vec![]);
    let begun = Instant::now();
    loop {
        while let Some((event, rest)) = text.split_once("\n\n") {
            let (name, data) = event.split_once('\n').unwrap();
            names.push(name.strip_prefix("event: ").unwrap().to_owned());
            let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            if good(&data) {
                return (data, names);
            }
            text = rest.to_owned();
        }
        assert!(begun.elapsed() < SOON, "{text}");
        let more = timeout(SOON, body.next()).await.unwrap().unwrap().unwrap();
        text += std::str::from_utf8(&more).unwrap();
    }
}

#[tokio::test]
async fn who_asks_is_told_what_they_may_and_nobody_else_is_told_anything() {
    let dir = tempfile::tempdir().unwrap();
    let process = started(dir.path()).await;
    for (name, role) in [("ann", "admin"), ("bob", "operator"), ("eve", "viewer")] {
        assert_eq!(
            ask(&process, name, "/v1/me").await,
            (200, json!({ "name": name, "role": role, "local": false }))
        );
    }
    for path in ["/v1/me", "/v1/fleet/live", "/v1/steering/decisions/1/1"] {
        assert_eq!(ask(&process, "mallory", path).await.0, 401, "{path}");
    }
    let (status, problem) = ask(&process, "eve", "/").await;
    assert_eq!(status, 404, "no pages are configured: {problem}");
    assert!(problem["detail"].as_str().unwrap().contains("pages_dir"), "{problem}");
}

#[tokio::test]
async fn the_fleet_is_told_once_a_second_and_who_comes_later_has_the_minutes_before() {
    let dir = tempfile::tempdir().unwrap();
    let process = started(dir.path()).await;
    let config = json!({ "sites": { "fra": { "region": "eu", "latitude": 50.1, "longitude": 8.7 } } });
    let put = client::client().put(format!("{}/v1/config", process.url())).bearer_auth("ann");
    assert_eq!(put.header("if-match", "*").json(&config).send().await.unwrap().status(), 200);
    let mut report = nodes::report("near-a", "fra");
    nodes::reports(&process.url(), &report).await;
    report["counters"] = json!({ "requests": 1_000, "hits": 900, "misses": 100, "bytes_out": 50_000_000, "bytes_in": 5_000_000 });
    nodes::reports(&process.url(), &report).await;
    steerable(&process).await;
    for _ in 0..3 {
        client::get(&format!("{}/steer/v/05b05hcr0ydvv", process.url())).await;
    }
    let (frame, names) =
        until(&process, |frame| frame["nodes"][0]["out_mbps"].as_f64().is_some_and(|mbps| mbps > 1.0)).await;
    assert_eq!(names[0], "history");
    assert!(names[1..].iter().all(|name| name == "fleet"), "{names:?}");
    let node = &frame["nodes"][0];
    assert_eq!(
        (&node["node"], &node["state"], &node["tier"]),
        (&json!("near-a"), &json!("ready"), &json!("near"))
    );
    let of = |key: &str| node[key].as_f64().unwrap();
    assert!((of("hits") / of("requests") - 0.9).abs() < 0.001, "{node}");
    assert!((of("in_mbps") / of("out_mbps") - 0.1).abs() < 0.001, "{node}");
    assert_eq!(frame["now"]["sites"]["fra"], node["out_mbps"], "{frame}");
    assert_eq!(
        frame["sites"][0],
        json!({ "name": "fra", "region": "eu", "latitude": 50.1, "longitude": 8.7 })
    );
    assert_eq!(frame["config_version"], 1);

    let steered = |point: &Value| point["steered"]["new"].as_f64().unwrap_or(0.0);
    let has =
        |history: &Value| history.as_array().is_some_and(|all| all.iter().any(|point| steered(point) > 0.5));
    until(&process, |data| has(data) || steered(&data["now"]) > 0.5).await;
    let (history, _) = until(&process, has).await;
    assert!(history.as_array().unwrap().len() <= 600);
}

#[tokio::test]
async fn an_answer_that_was_given_is_made_again_from_what_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let process = started(dir.path()).await;
    nodes::reports(&process.url(), &nodes::report("near-a", "fra")).await;
    steerable(&process).await;
    client::get(&format!("{}/steer/v/05b05hcr0ydvv", process.url())).await;
    let (_, list) = ask(&process, "eve", "/v1/steering/decisions?limit=1").await;
    let given = &list["decisions"][0];
    let path =
        format!("/v1/steering/decisions/{}/{}", given["session"]["id"].as_str().unwrap(), given["at_ms"]);
    let (status, again) = ask(&process, "eve", &path).await;
    assert_eq!((status, &again["decision"]), (200, &given["decision"]), "{again}");
    assert_eq!(again["view"]["version"], given["view"]);
    let never = path.replace(&given["at_ms"].to_string(), "7");
    assert_eq!(ask(&process, "eve", &never).await.0, 404);
}
