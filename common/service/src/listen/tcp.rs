//! HTTP/1.1 and HTTP/2 over TCP, with and without TLS: our own HTTP/1 in front, hyper's HTTP/2 behind it.

use super::bind::Tcp;
use super::clear::{Clear, Outlet};
use super::cork::{Cork, corked};
use super::guests::Guest;
use super::h1::{End, Rest};
use super::h2::Guarded;
use super::lent::lend;
use super::limits::{
    ACCEPT_PAUSE, CONNECTION_WINDOW, KEEP_ALIVE, LINGER_STALL, MAX_FIELDS, MAX_HEAD, MAX_HEADER_LIST,
    MAX_RESETS, MAX_STREAMS, STREAM_WINDOW,
};
use super::parked::Parking;
use super::tls::{Handshake, Tls};
use super::websocket::Tunnel;
use super::{Peer, Protocol, Shell, h1, shortcut, websocket};
use crate::config::LimitsConfig;
use crate::{Body, Drain, HttpRequest, HttpResponse};
use bytes::Bytes;
use futures::future::{Either, ready};
use http::Method;
use http_body::Body as _;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulConnection;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{sleep, timeout};
use tokio_rustls::server::TlsStream;
use tower::Service;

/// Accepts until the drain begins. A permit is taken before a connection is accepted, so that a full server leaves
/// newcomers in the kernel's queue.
pub(super) async fn accept<S>(bound: Tcp, service: S, shell: Shell)
where
    S: Service<HttpRequest, Response = HttpResponse, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let Tcp { listener, tls, proxies, permits, .. } = bound;
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a listener cannot be watched"),
    };
    let begun = shell.drain.token();
    let parking = if tls.is_none() { park(&service, &shell) } else { None };
    loop {
        let accepted = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            accepted = accepted => accepted,
            () = begun.cancelled() => return,
        };
        match accepted {
            Ok((mut stream, addr)) => {
                let proxies = proxies.clone();
                let (tls, parking, service, shell) =
                    (tls.clone(), parking.clone(), service.clone(), shell.clone());
                let tracker = shell.connections.clone();
                tracker.spawn(async move {
                    let client = match proxies {
                        Some(proxies) => proxies.client(&mut stream, addr).await,
                        None => Some(addr),
                    };
                    let Some(addr) = client else { return };
                    let Some(guest) = shell.guests.admit(addr.ip()) else {
                        return shell.guests.cut(Protocol::Http1, "too-many");
                    };
                    let held = Held { addr, _guest: guest, _permit: permit.ok() };
                    drop(stream.set_nodelay(true));
                    match tls {
                        Some(tls) => converse(stream, held, tls, service, shell).await,
                        None => speak_clear(stream, held, parking, service, shell).await,
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// What a connection has to its end, whatever it does meanwhile.
struct Held {
    addr: SocketAddr,
    _guest: Guest,
    _permit: Option<OwnedSemaphorePermit>,
}

/// A place for the connections that this thread accepts to wait in.
fn park<S>(service: &S, shell: &Shell) -> Option<Arc<Parking<Held>>>
where
    S: Service<HttpRequest, Response = HttpResponse, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let parking = match Parking::new(shell.front.limits.idle()) {
        Ok(parking) => Arc::new(parking),
        Err(error) => {
            tracing::warn!(%error, "idle connections cannot be parked");
            return None;
        }
    };
    let (here, service, shell) = (Arc::clone(&parking), service.clone(), shell.clone());
    let (tracker, begun) = (shell.connections.clone(), shell.drain.token());
    shell.connections.clone().spawn(async move {
        let all = Arc::clone(&here);
        let wake = move |stream, held| {
            let (parking, service, shell) = (Some(Arc::clone(&all)), service.clone(), shell.clone());
            tracker.spawn(speak_clear(stream, held, parking, service, shell));
        };
        here.run(begun, wake).await;
    });
    Some(parking)
}

/// A connection without TLS, until it ends or is parked.
async fn speak_clear<S>(
    stream: TcpStream,
    held: Held,
    parking: Option<Arc<Parking<Held>>>,
    service: S,
    shell: Shell,
) where
    S: Service<HttpRequest, Response = HttpResponse, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let stream = Clear::new(stream, shell.uncopied.clone());
    let parks = parking.is_some();
    match (Box::pin(speak(stream, held.addr, false, parks, service, shell.clone())).await, parking) {
        (Some(Rest::Tunnel(tunnel)), _) => tunnel.spawn(held.addr, held, &shell),
        (Some(Rest::Idle(stream)), Some(parking)) => {
            if let Err(error) = parking.park(stream.into_inner(), held) {
                tracing::debug!(%error, "a connection cannot be parked");
            }
        }
        (Some(Rest::Idle(_)) | None, _) => {}
    }
}

/// A connection with TLS. What comes after its handshake is boxed: one that is still shaking hands takes no room for it.
async fn converse<S>(stream: TcpStream, held: Held, tls: Tls, service: S, shell: Shell)
where
    S: Service<HttpRequest, Response = HttpResponse, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let addr = held.addr;
    let Some(stream) = shake_hands(stream, addr, &tls, &shell).await else { return };
    let session = stream.get_ref().1;
    let asked = tls.offer.asked(session.server_name());
    let shell = Shell { front: shell.front.asked(asked), ..shell };
    if session.alpn_protocol() == Some(crate::acme::ALPN) {
        // The handshake was the answer (RFC 8737 section 3).
        return;
    }
    if session.alpn_protocol() == Some(b"h2") {
        Box::pin(speak_http2(stream, addr, true, service, shell)).await;
    } else {
        let rest = Box::pin(speak(stream, addr, true, false, service, shell.clone())).await;
        if let Some(Rest::Tunnel(tunnel)) = rest {
            tunnel.spawn(addr, held, &shell);
        }
    }
}

/// The TLS handshake, within its deadline.
async fn shake_hands(
    stream: TcpStream,
    addr: SocketAddr,
    tls: &Tls,
    shell: &Shell,
) -> Option<TlsStream<TcpStream>> {
    let (stream, ended) = match timeout(shell.front.limits.handshake(), tls.acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let kind = stream.get_ref().1.handshake_kind();
            (Some(stream), Handshake::from(kind))
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, %addr, "TLS handshake failed");
            (None, Handshake::Failed)
        }
        Err(_) => {
            tracing::debug!(%addr, "TLS handshake took too long");
            (None, Handshake::Late)
        }
    };
    if let Some(handshakes) = &shell.front.handshakes {
        handshakes.count(ended);
    }
    stream
}

