//! What a client may send of each kind of frame that costs it little: a token bucket each, so that a long honest
//! connection lives and a flood does not.

use std::time::Duration;

/// Why an HTTP/2 connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::listen) enum Reason {
    Settings,
    Ping,
    Priority,
    Reset,
    WindowUpdate,
    EmptyData,
    SmallData,
    Other,
    ServerReset,
    Continuation,
    HeaderBlock,
    Streams,
    SlowHead,
    Stall,
    Idle,
    FrameSize,
    FlowControl,
    StreamClosed,
}

impl Reason {
    /// The label in metrics, and what a GOAWAY says.
    pub(in crate::listen) const fn as_str(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Ping => "ping",
            Self::Priority => "priority",
            Self::Reset => "reset",
            Self::WindowUpdate => "window-update",
            Self::EmptyData => "empty-data",
            Self::SmallData => "small-data",
            Self::Other => "other-frames",
            Self::ServerReset => "server-reset",
            Self::Continuation => "continuation",
            Self::HeaderBlock => "header-block",
            Self::Streams => "streams",
            Self::SlowHead => "slow-head",
            Self::Stall => "stall",
            Self::Idle => "idle",
            Self::FrameSize => "frame-size",
            Self::FlowControl => "flow-control",
            Self::StreamClosed => "stream-closed",
        }
    }

    /// The error code of the GOAWAY (RFC 9113 section 7): an idle connection has done nothing wrong.
    pub(super) const fn code(self) -> u32 {
        match self {
            // NO_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR; else ENHANCE_YOUR_CALM.
            Self::Idle => 0,
            Self::FlowControl => 3,
            Self::StreamClosed => 5,
            Self::FrameSize => 6,
            _ => 11,
        }
    }
}

/// Frames at once, and frames a second from then on, each several times what browsers, curl and gRPC clients send.
const ALLOWED: [(Reason, f64, f64); KINDS] = [
    (Reason::Settings, 20.0, 1.0),
    (Reason::Ping, 100.0, 10.0),
    (Reason::Priority, 200.0, 20.0),
    // Rapid reset (CVE-2023-44487). A player that seeks gives up dozens of streams, not hundreds; each stream that was
    // answered to its end allows one more.
    (Reason::Reset, 100.0, 10.0),
    // Answers earn more: see `Budgets::sent`.
    (Reason::WindowUpdate, 1_000.0, 50.0),
    (Reason::EmptyData, 100.0, 10.0),
    (Reason::SmallData, 2_000.0, 200.0),
    (Reason::Other, 100.0, 10.0),
    // Streams that this side reset because of what the client sent on them (MadeYouReset, CVE-2025-8671).
    (Reason::ServerReset, 80.0, 2.0),
];
const KINDS: usize = 9;
/// Bytes of an answer for which a client may send one WINDOW_UPDATE: a quarter of the smallest step seen, for stream and
/// connection each, with room.
const BYTES_PER_UPDATE: f64 = 1_024.0;

/// The buckets of a connection.
#[derive(Debug)]
pub(super) struct Budgets {
    left: [f64; KINDS],
}

impl Budgets {
    pub(super) fn new() -> Self {
        Self { left: ALLOWED.map(|(_, burst, _)| burst) }
    }

    /// Takes one out of a bucket.
    ///
    /// # Errors
    /// The reason, when the bucket is empty.
    pub(super) fn take(&mut self, of: Reason) -> Result<(), Reason> {
        let left = &mut self.left[of as usize];
        if *left < 1.0 {
            return Err(of);
        }
        *left -= 1.0;
        Ok(())
    }

    /// Time has passed.
    pub(super) fn refill(&mut self, passed: Duration) {
        for (kind, _, a_second) in ALLOWED {
            self.earn(kind, a_second * passed.as_secs_f64());
        }
    }

    /// A stream was opened: it may be given priority, twice.
    pub(super) fn opened(&mut self) {
        self.earn(Reason::Priority, 2.0);
    }

    /// A stream was answered to its end.
    pub(super) fn answered(&mut self) {
        self.earn(Reason::Reset, 1.0);
    }

    /// Bytes of answers were sent.
    pub(super) fn sent(&mut self, bytes: u32) {
        self.earn(Reason::WindowUpdate, 2.0 + f64::from(bytes) / BYTES_PER_UPDATE);
    }

    fn earn(&mut self, kind: Reason, tokens: f64) {
        let most = ALLOWED[kind as usize].1;
        let left = &mut self.left[kind as usize];
        *left = (*left + tokens).min(most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bucket_is_where_it_is_looked_for() {
        for (place, (kind, ..)) in ALLOWED.iter().enumerate() {
            assert_eq!(*kind as usize, place);
        }
    }

    #[test]
    fn a_bucket_fills_with_time_and_no_further_than_its_burst() {
        let mut budgets = Budgets::new();
        assert_eq!((0..1_000).take_while(|_| budgets.take(Reason::Ping).is_ok()).count(), 100);
        budgets.refill(Duration::from_secs(1));
        assert_eq!((0..1_000).take_while(|_| budgets.take(Reason::Ping).is_ok()).count(), 10);
        budgets.refill(Duration::from_secs(1_000_000));
        assert_eq!((0..1_000).take_while(|_| budgets.take(Reason::Ping).is_ok()).count(), 100);
        assert_eq!(budgets.take(Reason::Ping), Err(Reason::Ping));
    }
}
