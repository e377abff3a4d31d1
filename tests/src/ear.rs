//! A client of live channels that listens at an edge.

use crate::process::Process;
use crate::shop;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// Time for anything that is waited for.
const LIMIT: Duration = Duration::from_secs(20);

/// One that listens.
#[derive(Debug)]
pub struct Ear {
    /// What it hears by.
    pub socket: WebSocketStream<TcpStream>,
}

impl Ear {
    /// One that listens to nothing yet.
    pub async fn open(edge: &Process, protocol: Option<&str>) -> Self {
        let at = edge.at.http.clone().unwrap();
        let mut request = format!("ws://{at}/v1/live").into_client_request().unwrap();
        protocol.map(|name| request.headers_mut().insert("sec-websocket-protocol", name.parse().unwrap()));
        let stream = TcpStream::connect(&at).await.unwrap();
        Self { socket: tokio_tungstenite::client_async(request, stream).await.unwrap().0 }
    }

    /// One that speaks JSON, and listens to a channel of an account's conversations from now on.
    pub async fn of(edge: &Process, channel: &str, account: &str) -> Self {
        let mut ear = Self::open(edge, None).await;
        let asked = json!({ "subscribe": channel, "token": token(edge, account).await });
        ear.say(asked).await;
        let told = ear.json().await;
        assert!(told["subscribed"].is_string(), "{told}");
        ear
    }

    /// Says something in JSON.
    pub async fn say(&mut self, said: Value) {
        self.socket.send(Message::text(said.to_string())).await.unwrap();
    }

    /// What it hears next.
    pub async fn hear(&mut self) -> Message {
        loop {
            match timeout(LIMIT, self.socket.next()).await.expect("a message in time").unwrap().unwrap() {
                Message::Ping(_) | Message::Pong(_) => {}
                said => return said,
            }
        }
    }

    /// The same, of one that speaks JSON.
    pub async fn json(&mut self) -> Value {
        serde_json::from_str(self.hear().await.to_text().unwrap()).unwrap()
    }
}

/// A token for all conversations of an account.
pub async fn token(edge: &Process, account: &str) -> String {
    let (_, told) = shop::post(&format!("{}/v1/chat/token", edge.url()), account, &json!({})).await;
    told["token"].as_str().unwrap().to_owned()
}
