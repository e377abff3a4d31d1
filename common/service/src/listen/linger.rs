//! Request bodies that are read to their end although the service wants no more of them.
//!
//! A server that answers early and closes while the client still sends resets the connection, and the reset destroys the
//! answer on its way (RFC 9112 section 9.6). An early refusal (413, 404) is only heard when the rest is read and thrown
//! away, for a time. HTTP/2 and HTTP/3 do not need this: there a stream is told to stop.

use super::limits::{LINGER, LINGER_STALL};
use bytes::Bytes;
use http::HeaderMap;
use http::header::EXPECT;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::runtime::Handle;
use tokio::time::timeout;

/// An HTTP/1 request's body. Dropped before its end, the rest is read and thrown away.
#[derive(Debug)]
pub(super) struct Linger {
    /// `None` once it ended or failed.
    rest: Option<Incoming>,
    /// The client sends nothing before it is told to go on, and nobody told it.
    held_back: bool,
}

impl Linger {
    pub(super) fn new(body: Incoming, headers: &HeaderMap) -> Self {
        let rest = (!body.is_end_stream()).then_some(body);
        Self { rest, held_back: headers.contains_key(EXPECT) }
    }
}

impl Body for Linger {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.held_back = false;
        let Some(body) = &mut self.rest else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            self.rest = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.rest.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Linger {
    fn drop(&mut self) {
        let rest = self.rest.take().filter(|rest| !self.held_back && !rest.is_end_stream());
        if let (Some(rest), Ok(runtime)) = (rest, Handle::try_current()) {
            runtime.spawn(timeout(LINGER, discard(rest)));
        }
    }
}

async fn discard(mut rest: Incoming) {
    while let Ok(Some(Ok(_))) = timeout(LINGER_STALL, rest.frame()).await {}
}
