//! What an edge makes of what it keeps: the coding each client wants.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use futures::future::join_all;
use reqwest::{Method, Response};
use sluice_tests::client::{self, header};
use sluice_tests::origin::{ScriptedOrigin, answer};
use sluice_tests::process::Process;
use sluice_tests::programs::printed;
use sluice_tests::stack::lone_edge;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a form may take until it is there, on two busy cores.
const LIMIT: Duration = Duration::from_secs(20);

fn text() -> String {
    (0..2_000).map(|n| format!("line {n}: the same words again and again\n")).collect()
}

async fn origin() -> ScriptedOrigin {
    ScriptedOrigin::start(|request| async move {
        let kept = ("cache-control", "public, max-age=600");
        if *request.method() != Method::GET {
            return answer(204, &[], "");
        }
        match request.uri().path() {
            "/page" => {
                let fields =
                    [kept, ("content-type", "text/html"), ("etag", "\"v1\""), ("accept-ranges", "bytes")];
                answer(200, &fields, text())
            }
            "/clip.mp4" => answer(200, &[kept, ("content-type", "video/mp4")], text()),
            "/as-is" => {
                let fields = [("cache-control", "max-age=600, no-transform"), ("content-type", "text/html")];
                answer(200, &fields, text())
            }
            "/short" => answer(200, &[kept, ("content-type", "text/html")], "short"),
            _ => answer(404, &[], ""),
        }
    })
    .await
}

async fn ask(method: Method, url: &str, fields: &[(&str, &str)]) -> Response {
    let mut request = client::client().request(method, url);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

/// Asks until the answer comes in a coding.
async fn until_in(coding: &str, url: &str) -> Response {
    let begun = Instant::now();
    loop {
        let answer = ask(Method::GET, url, &[("accept-encoding", coding)]).await;
        assert_eq!(answer.status(), 200);
        if header(&answer, "content-encoding") == coding {
            return answer;
        }
        assert!(begun.elapsed() < LIMIT, "never in {coding}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// What curl makes of an answer: it undoes the coding by a library of its own.
async fn decoded(url: &str, coding: &str) -> Vec<u8> {
    let mut curl = tokio::process::Command::new("curl");
    curl.args(["-sS", "--fail", "--compressed", "-H", &format!("Accept-Encoding: {coding}"), url]);
    let output = curl.output().await.unwrap();
    printed("curl", &output);
    output.stdout
}

async fn cached(edge: &Process) -> f64 {
    edge.metric("sluice_edge_cache_bytes", &[]).await
}

#[tokio::test]
async fn text_comes_in_the_coding_each_client_wants() {
    let dir = tempfile::tempdir().unwrap();
    let origin = origin().await;
    let mut edge = lone_edge(dir.path(), "edge", &origin.url(), &[]);
    edge.start().await;
    let page = format!("{}/page", edge.url());

    let plain = ask(Method::GET, &page, &[]).await;
    assert_eq!((header(&plain, "etag"), header(&plain, "vary")), ("\"v1\"".into(), "Accept-Encoding".into()));
    assert_eq!(header(&plain, "content-encoding"), "");
    assert_eq!(plain.text().await.unwrap(), text());
    let before = cached(&edge).await;

    let mut coded_bytes = 0.0;
    for coding in ["zstd", "br", "gzip"] {
        // Many who ask at once have one compression made.
        let asked = [("accept-encoding", coding)];
        join_all((0..20).map(|_| ask(Method::GET, &page, &asked))).await;
        let coded = until_in(coding, &page).await;
        let (tag, length) = (header(&coded, "etag"), header(&coded, "content-length"));
        assert_eq!(tag, format!("\"v1-{coding}\""));
        assert_eq!(
            (header(&coded, "vary"), header(&coded, "accept-ranges")),
            ("Accept-Encoding".into(), String::new())
        );
        let raw = coded.bytes().await.unwrap();
        assert_eq!(raw.len().to_string(), length);
        assert!(raw.len() * 5 < text().len(), "{coding}: {length}");
        coded_bytes += raw.len() as f64;
        assert_eq!(decoded(&page, coding).await, text().as_bytes(), "{coding}");

        let head = ask(Method::HEAD, &page, &asked).await;
        for (name, value) in [("content-encoding", coding), ("content-length", &length), ("etag", &tag)] {
            assert_eq!(header(&head, name), value, "HEAD");
        }
        let again = ask(Method::GET, &page, &[asked[0], ("if-none-match", &tag)]).await;
        assert_eq!((again.status().as_u16(), header(&again, "etag")), (304, tag.clone()));
        assert_eq!(header(&again, "vary"), "Accept-Encoding");
        let other = ask(Method::GET, &page, &[("if-none-match", &tag)]).await;
        assert_eq!(other.status(), 200, "who takes no {coding} has no use for that form");
        let part = ask(Method::GET, &page, &[asked[0], ("range", "bytes=5-9")]).await;
        assert_eq!((part.status().as_u16(), header(&part, "content-encoding")), (206, String::new()));
        assert_eq!(part.bytes().await.unwrap(), text().as_bytes()[5..10]);
        let resumed = [asked[0], ("range", "bytes=5-9"), ("if-range", &tag)];
        assert_eq!(ask(Method::GET, &page, &resumed).await.status(), 200, "parts are of the plain form");
        let made = edge.metric("sluice_edge_codings_total", &[coding, "made"]).await;
        assert_eq!(made, 1.0, "{coding} is made once");
    }
    let mixed = ask(Method::GET, &page, &[("accept-encoding", "gzip, br;q=0.9, zstd;q=0.1")]).await;
    assert_eq!(header(&mixed, "content-encoding"), "gzip");
    let known = ask(Method::GET, &page, &[("if-none-match", "\"v1\""), ("accept-encoding", "br")]).await;
    assert_eq!((known.status().as_u16(), header(&known, "etag")), (304, "\"v1\"".into()));
    assert_eq!(origin.asked("/page"), 1, "the origin was asked once for all forms");

    // The forms count in the cache's budget, and go with what they are forms of.
    assert_eq!(cached(&edge).await, before + coded_bytes);
    assert_eq!(ask(Method::DELETE, &page, &[]).await.status(), 204);
    assert_eq!(cached(&edge).await, 0.0);
}

#[tokio::test]
async fn what_would_not_gain_or_must_not_change_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let origin = origin().await;
    let mut edge = lone_edge(dir.path(), "edge", &origin.url(), &[]);
    let mut off = lone_edge(dir.path(), "off", &origin.url(), &[("transform.compress", "false")]);
    edge.start().await;
    off.start().await;
    let cases = [(&edge, "/clip.mp4"), (&edge, "/as-is"), (&edge, "/short"), (&off, "/page")];
    for (edge, path) in cases {
        let url = format!("{}{path}", edge.url());
        for _ in 0..3 {
            let answer = ask(Method::GET, &url, &[("accept-encoding", "zstd, br, gzip")]).await;
            assert_eq!(answer.status(), 200, "{path}");
            assert_eq!(
                (header(&answer, "content-encoding"), header(&answer, "vary")),
                (String::new(), String::new()),
                "{path}"
            );
        }
        assert_eq!(edge.metric("sluice_edge_codings_total", &[]).await, 0.0, "{path}");
    }
}
