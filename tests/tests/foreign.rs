//! Clients that are not ours: curl over HTTP/1.1 and HTTP/2, nghttp over HTTP/2, aioquic over HTTP/3, Chromium over all three.
//! Seventy cases, and the same bytes in each.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sluice_tests::client::sha256;
use sluice_tests::origin::{ScriptedOrigin, answer};
use sluice_tests::programs::printed;
use sluice_tests::python::foreign;
use sluice_tests::stack::lone_edge;
use sluice_tests::tls::Authority;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const ETAG: &str = "\"the-one\"";

/// A request, and what any client must get.
struct Case {
    method: &'static str,
    path: &'static str,
    fields: Vec<(&'static str, &'static str)>,
    body: Option<Vec<u8>>,
    status: u16,
    wanted: Vec<u8>,
}

fn media(length: usize) -> Vec<u8> {
    (0..length).map(|n| u8::try_from(n.wrapping_mul(2_654_435_761) >> 7 & 0xff).unwrap()).collect()
}

fn cases() -> Vec<Case> {
    let (small, large) = (media(10_000), media(8 << 20));
    let case = |method, path, fields: &[(&'static str, &'static str)], status, wanted: &[u8]| Case {
        method,
        path,
        fields: fields.to_vec(),
        body: None,
        status,
        wanted: wanted.to_vec(),
    };
    let mut echo = case("POST", "/echo", &[("Content-Type", "application/octet-stream")], 200, &small);
    echo.body = Some(small.clone());
    vec![
        case("GET", "/small", &[], 200, &small),
        case("GET", "/small", &[("Range", "bytes=0-99")], 206, &small[..100]),
        case("GET", "/small", &[("Range", "bytes=-100")], 206, &small[9_900..]),
        case("GET", "/small", &[("Range", "bytes=9000-"), ("If-Range", ETAG)], 206, &small[9_000..]),
        case("GET", "/small", &[("If-None-Match", ETAG)], 304, b""),
        case("HEAD", "/small", &[], 200, b""),
        case("GET", "/large?a=1", &[], 200, &large),
        case("GET", "/%73mall", &[], 200, &small),
        case("GET", "/gone", &[], 404, b"gone"),
        echo,
    ]
}

async fn origin() -> ScriptedOrigin {
    ScriptedOrigin::start(|request| async move {
        let kept = [("cache-control", "max-age=600"), ("etag", ETAG)];
        match request.uri().path() {
            "/small" => answer(200, &kept, media(10_000)),
            "/large" => answer(200, &kept, media(8 << 20)),
            "/page" => answer(200, &[("content-type", "text/html")], "<!doctype html><title>a page</title>"),
            "/echo" => {
                let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
                answer(200, &[("cache-control", "no-store")], body)
            }
            _ => answer(404, &[], "gone"),
        }
    })
    .await
}

/// Status and body.
type Got = (u16, Vec<u8>);

fn run(command: &mut Command, input: &[u8]) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    printed(command, &output);
    output
}

fn curl(version: &str, base: &str, case: &Case) -> Got {
    let mut command = Command::new("curl");
    command.args(["-sk", "--max-time", "60", version, "-w", "%{stderr}%{http_code}"]);
    match case.method {
        "HEAD" => drop(command.args(["-I", "-o", "/dev/null"])),
        method => drop(command.args(["-X", method])),
    }
    if case.body.is_some() {
        command.args(["--data-binary", "@-"]);
    }
    for (name, value) in &case.fields {
        command.args(["-H", &format!("{name}: {value}")]);
    }
    let output = run(command.arg(format!("{base}{}", case.path)), case.body.as_deref().unwrap_or_default());
    (String::from_utf8(output.stderr).unwrap().parse().unwrap(), output.stdout)
}

fn nghttp(dir: &Path, base: &str, case: &Case) -> Got {
    let asked = || {
        let mut command = Command::new("nghttp");
        command.args(["--no-verify-peer", "-t", "60", "-H", &format!(":method: {}", case.method)]);
        for (name, value) in &case.fields {
            command.args(["-H", &format!("{}: {value}", name.to_lowercase())]);
        }
        if let Some(body) = &case.body {
            let file = dir.join("body");
            std::fs::write(&file, body).unwrap();
            command.arg("-d").arg(file);
        }
        command.arg(format!("{base}{}", case.path));
        command
    };
    let told = String::from_utf8(run(asked().arg("-nv").env("NO_COLOR", "1"), &[]).stdout).unwrap();
    let status = told.split(":status: ").nth(1).and_then(|rest| rest.get(..3)?.parse().ok());
    (status.unwrap_or_else(|| panic!("{told}")), run(&mut asked(), &[]).stdout)
}

