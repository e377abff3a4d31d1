//! Trailers (RFC 9110 section 6.5): passed on with what only describes the body that came before them.

use http::{HeaderMap, HeaderName};
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// What a trailer may not say: framing, routing, credentials, controls and how the body is to be read (RFC 9110 section
/// 6.5.1). They are dropped; a field of another name passes.
const FORBIDDEN: [&str; 33] = [
    "age",
    "authorization",
    "cache-control",
    "cdn-loop",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "expect",
    "expires",
    "forwarded",
    "host",
    "keep-alive",
    "location",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "retry-after",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "via",
    "warning",
    "www-authenticate",
];
/// Beginnings of names that a trailer may not have either.
const FORBIDDEN_FAMILIES: [&str; 5] = ["access-control-", "if-", "sec-", "sluice-", "x-forwarded-"];

/// A parent's body without forbidden trailers.
#[derive(Debug)]
pub(crate) struct Checked<B>(pub(crate) B);

impl<B: Body + Unpin> Body for Checked<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let next = ready!(Pin::new(&mut self.0).poll_frame(context));
        Poll::Ready(next.map(|frame| {
            frame.map(|mut frame| {
                frame.trailers_mut().map(allow);
                frame
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

fn allow(trailers: &mut HeaderMap) {
    let is_forbidden = |name: &&HeaderName| {
        let name = name.as_str();
        FORBIDDEN.binary_search(&name).is_ok()
            || FORBIDDEN_FAMILIES.iter().any(|family| name.starts_with(family))
    };
    let forbidden: Vec<HeaderName> = trailers.keys().filter(is_forbidden).cloned().collect();
    forbidden.iter().for_each(|name| drop(trailers.remove(name)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trailer_describes_the_body_and_nothing_else() {
        assert!(FORBIDDEN.is_sorted());
        let mut trailers = HeaderMap::new();
        let kept = ["grpc-status", "server-timing", "digest", "etag", "x-checksum"];
        let dropped = ["content-length", "set-cookie", "x-forwarded-for", "if-match", "sluice-floor", "host"];
        for name in kept.iter().chain(&dropped) {
            trailers.insert(*name, "1".parse().unwrap());
        }
        allow(&mut trailers);
        assert_eq!(trailers.len(), kept.len());
        assert!(kept.iter().all(|name| trailers.contains_key(*name)));
    }
}
