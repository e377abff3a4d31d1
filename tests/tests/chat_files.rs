//! Files of conversations through the edges: sent at one, seen at another by whoever is in it, kept by neither, and gone with their
//! message.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use std::time::Duration;

use reqwest::Response;
use serde_json::{Value, json};
use sluice_tests::chat::Scene;
use sluice_tests::client::{client, header};
use sluice_tests::process::Process;
use sluice_tests::shop;
use sluice_tests::social::told;
use tokio::time::{Instant, sleep};

/// How long what happens behind a request may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);
/// Bytes of a file: some chunks of whatever carries it.
const LONG: usize = 3 << 20;

/// Bytes that say where they are.
fn bytes() -> Vec<u8> {
    (0..LONG).map(|n| u8::try_from((n / 7 + n) % 251).unwrap()).collect()
}

/// Sends a file at an edge, under a key.
async fn send(edge: &Process, chat: &str, token: &str, key: &str) -> (u16, Value, String) {
    let url = format!("{}/v1/chat/{chat}/files?name=tide.mp4", edge.url());
    let asked = client().post(url).bearer_auth(token).header("idempotency-key", key);
    let answer = asked.header("content-type", "video/mp4").body(bytes()).send().await.unwrap();
    let again = header(&answer, "idempotency-replayed");
    let (status, said) = told(answer).await;
    (status, said, again)
}

async fn get(edge: &Process, path: &str, token: &str, known: &str) -> Response {
    let asked = client().get(format!("{}{path}", edge.url())).bearer_auth(token);
    asked.header("if-none-match", known).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_goes_with_its_message_to_every_edge_and_away_with_it() {
    let scene = Scene::new(2, 2).await;
    let (tokens, chat) = scene.group(&["ann", "ben", "cat"]).await;
    let [ann, ben, cat] = [&tokens[0], &tokens[1], &tokens[2]];
    let [near, far] = [&scene.edges[0], &scene.edges[1]];

    let (status, file, again) = send(near, &chat, ann, "k1").await;
    assert_eq!((status, again.as_str(), &file["bytes"]), (201, "", &json!(LONG)), "{file}");
    assert_eq!(
        send(far, &chat, ann, "k1").await,
        (201, file.clone(), "true".into()),
        "sent again it is the same"
    );
    let path = file["path"].as_str().unwrap();
    assert_eq!(get(far, path, ben, "").await.status(), 404, "no message names it yet");
    let body = json!({ "client_id": "1", "attachments": [file] });
    let (status, said) = shop::post(&format!("{}/v1/chat/{chat}/messages", near.url()), ann, &body).await;
    assert_eq!((status, &said["attachments"]), (201, &json!([file])), "{said}");

    let seen = get(far, path, ben, "").await;
    assert_eq!((seen.status().as_u16(), header(&seen, "content-type").as_str()), (200, "video/mp4"));
    assert_eq!(header(&seen, "cache-control"), "private, no-cache");
    let etag = header(&seen, "etag");
    assert!(seen.bytes().await.unwrap() == bytes(), "not what was sent");
    assert_eq!(get(far, path, ben, &etag).await.status(), 304);

    // Whoever leaves sees it no more, at the same edge that gave it out a moment ago.
    assert_eq!(get(far, path, cat, "").await.status(), 200);
    let leave = format!("{}/v1/chat/{chat}/leave", near.url());
    assert_eq!(shop::post(&leave, cat, &Value::Null).await.0, 200);
    assert_eq!(get(far, path, cat, "").await.status(), 403);
    assert_eq!(get(far, path, cat, &etag).await.status(), 403);

    let object = scene.objects().join("files").join(path.rsplit('/').next().unwrap());
    assert!(object.exists());
    let message = format!("{}/v1/chat/{chat}/messages/{}", near.url(), said["id"].as_str().unwrap());
    assert_eq!(client().delete(message).bearer_auth(ann).send().await.unwrap().status(), 200);
    for (edge, token) in [(near, ann), (far, ben)] {
        let status = get(edge, path, token, &etag).await.status().as_u16();
        assert!(matches!(status, 404 | 410), "{status}");
    }
    let swept =
        async |n: usize| scene.origins[n].metric("sluice_chat_files_total", &["result=\"swept\""]).await;
    let begun = Instant::now();
    while object.exists() || swept(0).await + swept(1).await < 1.0 {
        assert!(begun.elapsed() < LIMIT, "its bytes are still there");
        sleep(Duration::from_millis(20)).await;
    }
}
