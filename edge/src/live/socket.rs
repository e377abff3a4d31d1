//! A client over WebSocket (`/v1/live`), over HTTP/1.1, HTTP/2 and HTTP/3 alike: JSON messages, unless it offers to speak in fewer
//! bytes (`tongue`).
//!
//! ```text
//! client   {"subscribe":"chat:1","after":12,"token":"..."}   {"unsubscribe":"chat:1"}   {"authorize":"TOKEN"}
//!          {"call":"c1","method":"POST","path":"/v1/...","body":{},"key":"...","admission":"...","at_least":"post:1=3"}
//! server   {"subscribed":"chat:1","seq":12}   {"channel":"chat:1","seq":13,"at_ms":0,"data":{}}
//!          {"channel":"chat:1","gap":{"from":13,"to":40}}   {"refused":"chat:1","problem":{}}
//!          {"channel":"chat:1","aside":{}}   {"answer":"c1","status":201,"body":{},"versions":"post:1=3"}   {"problem":{}}
//! ```

use super::call::{Answered, Brought, Call};
use super::client::Out;
use super::framing::{DEAD, End, PING, framed, part};
use super::session::{Session, Wish};
use super::strict::Strict;
use super::token;
use super::tongue::{Said, Tongue};
use crate::edge::Shared;
use futures::{SinkExt, StreamExt};
use http::header::HeaderValue;
use sluice_service::{Peer, Pipe};
use sluice_wire::token::MAX_TOKEN;
use sluice_wire::{Problem, Tag};
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// Calls of one client under way.
const MAX_CALLS: usize = 16;
/// Messages written before the connection is flushed.
const BATCH: usize = 64;

/// A socket under way.
struct Conversation {
    edge: Arc<Shared>,
    session: Session,
    socket: WebSocketStream<Strict>,
    tongue: Tongue,
    calls: JoinSet<Answered>,
    brought: Brought,
    peer: Option<Peer>,
    heard: Instant,
}

/// Talks with a client until either side ends.
pub(super) async fn converse(
    edge: Arc<Shared>,
    session: Session,
    (pipe, tongue): (Pipe, Tongue),
    brought: Brought,
    peer: Option<Peer>,
) {
    let socket = framed(pipe, edge.live().streams.message_bytes).await;
    let (calls, heard) = (JoinSet::new(), Instant::now());
    let mut talk = Conversation { edge, session, socket, tongue, calls, brought, peer, heard };
    let end = talk.run().await.err().unwrap_or(End::Client);
    talk.session.cut(end.as_str());
    Box::pin(part(talk.socket, end)).await;
}

impl Conversation {
    /// What it does from time to time is boxed: most sockets are silent, and hold no room for it.
    async fn run(&mut self) -> Result<(), End> {
        let stop = self.edge.drain.token();
        let mut ping = interval_at(Instant::now() + PING, PING);
        loop {
            tokio::select! {
                // Nothing more is asked of who does not take what there is.
                said = self.socket.next(), if self.session.has_room() => match said {
                    Some(Ok(said)) => Box::pin(self.heard(said)).await?,
                    Some(Err(error)) => return Err(End::of(&error)),
                    None => return Ok(()),
                },
                out = self.session.next() => {
                    let out = out.map_err(|_| End::Slow)?;
                    Box::pin(self.tell(out)).await?;
                }
                Some(answer) = self.calls.join_next() => {
                    // A call that failed by a fault of ours has no answer; its caller has a deadline too.
                    if let Ok(answer) = answer {
                        Box::pin(self.send(self.tongue.answer(answer))).await?;
                    }
                }
                _ = ping.tick() => Box::pin(self.look()).await?,
                () = stop.cancelled() => return Err(End::Drain),
            }
        }
    }

    /// Whether the client lives, and its tokens.
    async fn look(&mut self) -> Result<(), End> {
        if self.heard.elapsed() > DEAD {
            return Err(End::Dead);
        }
        for channel in self.session.expire() {
            self.tell(Out::Refused(channel, token::expired())).await?;
        }
        self.send(Message::Ping(Default::default())).await
    }

    async fn heard(&mut self, said: Message) -> Result<(), End> {
        self.heard = Instant::now();
        for said in self.tongue.understand(said)? {
            match said {
                Ok(said) => self.does(said).await?,
                Err(problem) => self.send(self.tongue.complain(&problem)).await?,
            }
        }
        Ok(())
    }

    async fn does(&mut self, said: Said) -> Result<(), End> {
        match said {
            Said::Subscribe { subscribe, after, token } => self.subscribe(subscribe, after, token).await,
            Said::Unsubscribe { unsubscribe } => {
                self.session.unwish(&unsubscribe);
                self.tongue.forget(&unsubscribe);
                Ok(())
            }
            Said::Call(call) => self.call(call).await,
            Said::Authorize { authorize } if authorize.len() <= MAX_TOKEN => {
                self.brought.authorization = HeaderValue::from_str(&format!("Bearer {authorize}")).ok();
                Ok(())
            }
            Said::Authorize { .. } => {
                let problem = Problem::new(400, "bad-message", "Bad message").detail("a token is shorter");
                self.send(self.tongue.complain(&problem)).await
            }
        }
    }

    async fn subscribe(
        &mut self,
        channel: Tag,
        after: Option<u64>,
        token: Option<String>,
    ) -> Result<(), End> {
        let brought = self.brought.authorization.as_ref();
        let token = token.or_else(|| token::of(brought?).map(str::to_owned));
        let wish = Wish { channel: channel.clone(), after, token };
        match self.session.wish(wish) {
            Ok(()) => Ok(()),
            Err(problem) => self.tell(Out::Refused(channel, problem)).await,
        }
    }

    async fn call(&mut self, call: Call) -> Result<(), End> {
        if self.calls.len() >= MAX_CALLS {
            let problem = Problem::new(429, "too-many-calls", "Too many calls")
                .detail(format!("at most {MAX_CALLS} at a time"));
            return self.send(self.tongue.answer(Answered::refused(call.call, &problem))).await;
        }
        self.calls.spawn(call.make(Arc::clone(&self.edge), self.brought.clone(), self.peer));
        Ok(())
    }

    /// Tells the client something, and what else there is.
    async fn tell(&mut self, first: Out) -> Result<(), End> {
        let client = self.session.client();
        let mut outs = vec![first];
        while outs.len() < BATCH
            && let Some(out) = self.session.ready().map_err(|_| End::Slow)?
        {
            outs.push(out);
        }
        let messages = self.tongue.tell(&outs, &self.session);
        let socket = &mut self.socket;
        let telling = async {
            for message in messages {
                socket.feed(message).await.map_err(|_| End::Client)?;
            }
            socket.flush().await.map_err(|_| End::Client)
        };
        tokio::select! {
            told = timeout(DEAD, telling) => told.unwrap_or(Err(End::Dead)),
            () = client.filled() => Err(End::Slow),
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        let client = self.session.client();
        tokio::select! {
            sent = timeout(DEAD, self.socket.send(message)) => match sent {
                Ok(sent) => sent.map_err(|_| End::Client),
                Err(_) => Err(End::Dead),
            },
            () = client.filled() => Err(End::Slow),
        }
    }
}
