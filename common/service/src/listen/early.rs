//! QUIC handshakes, and requests that arrive in early data (0-RTT), which an attacker may have replayed (RFC 8470).

use super::{Shell, WebSocket};
use crate::HttpRequest;
use http::Method;
use http::header::CONTENT_LENGTH;
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Marks a request that is answered though its handshake was not complete: an extension. Whoever passes it on adds
/// `Early-Data: 1` (RFC 8470 section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EarlyData;

/// Whether a connection's handshake is complete. A request that comes with the client's last flight may count as early.
#[derive(Debug, Clone)]
pub(super) struct Completion {
    complete: CancellationToken,
    /// How long it may take.
    patience: Duration,
}

impl Completion {
    pub(super) fn is_complete(&self) -> bool {
        self.complete.is_cancelled()
    }

    /// Lets a request in. One that came early goes on marked when it is safe to repeat; any other is held until the
    /// handshake is complete, which no replay gets to. `None` when it never is.
    pub(super) async fn admit(&self, mut request: HttpRequest, came_early: bool) -> Option<HttpRequest> {
        if came_early && is_repeatable(&request) {
            request.extensions_mut().insert(EarlyData);
            return Some(request);
        }
        timeout(self.patience, self.complete.cancelled()).await.ok()?;
        Some(request)
    }
}

/// True for a request that changes nothing, however often it arrives.
fn is_repeatable(request: &HttpRequest) -> bool {
    let without_body = request.headers().get(CONTENT_LENGTH).is_none_or(|length| length == "0");
    let plain = request.extensions().get::<WebSocket>().is_none();
    plain && without_body && matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS)
}

/// The handshake, within its deadline. With `early`, requests may come before it is complete.
pub(super) async fn shake_hands(
    incoming: quinn::Incoming,
    early: bool,
    shell: &Shell,
) -> Result<(quinn::Connection, Completion), String> {
    let complete = CancellationToken::new();
    let patience = shell.front.limits.handshake();
    let late = |_| "it took too long".to_owned();
    if !early {
        let connection = timeout(patience, incoming).await.map_err(late)?;
        complete.cancel();
        return Ok((connection.map_err(|e| e.to_string())?, Completion { complete, patience }));
    }
    let mut connecting = incoming.accept().map_err(|e| e.to_string())?;
    timeout(patience, connecting.handshake_data()).await.map_err(late)?.map_err(|e| e.to_string())?;
    let (connection, accepted) = connecting.into_0rtt().map_err(|_| "there is no early data".to_owned())?;
    let (watched, completed) = (connection.clone(), complete.clone());
    shell.connections.spawn(async move {
        // It also ends when the connection does, whose reason is known by then.
        match timeout(patience, accepted).await {
            Ok(_) if watched.close_reason().is_none() => completed.cancel(),
            Ok(_) => {}
            Err(_) => watched.close(0x100u32.into(), b"the handshake took too long"),
        }
    });
    Ok((connection, Completion { complete, patience }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Body;
    use futures::FutureExt;

    fn request(method: Method, length: Option<&str>) -> HttpRequest {
        let mut request = http::Request::builder().method(method);
        if let Some(length) = length {
            request = request.header(CONTENT_LENGTH, length);
        }
        request.body(Body::empty()).unwrap()
    }

    #[tokio::test]
    async fn only_what_may_be_repeated_goes_on_before_the_handshake_is_complete() {
        let open = Completion { complete: CancellationToken::new(), patience: Duration::from_secs(5) };
        let admitted = open.admit(request(Method::GET, None), true).await.unwrap();
        assert_eq!(admitted.extensions().get(), Some(&EarlyData));
        for held in [request(Method::POST, None), request(Method::GET, Some("3"))] {
            assert!(open.admit(held, true).now_or_never().is_none(), "held");
        }
        open.complete.cancel();
        let admitted = open.admit(request(Method::POST, None), true).await.unwrap();
        assert_eq!(admitted.extensions().get::<EarlyData>(), None);
        let admitted = open.admit(request(Method::GET, None), false).await.unwrap();
        assert_eq!(admitted.extensions().get::<EarlyData>(), None);
    }
}
