//! Direct uploads: parts go from the client to the store by signed URLs, count once they were looked at, and stay then.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use reqwest::{Client, Response};
use serde_json::{Value, json};
use sluice_storage::testing::S3;
use sluice_tests::client::{self, header};
use sluice_tests::clips;
use sluice_tests::origin::pattern;
use sluice_tests::process::binary;
use sluice_tests::programs::printed;
use sluice_tests::sources;
use sluice_tests::stack::{Engines, Options, Stack};
use std::process::Command;
use tempfile::TempDir;

struct Scene {
    stack: Stack,
    http: Client,
    _s3: S3,
    _dir: TempDir,
}

async fn scene() -> Scene {
    let (dir, s3) = (tempfile::tempdir().unwrap(), S3::start().await);
    let engines = Engines { objects: s3.url(), ..Engines::embedded(dir.path()) };
    let stack = Stack::with(Options { engines: Some(engines), ..Options::default() }).await;
    Scene { stack, http: client::client(), _s3: s3, _dir: dir }
}

impl Scene {
    /// Begins an upload; its URL.
    async fn begin(&self, name: &str, bytes: usize) -> String {
        let order = json!({ "name": name, "bytes": bytes });
        let made = self.post(&format!("{}/v1/direct", self.stack.edge()), &order).await;
        assert_eq!(made.status(), 201, "{name}");
        assert_eq!(header(&made, "cache-control"), "no-store");
        format!("{}{}", self.stack.edge(), header(&made, "location"))
    }

    async fn post(&self, url: &str, body: &Value) -> Response {
        self.http.post(url).json(body).send().await.unwrap()
    }

    /// Asks for parts of these bytes.
    async fn ask(&self, url: &str, parts: &[&[u8]]) -> Vec<Value> {
        let wanted: Vec<Value> =
            parts.iter().map(|part| json!({ "bytes": part.len(), "sha256": client::sha256(part) })).collect();
        let answer = self.post(&format!("{url}/parts"), &json!({ "parts": wanted })).await;
        assert_eq!(answer.status(), 200);
        let answer: Value = answer.json().await.unwrap();
        answer["parts"].as_array().unwrap().clone()
    }

    /// Puts a part into the store; its status.
    async fn put(&self, part: &Value, bytes: &[u8]) -> u16 {
        let mut request = self.http.put(part["url"].as_str().unwrap()).body(bytes.to_vec());
        for (name, value) in part["headers"].as_object().unwrap() {
            request = request.header(name, value.as_str().unwrap());
        }
        request.send().await.unwrap().status().as_u16()
    }

    /// Says that parts are stored: the status, and what is said.
    async fn complete(&self, url: &str, numbers: &[&Value]) -> (u16, Value) {
        let answer = self.post(&format!("{url}/complete"), &json!({ "parts": numbers })).await;
        let status = answer.status().as_u16();
        if status >= 400 {
            assert_eq!(header(&answer, "content-type"), "application/problem+json");
        }
        (status, answer.json().await.unwrap())
    }

    async fn view(&self, url: &str) -> Value {
        client::get(url).await.json().await.unwrap()
    }
}

#[tokio::test]
async fn parts_that_a_client_stores_by_itself_become_a_video_and_outlive_the_origin() {
    let mut scene = scene().await;
    let source = clips::made(6, "320x240", 25);
    let (a, b) = (source.len() / 3, source.len() / 2);
    let (first, second, third) = (&source[..a], &source[a..b], &source[b..]);
    let url = scene.begin("direct.mp4", source.len()).await;
    let parts = scene.ask(&url, &[first, second, third]).await;
    // In whatever order they are stored.
    for (part, bytes) in [(&parts[1], second), (&parts[0], first)] {
        assert_eq!(scene.put(part, bytes).await, 200);
    }
    let (status, view) = scene.complete(&url, &[&parts[0]["number"], &parts[1]["number"]]).await;
    assert_eq!((status, view["offset"].as_u64()), (200, Some(b as u64)), "{view}");

    // What was acknowledged is there after a kill, and so is what was promised.
    scene.stack.origin.kill9();
    scene.stack.origin.start().await;
    let view = scene.view(&url).await;
    assert_eq!((view["offset"].as_u64(), &view["complete"]), (Some(b as u64), &json!(false)));
    let left = view["parts"].as_array().unwrap();
    assert_eq!((left.len(), &left[0]["number"]), (1, &parts[2]["number"]));
    assert_eq!(scene.put(&left[0], third).await, 200);
    // Said twice, as by a client that did not hear the answer.
    for _ in 0..2 {
        let (status, view) = scene.complete(&url, &[&parts[2]["number"]]).await;
        assert_eq!((status, &view["complete"]), (200, &json!(true)), "{view}");
    }
    let id = url.rsplit('/').next().unwrap();
    client::wait_ready(&scene.stack.edge(), id).await;
    let hash = client::sha256(&source);
    client::wait_until(&scene.stack.edge(), id, "hashed", |video| video["sha256"] == hash.as_str()).await;
    let storage = sources::storage(scene.stack.engines()).await;
    assert!(sources::bytes(&storage, id).await == source);
    // URLs that are still good change nothing.
    for part in &parts {
        let other = vec![7; first.len()];
        assert!(scene.put(part, &other).await >= 400, "what was acknowledged is not replaced");
    }
    assert!(sources::bytes(&storage, id).await == source);
}

