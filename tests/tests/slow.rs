//! Slow clients: each is let go within its deadline, costs little, and keeps nobody else from being served.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use sluice_tests::client;
use sluice_tests::h2::{self, kind};
use sluice_tests::origin::{ScriptedOrigin, answer};
use sluice_tests::process::Process;
use sluice_tests::stack::lone_edge;
use std::future::pending;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout};

/// More than sockets take on their own.
const LARGE: usize = 32 << 20;
/// A tenth of the common deadlines and less, so that the story is short.
const LIMITS: [(&str, &str); 5] = [
    ("listen.limits.head_ms", "1000"),
    ("listen.limits.write_stall_ms", "2000"),
    ("listen.limits.body_grace_ms", "500"),
    ("listen.limits.bytes_per_second", "500"),
    ("listen.limits.idle_ms", "5000"),
];
/// For how long one that takes nothing reads nothing: three deadlines.
const UNREAD: Duration = Duration::from_secs(6);
/// By when each must be gone: a deadline, a quarter of it, and what a busy machine adds.
const GONE: Duration = Duration::from_secs(20);

struct Scene {
    edge: Process,
    _origin: ScriptedOrigin,
    _dir: tempfile::TempDir,
}

async fn scene() -> Scene {
    let origin = ScriptedOrigin::start(|request| async move {
        let large = request.uri().path() == "/large";
        if request.method() == "POST" {
            let body = axum::body::to_bytes(request.into_body(), LARGE).await;
            return answer(if body.is_ok() { 200 } else { 400 }, &[], "");
        }
        answer(200, &[("cache-control", "max-age=600")], vec![b'x'; if large { LARGE } else { 100 }])
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let mut edge = lone_edge(dir.path(), "edge-a", &origin.url(), &LIMITS);
    edge.start().await;
    assert_eq!(client::bytes(&format!("{}/large", edge.url())).await.len(), LARGE);
    client::bytes(&format!("{}/small", edge.url())).await;
    Scene { edge, _origin: origin, _dir: dir }
}

/// A way to be slow on a connection; done when the server has ended it.
#[derive(Debug, Clone, Copy)]
enum Way {
    Head,
    HeadOverHttp2,
    Body,
    Reader,
    Window,
    ByteWindow,
}

const WAYS: [Way; 6] = [Way::Head, Way::HeadOverHttp2, Way::Body, Way::Reader, Way::Window, Way::ByteWindow];

async fn is_let_go(at: String, way: Way) {
    match way {
        Way::Head => drips(&at, b"GET /small HTTP/1.1\r\nHost: a\r\n", b"x").await,
        Way::Body => {
            let head = b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";
            drips(&at, head, b"x").await;
        }
        Way::HeadOverHttp2 => {
            let (mut sender, receiver) = h2::connect(&at, &[]).await;
            sender.send(kind::HEADERS, 0, 1, &h2::get("/small")).await.unwrap();
            assert!(receiver.rest().await.iter().any(|frame| frame.kind == kind::GOAWAY));
        }
        Way::Reader => takes_nothing(&at).await,
        Way::Window | Way::ByteWindow => {
            // SETTINGS_INITIAL_WINDOW_SIZE = 0.
            let (mut sender, mut receiver) = h2::connect(&at, &[0, 4, 0, 0, 0, 0]).await;
            sender.request(1, &h2::get("/large")).await.unwrap();
            assert_eq!(receiver.next_of(&[kind::HEADERS]).await.unwrap().status(), 200);
            let mut drips = interval(Duration::from_millis(100));
            let one = 1u32.to_be_bytes();
            let giving = async {
                loop {
                    drips.tick().await;
                    let more = sender.send(kind::WINDOW_UPDATE, 0, 1, &one);
                    if matches!(way, Way::Window) || more.await.is_err() {
                        pending::<()>().await;
                    }
                }
            };
            let frames = tokio::select! {
                frames = receiver.rest() => frames,
                () = giving => unreachable!(),
            };
            assert!(frames.iter().any(|frame| frame.kind == kind::GOAWAY), "{way:?}");
        }
    }
}

/// Sends a beginning, then a byte now and then, until the server has ended the connection.
async fn drips(at: &str, beginning: &[u8], byte: &[u8]) {
    let stream = TcpStream::connect(at).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    write.write_all(beginning).await.unwrap();
    let dripping = async {
        while write.write_all(byte).await.is_ok() {
            sleep(Duration::from_millis(100)).await;
        }
        pending::<()>().await;
    };
    let mut answer = vec![];
    tokio::select! {
        _ = read.read_to_end(&mut answer) => {}
        () = dripping => {}
    }
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
}

/// Asks for something large and reads none of it; what comes when it reads after all was cut off.
async fn takes_nothing(at: &str) {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    sleep(UNREAD).await;
    let mut got = vec![];
    drop(timeout(GONE, stream.read_to_end(&mut got)).await.expect("the connection has ended"));
    assert!(got.len() < LARGE, "all of it was kept for a client that took nothing");
}

#[tokio::test]
async fn two_hundred_slow_clients_are_let_go_and_others_are_served() {
    let scene = scene().await;
    let before = scene.edge.resident_kib();
    let at = scene.edge.at.http.clone().unwrap();
    let mut slow = JoinSet::new();
    for n in 0..200 {
        let (at, way) = (at.clone(), WAYS[n % WAYS.len()]);
        slow.spawn(async move {
            let gone = timeout(GONE * 2, is_let_go(at, way)).await;
            assert!(gone.is_ok(), "{way:?} is held open");
        });
    }
    let mut took = vec![];
    let mut most = 0;
    while !slow.is_empty() {
        while let Some(ended) = slow.try_join_next() {
            ended.unwrap();
        }
        let begun = Instant::now();
        // Each over a connection of its own.
        assert_eq!(client::bytes(&format!("{}/small", scene.edge.url())).await.len(), 100);
        took.push(begun.elapsed());
        most = most.max(scene.edge.resident_kib());
        sleep(Duration::from_millis(50)).await;
    }
    took.sort();
    let slowest = took[took.len() * 99 / 100];
    assert!(slowest < Duration::from_secs(20), "{slowest:?}");
    assert!(most.saturating_sub(before) <= 200 << 10, "{before} KiB, then {most} KiB");
    for reason in ["slow-head", "stall"] {
        let cuts =
            scene.edge.metric("sluice_connections_cut_total", &[&format!("reason=\"{reason}\"")]).await;
        assert!(cuts >= 30.0, "{reason}: {cuts}");
    }
}

#[tokio::test]
async fn a_steady_client_may_be_slow() {
    let scene = scene().await;
    let at = scene.edge.at.http.clone().unwrap();
    // Three times the rate, for three times the grace.
    let mut stream = TcpStream::connect(&at).await.unwrap();
    stream.write_all(b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 4500\r\n\r\n").await.unwrap();
    for _ in 0..30 {
        stream.write_all(&[b'x'; 150]).await.unwrap();
        sleep(Duration::from_millis(100)).await;
    }
    let mut answer = vec![0; 12];
    timeout(GONE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, b"HTTP/1.1 200");

    let (mut sender, mut receiver) = h2::connect(&at, &[0, 4, 0, 0, 0, 0]).await;
    sender.request(1, &h2::get("/large")).await.unwrap();
    let begun = Instant::now();
    let mut got = 0;
    // Three of the deadlines in which an answer must get on.
    while begun.elapsed() < Duration::from_secs(6) {
        sender.send(kind::WINDOW_UPDATE, 0, 1, &2_000u32.to_be_bytes()).await.unwrap();
        sender.send(kind::WINDOW_UPDATE, 0, 0, &2_000u32.to_be_bytes()).await.unwrap();
        let data = receiver.next_of(&[kind::DATA, kind::GOAWAY]).await.unwrap();
        assert_eq!(data.kind, kind::DATA);
        got += data.payload.len();
        sleep(Duration::from_millis(500)).await;
    }
    assert!(got > 10_000, "{got}");
}

#[tokio::test]
async fn a_client_has_so_many_connections_and_no_more() {
    let origin = ScriptedOrigin::start(|_| async { answer(200, &[], "") }).await;
    let dir = tempfile::tempdir().unwrap();
    let limits = [("listen.limits.connections_per_client", "5")];
    let mut edge = lone_edge(dir.path(), "edge-a", &origin.url(), &limits);
    edge.start().await;
    let at = edge.at.http.clone().unwrap();
    let mut held = vec![];
    for _ in 0..5 {
        let mut stream = TcpStream::connect(&at).await.unwrap();
        stream.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut answer = [0; 12];
        timeout(GONE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        held.push(stream);
    }
    let mut sixth = TcpStream::connect(&at).await.unwrap();
    drop(sixth.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await);
    let mut answer = vec![];
    drop(timeout(GONE, sixth.read_to_end(&mut answer)).await.unwrap());
    assert!(answer.is_empty());
    assert!(edge.metric("sluice_connections_cut_total", &["reason=\"too-many\""]).await >= 1.0);
    // One leaves, and there is room again.
    held.pop();
    let begun = Instant::now();
    while client::client().get(format!("{}/a", edge.url())).send().await.is_err() {
        assert!(begun.elapsed() < GONE, "the place of one that left is not free again");
        sleep(Duration::from_millis(50)).await;
    }
}