/// Speaks HTTP/1, and whatever the client turns to from there. Gives the connection back when it may be parked, or
/// carries a WebSocket.
async fn speak<S, I>(
    io: I,
    addr: SocketAddr,
    secure: bool,
    parks: bool,
    service: S,
    shell: Shell,
) -> Option<Rest<I>>
where
    I: AsyncRead + Outlet + Send + 'static,
    S: Service<HttpRequest, Response = HttpResponse, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let peer = Peer { addr, protocol: Protocol::Http1, secure };
    let cut = shell.drain.cut();
    let end = tokio::select! {
        end = h1::converse(io, peer, service.clone(), &shell, parks) => end,
        () = cut.cancelled() => End::Closed,
    };
    match end {
        End::Rest(rest) => return Some(rest),
        End::Other(other) if other.before.starts_with(b"PRI ") => {
            Box::pin(speak_http2(other, addr, secure, service, shell)).await;
        }
        End::Other(other) => {
            let builder = builder(shell.front.limits, shell.tunnels);
            Box::pin(speak_with_hyper(other, addr, secure, builder, service, shell)).await;
        }
        End::Closed => {}
    }
    None
}

/// Speaks HTTP/2, and keeps account of it.
async fn speak_http2<S, I>(io: I, addr: SocketAddr, secure: bool, service: S, shell: Shell)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<HttpRequest, Response = HttpResponse, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let (io, remains) = Guarded::new(io, shell.front.limits);
    let guests = Arc::clone(&shell.guests);
    let builder = builder(shell.front.limits, shell.tunnels).http2_only();
    speak_with_hyper(io, addr, secure, builder, service, shell).await;
    if let Some(cut) = remains.take() {
        tracing::debug!(reason = cut.reason.as_str(), %addr, "an HTTP/2 connection is cut");
        guests.cut(Protocol::Http2, cut.reason.as_str());
        cut.part().await;
    }
}

