//! WebSockets: opened at an origin, then carried both ways until either side ends, all is silent, or the drain cuts.

use super::{Ask, Phase};
use crate::deliver;
use crate::edge::Shared;
use crate::metrics::{Outcome, TunnelEnd, Tunnels};
use crate::parent::{self, NoAnswer};
use crate::websocket;
use bytes::{Bytes, BytesMut};
use futures::stream::unfold;
use http::header::{HeaderValue, SEC_WEBSOCKET_VERSION};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use sluice_service::{Body, HttpRequest, HttpResponse, Peer, Protocol, problem_response};
use sluice_wire::Problem;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

/// Bytes read from an origin at a time, and pieces that wait for the client: 64 KiB of what it does not take yet.
const READ: usize = 16 << 10;
/// See [`READ`].
const PIECES: usize = 4;
/// How long an origin may go on after its client has ended.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Opens a WebSocket at the first origin that answers. Until it has answered 101, nothing of the client's bytes is taken.
pub(super) async fn tunnel(edge: &Arc<Shared>, mut ask: Ask) -> Phase {
    let protocol = ask.request.extensions().get::<Peer>().map_or(Protocol::Http1, |peer| peer.protocol);
    let key = match websocket::key(ask.request.headers(), protocol, rand::random()) {
        Ok(key) => key,
        Err(problem) => return Phase::Done(refusal(problem), Outcome::Refused),
    };
    let mut headers = parent::pass_headers(edge, &ask.request, &ask.tenant);
    websocket::ask(&mut headers, key.clone());
    let target = ask.target.as_text();
    let mut why = NoAnswer::Unreachable;
    for origin in parent::of_pass(edge, &ask.target) {
        let mut request = HttpRequest::new(Body::empty());
        (*request.method_mut(), *request.headers_mut()) = (Method::GET, headers.clone());
        let (mut answer, upgraded) = match edge.parents.upgrade(&origin, request, &target, &key).await {
            Ok(answer) => answer,
            Err(error) => {
                why = error;
                continue;
            }
        };
        if let Some(upgraded) = upgraded {
            let client = std::mem::take(ask.request.body_mut());
            *answer.body_mut() = carry(edge, upgraded, client);
        } else if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            tracing::debug!(origin, "an origin switches to what was not asked for");
            return Phase::Unserved(ask, NoAnswer::Unreachable);
        }
        deliver::label(answer.headers_mut(), &edge.config.node, "fwd=bypass; detail=websocket");
        return Phase::Done(answer, Outcome::Bypass);
    }
    Phase::Unserved(ask, why)
}

fn refusal(problem: Problem) -> HttpResponse {
    let mut answer = problem_response(problem);
    answer.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    answer
}

/// Begins to carry: what comes from the origin is the body that is given back.
fn carry(edge: &Arc<Shared>, upgraded: hyper::upgrade::OnUpgrade, client: Body) -> Body {
    let (sender, taken) = mpsc::channel::<io::Result<Bytes>>(PIECES);
    let began = Instant::now();
    let tunnel = Tunnel {
        counts: edge.metrics.tunnels.clone(),
        idle: Duration::from_millis(edge.live().streams.idle_ms),
        began,
        last_ms: AtomicU64::new(0),
    };
    let cut = edge.drain.cut();
    edge.drain.tasks().spawn(async move {
        tunnel.counts.open.inc();
        let carried = async {
            match upgraded.await {
                Ok(origin) => tunnel.run(TokioIo::new(origin), client, &sender).await,
                Err(_) => TunnelEnd::Fault,
            }
        };
        let end = tokio::select! {
            end = carried => end,
            () = cut.cancelled() => TunnelEnd::Cut,
        };
        if matches!(end, TunnelEnd::Fault | TunnelEnd::Cut) {
            // Nobody is left to be told when this fails.
            drop(sender.try_send(Err(io::ErrorKind::ConnectionReset.into())));
        }
        tunnel.counts.open.dec();
        tunnel.counts.ended(end);
    });
    Body::from_stream(unfold(
        taken,
        |mut taken| async move { taken.recv().await.map(|piece| (piece, taken)) },
    ))
}

/// A WebSocket under way.
struct Tunnel {
    counts: Tunnels,
    idle: Duration,
    began: Instant,
    /// When something was last carried, in milliseconds since it began.
    last_ms: AtomicU64,
}

impl Tunnel {
    async fn run<I>(&self, origin: I, client: Body, to_client: &mpsc::Sender<io::Result<Bytes>>) -> TunnelEnd
    where
        I: AsyncRead + AsyncWrite,
    {
        let (reading, writing) = tokio::io::split(origin);
        let mut up = pin!(self.up(client, writing));
        let mut down = pin!(self.down(reading, to_client));
        tokio::select! {
            end = down.as_mut() => end,
            end = up.as_mut() => match end {
                // The client has no more to say; the origin may.
                TunnelEnd::Client => timeout(LAST_WORDS, down).await.map_or(end, |_| end),
                fault => fault,
            },
            () = to_client.closed() => TunnelEnd::Client,
            () = self.silence() => TunnelEnd::Idle,
        }
    }

    /// From the client to the origin.
    async fn up<W: AsyncWrite + Unpin>(&self, mut client: Body, mut origin: W) -> TunnelEnd {
        while let Some(frame) = client.frame().await {
            let Ok(frame) = frame else { return TunnelEnd::Fault };
            let Ok(piece) = frame.into_data() else { continue };
            if origin.write_all(&piece).await.is_err() || origin.flush().await.is_err() {
                return TunnelEnd::Fault;
            }
            self.carried(&self.counts.up, piece.len());
        }
        // An origin that is gone already needs no telling.
        drop(origin.shutdown().await);
        TunnelEnd::Client
    }

    /// From the origin to the client.
    async fn down<R>(&self, mut origin: R, to_client: &mpsc::Sender<io::Result<Bytes>>) -> TunnelEnd
    where
        R: AsyncRead + Unpin,
    {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(READ);
            match (&mut origin).take(READ as u64).read_buf(&mut buffer).await {
                Ok(0) => return TunnelEnd::Origin,
                Ok(bytes) => {
                    if to_client.send(Ok(buffer.split().freeze())).await.is_err() {
                        return TunnelEnd::Client;
                    }
                    self.carried(&self.counts.down, bytes);
                }
                Err(_) => return TunnelEnd::Fault,
            }
        }
    }

    fn carried(&self, counter: &prometheus::IntCounter, bytes: usize) {
        counter.inc_by(bytes as u64);
        self.last_ms.store(self.began.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// Waits until nothing has been carried for too long.
    async fn silence(&self) {
        loop {
            let due = self.began + Duration::from_millis(self.last_ms.load(Ordering::Relaxed)) + self.idle;
            if due <= Instant::now() {
                return;
            }
            sleep_until(due).await;
        }
    }
}
