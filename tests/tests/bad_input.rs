//! What goes wrong is said clearly, and nothing is lost or half visible.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use reqwest::StatusCode;
use serde_json::Value;
use sluice_tests::client::{self, header};
use sluice_tests::clips;
use sluice_tests::process::Process;
use sluice_tests::stack::{Options, Stack};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn problem(answer: reqwest::Response, status: StatusCode) -> Value {
    assert_eq!(answer.status(), status);
    assert_eq!(header(&answer, "content-type"), "application/problem+json");
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["status"], status.as_u16());
    assert!(problem["title"].as_str().is_some_and(|t| !t.is_empty()), "{problem}");
    problem
}

async fn library(edge: &str) -> Vec<Value> {
    let answer: Value = client::client()
        .get(format!("{edge}/v1/videos"))
        .header("cache-control", "no-cache")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    answer["videos"].as_array().unwrap().clone()
}

#[tokio::test]
async fn what_cannot_be_a_video_is_refused_or_fails_with_a_reason() {
    let limit = 8 << 20;
    let options = Options { origin: vec![("upload.max_bytes", limit.to_string())], ..Options::default() };
    let stack = Stack::with(options).await;
    let edge = stack.edge();
    let http = client::client();

    let empty = http.put(format!("{edge}/v1/videos/empty.mp4")).body(vec![]).send().await.unwrap();
    assert!(empty.status().is_client_error(), "{}", empty.status());
    assert_eq!(header(&empty, "content-type"), "application/problem+json");

    // Refused before it is read, and heard all the same, by an edge and by a client.
    for server in [&edge, &stack.origin.url()] {
        let large = http.put(format!("{server}/v1/videos/large.mp4")).body(vec![1u8; limit + 1]);
        problem(large.send().await.unwrap(), StatusCode::PAYLOAD_TOO_LARGE).await;
    }
    problem(http.get(format!("{edge}/v1/videos/0000000000000")).send().await.unwrap(), StatusCode::NOT_FOUND)
        .await;
    problem(
        http.get(format!("{edge}/v/0000000000000/master.m3u8")).send().await.unwrap(),
        StatusCode::NOT_FOUND,
    )
    .await;
    assert!(library(&edge).await.is_empty(), "nothing half visible");

    for (name, bytes) in [
        ("text.mp4", b"This is no video, it only says so in its name.".repeat(100)),
        ("list.mp4", b"#EXTM3U\n#EXTINF:10,\n/etc/passwd\n#EXT-X-ENDLIST\n".to_vec()),
    ] {
        let id = client::put(&edge, name, bytes).await["id"].as_str().unwrap().to_owned();
        let failed = client::wait_until(&edge, &id, "failed", |v| v["state"] == "failed").await;
        assert!(failed["error"].as_str().is_some_and(|e| e.len() > 10), "a reason for a person: {failed}");
        let media = http.get(format!("{edge}/v/{id}/master.m3u8")).send().await.unwrap();
        assert_eq!(media.status(), StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn a_truncated_video_shows_what_there_is_and_says_so() {
    let stack = Stack::start().await;
    // A stream format keeps its meaning when cut; the first 60 % of it can be shown.
    let whole = transport_stream();
    let cut = whole[..whole.len() * 6 / 10].to_vec();
    let id = client::put(&stack.edge(), "cut.ts", cut).await["id"].as_str().unwrap().to_owned();
    let ready = client::wait_ready(&stack.edge(), &id).await;
    let shown = ready["duration_ms"].as_u64().unwrap();
    assert!(
        (3_000..8_500).contains(&shown),
        "the length is what was decoded, not what was promised: {shown}"
    );
}

fn transport_stream() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let (mp4, ts) = (dir.path().join("a.mp4"), dir.path().join("a.ts"));
    std::fs::write(&mp4, clips::made(10, "320x240", 25)).unwrap();
    let status = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(&mp4)
        .args(["-c", "copy", "-f", "mpegts"])
        .arg(&ts)
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    std::fs::read(ts).unwrap()
}

#[tokio::test]
async fn a_lying_content_length_leaves_nothing_behind() {
    let stack = Stack::start().await;
    for target in [stack.near[0].at.http.clone().unwrap(), stack.origin.at.http.clone().unwrap()] {
        let mut socket = tokio::net::TcpStream::connect(&target).await.unwrap();
        let head =
            format!("PUT /v1/videos/short.mp4 HTTP/1.1\r\nHost: {target}\r\nContent-Length: 100000\r\n\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(&[7u8; 5_000]).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut answer = Vec::new();
        drop(socket.read_to_end(&mut answer).await);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    assert!(library(&stack.edge()).await.is_empty());
}

/// RFC 9112 section 6.1: such a request is refused, and nothing after it on that connection is believed.
#[tokio::test]
async fn two_lengths_for_one_body_smuggle_nothing() {
    let stack = Stack::start().await;
    let request = "PUT /v1/videos/a.mp4 HTTP/1.1\r\nHost: x\r\nContent-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n\
                   0\r\n\r\nGET /v1/videos HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut socket = tokio::net::TcpStream::connect(stack.near[0].at.http.as_ref().unwrap()).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("malformed"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
}

#[tokio::test]
async fn path_tricks_reach_nothing() {
    let stack = Stack::start().await;
    let target = stack.near[0].at.http.clone().unwrap();
    for path in [
        "/v/../etc/passwd",
        "/v/%2e%2e/%2e%2e/etc/passwd",
        "/v/0000000000000/../../sluice.db",
        "/assets/..%2f..%2f..%2fetc/passwd",
        "/assets/../../../../etc/passwd",
        "//etc/passwd",
        "/v/0000000000000/v240/0-00112233445566778899aabbccddeeff.m4s%00",
    ] {
        let mut socket = tokio::net::TcpStream::connect(&target).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with("HTTP/1.1 4"), "{path}: {answer}");
        assert!(!answer.contains("root:"), "{path}");
    }
    let tricky = client::put(&stack.edge(), "..%2F..%2Fetc%2Fpasswd", vec![1; 100]).await;
    assert!(!stack.dir().join("passwd").exists());
    assert!(tricky["name"].as_str().is_some_and(|n| !n.is_empty()), "a name is text, never a path: {tricky}");
}

#[tokio::test]
async fn a_program_says_every_fault_of_its_configuration_before_it_binds() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("edge.toml");
    std::fs::write(&file, "tire = \"near\"\nreport_ms = \"often\"\n[cache]\nmemory_bites = 5\n").unwrap();
    let output = std::process::Command::new(sluice_tests::process::binary("sluice-edge"))
        .arg("--config")
        .arg(&file)
        .env("SLUICE_LISTEN__HTTP", "nowhere")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64), "EX_USAGE");
    let text =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    for fault in ["tire", "report_ms", "memory_bites", "SLUICE_LISTEN__HTTP"] {
        assert!(text.contains(fault), "{fault} is not named in:\n{text}");
    }
    assert!(text.contains("edge.toml"), "{text}");
}

