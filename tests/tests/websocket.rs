//! WebSockets through an edge, over HTTP/1.1 and HTTP/2.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::Request;
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use nix::sys::signal::Signal;
use sluice_tests::ear::{LIMIT, within};
use sluice_tests::echo::Echo;
use sluice_tests::process::Process;
use sluice_tests::stack::lone_edge;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Error, Message};

/// Bytes of a message that no buffer on the way holds whole.
const BIG: usize = 4 << 20;

async fn edge_before(dir: &tempfile::TempDir, origin: &str, flags: &[(&str, &str)]) -> Process {
    let mut edge = lone_edge(dir.path(), "edge", origin, flags);
    edge.start().await;
    edge
}

/// Opens a WebSocket by upgrade.
async fn opened(edge: &Process, path: &str) -> Result<WebSocketStream<TcpStream>, Error> {
    let at = edge.at.http.clone().unwrap();
    let stream = TcpStream::connect(&at).await.unwrap();
    let mut request = format!("ws://{at}{path}").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "chat".parse().unwrap());
    let (socket, answer) = tokio_tungstenite::client_async(request, stream).await?;
    assert_eq!(answer.headers()["sec-websocket-protocol"], "chat");
    Ok(socket)
}

/// Opens a WebSocket by an extended CONNECT on an HTTP/2 connection of its own, which `tasks` drives.
async fn opened_over_h2(
    edge: &Process,
    path: &str,
    tasks: &mut JoinSet<()>,
) -> WebSocketStream<TokioIo<hyper::upgrade::Upgraded>> {
    let at = edge.at.http.clone().unwrap();
    let stream = TokioIo::new(TcpStream::connect(&at).await.unwrap());
    let (mut requests, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tasks.spawn(async move { drop(connection.await) });
    let begun = Instant::now();
    let answer = loop {
        let request = Request::connect(format!("http://{at}{path}"))
            .extension(hyper::ext::Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13")
            .header("sec-websocket-protocol", "chat")
            .body(Empty::<Bytes>::new())
            .unwrap();
        // The server's settings, which allow it, may not have come yet.
        match requests.send_request(request).await {
            Ok(answer) => break answer,
            Err(error) => assert!(begun.elapsed() < LIMIT, "{error}"),
        }
        sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["sec-websocket-protocol"], "chat");
    assert!(!answer.headers().contains_key("sec-websocket-accept"), "of HTTP/1.1 alone");
    let stream = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
    WebSocketStream::from_raw_socket(stream, Role::Client, None).await
}

/// Both ways at once, more than any buffer holds.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) {
    let big: Vec<u8> = (0..BIG).map(|i| (i % 251) as u8).collect();
    let (mut sending, mut receiving) = socket.split();
    let send = async {
        for text in ["one", "two"] {
            sending.send(Message::text(text)).await.unwrap();
        }
        sending.send(Message::binary(big.clone())).await.unwrap();
        sending.send(Message::text("last")).await.unwrap();
    };
    let receive = async {
        for text in ["one", "two"] {
            assert_eq!(receiving.next().await.unwrap().unwrap(), Message::text(text));
        }
        assert!(receiving.next().await.unwrap().unwrap() == Message::binary(big.clone()), "the big one");
        assert_eq!(receiving.next().await.unwrap().unwrap(), Message::text("last"));
    };
    within("an exchange", async { tokio::join!(send, receive) }).await;
}

/// The origin ends with a close frame of its own, which reaches the client.
async fn said_goodbye<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) {
    socket.send(Message::text("bye")).await.unwrap();
    let Message::Close(Some(frame)) = within("a close", socket.next()).await.unwrap().unwrap() else {
        panic!("a close frame")
    };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4001, "as you wish"));
    assert!(within("the end", socket.next()).await.is_none());
}

