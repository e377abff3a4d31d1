//! A client of live channels that listens at an edge.

use crate::process::Process;
use crate::shop;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::ops::RangeInclusive;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// Time for anything that is waited for.
pub const LIMIT: Duration = Duration::from_secs(20);

/// What comes of something, in time.
///
/// # Panics
/// If it takes longer than [`LIMIT`].
pub async fn within<T>(what: &str, awaited: impl Future<Output = T>) -> T {
    timeout(LIMIT, awaited).await.unwrap_or_else(|_| panic!("{what} took too long"))
}

/// One that listens.
#[derive(Debug)]
pub struct Ear<S = TcpStream> {
    /// What it hears by.
    pub socket: WebSocketStream<S>,
}

impl Ear {
    /// One that listens to nothing yet.
    pub async fn open(edge: &Process, protocol: Option<&str>) -> Self {
        let at = edge.at.http.clone().unwrap();
        let mut request = format!("ws://{at}/v1/live").into_client_request().unwrap();
        protocol.map(|name| request.headers_mut().insert("sec-websocket-protocol", name.parse().unwrap()));
        let stream = TcpStream::connect(&at).await.unwrap();
        let opened = tokio_tungstenite::client_async(request, stream);
        Self { socket: within("a socket", opened).await.unwrap().0 }
    }

    /// One that speaks JSON, and listens to a channel of an account's conversations from now on.
    pub async fn of(edge: &Process, channel: &str, account: &str) -> Self {
        let mut ear = Self::open(edge, None).await;
        ear.subscribe(channel, None, Some(&token(edge, account).await)).await;
        ear
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Ear<S> {
    /// Says something in JSON.
    pub async fn say(&mut self, said: Value) {
        self.socket.send(Message::text(said.to_string())).await.unwrap();
    }

    /// What it hears next.
    pub async fn hear(&mut self) -> Message {
        self.heard().await.expect("a message, and no end")
    }

    /// The same; `None` at the end.
    pub async fn heard(&mut self) -> Option<Message> {
        loop {
            match within("a message", self.socket.next()).await {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(said)) => return Some(said),
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// What one that speaks JSON hears next.
    pub async fn json(&mut self) -> Value {
        let said = self.hear().await;
        serde_json::from_str(said.to_text().unwrap()).unwrap_or_else(|_| panic!("{said:?}"))
    }

    /// Subscribes, and hears that it is; from where on.
    pub async fn subscribe(&mut self, channel: &str, after: Option<u64>, token: Option<&str>) -> u64 {
        self.say(json!({ "subscribe": channel, "after": after, "token": token })).await;
        let told = self.json().await;
        assert_eq!(told["subscribed"], channel, "{told}");
        told["seq"].as_u64().unwrap()
    }

    /// Hears exactly these numbers of a channel.
    pub async fn hears(&mut self, channel: &str, numbers: RangeInclusive<u64>) {
        for wanted in numbers {
            let frame = self.json().await;
            let heard = (&frame["channel"], frame["seq"].as_u64());
            assert_eq!(heard, (&json!(channel), Some(wanted)), "{frame}");
        }
    }
}

/// A token for all conversations of an account.
pub async fn token(edge: &Process, account: &str) -> String {
    let (_, told) = shop::post(&format!("{}/v1/chat/token", edge.url()), account, &json!({})).await;
    told["token"].as_str().unwrap().to_owned()
}
