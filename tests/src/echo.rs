//! An origin that speaks WebSocket: it echoes, and does what a few words tell it.

use futures::{SinkExt, StreamExt};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderMap, StatusCode};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// An echo server. It ends when dropped.
///
/// `bye` is answered with a close frame of code 4001, `drop` with nothing but the end of the connection. A target that
/// begins with `/refuse` gets 403. The subprotocol `chat` is taken when offered.
#[derive(Debug)]
pub struct Echo {
    /// Where it listens.
    pub at: SocketAddr,
    heads: Arc<Mutex<Vec<HeaderMap>>>,
    _serving: JoinSet<()>,
}

impl Echo {
    /// Starts one on a free port of loopback.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let heads: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
        let kept = Arc::clone(&heads);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(converse(stream, Arc::clone(&kept)));
            }
        });
        Self { at, heads, _serving: serving }
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    /// The fields of the last request for a WebSocket.
    #[must_use]
    pub fn last_head(&self) -> HeaderMap {
        self.heads.lock().unwrap().last().cloned().unwrap_or_default()
    }
}

#[allow(clippy::result_large_err, reason = "the library's own type")]
async fn converse(stream: TcpStream, heads: Arc<Mutex<Vec<HeaderMap>>>) {
    let answer = |request: &Request, mut response: Response| {
        heads.lock().unwrap().push(request.headers().clone());
        if request.uri().path().starts_with("/refuse") {
            let mut refusal = ErrorResponse::new(Some("not for you".into()));
            *refusal.status_mut() = StatusCode::FORBIDDEN;
            return Err(refusal);
        }
        if request.headers().get("sec-websocket-protocol").is_some_and(|p| p.as_bytes() == b"chat") {
            response.headers_mut().insert("sec-websocket-protocol", "chat".parse().unwrap());
        }
        Ok(response)
    };
    // The edge asks for the event log too, which is no WebSocket.
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, answer).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        let sent = match message {
            Message::Text(text) if text.as_str() == "bye" => {
                let reason = Utf8Bytes::from_static("as you wish");
                socket.close(Some(CloseFrame { code: 4001.into(), reason })).await
            }
            Message::Text(text) if text.as_str() == "drop" => return,
            echo @ (Message::Text(_) | Message::Binary(_)) => socket.send(echo).await,
            _ => Ok(()),
        };
        if sent.is_err() {
            return;
        }
    }
}