/// Speaks HTTP/2, or HTTP/1 that is upgraded, until it ends, is drained, or is cut.
async fn speak_with_hyper<S, I>(
    io: I,
    addr: SocketAddr,
    secure: bool,
    builder: Builder<TokioExecutor>,
    service: S,
    shell: Shell,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<HttpRequest, Response = HttpResponse, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let handling = shell.clone();
    let handler = service_fn(move |request: Request<Incoming>| {
        let protocol =
            if request.version() == hyper::Version::HTTP_2 { Protocol::Http2 } else { Protocol::Http1 };
        let peer = Peer { addr, protocol, secure };
        if protocol == Protocol::Http2
            && request.body().is_end_stream()
            && let Some(answer) = shortcut::answer(&request, peer, &handling)
        {
            return Either::Left(ready(Ok(answer)));
        }
        let (service, shell) = (service.clone(), handling.clone());
        // Boxed: hits have a task each, too, and it shall be small.
        Either::Right(Box::pin(async move {
            if shell.tunnels && is_websocket(&request) {
                return connect(request, peer, service, shell).await;
            }
            shell.front.answer(service, request.map(Body::new), peer).await
        }))
    });
    let (lent, returned) = lend(io);
    // What is upgraded leaves this task, and with it whoever would pull the cork.
    let http2 = !builder.is_http1_available();
    let (io, cork) = corked(lent, http2);
    // What takes either protocol reads first which it is, and ends at once, without a word, when it is to end meanwhile.
    let ended = if http2 {
        finish(builder.serve_connection(TokioIo::new(io), handler), &cork, &shell.drain).await
    } else {
        finish(builder.serve_connection_with_upgrades(TokioIo::new(io), handler), &cork, &shell.drain).await
    };
    // The connection comes back once nobody holds it.
    drop(cork);
    match ended {
        Some(Err(error)) => tracing::debug!(%error, %addr, "a connection ended early"),
        Some(Ok(())) if shell.begun.is_cancelled() => linger(returned).await,
        Some(Ok(())) | None => {}
    }
}

/// Runs a connection until it ends; once the drain has begun it is asked to. `None` when it is cut.
async fn finish<C, I>(connection: C, cork: &Cork<I>, drain: &Drain) -> Option<Result<(), C::Error>>
where
    C: GracefulConnection,
    I: AsyncWrite + Unpin,
{
    let (begun, cut) = (drain.token(), drain.cut());
    let mut connection = pin!(connection);
    tokio::select! {
        // First: what is there already is read before it is asked to end.
        biased;
        ended = cork.turns(connection.as_mut()) => return Some(ended),
        () = begun.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = cork.turns(connection.as_mut()) => Some(ended),
        () = cut.cancelled() => None,
    }
}

/// Reads what a client still sends on a connection that was ended here. Closed on unread bytes the connection would be
/// reset, and the client not learn from the GOAWAY which of its requests it may send again.
async fn linger<I: AsyncRead + Unpin>(returned: oneshot::Receiver<I>) {
    let rest = async {
        let Ok(mut io) = returned.await else { return };
        while io.read(&mut [0; 1_024]).await.is_ok_and(|read| read > 0) {}
    };
    drop(timeout(LINGER_STALL, rest).await);
}

/// True for an extended CONNECT that asks for a WebSocket (RFC 8441 section 4).
fn is_websocket(request: &Request<Incoming>) -> bool {
    let protocol = request.extensions().get::<hyper::ext::Protocol>();
    *request.method() == Method::CONNECT && protocol.is_some_and(|p| p.as_str() == "websocket")
}

/// Answers a request for a WebSocket over HTTP/2, and carries the WebSocket if it is opened.
async fn connect<S>(
    mut request: Request<Incoming>,
    peer: Peer,
    service: S,
    shell: Shell,
) -> Result<HttpResponse, Infallible>
where
    S: Service<HttpRequest, Response = HttpResponse, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let stream = hyper::upgrade::on(&mut request);
    let (request, pieces) = websocket::opened(request);
    let Ok(answer) = shell.front.clone().answer(service, request, peer).await;
    let (answer, opens) = websocket::translated(answer);
    if !opens {
        return Ok(answer);
    }
    let (head, body) = answer.into_parts();
    shell.connections.clone().spawn(async move {
        match stream.await {
            Ok(stream) => {
                let (io, before) = (TokioIo::new(stream), Bytes::new());
                Tunnel { io, before, pieces, body }.spawn(peer.addr, (), &shell);
            }
            Err(error) => tracing::debug!(%error, addr = %peer.addr, "a WebSocket ended early"),
        }
    });
    Ok(HttpResponse::from_parts(head, Body::empty()))
}

fn builder(limits: LimitsConfig, tunnels: bool) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head())
        .max_headers(MAX_FIELDS)
        .max_buf_size(MAX_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_header_list_size(MAX_HEADER_LIST)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE);
    if tunnels {
        builder.http2().enable_connect_protocol();
    }
    builder
}
