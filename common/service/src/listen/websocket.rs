//! WebSockets in one form, whatever protocol carries them.
//!
//! Over HTTP/1.1 a client asks by `Upgrade` (RFC 6455), over HTTP/2 and HTTP/3 by an extended CONNECT (RFC 8441, RFC 9220).
//! A service sees a GET with the extension [`WebSocket`], whose body is what the client sends once the answer is 101; the
//! body of that answer is what the client gets. Any other answer refuses.

use super::Shell;
use super::limits::{LINGER_STALL, WRITE_STALL};
use crate::{Body, HttpRequest, HttpResponse, problem_response};
use bytes::{Bytes, BytesMut};
use futures::SinkExt;
use futures::channel::mpsc;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, SEC_WEBSOCKET_ACCEPT, UPGRADE};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use sluice_wire::Problem;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::timeout;

/// Bytes read from a client at a time: a frame of most chats and games, and little for a tunnel that stands still.
const READ: usize = 16 << 10;
/// Bytes read at a time from a client that does not send as much: most are silent, and wait with this.
const READ_LITTLE: usize = 256;
/// Pieces between a connection and the service, so that a tunnel holds at most 64 KiB of what the other side does not
/// take yet.
const PIECES: usize = 4;

/// Marks a request for a WebSocket: an extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebSocket;

/// The connection's end of what a client sends: small while it is silent.
pub(super) type Pieces = mpsc::Sender<io::Result<Bytes>>;

/// True for a request that asks for a WebSocket by upgrade (RFC 6455 section 4.1); that it names the upgrade in
/// `Connection` is the caller's to see.
pub(super) fn asked_by_upgrade<B>(request: &Request<B>) -> bool {
    let lines = request.headers().get_all(UPGRADE).iter().filter_map(|v| v.to_str().ok());
    let mut protocols = lines.flat_map(|line| line.split(','));
    *request.method() == Method::GET && protocols.any(|p| p.trim().eq_ignore_ascii_case("websocket"))
}

/// The request as a service gets it, and where the client's bytes go.
pub(super) fn opened<B>(request: Request<B>) -> (HttpRequest, Pieces) {
    let (pieces, taken) = mpsc::channel(PIECES);
    (marked(request.map(|_| Body::from_stream(taken))), pieces)
}

/// The request as a service gets it, whose body is what the client sends.
pub(super) fn marked(mut request: HttpRequest) -> HttpRequest {
    *request.method_mut() = Method::GET;
    request.headers_mut().remove(CONTENT_LENGTH);
    request.extensions_mut().insert(WebSocket);
    request
}

/// An answer as an extended CONNECT has it: 200 opens the tunnel, and no other success may stand for a refusal (RFC 8441
/// section 5). True when it opens.
pub(super) fn translated(mut answer: HttpResponse) -> (HttpResponse, bool) {
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        *answer.status_mut() = StatusCode::OK;
        let of_http1: [HeaderName; 3] = [CONNECTION, UPGRADE, SEC_WEBSOCKET_ACCEPT];
        of_http1.iter().for_each(|name| drop(answer.headers_mut().remove(name)));
        return (answer, true);
    }
    if !answer.status().is_success() {
        return (answer, false);
    }
    let problem = Problem::new(502, "no-websocket", "No WebSocket")
        .detail("the origin answered the request as if it asked for no WebSocket");
    (problem_response(problem), false)
}

/// A WebSocket that was opened: the connection under it, what was read of the client's bytes already, where those go, and
/// what the client gets.
pub(super) struct Tunnel<I> {
    pub(super) io: I,
    pub(super) before: Bytes,
    pub(super) pieces: Pieces,
    pub(super) body: Body,
}

impl<I: AsyncRead + AsyncWrite + Send + 'static> Tunnel<I> {
    /// Carries it in a task of its own, with what is `held` to its end: most WebSockets are silent and live long, and
    /// nothing stays of what served the request.
    pub(super) fn spawn(self, addr: SocketAddr, held: impl Send + 'static, shell: &Shell) {
        let cut = shell.drain.cut();
        let Self { io, before, pieces, body } = self;
        // Here, so that the task holds no room for the connection beside its halves.
        let halves = tokio::io::split(io);
        shell.connections.spawn(async move {
            let _held = held;
            let carried = tokio::select! {
                carried = carry(halves, before, pieces, body) => carried,
                () = cut.cancelled() => Ok(()),
            };
            if let Err(error) = carried {
                tracing::debug!(%error, %addr, "a WebSocket ended early");
            }
        });
    }
}

