//! The public suite of HTTP cache tests (npm package http-cache-tests) against an edge.
//!
//! Version 0.4.5 is of the time of RFC 7234. Where RFC 9111 or RFC 9110 says otherwise the edge follows them, and the case
//! is named below with its reason; any other failure is a fault. A newer copy of the suite is used instead when
//! `SLUICE_CACHE_TESTS_DIR` names its folder; then only what no version explains may fail.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use serde_json::Value;
use sluice_tests::process::free_port;
use sluice_tests::stack::lone_edge;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Required cases that fail, by the beginnings of their names.
const REVIEWED: &[&str] = &[
    // An unknown transfer coding is refused, never passed on: the answer to smuggling.
    "headers-store-Transfer-Encoding",
    // RFC 9111 section 5.1: an invalid Age is ignored, and the first of several counts. 0.4.5 wants staleness.
    "age-parse-dup-",
    "age-parse-float",
    "age-parse-negative",
    "age-parse-nonnumeric",
    "age-parse-numeric-parameter",
    "age-parse-parameter",
    "age-parse-prefix-twoline",
    // RFC 9111 section 3.2: a 304 updates these fields too. 0.4.5 wants them kept.
    "304-etag-update-response-Content-Encoding",
    "304-etag-update-response-Content-MD5",
    "304-etag-update-response-Content-Range",
    "304-etag-update-response-ETag",
    // The edge answers 502 as it must; 0.4.5 counts an answer without its own field as one from the cache.
    "stale-close-must-revalidate",
    "stale-close-no-cache",
    "stale-close-proxy-revalidate",
    "stale-close-s-maxage=2",
    // Surrogate-Control is no standard; CDN-Cache-Control (RFC 9213) took its place.
    "surrogate-",
];

/// Optional cases that fail.
const REVIEWED_OPTIONAL: &[&str] = &[
    // RFC 9111 section 4.3.2: without Last-Modified the answer's Date stands in, and 200 is right.
    "conditional-lm-fresh-no-lm",
    // Answers to POST are not kept.
    "method-POST",
    // Parts are kept only of what is whole; four of these say six bytes of a body of five.
    "partial-store-partial-",
    "surrogate-",
];

/// A node process of the suite. Killed when dropped.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn suite() -> (PathBuf, PathBuf) {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/node_modules/http-cache-tests");
    let folder = std::env::var_os("SLUICE_CACHE_TESTS_DIR").map_or(package, PathBuf::from);
    assert!(folder.is_dir(), "{} is missing: `make test` installs it", folder.display());
    let engine = folder.join("test-engine");
    (folder.clone(), if engine.is_dir() { engine } else { folder })
}

fn node(script: PathBuf, folder: &Path) -> Command {
    let mut command = Command::new("node");
    command
        .arg("--no-warnings")
        .arg(script)
        .current_dir(folder)
        .stdin(Stdio::null())
        .env("npm_config_id", "");
    command.env("npm_package_config_id", "").env("npm_config_protocol", "http");
    command
}

async fn origin(folder: &Path, engine: &Path, scratch: &Path) -> (Node, u16) {
    let port = free_port();
    let mut command = node(engine.join("server/server.mjs"), folder);
    command.env("npm_config_port", port.to_string()).env("npm_config_pidfile", scratch.join("pid"));
    let server = Node(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let begun = Instant::now();
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30), "the suite's server did not come up");
        sleep(Duration::from_millis(20)).await;
    }
    (server, port)
}

/// The kinds of the suite's cases for a shared cache, as its own modules have them.
fn kinds(folder: &Path) -> Value {
    let script = "const tests = (await import(process.argv[1] + '/tests/index.mjs')).default; \
                  const extra = await import(process.argv[1] + '/tests/surrogate-control.mjs').catch(() => null); \
                  const all = (extra ? [...tests, extra.default] : tests).flatMap((s) => s.tests); \
                  const shared = all.filter((t) => !t.browser_only); \
                  console.log(JSON.stringify(Object.fromEntries(shared.map((t) => [t.id, t.kind ?? 'required']))));";
    let output = Command::new("node")
        .args(["--no-warnings", "--input-type=module", "-e", script])
        .arg(folder)
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn an_edge_passes_the_public_suite() {
    let scratch = tempfile::tempdir().unwrap();
    let (folder, engine) = suite();
    let (_server, port) = origin(&folder, &engine, scratch.path()).await;
    // What the suite asks for and a careful operator does not: to replay cookies, and a method of its own.
    let flags = [("cache.keep_cookies", "true"), ("methods", "M-SEARCH")];
    let mut edge = lone_edge(scratch.path(), "edge", &format!("http://127.0.0.1:{port}"), &flags);
    edge.start().await;
    let base = format!("http://{}", edge.at.http.as_ref().unwrap());
    let mut command = node(engine.join("cli.mjs"), &folder);
    command.env("npm_config_base", base).stderr(Stdio::inherit());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let results: Value = serde_json::from_slice(&output.stdout).unwrap();

    let kinds = kinds(&folder);
    let failed = |kind: &str| -> BTreeSet<String> {
        let of_kind = kinds.as_object().unwrap().iter().filter(|(_, k)| *k == kind);
        of_kind.map(|(id, _)| id.clone()).filter(|id| results[id.as_str()] != Value::Bool(true)).collect()
    };
    let unexplained = |failed: BTreeSet<String>, reviewed: &[&str]| -> Vec<String> {
        failed.into_iter().filter(|id| !reviewed.iter().any(|known| id.starts_with(known))).collect()
    };
    assert!(kinds.as_object().unwrap().len() > 300, "the suite is all there");
    let (required, optional) = (failed("required"), failed("optimal"));
    let all = kinds.as_object().unwrap().values().filter(|k| *k == "optimal").count();
    let of_standards = optional.iter().filter(|id| !id.starts_with("surrogate-")).count();
    assert!(of_standards * 10 <= all, "at least nine of ten optional cases: {optional:?}");
    assert_eq!(unexplained(required, REVIEWED), Vec::<String>::new());
    assert_eq!(unexplained(optional, REVIEWED_OPTIONAL), Vec::<String>::new());
}
