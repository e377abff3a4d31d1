//! HTTP/1 on a connection: a strict gate, hits by the shortest way, everything else through the service.
//!
//! - `head`: the gate; `chunks` and `body`: request bodies; `answer`: answers
//! - `tunnel`: WebSockets, for a service that carries them
//!
//! HTTP/2 without TLS is handed over to hyper, with what was read; so are the upgrades of a service that carries no
//! WebSockets.

mod answer;
mod body;
pub(super) mod chunks;
pub(super) mod head;
mod tunnel;

use super::clear::Outlet;
use super::limits::{LAST_REQUEST, PARK_AFTER};
use super::prefixed::Prefixed;
use super::websocket::{Pieces, Tunnel};
use super::{Peer, Shell, shortcut, websocket};
use crate::config::LimitsConfig;
use crate::{Body, HttpRequest, HttpResponse, problem_response};
use answer::Asked;
use bytes::{Buf, Bytes, BytesMut};
use head::{BadHead, Framing, Manner};
use http::{HeaderMap, StatusCode};
use sluice_wire::Problem;
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_util::sync::WaitForCancellationFuture;
use tower::Service;

/// Bytes read for a head at a time: most heads fit, and an idle connection holds no more.
const READ: usize = 2 << 10;
/// Bytes of a body that are copied behind its head rather than written beside it.
const COPY: usize = 4 << 10;
/// Interim answers of one request that wait to be written; more are dropped.
const INTERIM: usize = 8;
/// What an HTTP/2 connection begins with (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

/// A way to send interim answers (1xx, RFC 9110 section 15.2) to the client: an extension of requests whose client can take them.
#[derive(Debug, Clone)]
pub struct Interim(mpsc::Sender<(StatusCode, HeaderMap)>);

/// What is sent so.
pub(super) type Interims = mpsc::Receiver<(StatusCode, HeaderMap)>;

impl Interim {
    /// A way, and its end.
    pub(super) fn channel() -> (Self, Interims) {
        let (sender, interims) = mpsc::channel(INTERIM);
        (Self(sender), interims)
    }

    /// Sends one. It is dropped when too many wait: an interim answer is a hint.
    pub fn send(&self, status: StatusCode, headers: HeaderMap) {
        drop(self.0.try_send((status, headers)));
    }
}

/// How a connection goes on after an exchange.
enum Next {
    Request,
    Close,
    /// As something else than HTTP/1, from the bytes in the buffer on.
    Other,
    /// It carries a WebSocket: where what the client sends goes, and what it is sent.
    Carry(Pieces, Body),
}

/// What became of a connection.
pub(super) enum End<I> {
    Closed,
    /// It goes on as something else than HTTP/1: with what was read of that.
    Other(Prefixed<I>),
    Rest(Rest<I>),
}

/// What a connection that serves no request is.
pub(super) enum Rest<I> {
    /// It waits for its next request, and nothing of that was read.
    Idle(I),
    /// It carries a WebSocket from here on.
    Tunnel(Tunnel<I>),
}

/// Serves a connection until it ends, becomes something else, or, where it may be parked, waits for a while.
pub(super) async fn converse<I, S>(mut io: I, peer: Peer, service: S, shell: &Shell, parks: bool) -> End<I>
where
    I: AsyncRead + Outlet + Send,
    S: Service<HttpRequest, Response = HttpResponse, Error = Infallible> + Clone + Send,
    S::Future: Send,
{
    let mut buffer = BytesMut::new();
    let mut out = vec![];
    let limits = shell.front.limits;
    let patience = if parks { PARK_AFTER.min(limits.idle()) } else { limits.idle() };
    let idle = pin!(sleep(patience));
    let begun = pin!(shell.begun.cancelled());
    let mut waits = Waits { idle, begun, shell, patience, last: false };
    loop {
        let next = match next_head(&mut io, &mut buffer, &mut waits).await {
            Ok(Came::Head(end)) => match waits.shortcut(&buffer[..end], peer, &mut out) {
                Some(mut body) => {
                    buffer.advance(end);
                    if body.len() <= COPY {
                        out.extend_from_slice(&body);
                        body.clear();
                    }
                    let written = answer::all(&mut io, &out, &mut body, limits).await;
                    let flushed = if peer.secure { io.flush().await } else { Ok(()) };
                    if written.and(flushed).is_ok() { Next::Request } else { Next::Close }
                }
                None => Box::pin(exchange(&mut io, &mut buffer, end, peer, service.clone(), shell)).await,
            },
            // The drain has begun meanwhile: it decides how long the connection still waits.
            Ok(Came::Nothing) if parks && !waits.last && shell.begun.is_cancelled() => Next::Request,
            Ok(Came::Nothing) if parks && !waits.last => return End::Rest(Rest::Idle(io)),
            Ok(Came::Nothing | Came::End) => Next::Close,
            Err(bad) => refuse(&mut io, bad, limits).await,
        };
        match next {
            Next::Request => {}
            Next::Close => {
                drop(timeout(limits.head(), io.shutdown()).await);
                return End::Closed;
            }
            Next::Other => return End::Other(Prefixed { before: buffer.freeze(), io }),
            Next::Carry(pieces, body) => {
                // The buffer is let go of: what is read from here on is not a head.
                let before = Bytes::copy_from_slice(&std::mem::take(&mut buffer));
                return End::Rest(Rest::Tunnel(Tunnel { io, before, pieces, body }));
            }
        }
    }
}

