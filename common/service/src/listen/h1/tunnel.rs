//! A WebSocket asked for by `Upgrade` (RFC 6455): nothing that follows the request's head is read before the answer is 101.

use super::super::clear::Outlet;
use super::super::websocket;
use super::super::{Peer, Shell};
use super::Next;
use super::answer::{self, Asked};
use crate::config::LimitsConfig;
use crate::{Body, HttpRequest, HttpResponse};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::{Method, Request, StatusCode};
use std::convert::Infallible;
use tokio::io::AsyncRead;
use tower::Service;

/// Answers a request for a WebSocket. When it is opened, the connection is to carry it from here on: what serves requests
/// is put away before, since most WebSockets are silent and live long.
pub(super) async fn exchange<I, S>(
    io: &mut I,
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
        return match switch(io, answer, shell.front.limits).await {
            Ok(body) => Next::Carry(pieces, body),
            Err(error) => {
                tracing::debug!(%error, addr = %peer.addr, "a WebSocket ended early");
                Next::Close
            }
        };
    }
    let keep_alive = keep_alive && !shell.begun.is_cancelled();
    let asked =
        Asked { method: Method::GET, keep_alive, modern: true, trailers: false, limits: shell.front.limits };
    match answer::write(io, answer, &asked).await {
        Ok(true) => Next::Request,
        Ok(false) | Err(_) => Next::Close,
    }
}

/// Writes the answer's head; what is to follow it.
async fn switch<I>(io: &mut I, answer: HttpResponse, limits: LimitsConfig) -> std::io::Result<Body>
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
    Ok(body)
}
