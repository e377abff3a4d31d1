//! One request and its answer.

use crate::config::LimitsConfig;
use crate::listen::early::Completion;
use crate::listen::h1::{Interim, Interims};
use crate::listen::limits::{BODY_PIECES, LINGER_STALL};
use crate::listen::{Peer, Protocol, Shell, h3 as streams, shortcut, websocket};
use crate::{Body, HttpRequest, HttpResponse};
use bytes::{Buf, Bytes};
use h3::error::Code;
use h3::server::{RequestResolver, RequestStream};
use http::Method;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http_body_util::BodyExt;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use tokio::sync::mpsc;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tower::Service;

type Stream = RequestStream<streams::Stream, Bytes>;
type SendHalf = RequestStream<h3_quinn::SendStream<Bytes>, Bytes>;
/// Bytes of an answer that must be taken within the deadline of a write: about what
/// [`LimitsConfig::least_progress`] asks for.
const PIECE: usize = 16 << 10;

type ReceiveHalf = RequestStream<streams::Receive, Bytes>;

/// One request and its answer. The body is received and the answer sent at the same time.
pub(super) async fn exchange<S>(
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
    let (request, pieces) = with_body(head);
    let request = if tunnel { websocket::marked(request) } else { request };
    let Some(mut request) = completion.admit(request, came_early).await else { return };
    let (interim, interims) = Interim::channel();
    request.extensions_mut().insert(interim);
    let limits = shell.front.limits;
    let head_only = request.method() == Method::HEAD;
    let answering = async {
        let answering = shell.front.answer(service, request, peer);
        let mut answer = match with_interims(&mut sending, answering, interims, limits).await {
            Ok(answer) => answer,
            Err(error) => return tracing::debug!(error, %addr, "an interim answer was not taken"),
        };
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

/// Waits for the answer, and sends the interim ones that come before it.
async fn with_interims(
    stream: &mut SendHalf,
    answering: impl Future<Output = Result<HttpResponse, Infallible>>,
    mut interims: Interims,
    limits: LimitsConfig,
) -> Result<HttpResponse, String> {
    let mut answering = pin!(answering);
    loop {
        let (status, headers) = tokio::select! {
            biased;
            Some(interim) = interims.recv() => interim,
            Ok(answer) = answering.as_mut() => return Ok(answer),
        };
        let mut head = http::Response::new(());
        (*head.status_mut(), *head.headers_mut()) = (status, headers);
        send_head(stream, head, limits).await?;
    }
}

/// Hands the request's body on, piece by piece, as the service takes it. A body that ends before its declared length is
/// an error, never an end (RFC 9114 section 4.1.2).
async fn receive(mut stream: ReceiveHalf, pieces: mpsc::Sender<io::Result<Bytes>>, declared: Option<u64>) {
    let mut received = 0u64;
    loop {
        let piece = tokio::select! {
            piece = stream.recv_data() => piece,
            () = pieces.closed() => {
                // The service wants no more of it. Whose request ends with what is on its way need not be told.
                let rest = timeout(LINGER_STALL, stream.recv_data()).await;
                if !matches!(rest, Ok(Ok(None))) {
                    stream.stop_sending(Code::H3_NO_ERROR);
                }
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
) -> Result<Result<(), h3::error::StreamError>, Elapsed> {
    while data.has_remaining() {
        let piece = data.split_to(data.len().min(PIECE));
        if let Err(error) = timeout(limits.write_stall(), stream.send_data(piece)).await? {
            return Ok(Err(error));
        }
    }
    Ok(Ok(()))
}

fn stalled(_: Elapsed) -> String {
    "the client takes nothing".to_owned()
}

async fn send_head(
    stream: &mut SendHalf,
    mut head: http::Response<()>,
    limits: LimitsConfig,
) -> Result<(), String> {
    for connection_specific in [CONNECTION, TRANSFER_ENCODING, UPGRADE] {
        head.headers_mut().remove(connection_specific);
    }
    let sent = timeout(limits.write_stall(), stream.send_response(head)).await.map_err(stalled)?;
    sent.map_err(|e| e.to_string())
}

/// Sends an answer. A body that ends in an error resets the stream: a client never takes it for a whole one.
async fn send(stream: &mut SendHalf, answer: HttpResponse, limits: LimitsConfig) -> Result<(), String> {
    let (head, mut body) = answer.into_parts();
    send_head(stream, http::Response::from_parts(head, ()), limits).await?;
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
