//! HTTP/3 (RFC 9114) over QUIC.

use super::bind::Udp;
use super::early::{self, Completion};
use super::limits::{
    BODY_PIECES, MAX_CONNECTIONS, MAX_HEADER_LIST, MAX_STREAMS, QUIC_IDLE, QUIC_SEND, QUIC_WINDOW,
    STREAM_WINDOW,
};
use super::tls::Offer;
use super::{BindError, Peer, Protocol, Shell, h3 as streams, shortcut, websocket};
use crate::config::LimitsConfig;
use crate::{Body, HttpRequest, HttpResponse};
use bytes::{Buf, Bytes};
use h3::error::Code;
use h3::server::{RequestResolver, RequestStream};
use http::Method;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http_body_util::BodyExt;
use quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tower::Service;

type Stream = RequestStream<streams::Stream, Bytes>;
type SendHalf = RequestStream<h3_quinn::SendStream<Bytes>, Bytes>;
/// Bytes of an answer that must be taken within the deadline of a write: about what
/// [`LimitsConfig::least_progress`] asks for.
const PIECE: usize = 16 << 10;

type ReceiveHalf = RequestStream<streams::Receive, Bytes>;

/// How QUIC is spoken.
pub(super) fn config(offer: &Offer, early: bool) -> Result<quinn::ServerConfig, BindError> {
    let fault = |why: String| BindError::Certificate { key: "tls.cert", why };
    let mut tls = offer.server(&[b"h3"])?;
    if early {
        // Sessions are remembered here and resumed once: early data is not taken a second time. QUIC knows no other
        // size (RFC 9001 section 4.6.1).
        tls.max_early_data_size = u32::MAX;
    }
    let tls = QuicServerConfig::try_from(tls).map_err(|e| fault(e.to_string()))?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(tls));
    let mut transport = quinn::TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(MAX_STREAMS.into())
        .stream_receive_window(STREAM_WINDOW.into())
        .receive_window(QUIC_WINDOW.into())
        .send_window(QUIC_SEND.into())
        .max_idle_timeout(quinn::IdleTimeout::try_from(QUIC_IDLE).ok());
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// Waits until the process that this one took over from reads nothing from the port any more.
async fn freed(released: OwnedFd) {
    let Ok(mut pipe) = Receiver::from_file(File::from(released)) else { return };
    // Nothing is ever written to it: a read ends with the other side.
    drop(pipe.read(&mut [0]).await);
}

/// Accepts on a port until the drain begins, from when it is free on.
pub(super) async fn accept<S>(udp: Udp, service: S, shell: Shell)
where
    S: Service<HttpRequest, Response = HttpResponse, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let Udp { socket, config, offer, early, released } = udp;
    let begun = shell.drain.token();
    if let Some(released) = released {
        tokio::select! {
            () = freed(released) => tracing::info!("HTTP/3 is served here from now on"),
            () = begun.cancelled() => return,
        }
    }
    let runtime = Arc::new(quinn::TokioRuntime);
    match quinn::Endpoint::new(quinn::EndpointConfig::default(), Some(config), socket, runtime) {
        Ok(endpoint) => accept_on(endpoint, (offer, early), service, &shell).await,
        Err(error) => tracing::error!(%error, "the UDP port cannot be served: no HTTP/3"),
    }
    shell.drain.udp_free().cancel();
}

/// Accepts until the drain begins, and waits for what was accepted.
async fn accept_on<S>(
    endpoint: quinn::Endpoint,
    (offer, takes_early): (Offer, bool),
    service: S,
    shell: &Shell,
) where
    S: Service<HttpRequest, Response = HttpResponse, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let begun = shell.drain.token();
    // As many as there are clones of it, beside this one.
    let unproven = Arc::new(());
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            () = begun.cancelled() => break,
        };
        let Some(incoming) = incoming else { break };
        if endpoint.open_connections() >= MAX_CONNECTIONS {
            incoming.refuse();
            continue;
        }
        // While many handshakes wait for clients that may not be where they say, a further one must come twice (RFC 9000
        // section 8.1.2): nothing is kept for it until it has.
        let proven = incoming.remote_address_validated();
        if !proven && Arc::strong_count(&unproven) > shell.front.limits.unproven_quic as usize {
            shell.guests.retried();
            if let Err(error) = incoming.retry() {
                error.into_incoming().refuse();
            }
            continue;
        }
        let waiting = (!proven).then(|| Arc::clone(&unproven));
        let (service, shell) = (service.clone(), shell.clone());
        let offer = offer.clone();
        let tracker = shell.connections.clone();
        tracker.spawn(async move {
            let addr = incoming.remote_address();
            let Some(_guest) = shell.guests.admit(addr.ip()) else {
                shell.guests.cut(Protocol::Http3, "too-many");
                return incoming.refuse();
            };
            let shaken = early::shake_hands(incoming, takes_early, &shell).await;
            drop(waiting);
            match shaken {
                Ok((connection, completion)) => {
                    let name = asked_name(&connection);
                    let asked = offer.asked(name.as_deref());
                    let shell = Shell { front: shell.front.asked(asked), ..shell };
                    converse(connection, completion, addr, service, shell).await;
                }
                Err(error) => tracing::debug!(error, %addr, "QUIC handshake failed"),
            }
        });
    }
    // Whoever comes now is better told at once: it comes back over TCP, or a moment later.
    endpoint.set_server_config(None);
    // The socket lives on in this task until the connections have ended.
    let cut = shell.drain.cut();
    tokio::select! {
        () = endpoint.wait_idle() => {}
        () = cut.cancelled() => endpoint.close(0u32.into(), b"draining"),
    }
}

