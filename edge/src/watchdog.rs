//! Bodies that are passed on as they come: one that stands still is cut, since a half-open body is worse than none.

use futures::stream::unfold;
use http_body::Body as _;
use http_body_util::{BodyExt, StreamBody};
use sluice_service::Body;
use std::io;
use std::time::Duration;
use tokio::time::timeout;

/// Silence after which a body that is no media is cut: longer than the pauses of any feed of events that keeps itself
/// alive.
pub(crate) const QUIET: Duration = Duration::from_secs(120);

/// The same body; it ends in an error when nothing of it comes for `limit`.
pub(crate) fn watched(body: Body, limit: Duration) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let frames = unfold(Some(body), move |body| async move {
        let mut body = body?;
        match timeout(limit, body.frame()).await {
            Ok(Some(Ok(frame))) => Some((Ok(frame), Some(body))),
            Ok(Some(Err(error))) => Some((Err(io::Error::other(error)), None)),
            Ok(None) => None,
            Err(_) => {
                let still = io::Error::new(io::ErrorKind::TimedOut, "the parent's body stood still");
                Some((Err(still), None))
            }
        }
    });
    Body::new(StreamBody::new(frames))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use futures::stream::{self, StreamExt};
    use std::convert::Infallible;

    #[tokio::test]
    async fn a_body_that_stands_still_ends_in_an_error() {
        let moves = stream::iter([1u8, 2, 3]).then(|byte| async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok::<_, Infallible>(Bytes::from(vec![byte]))
        });
        let whole = watched(Body::from_stream(moves), Duration::from_secs(5)).collect().await.unwrap();
        assert_eq!(whole.to_bytes().as_ref(), [1, 2, 3]);

        let first = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"1"))]);
        let mut body = watched(Body::from_stream(first.chain(stream::pending())), Duration::from_millis(50));
        assert!(body.frame().await.unwrap().is_ok());
        assert!(body.frame().await.unwrap().is_err());
        assert!(body.frame().await.is_none());
    }
}