#[tokio::test]
async fn an_app_that_is_named_twice_is_a_fault_of_the_configuration() {
    let check = |apps: &str| {
        std::process::Command::new(sluice_tests::process::binary("sluice-origin"))
            .args(["--check-config", "--apps.run", apps])
            .output()
            .unwrap()
    };
    let output = check("commerce,chat,commerce");
    assert_eq!(output.status.code(), Some(64), "EX_USAGE");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("apps.run: names an app twice; name each once"), "{text}");
    assert!(check("commerce,chat").status.success());
}

#[tokio::test]
async fn a_taken_port_is_said_in_a_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(sluice_tests::process::binary("sluice-edge"))
        .args(["--listen.http", &address, "--node", "near-a"])
        .args(["--origins", "http://127.0.0.1:1", "--state_dir"])
        .arg(dir.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(&address) && text.contains("in use"), "{text}");
}

#[tokio::test]
async fn a_full_disk_refuses_the_upload_and_keeps_what_was_there() {
    let Some(disk) = SmallDisk::mount() else {
        let mut err = std::io::stderr().lock();
        drop(std::io::Write::write_all(&mut err, b"skipped: mounting a small disk needs root\n"));
        return;
    };
    let mut engines = sluice_tests::stack::Engines::embedded(disk.dir.path());
    engines.database = format!("sqlite:{}", disk.elsewhere.path().join("sluice.db").display());
    let stack =
        Stack::with(Options { engines: Some(engines), hold_transcoder: true, ..Options::default() }).await;
    let edge = stack.edge();
    let kept = client::put(&edge, "fits.mp4", vec![3; 1 << 20]).await;
    let refused =
        client::client().put(format!("{edge}/v1/videos/large.mp4")).body(vec![5; 24 << 20]).send().await;
    if let Ok(answer) = refused {
        problem(answer, StatusCode::INSUFFICIENT_STORAGE).await;
    }
    let names: Vec<Value> = library(&edge).await.into_iter().map(|v| v["name"].clone()).collect();
    assert_eq!(names, ["fits.mp4"], "nothing half visible");
    assert_eq!(client::video(&edge, kept["id"].as_str().unwrap()).await["bytes"], 1 << 20);
    // What the refused upload had stored is given back: the same disk takes a small one again.
    client::put(&edge, "again.mp4", vec![4; 1 << 20]).await;
}

/// A file system of 16 MiB, unmounted when dropped.
struct SmallDisk {
    dir: tempfile::TempDir,
    elsewhere: tempfile::TempDir,
}

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"])
            .arg(dir.path())
            .status()
            .is_ok_and(|s| s.success());
        mounted.then(|| Self { dir, elsewhere: tempfile::tempdir().unwrap() })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(std::process::Command::new("umount").arg("-l").arg(self.dir.path()).status());
    }
}

#[tokio::test]
async fn a_program_that_is_told_to_end_drains() {
    let mut stack = Stack::start().await;
    let origin: &mut Process = &mut stack.origin;
    origin.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(origin.ended().await, Some(0));
}
