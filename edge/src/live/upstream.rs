//! The one connection to an origin over which all channels of this edge come.
//!
//! When it ends, the next one goes on after the last number of each channel: no client notices.

use crate::edge::Shared;
use crate::websocket;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use http::header::{HeaderValue, SEC_WEBSOCKET_VERSION};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use sluice_service::{Body, HttpRequest, Protocol};
use sluice_wire::channel::{Ask, Line, PATH};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{interval, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// Silence after which an origin counts as gone; it speaks each second.
const SILENCE: Duration = Duration::from_secs(3);
/// How often an origin is told that this edge lives.
const ALIVE: Duration = Duration::from_secs(5);
/// Time in which an origin must take what is asked.
const TAKEN: Duration = Duration::from_secs(5);
/// Pauses between tries, doubled each time: clients are to hear again within two seconds of an origin's return.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How often what is due is looked for.
const SWEEP: Duration = Duration::from_millis(500);
/// Asks in one message: some 20 KB.
const BATCH: usize = 512;
/// Bytes read and gathered at a time.
const BUFFER: usize = 16 << 10;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Follows channels until the drain begins.
pub(crate) async fn follow(edge: Arc<Shared>) {
    let stop = edge.drain.token();
    let sweeps = async {
        let mut due = interval(SWEEP);
        loop {
            due.tick().await;
            edge.channels.sweep();
        }
    };
    tokio::select! {
        () = connections(&edge) => {}
        () = sweeps => {}
        () = stop.cancelled() => {}
    }
}

/// Asks the origins in turn, one after the other, while there are channels.
async fn connections(edge: &Arc<Shared>) {
    let mut pause = RETRY.0;
    loop {
        edge.channels.wanted().await;
        for origin in edge.origins() {
            let mut heard = false;
            if let Err(why) = converse(edge, &origin, &mut heard).await {
                tracing::debug!(origin, why, "the channels' connection ended");
            }
            if heard {
                pause = RETRY.0;
            }
        }
        sleep(pause.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
        pause = RETRY.1.min(pause * 2);
    }
}

/// One connection's life.
async fn converse(edge: &Arc<Shared>, origin: &str, heard: &mut bool) -> Result<(), String> {
    let socket = open(edge, origin).await?;
    let (connection, asks) = edge.channels.connected();
    let (sending, hearing) = socket.split();
    let ended = tokio::select! {
        ended = ask(edge, sending, connection, asks) => ended,
        ended = hear(edge, hearing, heard) => ended,
    };
    edge.channels.parted(connection);
    ended
}

async fn open(edge: &Shared, origin: &str) -> Result<Socket, String> {
    let mut request = HttpRequest::new(Body::empty());
    request.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    // HTTP/2 stands for "no key is brought": a fresh one is made.
    let key = websocket::key(request.headers(), Protocol::Http2, rand::random())
        .map_err(|problem| problem.title)?;
    websocket::ask(request.headers_mut(), key.clone());
    let asked = edge.parents.upgrade(origin, request, PATH, &key).await;
    let (answer, upgraded) = asked.map_err(|error| format!("{error:?}"))?;
    let upgraded = upgraded.ok_or_else(|| format!("it answers {}", answer.status()))?;
    let upgraded = timeout(SILENCE, upgraded).await.map_err(|_| "silence")?.map_err(|e| e.to_string())?;
    let config = WebSocketConfig::default().read_buffer_size(BUFFER).write_buffer_size(BUFFER);
    Ok(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, Some(config)).await)
}

/// Asks what is to be asked: for all channels first, then as clients come and go.
async fn ask(
    edge: &Shared,
    mut socket: SplitSink<Socket, Message>,
    connection: u64,
    first: Vec<Ask>,
) -> Result<(), String> {
    let mut asks = first;
    loop {
        for batch in asks.chunks(BATCH) {
            let lines = batch.iter().filter_map(|ask| serde_json::to_string(ask).ok());
            let text = lines.collect::<Vec<_>>().join("\n");
            send(&mut socket, Message::text(text)).await?;
        }
        asks = match timeout(ALIVE, edge.channels.next_asks(connection)).await {
            Ok(asks) => asks,
            Err(_) => {
                send(&mut socket, Message::Ping(Default::default())).await?;
                vec![]
            }
        };
    }
}

async fn send(socket: &mut SplitSink<Socket, Message>, message: Message) -> Result<(), String> {
    let sent = timeout(TAKEN, socket.send(message)).await;
    sent.map_err(|_| "the origin takes nothing")?.map_err(|error| error.to_string())
}

/// Hears what an origin says. It is never kept waiting: what a client does not take is the client's affair.
async fn hear(edge: &Shared, mut socket: SplitStream<Socket>, heard: &mut bool) -> Result<(), String> {
    loop {
        let said = timeout(SILENCE, socket.next()).await.map_err(|_| "silence")?;
        let said = said.ok_or("the origin ended it")?.map_err(|error| error.to_string())?;
        let Message::Text(text) = said else { continue };
        let line: Line = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        *heard = true;
        edge.channels.hear(&line, &text);
    }
}
