//! What an owner may have, by real tokens through an edge: each is held to a quota of its own, and nobody to another's.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use sluice_tests::client::{client, header};
use sluice_tests::origin::pattern;
use sluice_tests::process::binary;
use sluice_tests::programs::printed;
use sluice_tests::stack::{Options, Stack};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const RULES: &str = r#"
[[rule]]
prefix = "/v1/"
need = "token"
"#;

fn sluice(args: &[&str]) -> String {
    let output = Command::new(binary("sluice")).args(args).output().unwrap();
    printed(args, &output).trim().to_owned()
}

/// A stack whose edges ask for tokens, and what mints them.
async fn scene() -> (Stack, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(dir.path().join("rules.toml"), RULES).unwrap();
    std::fs::write(dir.path().join("keys.json"), sluice(&["key", &path("key.pem")])).unwrap();
    let near = vec![("access.rules_file", path("rules.toml")), ("access.keys_file", path("keys.json"))];
    let origin = vec![("quota.bytes", "10000".to_owned()), ("quota.uploads", "2".to_owned())];
    let options = Options { origin, near, hold_transcoder: true, ..Options::default() };
    (Stack::with(options).await, dir)
}

fn token(dir: &Path, who: &str) -> String {
    let key = dir.join("key.pem").display().to_string();
    sluice(&["token", "--key", &key, "--sub", who, "--path", "/v1"])
}

#[tokio::test]
async fn a_token_is_held_to_its_owners_quota_and_to_no_other() {
    let (stack, dir) = scene().await;
    let (edges, http) = ([stack.edge(), stack.near[1].url()], client());
    let (ann, ben) = (token(dir.path(), "ann"), token(dir.path(), "ben"));
    let put = async |edge: &str, token: &str, bytes: usize| {
        let sent = http.put(format!("{edge}/v1/videos/film.mp4")).bearer_auth(token);
        // An owner that a client names is nobody's.
        let sent = sent.header("sluice-owner", "carl").body(pattern(bytes, 1));
        let answer = sent.send().await.unwrap();
        let (status, kind) = (answer.status().as_u16(), header(&answer, "content-type"));
        (status, kind, answer.json::<serde_json::Value>().await.unwrap())
    };
    let none =
        http.put(format!("{}/v1/videos/film.mp4", edges[0])).body(pattern(10, 1)).send().await.unwrap();
    assert_eq!(none.status(), 401);

    let (status, _, made) = put(&edges[0], &ann, 6_000).await;
    assert_eq!(status, 201, "{made}");
    // By another edge it is the same owner.
    let (status, kind, refused) = put(&edges[1], &ann, 4_001).await;
    assert_eq!((status, kind.as_str()), (507, "application/problem+json"), "{refused}");
    assert!(refused["type"].as_str().unwrap().ends_with("quota-exceeded"), "{refused}");
    let (status, _, made) = put(&edges[1], &ben, 10_000).await;
    assert_eq!(status, 201, "another's bytes are not counted: {made}");
    assert_eq!(put(&edges[0], &ben, 1).await.0, 507);
    assert_eq!(put(&edges[0], &ann, 4_000).await.0, 201, "to the last byte");

    // Uploads under way, each owner's for itself; and nobody sees another's.
    let begin = async |token: &str| {
        let made = http.post(format!("{}/v1/uploads", edges[0])).bearer_auth(token);
        let made = made.header("tus-resumable", "1.0.0").header("upload-defer-length", "1");
        made.send().await.unwrap()
    };
    let carl = token(dir.path(), "carl");
    let first = begin(&carl).await;
    assert_eq!((first.status().as_u16(), begin(&carl).await.status().as_u16()), (201, 201));
    let third = begin(&carl).await;
    assert_eq!(
        (third.status().as_u16(), header(&third, "content-type").as_str()),
        (429, "application/problem+json")
    );
    let at = format!("{}{}", edges[0], header(&first, "location"));
    let head = async |token: &str| {
        let asked = http.head(&at).bearer_auth(token).header("tus-resumable", "1.0.0");
        asked.send().await.unwrap().status().as_u16()
    };
    assert_eq!((head(&carl).await, head(&ann).await), (200, 404));
}
