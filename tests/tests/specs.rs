//! The apps' descriptions (OpenAPI), by a tool from outside that makes requests out of them: whatever it sends,
//! nothing fails, and every answer is described.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use sluice_tests::process::{Process, binary};
use sluice_tests::python::{SCHEMATHESIS, python};
use sluice_tests::shop::sign_up;
use sluice_tests::stack::Engines;
use std::process::Command;

/// What every answer is held to: it is no failure, its status and its type are among those that are described, and its document is
/// the one that is described.
const CHECKS: &str =
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
/// Requests made for each operation and way of making them.
const EXAMPLES: &str = "25";

#[tokio::test]
async fn whatever_a_description_allows_or_not_is_answered_as_it_says_and_without_a_server_error() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let made = Command::new(binary("sluice")).args(["key", &at("key.pem")]).output().unwrap();
    assert!(made.status.success());
    let engines = Engines::embedded(dir.path());
    let flags = [
        ("listen.http", "127.0.0.1:0".to_owned()),
        ("listen.admin", "127.0.0.1:0".to_owned()),
        ("storage.database", engines.database),
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
    // Signing out is among what is tried: accounts come last.
    for app in ["shop", "chat", "feed", "accounts"] {
        let description = format!("{url}/v1/{app}/openapi.json");
        let output = Command::new(&tool)
            .current_dir(dir.path())
            .args([
                "run",
                &description,
                "--url",
                &url,
                "--header",
                &bearer,
                "--seed",
                "1",
                "--max-examples",
                EXAMPLES,
            ])
            .args(["--checks", CHECKS, "--request-timeout", "20"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{app}: {said}");
        assert!(said.contains("generated"), "{app}: nothing was asked: {said}");
    }
}