/// What came of a connection.
enum Came {
    /// A request's head, up to here in the buffer.
    Head(usize),
    /// Nothing in all the time there is for a request to begin.
    Nothing,
    /// Its end.
    End,
}

/// What ends an idle connection. Both live as long as the connection: a timer and a waiter made for each request would
/// cost a tenth of a hit.
struct Waits<'pin, 'token> {
    idle: Pin<&'pin mut Sleep>,
    begun: Pin<&'pin mut WaitForCancellationFuture<'token>>,
    shell: &'token Shell,
    /// How long it waits for the first bytes of a request.
    patience: Duration,
    /// The next request is the last: another process has taken the port over.
    last: bool,
}

impl Waits<'_, '_> {
    /// Tries the shortcut. The last request is answered by the long way, which tells the client that it is.
    fn shortcut(&self, head: &[u8], peer: Peer, out: &mut Vec<u8>) -> Option<Bytes> {
        if self.last { None } else { shortcut::take(head, peer, self.shell, out) }
    }

    /// Waits for the first bytes of a request. Gives why it does no longer when none came.
    async fn request<I: AsyncRead + Unpin>(&mut self, io: &mut I, buffer: &mut BytesMut) -> Option<Came> {
        let mut due = Instant::now() + self.patience;
        // An idle connection holds no more than it must.
        if buffer.capacity() > READ {
            *buffer = BytesMut::new();
        }
        buffer.reserve(READ);
        loop {
            tokio::select! {
                biased;
                read = io.read_buf(buffer) => {
                    return if read.is_ok_and(|read| read > 0) { None } else { Some(Came::End) };
                }
                // The timer may have been set for a request before this one.
                () = self.idle.as_mut() => {
                    if Instant::now() >= due {
                        return Some(Came::Nothing);
                    }
                    self.idle.as_mut().reset(due);
                }
                () = self.begun.as_mut(), if !self.last => {
                    if !self.shell.drain.is_succeeded() {
                        return Some(Came::End);
                    }
                    // A request may be on its way already; its answer says that the connection ends.
                    self.last = true;
                    due = Instant::now() + LAST_REQUEST;
                    self.idle.as_mut().reset(due);
                }
            }
        }
    }
}

/// Waits for a whole head.
async fn next_head<I>(io: &mut I, buffer: &mut BytesMut, waits: &mut Waits<'_, '_>) -> Result<Came, BadHead>
where
    I: AsyncRead + Unpin,
{
    if buffer.is_empty()
        && let Some(instead) = waits.request(io, buffer).await
    {
        return Ok(instead);
    }
    match head::end_of(buffer, 0) {
        Ok(Some(end)) if !buffer.starts_with(b"\r\n") => Ok(Came::Head(end)),
        Err(bad) => Err(bad),
        Ok(_) => {
            let rest = timeout(waits.shell.front.limits.head(), rest_of_head(io, buffer)).await;
            Ok(rest.unwrap_or(Ok(None))?.map_or(Came::End, Came::Head))
        }
    }
}

/// Reads on until a head is whole.
async fn rest_of_head<I>(io: &mut I, buffer: &mut BytesMut) -> Result<Option<usize>, BadHead>
where
    I: AsyncRead + Unpin,
{
    let mut seen = 0;
    loop {
        // One empty line before a request is passed over (RFC 9112 section 2.2).
        if seen == 0 && buffer.starts_with(b"\r\n") {
            buffer.advance(2);
        }
        if let Some(end) = head::end_of(buffer, seen)? {
            return Ok(Some(end));
        }
        seen = buffer.len();
        buffer.reserve(READ);
        if !matches!(io.read_buf(buffer).await, Ok(read) if read > 0) {
            return Ok(None);
        }
    }
}

