//! A WebSocket asked for by `Upgrade` (RFC 6455): nothing that follows the request's head is read before the answer is 101.

use super::super::clear::Outlet;
use super::super::websocket::{self, Pieces};
use super::super::{Peer, Shell};
use super::Next;
use super::answer::{self, Asked};
use crate::config::LimitsConfig;
use crate::{HttpRequest, HttpResponse};
use bytes::BytesMut;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::{Method, Request, StatusCode};
use std::convert::Infallible;
use tokio::io::AsyncRead;
use tower::Service;

/// Answers a request for a WebSocket, and carries the WebSocket if it is opened.
pub(super) async fn exchange<I, S>(
    io: &mut I,
    buffer: &mut BytesMut,
    request: Request<()>,
    keep_alive: bool,
    peer: Peer,
    service: S,
    shell: &Shell,
) -> Next
where
    I: AsyncRead + Outlet + Send,
    S: Service<HttpRequest, Response = HttpResponse, Error = Infallible> + Clone + Send,
    S::Future: Send,
{
    let (request, pieces) = websocket::opened(request);
    let Ok(answer) = shell.front.clone().answer(service, request, peer).await;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        if let Err(error) = switch(io, buffer, answer, pieces, shell.front.limits).await {
            tracing::debug!(%error, addr = %peer.addr, "a WebSocket ended early");
        }
        return Next::Close;
    }
    let keep_alive = keep_alive && !shell.begun.is_cancelled();
    let asked =
        Asked { method: Method::GET, keep_alive, modern: true, trailers: false, limits: shell.front.limits };
    match answer::write(io, answer, &asked).await {
        Ok(true) => Next::Request,
        Ok(false) | Err(_) => Next::Close,
    }
}

async fn switch<I>(
    io: &mut I,
    buffer: &mut BytesMut,
    answer: HttpResponse,
    pieces: Pieces,
    limits: LimitsConfig,
) -> std::io::Result<()>
where
    I: AsyncRead + Outlet + Send,
{
    let (mut head, body) = answer.into_parts();
    for framing in [CONTENT_LENGTH, TRANSFER_ENCODING] {
        head.headers.remove(framing);
    }
    head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    head.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    answer::interim(io, StatusCode::SWITCHING_PROTOCOLS, &head.headers, limits).await?;
    websocket::carry(io, buffer.split().freeze(), pieces, body).await
}