/// As the scripts of other languages read them.
fn told(cases: &[Case]) -> String {
    let told = |case: &Case| {
        let body = case.body.as_ref().map(|body| STANDARD.encode(body));
        json!({ "method": case.method, "path": case.path, "fields": case.fields, "body": body })
    };
    Value::from(cases.iter().map(told).collect::<Vec<_>>()).to_string()
}

fn aioquic(at: &str, cases: &[Case]) -> Vec<Got> {
    let (host, port) = at.rsplit_once(':').unwrap();
    let output = run(foreign("h3.py").args([host, port]), told(cases).as_bytes());
    let answers: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let got = |answer: &Value| {
        let statuses = answer["statuses"].as_array().unwrap();
        let status = u16::try_from(statuses.last().unwrap().as_u64().unwrap()).unwrap();
        (status, STANDARD.decode(answer["body"].as_str().unwrap()).unwrap())
    };
    answers.iter().map(got).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_cases_have_the_same_bytes_for_every_client() {
    let origin = origin().await;
    let dir = tempfile::tempdir().unwrap();
    let flags = [("listen.https", "127.0.0.1:0"), ("listen.h3", "true")];
    let mut edge = lone_edge(dir.path(), "edge-a", &origin.url(), &flags);
    edge.start().await;
    let (tls, h3) = (format!("https://{}", edge.at.https.as_ref().unwrap()), edge.at.h3.clone().unwrap());
    let cases = cases();
    let over_h3 = aioquic(&h3, &cases);
    let mut judged = 0;
    for (case, h3) in cases.iter().zip(over_h3) {
        for (client, (status, body)) in [
            ("curl, HTTP/1.1", curl("--http1.1", &tls, case)),
            ("curl, HTTP/2", curl("--http2", &tls, case)),
            ("nghttp", nghttp(dir.path(), &tls, case)),
            ("aioquic", h3),
        ] {
            let asked = (client, case.method, case.path, &case.fields);
            assert_eq!(status, case.status, "{asked:?}");
            assert_eq!(body.len(), case.wanted.len(), "{asked:?}");
            assert_eq!(sha256(&body), sha256(&case.wanted), "{asked:?}");
            judged += 1;
        }
    }
    assert_eq!(judged, 40);
    assert_eq!((origin.asked("/small"), origin.asked("/large?a=1")), (1, 1), "one fetch for all of them");
}

/// What a browser knows a certificate by that it is told to take: the sum of its key.
fn spki(file: &Path) -> String {
    let shell = "openssl x509 -in \"$0\" -noout -pubkey | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary";
    STANDARD.encode(run(Command::new("sh").args(["-c", shell]).arg(file), &[]).stdout)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_gets_the_same_bytes_over_every_protocol() {
    let origin = origin().await;
    let dir = tempfile::tempdir().unwrap();
    Authority::new().issue(dir.path(), "edge", &["localhost"]);
    let (cert, key) = (dir.path().join("edge.crt"), dir.path().join("edge.key"));
    let flags = [
        ("listen.https", "127.0.0.1:0"),
        ("listen.h3", "true"),
        ("tls.cert", cert.to_str().unwrap()),
        ("tls.key", key.to_str().unwrap()),
    ];
    let mut edge = lone_edge(dir.path(), "edge-a", &origin.url(), &flags);
    edge.start().await;
    let local = |at: &Option<String>| at.as_ref().unwrap().replace("127.0.0.1", "localhost");
    let (tls, h3) = (format!("https://{}", local(&edge.at.https)), format!("https://{}", local(&edge.at.h3)));
    let cases = cases();
    let mut browser = Command::new("node");
    browser.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("browser"));
    browser.args(["protocols.mjs", &edge.url(), &tls, &h3, &spki(&cert)]);
    let answers: Value = serde_json::from_slice(&run(&mut browser, told(&cases).as_bytes()).stdout).unwrap();
    for protocol in ["http/1.1", "h2", "h3"] {
        let got = answers[protocol].as_array().unwrap();
        assert_eq!(got.len(), cases.len(), "{protocol}");
        for (case, got) in cases.iter().zip(got) {
            let asked = (protocol, case.method, case.path, &case.fields);
            assert_eq!(got["status"], case.status, "{asked:?}");
            assert_eq!(got["sha256"], sha256(&case.wanted), "{asked:?}: {got}");
            assert_eq!(got["protocol"], protocol, "{asked:?}");
        }
    }
}