#[tokio::test]
async fn a_part_counts_only_if_it_is_what_was_promised() {
    let scene = scene().await;
    let url = scene.begin("wrong.mp4", 3_000).await;
    let parts = scene.ask(&url, &[&[1; 1_000], &[2; 1_000]]).await;
    let refused = |answer: &(u16, Value), kind: &str| {
        assert_eq!(answer.0, 409, "{answer:?}");
        assert!(answer.1["type"].as_str().unwrap().ends_with(kind), "{answer:?}");
    };
    let number = |part: &Value| part["number"].clone();
    refused(&scene.complete(&url, &[&number(&parts[0])]).await, "part-missing");
    assert_eq!(scene.put(&parts[0], &[1; 1_000]).await, 200);
    assert_eq!(scene.put(&parts[0], &[1; 1_000]).await, 412, "once");
    refused(&scene.complete(&url, &[&number(&parts[0]), &number(&parts[1])]).await, "part-missing");
    assert_eq!(scene.view(&url).await["offset"], 0, "all or none");
    // Without a hash it is held to its size.
    let asked = scene.post(&format!("{url}/parts"), &json!({ "parts": [{ "bytes": 500 }] })).await;
    let third = asked.json::<Value>().await.unwrap()["parts"][0].clone();
    assert_eq!(scene.put(&third, &[3; 499]).await, 200);
    refused(&scene.complete(&url, &[&number(&third)]).await, "part-differs");

    for (wanted, status) in [
        (json!({ "parts": [{ "bytes": 501 }] }), 409),
        (json!({ "parts": [{ "bytes": 0 }] }), 400),
        (json!({ "parts": [] }), 400),
        (json!({ "parts": vec![json!({ "bytes": 1 }); 101] }), 400),
        (json!({ "parts": [{ "bytes": 1, "sha256": "AB" }] }), 400),
        (json!({ "parts": [{ "bytes": 65 << 20 }] }), 400),
    ] {
        assert_eq!(scene.post(&format!("{url}/parts"), &wanted).await.status(), status, "{wanted}");
    }
    for numbers in [vec![json!(99)], vec![number(&parts[0]), number(&parts[0])], vec![]] {
        let status = scene.complete(&url, &numbers.iter().collect::<Vec<_>>()).await.0;
        assert!(status == 409 || status == 400, "{numbers:?}: {status}");
    }
    // Bytes of another hash are refused by the store; should one take them, they do not count.
    let other = scene.begin("forged.mp4", 1_000).await;
    let forged = &scene.ask(&other, &[&[1; 1_000]]).await[0];
    assert_eq!(scene.put(forged, &[9; 1_000]).await, 400);
    assert_eq!(scene.complete(&other, &[&number(forged)]).await.0, 409);
    assert_eq!(scene.view(&other).await["offset"], 0);
    // It is no upload of tus, and one of tus is none of these.
    let tus = url.replace("/v1/direct/", "/v1/uploads/");
    let head = scene.http.head(tus).header("tus-resumable", "1.0.0").send().await.unwrap();
    assert_eq!(head.status(), 404);
    assert_eq!(scene.http.delete(&url).send().await.unwrap().status(), 204);
    assert_eq!(scene.http.get(&url).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_completion_that_dies_between_two_steps_is_done_once_when_it_is_said_again() {
    let mut scene = scene().await;
    let whole = pattern(30_000, 5);
    for step in ["direct.checked", "upload.appended", "direct.committed"] {
        let url = scene.begin("steps.bin", whole.len()).await;
        let parts = scene.ask(&url, &[&whole[..10_000], &whole[10_000..]]).await;
        for (part, bytes) in parts.iter().zip([&whole[..10_000], &whole[10_000..]]) {
            assert_eq!(scene.put(part, bytes).await, 200);
        }
        let origin = &mut scene.stack.origin;
        origin.kill9();
        origin.crash_at(Some(step));
        origin.start().await;
        let numbers = [&parts[0]["number"], &parts[1]["number"]];
        let answer = scene.post(&format!("{url}/complete"), &json!({ "parts": numbers })).await;
        assert!(answer.status().is_server_error(), "{step}: {}", answer.status());
        let origin = &mut scene.stack.origin;
        assert_eq!(origin.ended().await, None, "{step}");
        origin.crash_at(None);
        origin.start().await;
        let (status, view) = scene.complete(&url, &numbers).await;
        assert_eq!((status, &view["complete"]), (200, &json!(true)), "{step}: {view}");
        let storage = sources::storage(scene.stack.engines()).await;
        assert!(sources::bytes(&storage, url.rsplit('/').next().unwrap()).await == whole, "{step}");
    }
}

#[tokio::test]
async fn the_command_line_sends_parts_to_the_store() {
    let scene = scene().await;
    let source = clips::made(6, "640x360", 25);
    let file = scene.stack.dir().join("film.mp4");
    std::fs::write(&file, &source).unwrap();
    let mut command = Command::new(binary("sluice"));
    command.args(["upload", "--direct", "--wait"]).arg(&file);
    command.env("SLUICE_EDGE", scene.stack.edge()).env("XDG_STATE_HOME", scene.stack.dir());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let id = printed("sluice upload", &output).trim().to_owned();
    let document = client::video(&scene.stack.edge(), &id).await;
    assert_eq!((&document["state"], &document["name"]), (&json!("ready"), &json!("film.mp4")));
    let storage = sources::storage(scene.stack.engines()).await;
    assert!(sources::bytes(&storage, &id).await == source);
}

#[tokio::test]
async fn a_store_that_is_a_folder_says_that_it_takes_no_parts() {
    let stack = Stack::with(Options { hold_transcoder: true, ..Options::default() }).await;
    let order = json!({ "name": "film.mp4", "bytes": 1_000 });
    let sent = client::client().post(format!("{}/v1/direct", stack.edge())).json(&order);
    let answer = sent.send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), header(&answer, "content-type").as_str()),
        (501, "application/problem+json")
    );
}
