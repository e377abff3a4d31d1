//! The apps' descriptions (OpenAPI), by a tool from outside that makes requests out of them: whatever it sends,
//! nothing fails, and every answer is described.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use sluice_storage::testing::{Postgres, Redis};
use sluice_tests::process::{Process, binary};
use sluice_tests::programs::printed;
use sluice_tests::python::{SCHEMATHESIS, python};
use sluice_tests::shop::sign_up;
use sluice_tests::stack::Engines;
use std::process::{Command, Stdio};

/// What every answer is held to: it is no failure, its status and its type are among those that are described, and its document is
/// the one that is described.
const CHECKS: &str =
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
/// Requests made for each operation and way of making them, on each of two sets of engines.
const EXAMPLES: &str = "13";
/// Apps that are tried side by side. Signing out is among what is tried: accounts come last, and alone.
const APPS: [&[&str]; 2] = [&["shop", "chat", "feed"], &["accounts"]];

/// Asks an origin for what its apps describe: on servers, or on the embedded engines.
async fn all_is_answered_as_described(servers: Option<(&Postgres, &Redis)>) {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let made = Command::new(binary("sluice")).args(["key", &at("key.pem")]).output().unwrap();
    printed("sluice key", &made);
    let mut engines = Engines::embedded(dir.path());
    if let Some((postgres, redis)) = servers {
        (engines.database, engines.bus) = (postgres.url(), redis.url());
    }
    let flags = [
        ("listen.http", "127.0.0.1:0".to_owned()),
        ("listen.admin", "127.0.0.1:0".to_owned()),
        ("storage.database", engines.database),
        ("storage.bus", engines.bus),
        ("storage.objects", engines.objects),
        ("playback.key_file", at("key.pem")),
        ("accounts.admins", "boss".to_owned()),
        ("accounts.access_ttl_s", "3600".to_owned()),
    ];
    let mut origin = Process::new("origin", "sluice-origin", dir.path(), &flags);
    origin.start().await;
    let url = origin.url();
    let bearer = format!("Authorization: Bearer {}", sign_up(&url, "boss").await);
    let tool = python(SCHEMATHESIS).with_file_name("st");
    let begin = |app: &&'static str| {
        let (description, own) = (format!("{url}/v1/{app}/openapi.json"), dir.path().join(app));
        std::fs::create_dir(&own).unwrap();
        let mut begun = Command::new(&tool);
        begun.current_dir(own).args(["run", &description, "--url", &url, "--header", &bearer]);
        begun.args(["--seed", "1", "--max-examples", EXAMPLES]);
        begun.args(["--checks", CHECKS, "--request-timeout", "20"]);
        (*app, begun.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    };
    for apps in APPS {
        let running: Vec<_> = apps.iter().map(begin).collect();
        // All have ended before one of them is looked at: none is left to ask an origin that is gone.
        let ended = running.into_iter().map(|(app, tool)| (app, tool.wait_with_output().unwrap()));
        for (app, output) in ended.collect::<Vec<_>>() {
            let said = printed(app, &output);
            assert!(said.contains("generated"), "{app}: nothing was asked: {said}");
        }
    }
}

#[tokio::test]
async fn whatever_a_description_allows_or_not_is_answered_as_it_says_and_without_a_server_error() {
    all_is_answered_as_described(None).await;
}

#[tokio::test]
async fn what_one_engine_keeps_and_the_other_does_not_is_refused_by_both() {
    let (postgres, redis) = (Postgres::start().await, Redis::start().await);
    all_is_answered_as_described(Some((&postgres, &redis))).await;
}
