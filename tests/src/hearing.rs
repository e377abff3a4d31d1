//! What a device hears of a conversation, by one of the transports: in each as a WebSocket says it in JSON.

use crate::device::Cut;
use futures::{SinkExt, StreamExt};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use sluice_wire::Tag;
use sluice_wire::compact::talk::{PROTOCOL, Said, Told};
use std::collections::VecDeque;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// A transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A WebSocket that speaks JSON.
    Json,
    /// A WebSocket that speaks in few bytes: of what happened the number is taken, the rest is asked for.
    Compact,
    /// Server-sent events.
    Events,
    /// Asking again and again.
    Poll,
}

/// All ways there are.
pub const WAYS: [Way; 4] = [Way::Json, Way::Compact, Way::Events, Way::Poll];

/// Seconds that an answer to one who asks again and again may wait.
const WAIT_S: u64 = 5;

/// A device listens.
#[derive(Debug)]
pub(crate) struct Hearing {
    line: Line,
    /// Heard, and not looked at yet.
    said: VecDeque<Value>,
}

#[derive(Debug)]
enum Line {
    Socket(Box<WebSocketStream<TcpStream>>),
    /// And what came of a line that is not whole yet.
    Events(Box<Response>, Vec<u8>),
    Polls(Polls),
}

/// One who asks again and again for what comes after a number.
#[derive(Debug)]
struct Polls {
    http: Client,
    at: SocketAddr,
    channel: String,
    after: u64,
    token: String,
}

impl Hearing {
    /// Listens to a channel from after a number on, with a token.
    pub(crate) async fn begin(
        way: Way,
        at: SocketAddr,
        (channel, after, token): (&str, u64, &str),
    ) -> Result<Self, Cut> {
        let line = match way {
            Way::Json => {
                let ask = json!({ "subscribe": channel, "after": after, "token": token }).to_string();
                Line::Socket(Box::new(asked(at, None, Message::text(ask)).await?))
            }
            Way::Compact => {
                let channel = Tag::new(channel).unwrap();
                let ask = Said::Subscribe { channel, after: Some(after), token: Some(token.into()) };
                let mut bytes = vec![];
                ask.encode(&mut bytes).unwrap();
                Line::Socket(Box::new(asked(at, Some(PROTOCOL), Message::binary(bytes)).await?))
            }
            Way::Events => {
                let http = crate::client::plain().build().unwrap();
                let asking = http.get(format!("http://{at}/v1/live/events?channel={channel}"));
                let asking = asking.bearer_auth(token).header("last-event-id", format!("{channel}={after}"));
                let answer = asking.send().await.map_err(|_| Cut)?;
                let status = answer.status().as_u16();
                assert!(status == 200 || status >= 500, "{status} of {channel}");
                if status != 200 {
                    return Err(Cut);
                }
                Line::Events(Box::new(answer), vec![])
            }
            Way::Poll => {
                let http = crate::client::plain().build().unwrap();
                let (channel, token) = (channel.to_owned(), token.to_owned());
                Line::Polls(Polls { http, at, channel, after, token })
            }
        };
        Ok(Self { line, said: VecDeque::new() })
    }

    /// What it hears next.
    pub(crate) async fn next(&mut self) -> Result<Value, Cut> {
        loop {
            if let Some(said) = self.said.pop_front() {
                return Ok(said);
            }
            match &mut self.line {
                Line::Socket(socket) => match socket.next().await.ok_or(Cut)?.map_err(|_| Cut)? {
                    Message::Text(text) => self.said.push_back(serde_json::from_str(&text).unwrap()),
                    Message::Binary(bytes) => self.said.extend(records(&bytes)),
                    _ => {}
                },
                Line::Events(answer, buffer) => {
                    let piece = answer.chunk().await.map_err(|_| Cut)?.ok_or(Cut)?;
                    buffer.extend_from_slice(&piece);
                    while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                        let line: Vec<u8> = buffer.drain(..=end).collect();
                        if let Some(data) = line.strip_prefix(b"data: ") {
                            self.said.push_back(serde_json::from_slice(data).unwrap());
                        }
                    }
                }
                Line::Polls(polls) => self.said.extend(polls.ask().await?),
            }
        }
    }
}

impl Polls {
    /// Asks once: what has come, or nothing in time.
    async fn ask(&mut self) -> Result<Vec<Value>, Cut> {
        let Self { http, at, channel, after, token } = self;
        let url = format!("http://{at}/v1/live/poll?channel={channel}&after={after}&wait={WAIT_S}");
        let answer = http.get(url).bearer_auth(&*token).send().await.map_err(|_| Cut)?;
        let status = answer.status().as_u16();
        assert!(matches!(status, 200 | 204) || status >= 500, "{status} of {channel}");
        match status {
            200 => {}
            204 => return Ok(vec![]),
            _ => return Err(Cut),
        }
        let told: Value = answer.json().await.map_err(|_| Cut)?;
        let mut said = told["frames"].as_array().unwrap().clone();
        if let Some(to) = told["gap"]["to"].as_u64() {
            let before = said.iter().take_while(|frame| frame["seq"].as_u64().unwrap() <= to).count();
            said.insert(before, json!({ "gap": told["gap"] }));
        }
        // Nothing, and yet an answer: the channel is elsewhere.
        if said.is_empty() {
            said.push(json!({ "subscribed": told["channel"], "seq": told["seq"] }));
        }
        *after = told["seq"].as_u64().unwrap();
        Ok(said)
    }
}

/// Opens a socket, and says something on it.
async fn asked(
    at: SocketAddr,
    protocol: Option<&str>,
    ask: Message,
) -> Result<WebSocketStream<TcpStream>, Cut> {
    let stream = TcpStream::connect(at).await.map_err(|_| Cut)?;
    let mut request = format!("ws://{at}/v1/live").into_client_request().map_err(|_| Cut)?;
    if let Some(name) = protocol {
        request.headers_mut().insert("sec-websocket-protocol", name.parse().unwrap());
    }
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.map_err(|_| Cut)?;
    socket.send(ask).await.map_err(|_| Cut)?;
    Ok(socket)
}

fn records(bytes: &[u8]) -> Vec<Value> {
    let (mut rest, mut said) = (bytes, vec![]);
    while !rest.is_empty() {
        let (told, more) = Told::decode(rest).unwrap();
        said.extend(in_json(told));
        rest = more;
    }
    said
}

/// A record. What happened is left out: names and ids of devices are not told to all.
fn in_json(told: Told) -> Option<Value> {
    match told {
        Told::Subscribed { seq, channel, .. } => Some(json!({ "subscribed": channel, "seq": seq })),
        Told::Frame { frame, .. } => Some(json!({ "seq": frame.seq })),
        Told::Json { seq, .. } => Some(json!({ "seq": seq })),
        Told::Gap { gap, .. } => Some(json!({ "gap": gap })),
        Told::Refused { problem, .. } | Told::Problem { problem } => {
            let problem: Value = serde_json::from_str(&problem).unwrap();
            Some(json!({ "problem": problem }))
        }
        Told::Answer { .. } | Told::Aside { .. } => None,
    }
}
