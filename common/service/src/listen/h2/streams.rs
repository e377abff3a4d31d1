//! The open streams of a connection and the room that the client leaves for their answers (RFC 9113 section 5.2).

use std::collections::HashMap;

/// Streams kept account of. HTTP/2 below refuses those over `MAX_STREAMS`, but answers the refusal of a few hundred that
/// were sent before the client knew.
const MOST: usize = 1_024;
/// The window of a new connection, and of a stream unless the client sets another (RFC 9113 section 6.9.2).
const WINDOW: i64 = 65_535;
/// The largest window (RFC 9113 section 6.9.1).
const LARGEST: i64 = 0x7fff_ffff;

#[derive(Debug, Clone, Copy)]
struct Stream {
    window: i64,
    /// The client has said all.
    asked: bool,
    /// An answer has begun and not ended.
    answering: bool,
    /// An answer has ended.
    answered: bool,
}

/// The streams.
#[derive(Debug)]
pub(super) struct Streams {
    open: HashMap<u32, Stream>,
    window: i64,
    initial: i64,
    last: u32,
}

impl Streams {
    pub(super) fn new() -> Self {
        Self { open: HashMap::new(), window: WINDOW, initial: WINDOW, last: 0 }
    }

    /// The last stream that the client opened.
    pub(super) const fn last(&self) -> u32 {
        self.last
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// True when an answer that has begun has no room.
    pub(super) fn is_blocked(&self) -> bool {
        self.open.values().any(|s| s.answering && (s.window <= 0 || self.window <= 0))
    }

    /// HEADERS of the client. True when they open a stream; `None` when there are too many.
    pub(super) fn asked(&mut self, id: u32, ends: bool) -> Option<bool> {
        let opens = id > self.last;
        if opens {
            self.last = id;
            if self.open.len() >= MOST {
                return None;
            }
            let new = Stream { window: self.initial, asked: false, answering: false, answered: false };
            self.open.insert(id, new);
        }
        if ends {
            self.asked_all(id);
        }
        Some(opens)
    }

    /// The client has said all on a stream.
    pub(super) fn asked_all(&mut self, id: u32) {
        if let Some(stream) = self.open.get_mut(&id) {
            stream.asked = true;
            if stream.answered {
                self.open.remove(&id);
            }
        }
    }

    /// Something of an answer was sent: so many bytes that count against windows.
    pub(super) fn sent(&mut self, id: u32, bytes: u32) {
        self.window -= i64::from(bytes);
        if let Some(stream) = self.open.get_mut(&id) {
            stream.answering = true;
            stream.window -= i64::from(bytes);
        }
    }

    /// An answer has ended. The stream is open until its request has ended too, or is reset.
    pub(super) fn answered(&mut self, id: u32) {
        if let Some(stream) = self.open.get_mut(&id) {
            (stream.answering, stream.answered) = (false, true);
            if stream.asked {
                self.open.remove(&id);
            }
        }
    }

    /// A stream was reset by either side.
    pub(super) fn reset(&mut self, id: u32) {
        self.open.remove(&id);
    }

    /// True when a stream is open, and the client has said that it has said all.
    pub(super) fn has_ended(&self, id: u32) -> bool {
        self.open.get(&id).is_some_and(|stream| stream.asked)
    }

    /// The client gives room. False when it is more than a window can be (RFC 9113 section 6.9.1).
    pub(super) fn window(&mut self, id: u32, more: u32) -> bool {
        let window =
            if id == 0 { Some(&mut self.window) } else { self.open.get_mut(&id).map(|s| &mut s.window) };
        window.is_none_or(|window| {
            *window = window.saturating_add(i64::from(more));
            *window <= LARGEST
        })
    }

    /// The client sets the window of streams, those that are open too (RFC 9113 section 6.9.2). False when it is more than a
    /// window can be.
    pub(super) fn initial_window(&mut self, size: u32) -> bool {
        let change = i64::from(size) - self.initial;
        self.initial = i64::from(size);
        self.open.values_mut().for_each(|stream| stream.window = stream.window.saturating_add(change));
        self.initial <= LARGEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_room_is_blocked_until_it_has_room_or_ends() {
        let mut streams = Streams::new();
        assert!(streams.initial_window(10) && !Streams::new().initial_window(0x8000_0000));
        assert_eq!(streams.asked(1, true), Some(true));
        assert_eq!(streams.asked(1, false), Some(false), "trailers open nothing");
        assert!(!streams.is_blocked(), "nothing is answered yet");
        streams.sent(1, 0);
        streams.sent(1, 10);
        assert!(streams.is_blocked());
        assert!(streams.window(1, 1));
        assert!(!streams.is_blocked());
        assert!(streams.initial_window(9));
        assert!(streams.is_blocked(), "a smaller initial window counts for open streams");
        assert!(streams.initial_window(20));
        streams.sent(1, 11);
        streams.answered(1);
        assert!(streams.is_empty());
    }

    #[test]
    fn a_closed_connection_window_blocks_every_answer() {
        let mut streams = Streams::new();
        streams.asked(1, true);
        streams.asked(3, true);
        assert!(streams.window(1, 100_000) && !streams.window(3, 0x7fff_ffff));
        streams.sent(1, 65_535);
        assert!(streams.is_blocked());
        assert!(streams.window(0, 1));
        assert!(!streams.is_blocked());
        streams.reset(1);
        streams.reset(3);
        assert!(streams.is_empty() && streams.last() == 3);
    }

    #[test]
    fn streams_are_bounded() {
        let mut streams = Streams::new();
        let opened = (0..5_000u32).take_while(|n| streams.asked(n * 2 + 1, false).is_some()).count();
        assert_eq!(opened, MOST);
    }
}