/// The name that the client asked for in its handshake.
fn asked_name(connection: &quinn::Connection) -> Option<String> {
    connection.handshake_data()?.downcast::<HandshakeData>().ok()?.server_name
}

async fn converse<S>(
    connection: quinn::Connection,
    completion: Completion,
    addr: SocketAddr,
    service: S,
    shell: Shell,
) where
    S: Service<HttpRequest, Response = HttpResponse, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let mut builder = h3::server::builder();
    builder.max_field_section_size(MAX_HEADER_LIST.into()).enable_extended_connect(shell.tunnels);
    let quic = streams::Connection::new(connection.clone());
    let mut session = match builder.build::<_, Bytes>(quic).await {
        Ok(session) => session,
        Err(error) => return tracing::debug!(%error, %addr, "HTTP/3 could not be begun"),
    };
    let (begun, cut) = (shell.drain.token(), shell.drain.cut());
    let requests = TaskTracker::new();
    loop {
        let resolver = tokio::select! {
            accepted = session.accept() => accepted,
            () = begun.cancelled() => break,
        };
        match resolver {
            Ok(Some(resolver)) => {
                let (service, shell, completion) = (service.clone(), shell.clone(), completion.clone());
                requests.spawn(exchange(resolver, completion, addr, service, shell));
            }
            Ok(None) => break,
            Err(error) => {
                tracing::debug!(%error, %addr, "an HTTP/3 connection ended early");
                break;
            }
        }
    }
    requests.close();
    if begun.is_cancelled() {
        drop(session.shutdown(0).await);
    }
    tokio::select! {
        () = requests.wait() => {}
        () = cut.cancelled() => {}
    }
    // Frames that are still in flight are given the time of a round trip to arrive before the connection is closed.
    drop(timeout(connection.rtt() * 3, connection.closed()).await);
    connection.close(0x100u32.into(), b"");
}

/// One request and its answer. The body is received and the answer sent at the same time.
async fn exchange<S>(
    resolver: RequestResolver<streams::Connection, Bytes>,
    completion: Completion,
    addr: SocketAddr,
    service: S,
    shell: Shell,
) where
    S: Service<HttpRequest, Response = HttpResponse, Error = Infallible> + Send,
    S::Future: Send,
{
    let came_early = !completion.is_complete();
    let (head, stream): (_, Stream) =
        match timeout(shell.front.limits.head(), resolver.resolve_request()).await {
            Ok(Ok(request)) => request,
            Ok(Err(error)) => return tracing::debug!(%error, %addr, "a malformed HTTP/3 request"),
            Err(_) => return tracing::debug!(%addr, "an HTTP/3 request head took too long"),
        };
    let (mut sending, receiving) = stream.split();
    let peer = Peer { addr, protocol: Protocol::Http3, secure: true };
    if !came_early && let Some(answer) = shortcut::answer(&head, peer, &shell) {
        // Nobody takes what may still come with the request.
        let (unwanted, _) = mpsc::channel(1);
        let limits = shell.front.limits;
        drop(tokio::join!(send(&mut sending, answer, limits), receive(receiving, unwanted, None)));
        return;
    }
    let tunnel = shell.tunnels && streams::is_websocket(&head);
    let declared = head.headers().get(CONTENT_LENGTH).filter(|_| !tunnel);
    let declared = declared.and_then(|v| v.to_str().ok()?.parse().ok());
    let (request, pieces) = if tunnel { websocket::opened(head) } else { with_body(head) };
    let Some(request) = completion.admit(request, came_early).await else { return };
    let limits = shell.front.limits;
    let head_only = request.method() == Method::HEAD;
    let answering = async {
        let Ok(mut answer) = shell.front.answer(service, request, peer).await;
        if head_only {
            // Whatever the service gave with it: an answer to HEAD has no content (RFC 9110 section 9.3.2).
            *answer.body_mut() = Body::empty();
        }
        if tunnel {
            answer = websocket::translated(answer).0;
        }
        if let Err(error) = send(&mut sending, answer, limits).await {
            tracing::debug!(%error, %addr, "an HTTP/3 answer was not taken");
        }
    };
    tokio::join!(answering, receive(receiving, pieces, declared));
}

