//! Events, long polls and trailers through an edge: nothing is held back, joined or made up.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use axum::body::Body;
use bytes::Bytes;
use futures::stream::unfold;
use reqwest::Client;
use sluice_tests::origin::{ScriptedOrigin, answer};
use sluice_tests::stack::lone_edge;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Barrier, Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Time for anything that is waited for.
const LIMIT: Duration = Duration::from_secs(20);

type Events = Arc<Mutex<mpsc::Receiver<mpsc::Receiver<&'static str>>>>;

/// The body of a stream of events: each goes out as soon as the story tells it.
fn events(told: mpsc::Receiver<&'static str>) -> Body {
    Body::from_stream(unfold(told, |mut told| async move {
        let event = told.recv().await?;
        Some((Ok::<_, Infallible>(Bytes::from_static(event.as_bytes())), told))
    }))
}

#[tokio::test]
async fn each_event_arrives_before_the_next_is_sent() {
    let (streams, waiting) = mpsc::channel(4);
    let waiting: Events = Arc::new(Mutex::new(waiting));
    let origin = ScriptedOrigin::start(move |request| {
        let waiting = Arc::clone(&waiting);
        async move {
            // Even what says that it may be kept is neither kept nor shared.
            let fields = [("content-type", "text/event-stream"), ("cache-control", "max-age=60")];
            let told = waiting.lock().await.recv().await.unwrap();
            assert_eq!(request.headers().get("accept-encoding"), None);
            answer(200, &fields, events(told))
        }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let mut edge = lone_edge(dir.path(), "edge", &origin.url(), &[("watchdog_ms", "100")]);
    edge.start().await;
    let url = format!("{}/events", edge.url());
    let over_h2 = Client::builder().http2_prior_knowledge().build().unwrap();

    for (client, accept) in
        [(Client::new(), "text/event-stream"), (over_h2, "text/event-stream"), (Client::new(), "*/*")]
    {
        // Two at once, each with a stream of its own.
        let mut open = vec![];
        for _ in 0..2 {
            let (tell, told) = mpsc::channel(1);
            streams.send(told).await.unwrap();
            let asked = client.get(&url).header("accept", accept).send();
            open.push((tell, timeout(LIMIT, asked).await.unwrap().unwrap()));
        }
        for event in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
            for (tell, answer) in &mut open {
                tell.send(event).await.unwrap();
                assert_eq!(timeout(LIMIT, answer.chunk()).await.unwrap().unwrap().unwrap(), event);
            }
            // Silence that would cut a body that is kept.
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        for (tell, mut answer) in open {
            drop(tell);
            let end = timeout(LIMIT, answer.chunk()).await.unwrap().unwrap();
            assert!(end.is_none_or(|last| last.is_empty()), "its own end");
        }
    }
    assert_eq!(origin.asked("/events"), 6);
    assert_eq!(
        edge.metric("sluice_edge_cache_bytes", &[]).await,
        edge.metric("sluice_edge_cache_objects", &[]).await * 256.0
    );
}

#[tokio::test]
async fn long_polls_wait_side_by_side() {
    let all_here = Arc::new(Barrier::new(3));
    let origin = ScriptedOrigin::start(move |_| {
        let all_here = Arc::clone(&all_here);
        async move {
            // Nobody is answered before everybody has come.
            all_here.wait().await;
            answer(200, &[("cache-control", "max-age=60")], "news")
        }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let flags = [("streams.long_poll", "/poll/"), ("streams.long_poll_ms", "2000")];
    let mut edge = lone_edge(dir.path(), "edge", &origin.url(), &flags);
    edge.start().await;
    let (client, url) = (Client::new(), format!("{}/poll/a", edge.url()));
    let asked = (0..3).map(|_| timeout(LIMIT, client.get(&url).send()));
    for answer in futures::future::join_all(asked).await {
        assert_eq!(answer.unwrap().unwrap().text().await.unwrap(), "news");
    }
    assert_eq!(origin.asked("/poll/a"), 3);
    // One alone waits until its patience is over.
    let late = timeout(LIMIT, client.get(&url).send()).await.unwrap().unwrap();
    assert_eq!(late.status(), 504);
}

#[tokio::test]
async fn trailers_pass_to_those_who_take_them() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![];
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { break };
                head.push(byte);
            }
            let answer = "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\
                Connection: close\r\nTrailer: Grpc-Status, Set-Cookie\r\n\r\n4\r\nbody\r\n0\r\nGrpc-Status: 0\r\n\
                Set-Cookie: a=b\r\nContent-Length: 9\r\n\r\n";
            drop(stream.write_all(answer.as_bytes()).await);
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let mut edge = lone_edge(dir.path(), "edge", &origin, &[]);
    edge.start().await;
    for (te, wanted) in [("TE: trailers\r\n", "0\r\ngrpc-status: 0\r\n\r\n"), ("", "0\r\n\r\n")] {
        let mut stream = TcpStream::connect(edge.at.http.clone().unwrap()).await.unwrap();
        let request = format!("GET /a HTTP/1.1\r\nHost: a\r\n{te}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(LIMIT, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.ends_with(&format!("4\r\nbody\r\n{wanted}")), "{answer}");
    }
}