async fn counted(edge: &Process, name: &str, labels: &[&str], wanted: f64) {
    let begun = Instant::now();
    loop {
        let now = edge.metric(name, labels).await;
        if now == wanted {
            return;
        }
        assert!(begun.elapsed() < LIMIT, "{name}{labels:?} is {now}, not {wanted}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn both_ways_are_carried_and_either_side_may_end() {
    let (dir, echo) = (tempfile::tempdir().unwrap(), Echo::start().await);
    let edge = edge_before(&dir, &echo.url(), &[]).await;
    let mut tasks = JoinSet::new();

    let mut over_h1 = opened(&edge, "/chat?room=1").await.unwrap();
    let mut over_h2 = opened_over_h2(&edge, "/chat", &mut tasks).await;
    counted(&edge, "sluice_edge_tunnels_open", &[], 2.0).await;
    exchange(&mut over_h1).await;
    exchange(&mut over_h2).await;
    let head = echo.last_head();
    assert!(head.contains_key("sec-websocket-key"), "the edge's own, where HTTP/2 has none");
    assert!(head.contains_key("via") && head.contains_key("x-forwarded-for"));
    assert!(edge.metric("sluice_edge_tunnel_bytes_total", &["up"]).await > 2.0 * BIG as f64);
    assert!(edge.metric("sluice_edge_tunnel_bytes_total", &["down"]).await > 2.0 * BIG as f64);

    said_goodbye(&mut over_h1).await;
    said_goodbye(&mut over_h2).await;

    // A client that goes without a word, and an origin that does.
    drop(opened(&edge, "/chat").await.unwrap());
    counted(&edge, "sluice_edge_tunnels_open", &[], 0.0).await;
    for mut socket in [opened(&edge, "/chat").await.unwrap()] {
        socket.send(Message::text("drop")).await.unwrap();
        let end = within("the end", socket.next()).await;
        assert!(matches!(end, None | Some(Err(_))), "{end:?}");
    }
    let mut socket = opened_over_h2(&edge, "/chat", &mut tasks).await;
    socket.send(Message::text("drop")).await.unwrap();
    let end = within("the end", socket.next()).await;
    assert!(matches!(end, None | Some(Err(_))), "{end:?}");
    counted(&edge, "sluice_edge_tunnels_open", &[], 0.0).await;
    counted(&edge, "sluice_edge_tunnels_total", &[], 5.0).await;
}

#[tokio::test]
async fn silence_ends_a_tunnel_and_a_drain_waits_for_it() {
    let (dir, echo) = (tempfile::tempdir().unwrap(), Echo::start().await);
    let flags = [("streams.idle_ms", "1500"), ("drain_grace_ms", "3000")];
    let mut edge = edge_before(&dir, &echo.url(), &flags).await;
    let mut silent = opened(&edge, "/chat").await.unwrap();
    let mut tasks = JoinSet::new();
    let mut pinging = opened_over_h2(&edge, "/chat", &mut tasks).await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        pinging.send(Message::Ping(Bytes::new())).await.unwrap();
        assert!(matches!(within("a pong", pinging.next()).await, Some(Ok(Message::Pong(_)))));
        sleep(Duration::from_millis(100)).await;
    }
    let end = within("the end of silence", silent.next()).await;
    assert!(matches!(end, None | Some(Err(_))), "{end:?}");
    counted(&edge, "sluice_edge_tunnels_total", &["idle"], 1.0).await;

    edge.signal(Signal::SIGTERM);
    let at = edge.at.http.clone().unwrap();
    within("the end of accepting", async {
        while TcpStream::connect(&at).await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    pinging.send(Message::text("still here")).await.unwrap();
    assert_eq!(within("an echo", pinging.next()).await.unwrap().unwrap(), Message::text("still here"));
    assert_eq!(edge.ended().await, Some(0));
}

#[tokio::test]
async fn what_opens_no_websocket_is_answered_as_it_is() {
    let (dir, echo) = (tempfile::tempdir().unwrap(), Echo::start().await);
    let edge = edge_before(&dir, &echo.url(), &[]).await;
    match opened(&edge, "/refuse").await {
        Err(Error::Http(answer)) => assert_eq!(answer.status(), 403),
        other => panic!("{other:?}"),
    }
    let upgrade = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n";
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let (version, old) = ("Sec-WebSocket-Version: 13\r\n", "Sec-WebSocket-Version: 8\r\n");
    for (fields, status) in [
        (format!("{upgrade}{key}{old}"), "426"),
        (format!("{upgrade}{version}"), "400"),
        (format!("{upgrade}{version}Sec-WebSocket-Key: short\r\n"), "400"),
        // Any other upgrade is passed over, and the echo server breaks off on a plain request.
        (
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
                .into(),
            "502",
        ),
    ] {
        let mut stream = TcpStream::connect(edge.at.http.clone().unwrap()).await.unwrap();
        let request = format!("GET /chat HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        within("an answer", stream.read_exact(&mut answer)).await.unwrap();
        let text = String::from_utf8_lossy(&answer).into_owned();
        assert!(text.starts_with(&format!("HTTP/1.1 {status}")), "{fields}{text}");
    }
}

#[tokio::test]
async fn nothing_is_forwarded_before_the_origin_has_switched() {
    let dir = tempfile::tempdir().unwrap();
    let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let edge = edge_before(&dir, &format!("http://{}", origin.local_addr().unwrap()), &[]).await;
    let mut client = TcpStream::connect(edge.at.http.clone().unwrap()).await.unwrap();
    let request = "GET /early HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();

    let (mut stream, head) = within("the request", async {
        loop {
            let (mut stream, _) = origin.accept().await.unwrap();
            let mut head = vec![];
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            // The edge asks for the event log too.
            if head.starts_with(b"GET /early") {
                break (stream, String::from_utf8(head).unwrap().to_ascii_lowercase());
            }
        }
    })
    .await;
    assert!(
        head.contains("upgrade: websocket") && head.contains("sec-websocket-key: dghlihnhbxbszsbub25jzq==")
    );
    let more = timeout(Duration::from_millis(300), stream.read_u8()).await;
    assert!(more.is_err(), "nothing more before 101: {more:?}");
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello";
    stream.write_all(switch.as_bytes()).await.unwrap();
    let mut early = [0; 26];
    within("what came early", stream.read_exact(&mut early)).await.unwrap();
    assert_eq!(&early, b"GET /smuggled HTTP/1.1\r\n\r\n", "bytes of the WebSocket, and no request");

    let mut answer = vec![];
    while !answer.ends_with(b"hello") {
        answer.push(within("the switch", client.read_u8()).await.unwrap());
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(answer.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
}
