//! A request's body that must get on: who sends nothing, or next to nothing, does not hold a request open.

use super::Protocol;
use crate::Body;
use crate::config::LimitsConfig;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};

/// Bytes of a body that HTTP/2 holds back until a frame is whole (RFC 9113 section 4.2): a slow client's first frame is
/// long in coming.
const FRAME: u64 = 16 << 10;

/// How a body has come so far. Only the time that its reader waits for the client counts.
struct Pace {
    limits: LimitsConfig,
    held_back: u64,
    taken: u64,
    waited: Duration,
    waiting: Option<Instant>,
}

impl Pace {
    fn new(protocol: Protocol, limits: LimitsConfig) -> Self {
        let held_back = if protocol == Protocol::Http2 { FRAME } else { 0 };
        Self { limits, held_back, taken: 0, waited: Duration::ZERO, waiting: None }
    }

    /// Nothing is there to be read. By when something must be, unless that has been said already.
    fn waits(&mut self, now: Instant) -> Option<Instant> {
        if self.waiting.is_some() {
            return None;
        }
        self.waiting = Some(now);
        let rate = u64::from(self.limits.bytes_per_second.max(1));
        let at_rate = (self.taken + self.held_back).saturating_mul(1_000) / rate;
        let patience = Duration::from_millis(self.limits.body_grace_ms.saturating_add(at_rate));
        Some(now + patience.saturating_sub(self.waited))
    }

    /// So many bytes have come.
    fn came(&mut self, bytes: u64, now: Instant) {
        if let Some(since) = self.waiting.take() {
            self.waited += now.duration_since(since);
        }
        self.taken += bytes;
    }
}

/// The body.
struct Paced {
    body: Body,
    pace: Pace,
    due: Pin<Box<Sleep>>,
}

/// Watches over a body's pace.
pub(super) fn paced(body: Body, protocol: Protocol, limits: LimitsConfig) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let due = Box::pin(sleep(Duration::ZERO));
    Body::new(Paced { body, pace: Pace::new(protocol, limits), due })
}

impl http_body::Body for Paced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let now = Instant::now();
        if let Poll::Ready(next) = Pin::new(&mut self.body).poll_frame(cx) {
            let data = next.as_ref().and_then(|next| next.as_ref().ok()?.data_ref());
            let bytes = data.map_or(0, |data| data.len() as u64);
            self.pace.came(bytes, now);
            return Poll::Ready(next);
        }
        if let Some(due) = self.pace.waits(now) {
            self.due.as_mut().reset(due);
        }
        self.due.as_mut().poll(cx).map(|()| {
            let slow = io::Error::new(io::ErrorKind::TimedOut, "the body comes too slowly");
            Some(Err(axum::Error::new(slow)))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How much of a body comes that sends a piece every so often and is read at once, until it is late or has all come.
    fn comes(pieces: u64, piece: u64, every: Duration, protocol: Protocol) -> u64 {
        let mut pace = Pace::new(protocol, LimitsConfig::default());
        let mut now = Instant::now();
        for sent in 0..pieces {
            let due = pace.waits(now).unwrap();
            assert_eq!(pace.waits(now), None, "a deadline is said once");
            now += every;
            if now > due {
                return sent * piece;
            }
            pace.came(piece, now);
        }
        pieces * piece
    }

    #[test]
    fn a_body_comes_at_a_rate_or_not_at_all() {
        let second = Duration::from_secs(1);
        assert_eq!(comes(60, 600, second, Protocol::Http1), 36_000);
        let come = comes(600, 100, second, Protocol::Http3);
        assert!((400..=800).contains(&come), "{come}");
        assert_eq!(comes(1, 1, second * 6, Protocol::Http1), 0);
        // A frame of HTTP/2 is seen when all of it has come.
        assert_eq!(comes(2, FRAME, second * 30, Protocol::Http2), 2 * FRAME);
        assert_eq!(comes(1, 1, second * 60, Protocol::Http2), 0);
    }

    #[test]
    fn a_reader_that_takes_its_time_is_not_the_clients_fault() {
        let mut pace = Pace::new(Protocol::Http1, LimitsConfig::default());
        let mut now = Instant::now();
        for _ in 0..100 {
            now += Duration::from_secs(100);
            pace.came(1, now);
        }
        assert!(pace.waits(now).unwrap() >= now + Duration::from_secs(5));
    }
}
