//! A request's body, lent to one parent after another until the first has read of it.

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use sluice_service::Body;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// A body that can be lent again while nobody has read of it.
#[derive(Debug, Clone)]
pub(crate) struct Lent {
    body: Arc<Mutex<Body>>,
    begun: Arc<AtomicBool>,
}

impl Lent {
    pub(crate) fn new(body: Body) -> Self {
        Self { body: Arc::new(Mutex::new(body)), begun: Arc::default() }
    }

    /// True once somebody has read of it: what is gone cannot be sent to another.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, Body> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.begun.store(true, Ordering::Release);
        Pin::new(&mut *self.lock()).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.lock().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn a_body_that_nobody_read_of_can_be_lent_again() {
        let lent = Lent::new(Body::from("abc"));
        assert_eq!(lent.size_hint().exact(), Some(3));
        drop(Body::new(lent.clone()));
        assert!(!lent.has_begun());
        let read = Body::new(lent.clone()).collect().await.unwrap().to_bytes();
        assert!(read == "abc" && lent.has_begun());
    }
}
