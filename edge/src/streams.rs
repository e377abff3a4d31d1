//! What is carried live: WebSockets, events and long polls.

use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName};
use serde::{Deserialize, Serialize};
use sluice_service::Faults;
use std::time::Duration;

/// The media type of server-sent events.
const EVENTS: &str = "text/event-stream";

/// What an operator decides about what is carried live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamsConfig {
    /// Milliseconds after which a WebSocket or a stream of events that carries nothing, not even a ping, is ended.
    pub idle_ms: u64,
    /// Beginnings of paths whose answers may be long in coming. What is under them is fetched for each asker alone.
    pub long_poll: Vec<String>,
    /// Milliseconds for the head of such an answer.
    pub long_poll_ms: u64,
    /// Bytes of a message that a client may send over a socket that ends here (`/v1/live`).
    pub message_bytes: usize,
}

/// Bytes that a client's message may be allowed at least and at most: a call with a token in it, and what an edge can gather for
/// each of thousands.
const MESSAGE_BYTES: std::ops::RangeInclusive<usize> = 4 << 10..=16 << 20;

impl Default for StreamsConfig {
    fn default() -> Self {
        Self { idle_ms: 600_000, long_poll: vec![], long_poll_ms: 60_000, message_bytes: 64 << 10 }
    }
}

impl StreamsConfig {
    pub(crate) fn validate(&self, faults: &mut Faults) {
        for (key, ms) in [("streams.idle_ms", self.idle_ms), ("streams.long_poll_ms", self.long_poll_ms)] {
            if ms < 100 {
                faults.add(key, "at least 100");
            }
        }
        if !MESSAGE_BYTES.contains(&self.message_bytes) {
            faults.add("streams.message_bytes", "4096 to 16777216");
        }
        for path in self.long_poll.iter().filter(|path| !path.starts_with('/')) {
            faults.add("streams.long_poll", format!("{path} is no beginning of a path; begin it with /"));
        }
    }

    /// How long the head of an answer that is long in coming is waited for; `None` for any other path.
    pub(crate) fn patience(&self, path: &str) -> Option<Duration> {
        let polled = self.long_poll.iter().any(|begin| path.starts_with(begin.as_str()));
        polled.then(|| Duration::from_millis(self.long_poll_ms))
    }
}

/// True for a request that asks for events: every one gets its own.
pub(crate) fn asks_for_events(request: &HeaderMap) -> bool {
    names_events(request, ACCEPT)
}

/// True for an answer that is a stream of events: it is never whole, and nobody else may be kept waiting for it.
pub(crate) fn is_events(answer: &HeaderMap) -> bool {
    names_events(answer, CONTENT_TYPE)
}

fn names_events(headers: &HeaderMap, name: HeaderName) -> bool {
    let lines = headers.get_all(name).iter().filter_map(|v| v.to_str().ok());
    let mut types = lines.flat_map(|line| line.split(',')).filter_map(|member| member.split(';').next());
    types.any(|media| media.trim().eq_ignore_ascii_case(EVENTS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_by_their_type() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, value.parse().unwrap());
            asks_for_events(&headers)
        };
        assert!(of("text/event-stream") && of("text/html, Text/Event-Stream;q=0.5"));
        assert!(!of("*/*") && !of("text/event-stream2") && !asks_for_events(&HeaderMap::new()));
    }

    #[test]
    fn patience_is_for_the_paths_that_are_named() {
        let config = StreamsConfig { long_poll: vec!["/poll/".into()], ..StreamsConfig::default() };
        assert_eq!(config.patience("/poll/a"), Some(Duration::from_secs(60)));
        assert_eq!((config.patience("/pol"), config.patience("/a/poll/")), (None, None));
        let mut faults = Faults::default();
        StreamsConfig { idle_ms: 0, long_poll: vec!["a".into()], long_poll_ms: 1, message_bytes: 1 }
            .validate(&mut faults);
        assert_eq!(faults.lines().len(), 4);
    }
}