/// Carries both ways until the service ends its own, and then waits a little for the client to end.
async fn carry<I: AsyncRead + AsyncWrite>(
    (reading, mut writing): (ReadHalf<I>, WriteHalf<I>),
    before: Bytes,
    pieces: Pieces,
    body: Body,
) -> io::Result<()> {
    let mut receiving = pin!(receive(reading, before, pieces));
    let mut received = false;
    {
        let mut sending = pin!(send(&mut writing, body));
        loop {
            tokio::select! {
                sent = sending.as_mut() => break sent?,
                () = receiving.as_mut(), if !received => received = true,
            }
        }
    }
    timeout(WRITE_STALL, writing.shutdown()).await.unwrap_or(Ok(()))?;
    if !received {
        // A connection closed on unread bytes is reset, and the client would lose what it has not read yet.
        drop(timeout(LINGER_STALL, receiving).await);
    }
    Ok(())
}

/// Hands on what the client sends, as the service takes it; what it does not want any more is read for nobody.
async fn receive<R: AsyncRead + Unpin>(mut io: R, before: Bytes, mut pieces: Pieces) {
    if !before.is_empty() {
        drop(pieces.send(Ok(before)).await);
    }
    let mut size = READ_LITTLE;
    loop {
        // Of its own for each piece: what is handed on is let go of whole.
        let mut buffer = BytesMut::with_capacity(size);
        let piece = match (&mut io).take(size as u64).read_buf(&mut buffer).await {
            Ok(0) => return,
            Ok(read) => {
                size = if read == size { READ } else { READ_LITTLE };
                Ok(buffer.freeze())
            }
            Err(error) => Err(error),
        };
        let failed = piece.is_err();
        // Nobody is left to be told when this fails.
        drop(pieces.send(piece).await);
        if failed {
            return;
        }
    }
}

/// Sends what the service gives, each piece at once.
async fn send<W: AsyncWrite + Unpin>(io: &mut W, mut body: Body) -> io::Result<()> {
    let stalled = |_| io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing");
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(io::Error::other)?.into_data() else { continue };
        let written = async {
            io.write_all(&piece).await?;
            io.flush().await
        };
        timeout(WRITE_STALL, written).await.map_err(stalled)??;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(method: Method, upgrade: &str) -> bool {
        let request = Request::builder().method(method).header(UPGRADE, upgrade).body(()).unwrap();
        asked_by_upgrade(&request)
    }

    #[test]
    fn only_websockets_are_asked_for() {
        assert!(asking(Method::GET, "websocket") && asking(Method::GET, "h2c, WebSocket"));
        for other in ["h2c", "websocket/2", "TLS/1.0", ""] {
            assert!(!asking(Method::GET, other), "{other}");
        }
        assert!(!asking(Method::POST, "websocket"));
    }

    #[test]
    fn no_success_but_the_switch_opens_a_tunnel() {
        let of = |status: u16| {
            let mut answer = HttpResponse::new(Body::empty());
            *answer.status_mut() = StatusCode::from_u16(status).unwrap();
            answer.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, http::HeaderValue::from_static("x"));
            let (answer, opens) = translated(answer);
            (answer.status().as_u16(), opens)
        };
        assert_eq!(of(101), (200, true));
        assert_eq!(
            (of(200), of(204), of(403), of(301)),
            ((502, false), (502, false), (403, false), (301, false))
        );
    }

    #[tokio::test]
    async fn both_ways_are_carried_to_their_ends() {
        let (client, server) = tokio::io::duplex(8);
        let (request, pieces) = opened(Request::new(()));
        let body = Body::from_stream(request.into_body().into_data_stream());
        let before = Bytes::from_static(b"early ");
        let echo = carry(tokio::io::split(server), before, pieces, body);
        let (mut reading, mut writing) = tokio::io::split(client);
        let talk = async {
            writing.write_all(b"and a longer text than the pipe holds").await.unwrap();
            writing.shutdown().await.unwrap();
            let mut all = vec![];
            reading.read_to_end(&mut all).await.unwrap();
            all
        };
        let (carried, heard) = tokio::join!(echo, talk);
        carried.unwrap();
        assert_eq!(heard, b"early and a longer text than the pipe holds");
    }
}
