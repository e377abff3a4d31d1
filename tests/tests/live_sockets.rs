//! Sockets of live channels: over every version of HTTP, with calls beside what is heard, and small while they are silent.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use bytes::Bytes;
use http_body_util::Empty;
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use sluice_tests::channels::Story;
use sluice_tests::ear::{Ear, LIMIT, within};
use sluice_tests::process::Process;
use sluice_tests::programs::printed;
use sluice_tests::python::{AIOQUIC_SOCKETS, python};
use sluice_tests::stack::lone_edge;
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

#[tokio::test]
async fn a_call_over_a_socket_is_a_request_like_any_other() {
    let mut story = Story::start(1).await;
    let mut ear = story.ear(0).await;
    ear.say(json!({ "call": "c1", "method": "GET", "path": "/v1/videos" })).await;
    let answer = ear.json().await;
    assert_eq!((&answer["answer"], &answer["status"]), (&json!("c1"), &json!(200)), "{answer}");
    assert!(answer["body"].is_object() || answer["body"].is_array(), "{answer}");
    for path in ["/v1/log", "/v1/channels", "/v1/live/poll?channel=v:1", "/v/x", "/v1/../x"] {
        ear.say(json!({ "call": path, "method": "GET", "path": path })).await;
        let answer = ear.json().await;
        assert_eq!((&answer["answer"], &answer["status"]), (&json!(path), &json!(400)), "{answer}");
    }
    ear.say(
        json!({ "call": "c2", "method": "POST", "path": "/v1/direct", "body": { "bytes": 0 }, "key": "k" }),
    )
    .await;
    let answer = ear.json().await;
    assert!(answer["status"].as_u64().unwrap() >= 400 && answer["body"]["type"].is_string(), "{answer}");
    ear.say(json!({ "nonsense": 1 })).await;
    assert_eq!(ear.json().await["problem"]["status"], 400);

    // The drain: clients are told to go.
    story.edges[0].signal(nix::sys::signal::Signal::SIGTERM);
    let Message::Close(Some(close)) = ear.hear().await else { panic!("a close frame") };
    assert_eq!(u16::from(close.code), 1001);
    assert_eq!(story.edges[0].ended().await, Some(0));
}

/// Opens sockets by extended CONNECT, on one HTTP/2 connection that `tasks` drives.
async fn over_h2(edge: &Process, count: usize, tasks: &mut JoinSet<()>) -> Vec<Ear<TokioIo<Upgraded>>> {
    let at = edge.at.http.clone().unwrap();
    let stream = TokioIo::new(TcpStream::connect(&at).await.unwrap());
    let (mut requests, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tasks.spawn(async move { drop(connection.await) });
    let (mut ears, begun) = (vec![], Instant::now());
    while ears.len() < count {
        let request = http::Request::connect(format!("http://{at}/v1/live"))
            .extension(hyper::ext::Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13")
            .body(Empty::<Bytes>::new())
            .unwrap();
        // The server's settings, which allow it, may not have come yet.
        let Ok(answer) = requests.send_request(request).await else {
            assert!(begun.elapsed() < LIMIT);
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        assert_eq!(answer.status(), 200);
        let stream = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
        ears.push(Ear { socket: WebSocketStream::from_raw_socket(stream, Role::Client, None).await });
    }
    ears
}

#[tokio::test]
async fn sockets_share_an_http2_connection() {
    let (story, mut tasks) = (Story::start(1).await, JoinSet::new());
    let mut ears = over_h2(&story.edges[0], 20, &mut tasks).await;
    for ear in &mut ears {
        ear.subscribe("stock:1", None, None).await;
    }
    story.say_live("stock:1", 30).await;
    for ear in &mut ears {
        ear.hears("stock:1", 1..=30).await;
    }
    ears[0].say(json!({ "unsubscribe": "stock:1" })).await;
    ears[0].say(json!({ "call": "c", "method": "GET", "path": "/v1/keys" })).await;
    assert_eq!(ears[0].json().await["answer"], "c");
    story.say_live("stock:1", 1).await;
    ears[1].hears("stock:1", 31..=31).await;
    ears[0].say(json!({ "call": "d", "method": "GET", "path": "/v1/keys" })).await;
    assert_eq!(ears[0].json().await["answer"], "d", "nothing of what it left");
}

#[tokio::test]
async fn a_client_of_another_make_listens_over_http3() {
    let dir = tempfile::tempdir().unwrap();
    let story = Story::start(0).await;
    let flags = [("listen.https", "127.0.0.1:0"), ("listen.h3", "true")];
    let mut edge = lone_edge(dir.path(), "edge", &story.origin.url(), &flags);
    edge.start().await;
    story.say_live("stock:1", 3).await;
    let (host, port) = edge.at.h3.as_ref().unwrap().rsplit_once(':').unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign/live.py");
    let mut listener = Command::new(python(AIOQUIC_SOCKETS));
    let output =
        within("the client", listener.arg(script).args([host, port, "stock:1"]).output()).await.unwrap();
    let told: Value = serde_json::from_str(&printed("a listener", &output)).unwrap();
    let seqs: Vec<_> = told.as_array().unwrap().iter().map(|one| one["seq"].as_u64().unwrap()).collect();
    assert_eq!((seqs, &told[0]["subscribed"]), (vec![1, 2, 3], &json!("stock:1")), "{told}");
}

#[tokio::test]
async fn a_silent_socket_is_small() {
    const SOCKETS: u64 = 1_000;
    /// KiB of one: with its connection, in a build that is not optimised.
    const LARGEST: u64 = 24;
    let story = Story::start(1).await;
    // What the first ones need once is not counted.
    let mut ears = vec![];
    for _ in 0..100 {
        let mut ear = story.ear(0).await;
        ear.subscribe("stock:1", None, None).await;
        ears.push(ear);
    }
    let before = story.edges[0].resident_kib();
    for _ in 0..SOCKETS {
        let mut ear = story.ear(0).await;
        ear.subscribe("stock:1", None, None).await;
        ears.push(ear);
    }
    let each = (story.edges[0].resident_kib() - before) / SOCKETS;
    println!("{each} KiB each");
    assert!(each <= LARGEST, "{each} KiB");
    story.say_live("stock:1", 1).await;
    for ear in &mut ears {
        ear.hears("stock:1", 1..=1).await;
    }
}
