//! What is played of what was loaded, and how long the picture stood still. Pure.

use std::time::Duration;
use tokio::time::Instant;

/// A picture that moves while there is something to play.
#[derive(Debug)]
pub struct Playhead {
    begun: Instant,
    first: Option<Instant>,
    known: Instant,
    position: Duration,
    loaded: Duration,
    ended: bool,
    frozen: Duration,
    stalls: u32,
    stands: bool,
}

impl Playhead {
    /// Nothing is loaded.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self {
            begun: now,
            first: None,
            known: now,
            position: Duration::ZERO,
            loaded: Duration::ZERO,
            ended: false,
            frozen: Duration::ZERO,
            stalls: 0,
            stands: false,
        }
    }

    /// Plays until a time.
    pub fn at(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.known);
        self.known = now;
        if self.first.is_none() {
            return;
        }
        let moves = passed.min(self.loaded.saturating_sub(self.position));
        self.position += moves;
        let stood = passed.saturating_sub(moves);
        if self.ended || stood.is_zero() {
            return;
        }
        self.frozen += stood;
        self.stalls += u32::from(!self.stands);
        self.stands = true;
    }

    /// Something more is loaded: with the first of it the picture begins to move.
    pub fn add(&mut self, now: Instant, length: Duration) {
        self.at(now);
        self.first.get_or_insert(now);
        self.loaded += length;
        self.stands = false;
    }

    /// Nothing more will come.
    pub const fn ends(&mut self) {
        self.ended = true;
    }

    /// When there is room for something of this length, where so much is held at most.
    pub fn room_at(&mut self, now: Instant, length: Duration, most: Duration) -> Instant {
        self.at(now);
        let held = self.loaded.saturating_sub(self.position);
        now + (held + length).saturating_sub(most)
    }

    /// How long the picture stood still, and how often.
    #[must_use]
    pub const fn frozen(&self) -> (Duration, u32) {
        (self.frozen, self.stalls)
    }

    /// How long it took to begin.
    #[must_use]
    pub fn startup(&self) -> Option<Duration> {
        self.first.map(|first| first.duration_since(self.begun))
    }

    /// Media that was played.
    #[must_use]
    pub const fn position(&self) -> Duration {
        self.position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn a_picture_stands_still_while_nothing_is_there() {
        let now = Instant::now();
        let mut head = Playhead::new(now);
        head.at(now + 3 * S);
        assert_eq!(head.frozen(), (Duration::ZERO, 0), "it has not begun");
        head.add(now + 3 * S, 4 * S);
        head.add(now + 4 * S, 4 * S);
        assert_eq!(head.room_at(now + 4 * S, 4 * S, 10 * S), now + 5 * S);
        head.add(now + 13 * S, 4 * S);
        assert_eq!((head.frozen(), head.startup()), ((2 * S, 1), Some(3 * S)));
        head.at(now + 18 * S);
        head.at(now + 19 * S);
        assert_eq!(head.frozen(), (4 * S, 2), "one stall, looked at twice");
        head.add(now + 19 * S, S);
        head.ends();
        head.at(now + 30 * S);
        assert_eq!((head.frozen().1, head.position()), (2, 13 * S), "its end is no stall");
    }
}
