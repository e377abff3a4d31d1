//! Interim answers of an origin reach the client before the answer is there: over HTTP/1.1 and HTTP/3. Over HTTP/2 the
//! answer alone does: hyper's server has no way to send them.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use sluice_tests::h3::H3;
use sluice_tests::process::Process;
use sluice_tests::stack::lone_edge;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(20);
const HINT: &str = "</style.css>; rel=preload";

/// Reads until a text has come.
async fn read_to(stream: &mut TcpStream, end: &str) -> String {
    let mut text = vec![];
    while !String::from_utf8_lossy(&text).contains(end) {
        assert_ne!(timeout(LIMIT, stream.read_buf(&mut text)).await.unwrap().unwrap(), 0, "it ended");
    }
    String::from_utf8(text).unwrap()
}

/// An origin that hints at once, and answers once the gate is open.
async fn origin(gate: watch::Receiver<bool>) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (at, mut serving) = (listener.local_addr().unwrap(), JoinSet::new());
    serving.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut gate = gate.clone();
            connections.spawn(async move {
                let head = read_to(&mut stream, "\r\n\r\n").await;
                let mut say = async |text: &str| stream.write_all(text.as_bytes()).await.unwrap();
                if !head.starts_with("GET /hinted") {
                    return say("HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
                        .await;
                }
                say(&format!("HTTP/1.1 103 Early Hints\r\nlink: {HINT}\r\nkeep-alive: 5\r\n\r\n")).await;
                gate.wait_for(|open| *open).await.unwrap();
                let fields = "connection: close\r\ncache-control: no-store\r\ncontent-length: 6";
                say(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nanswer")).await;
            });
        }
    });
    (at, serving)
}

async fn scene() -> (Process, watch::Sender<bool>, tempfile::TempDir, JoinSet<()>) {
    let (gate, opened) = watch::channel(false);
    let (at, serving) = origin(opened).await;
    let dir = tempfile::tempdir().unwrap();
    let flags = [("listen.https", "127.0.0.1:0"), ("listen.h3", "true")];
    let mut edge = lone_edge(dir.path(), "edge-a", &format!("http://{at}"), &flags);
    edge.start().await;
    (edge, gate, dir, serving)
}

#[tokio::test]
async fn hints_come_before_the_answer_over_http3() {
    let (edge, gate, _dir, _serving) = scene().await;
    let mut client = H3::new(edge.at.h3.as_ref().unwrap().parse().unwrap());
    let mut asked = client.ask("/hinted").await.unwrap();
    let hint = asked.head().await.unwrap();
    assert_eq!((hint.status().as_u16(), hint.headers()["link"].to_str().unwrap()), (103, HINT));
    assert!(!hint.headers().contains_key("keep-alive"), "which is the origin's connection's");
    gate.send_replace(true);
    assert_eq!(asked.head().await.unwrap().status(), 200);
    assert_eq!(client.get("/hinted").await.unwrap(), (200, b"answer".to_vec()), "for who passes over hints");
}

#[tokio::test]
async fn hints_come_before_the_answer_over_http1() {
    let (edge, gate, _dir, _serving) = scene().await;
    let mut stream = TcpStream::connect(edge.at.http.as_ref().unwrap()).await.unwrap();
    stream.write_all(b"GET /hinted HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let hint = read_to(&mut stream, "\r\n\r\n").await;
    assert!(hint.starts_with("HTTP/1.1 103 ") && hint.contains(HINT), "{hint}");
    gate.send_replace(true);
    assert!(read_to(&mut stream, "answer").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn the_answer_alone_comes_over_http2() {
    let (edge, gate, _dir, _serving) = scene().await;
    gate.send_replace(true);
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let answer = client.get(format!("{}/hinted", edge.url())).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, "answer"));
}