/// The request as a service gets it, and where its body goes.
fn with_body(head: http::Request<()>) -> (HttpRequest, mpsc::Sender<io::Result<Bytes>>) {
    let (pieces, body) = mpsc::channel::<io::Result<Bytes>>(BODY_PIECES);
    let body =
        futures::stream::unfold(body, |mut body| async move { body.recv().await.map(|piece| (piece, body)) });
    (head.map(|()| Body::from_stream(body)), pieces)
}

/// Hands the request's body on, piece by piece, as the service takes it. A body that ends before its declared length is
/// an error, never an end (RFC 9114 section 4.1.2).
async fn receive(mut stream: ReceiveHalf, pieces: mpsc::Sender<io::Result<Bytes>>, declared: Option<u64>) {
    let mut received = 0u64;
    loop {
        let piece = tokio::select! {
            piece = stream.recv_data() => piece,
            () = pieces.closed() => {
                // The service wants no more of it.
                stream.stop_sending(Code::H3_NO_ERROR);
                return;
            }
        };
        let piece = match piece {
            Ok(Some(mut piece)) => {
                let piece = piece.copy_to_bytes(piece.remaining());
                received += piece.len() as u64;
                Ok(piece)
            }
            Ok(None) if declared.is_none_or(|declared| declared == received) => return,
            Ok(None) => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the body is not as long as declared"))
            }
            Err(error) => Err(io::Error::new(io::ErrorKind::ConnectionReset, error.to_string())),
        };
        let failed = piece.is_err();
        if pieces.send(piece).await.is_err() || failed {
            return;
        }
    }
}

/// Sends data, each piece within the deadline: one deadline for all of it would cut a slow client.
async fn in_pieces(
    stream: &mut SendHalf,
    mut data: Bytes,
    limits: LimitsConfig,
) -> Result<Result<(), h3::error::StreamError>, tokio::time::error::Elapsed> {
    while data.has_remaining() {
        let piece = data.split_to(data.len().min(PIECE));
        if let Err(error) = timeout(limits.write_stall(), stream.send_data(piece)).await? {
            return Ok(Err(error));
        }
    }
    Ok(Ok(()))
}

/// Sends an answer. A body that ends in an error resets the stream: a client never takes it for a whole one.
async fn send(stream: &mut SendHalf, answer: HttpResponse, limits: LimitsConfig) -> Result<(), String> {
    let (mut head, mut body) = answer.into_parts();
    for connection_specific in [CONNECTION, TRANSFER_ENCODING, UPGRADE] {
        head.headers.remove(connection_specific);
    }
    let stalled = |_| "the client takes nothing".to_owned();
    let head = http::Response::from_parts(head, ());
    timeout(limits.write_stall(), stream.send_response(head))
        .await
        .map_err(stalled)?
        .map_err(|e| e.to_string())?;
    while let Some(frame) = body.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => {
                stream.stop_stream(Code::H3_INTERNAL_ERROR);
                return Err(error.to_string());
            }
        };
        let sent = match frame.into_data() {
            Ok(data) if data.is_empty() => Ok(Ok(())),
            Ok(data) => in_pieces(stream, data, limits).await,
            Err(frame) => match frame.into_trailers() {
                Ok(trailers) => timeout(limits.write_stall(), stream.send_trailers(trailers)).await,
                Err(_) => Ok(Ok(())),
            },
        };
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(error.to_string()),
            Err(elapsed) => {
                stream.stop_stream(Code::H3_REQUEST_CANCELLED);
                return Err(stalled(elapsed));
            }
        }
    }
    timeout(limits.write_stall(), stream.finish()).await.map_err(stalled)?.map_err(|e| e.to_string())
}
