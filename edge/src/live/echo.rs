//! A socket that says back what it is told (`/v1/live/echo`): whether WebSockets get through to this edge, and how long they
//! take there and back. It is framed, bounded and timed as the one that carries channels.

use super::framing::{DEAD, End, PING, framed, part};
use super::session::Session;
use super::strict::Strict;
use crate::edge::Shared;
use futures::{SinkExt, StreamExt};
use sluice_service::Pipe;
use std::sync::Arc;
use tokio::time::{Instant, interval_at, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// Says back what a client says, until either side ends. Its session has no channels: it is counted among the clients.
pub(super) async fn converse(edge: Arc<Shared>, session: Session, pipe: Pipe) {
    let mut socket = framed(pipe, edge.live().streams.message_bytes).await;
    let end = echo(&edge, &mut socket).await.err().unwrap_or(End::Client);
    session.cut(end.as_str());
    part(socket, end).await;
}

async fn echo(edge: &Shared, socket: &mut WebSocketStream<Strict>) -> Result<(), End> {
    let stop = edge.drain.token();
    let (mut ping, mut heard) = (interval_at(Instant::now() + PING, PING), Instant::now());
    loop {
        let answer = tokio::select! {
            said = socket.next() => match said {
                Some(Ok(said)) => {
                    heard = Instant::now();
                    match said {
                        said @ (Message::Text(_) | Message::Binary(_)) => said,
                        Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => continue,
                    }
                }
                Some(Err(error)) => return Err(End::of(&error)),
                None => return Ok(()),
            },
            _ = ping.tick() => {
                if heard.elapsed() > DEAD {
                    return Err(End::Dead);
                }
                Message::Ping(Default::default())
            }
            () = stop.cancelled() => return Err(End::Drain),
        };
        match timeout(DEAD, socket.send(answer)).await {
            Ok(sent) => sent.map_err(|_| End::Client)?,
            Err(_) => return Err(End::Dead),
        }
    }
}