/// One request through the service.
async fn exchange<I, S>(
    io: &mut I,
    buffer: &mut BytesMut,
    end: usize,
    peer: Peer,
    service: S,
    shell: &Shell,
) -> Next
where
    I: AsyncRead + Outlet + Send,
    S: Service<HttpRequest, Response = HttpResponse, Error = Infallible> + Clone + Send,
    S::Future: Send,
{
    if !peer.secure && buffer.starts_with(PREFACE) {
        return Next::Other;
    }
    let (request, manner) = match head::read(&buffer[..end]) {
        Ok((_, Manner { upgrade: true, framing: Framing::None, .. })) if !shell.tunnels => {
            return Next::Other;
        }
        Ok(read) => read,
        Err(bad) => return refuse(io, bad, shell.front.limits).await,
    };
    buffer.advance(end);
    // Any other upgrade is passed over, as if it was not asked for (RFC 9110 section 7.8).
    if manner.upgrade && manner.framing == Framing::None && websocket::asked_by_upgrade(&request) {
        return tunnel::exchange(io, request, manner.keep_alive, peer, service, shell).await;
    }
    let keep_alive = manner.keep_alive && !shell.begun.is_cancelled();
    let (limits, Manner { modern, trailers, .. }) = (shell.front.limits, manner);
    let asked = Asked { method: request.method().clone(), keep_alive, modern, trailers, limits };
    let (interim, mut interims) = Interim::channel();
    let with_body = |body: Body| {
        let mut request = request.map(|()| body);
        if manner.modern {
            request.extensions_mut().insert(interim);
        }
        shell.front.clone().answer(service, request, peer)
    };
    let done = match manner.framing {
        Framing::None => respond(io, pin!(with_body(Body::empty())), &mut interims, &asked).await,
        framing => {
            let (body, given) = body::body(framing);
            let (mut reading, mut writing) = tokio::io::split(io);
            let mut answering = pin!(with_body(body));
            if manner.expects && !await_want(&mut writing, &given, answering.as_mut(), &asked).await {
                return Next::Close;
            }
            let responding = respond(&mut writing, answering, &mut interims, &asked);
            let receiving = async { Ok(given.read(&mut reading, buffer).await) };
            tokio::try_join!(responding, receiving).map(|(more, clean)| more && clean)
        }
    };
    match done {
        Ok(true) => Next::Request,
        Ok(false) => Next::Close,
        Err(error) => {
            tracing::debug!(%error, addr = %peer.addr, "a connection ended early");
            Next::Close
        }
    }
}

type Answering<'a, F> = Pin<&'a mut F>;

/// Tells a client that waits for it to send its body, as soon as the service wants it. False when the service answered
/// without; the answer has been written then.
async fn await_want<W, F>(
    io: &mut W,
    given: &body::Given,
    mut answering: Answering<'_, F>,
    asked: &Asked,
) -> bool
where
    W: Outlet,
    F: Future<Output = Result<HttpResponse, Infallible>>,
{
    let answer = tokio::select! {
        Ok(answer) = answering.as_mut() => answer,
        wanted = given.is_wanted() => {
            if wanted {
                return answer::interim(io, StatusCode::CONTINUE, &HeaderMap::new(), asked.limits).await.is_ok();
            }
            let Ok(answer) = answering.await;
            answer
        }
    };
    // The body that was not asked for may come all the same: the connection cannot go on.
    let last = Asked { keep_alive: false, ..asked.clone() };
    drop(answer::write(io, answer, &last).await);
    false
}

/// Writes the interim answers as they come, then the answer. True when the connection may go on.
async fn respond<W, F>(
    io: &mut W,
    mut answering: Answering<'_, F>,
    interims: &mut Interims,
    asked: &Asked,
) -> io::Result<bool>
where
    W: Outlet,
    F: Future<Output = Result<HttpResponse, Infallible>>,
{
    let answer = loop {
        tokio::select! {
            biased;
            Some((status, headers)) = interims.recv() => answer::interim(io, status, &headers, asked.limits).await?,
            Ok(answer) = answering.as_mut() => break answer,
        }
    };
    while let Ok((status, headers)) = interims.try_recv() {
        answer::interim(io, status, &headers, asked.limits).await?;
    }
    answer::write(io, answer, asked).await
}

/// What the gate does not let in is told why, and the connection ends: where the next request begins is unknown.
async fn refuse<I: AsyncRead + Outlet>(io: &mut I, bad: BadHead, limits: LimitsConfig) -> Next {
    let (status, title) = match bad {
        BadHead::TooLarge => (431, "Head too large"),
        BadHead::Coding => (501, "Unknown transfer coding"),
        _ => (400, "Malformed request"),
    };
    let answer = problem_response(Problem::new(status, "malformed", title).detail(bad.to_string()));
    let asked = Asked { method: http::Method::GET, keep_alive: false, modern: true, trailers: false, limits };
    if answer::write(io, answer, &asked).await.is_ok() {
        drop(io.shutdown().await);
        let (_, given) = body::body(Framing::Length(u64::MAX));
        given.read(io, &mut BytesMut::new()).await;
    }
    Next::Close
}
