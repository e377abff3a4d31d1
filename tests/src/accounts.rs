//! Accounts through an edge: a stack that has them, and what is asked of it.

use crate::client::client;
use crate::process::binary;
use crate::programs::printed;
use crate::stack::{Engines, Options, Stack};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::process::Command;
use tempfile::TempDir;

/// A stack whose origin has a key, and so accounts; `boss` is an administrator.
pub async fn scene(database: Option<String>) -> (Stack, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key.pem").display().to_string();
    let made = Command::new(binary("sluice")).args(["key", &key]).output().unwrap();
    printed("sluice key", &made);
    let keys = dir.path().join("keys.json");
    std::fs::write(&keys, made.stdout).unwrap();
    let rules = dir.path().join("rules.toml");
    std::fs::write(&rules, "[[rule]]\nprefix = \"/v1/storage\"\nneed = \"token\"\n").unwrap();
    let near = vec![
        ("access.keys_file", keys.display().to_string()),
        ("access.rules_file", rules.display().to_string()),
    ];
    let mut engines = Engines::embedded(dir.path());
    engines.database = database.unwrap_or(engines.database);
    let origin = vec![
        ("playback.key_file", key),
        ("accounts.admins", r#"["boss"]"#.to_owned()),
        // What was used before is another's at once.
        ("accounts.renew_grace_ms", "0".to_owned()),
    ];
    let options =
        Options { engines: Some(engines), origin, near, hold_transcoder: true, ..Options::default() };
    (Stack::with(options).await, dir)
}

/// A request below `/v1/accounts`.
pub fn asks(edge: &str, method: Method, path: &str) -> RequestBuilder {
    client().request(method, format!("{edge}/v1/accounts{path}"))
}

/// An answer's status and document.
pub async fn sent(asked: RequestBuilder) -> (u16, Value) {
    let answer = asked.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

/// A new account, signed in; its password is `correct horse`.
pub async fn sign_up(edge: &str, handle: &str) -> Value {
    let body = json!({ "handle": handle, "password": "correct horse" });
    let (status, account) = sent(asks(edge, Method::POST, "").json(&body)).await;
    assert_eq!(status, 201, "{account}");
    account
}

/// Whether an access token is good: the status of asking who one is.
pub async fn me(edge: &str, token: &Value) -> u16 {
    sent(asks(edge, Method::GET, "/me").bearer_auth(token.as_str().unwrap())).await.0
}

/// Renews a session: status and document.
pub async fn renew(edge: &str, token: &Value) -> (u16, Value) {
    sent(asks(edge, Method::POST, "/refresh").json(&json!({ "refresh_token": token }))).await
}
