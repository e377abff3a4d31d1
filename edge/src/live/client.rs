//! What waits for one client: bounded; who does not take it is cut, and comes back with its cursors.

use super::ring::Frame;
use sluice_wire::channel::Gap;
use sluice_wire::{Problem, Tag};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// New frames that wait for a client: a busy room's for some tens of seconds.
const MAX_NEW: usize = 256;
/// Bytes of all that waits, of which most is shared with others who wait.
const MAX_BYTES: usize = 1 << 20;
/// Frames that wait of what a client missed, beside: an origin replays so many of a channel.
const MAX_OLD: usize = 2_048;
/// Bytes of those: a channel's replay of frames of several kilobytes.
const MAX_OLD_BYTES: usize = 8 << 20;
/// What waits when a client is asked for no more: see [`Client::has_room`].
const LOW: usize = 64;

/// What a client is told.
#[derive(Debug, Clone)]
pub(crate) enum Out {
    /// A subscription begins after this number.
    Subscribed(Tag, u64),
    /// A frame.
    Frame(Tag, Arc<Frame>),
    /// Frames that nobody keeps in reach.
    Gap(Tag, Gap),
    /// What is said beside the frames, and kept nowhere.
    Aside(Tag, Arc<Aside>),
    /// There is no subscription, or no more.
    Refused(Tag, Problem),
}

/// What is true for a moment: as the origin's message said it, and that part of it which a compact socket says.
#[derive(Debug)]
pub(crate) struct Aside {
    pub(super) text: Utf8Bytes,
    pub(super) data: String,
}

impl Out {
    const fn channel(&self) -> &Tag {
        match self {
            Self::Subscribed(tag, _)
            | Self::Frame(tag, _)
            | Self::Gap(tag, _)
            | Self::Aside(tag, _)
            | Self::Refused(tag, _) => tag,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Frame(_, frame) => frame.text.len(),
            Self::Aside(_, aside) => aside.text.len(),
            Self::Subscribed(..) | Self::Gap(..) | Self::Refused(..) => 0,
        }
    }
}

/// A client's end of its subscriptions.
#[derive(Debug)]
pub(crate) struct Client {
    pub(super) id: u64,
    waiting: Mutex<Waiting>,
    wake: Notify,
    over: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    outs: VecDeque<(Out, bool)>,
    /// Number and bytes of what is new, and of what is not.
    new: (usize, usize),
    old: (usize, usize),
    full: bool,
}

impl Client {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { id, waiting: Mutex::default(), wake: Notify::new(), over: Notify::new() }
    }

    /// Has something wait; `old` for what a client missed. When there is no room, nothing more is taken, ever.
    pub(super) fn push(&self, out: Out, old: bool) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.full {
            return;
        }
        let (count, most, bytes) = match old {
            true => (&mut waiting.old, MAX_OLD, MAX_OLD_BYTES),
            false => (&mut waiting.new, MAX_NEW, MAX_BYTES),
        };
        *count = (count.0 + 1, count.1 + out.bytes());
        if count.0 > most || count.1 > bytes {
            // What waited is let go of: the cursor says where to go on.
            *waiting = Waiting { full: true, ..Waiting::default() };
            self.over.notify_one();
        } else {
            waiting.outs.push_back((out, old));
        }
        drop(waiting);
        self.wake.notify_one();
    }

    /// Has something wait that is of no use later: where other things wait already, it is let go of.
    pub(super) fn mention(&self, out: Out) {
        if self.has_room() {
            self.push(out, false);
        }
    }

    /// What is next: `Err` once there was no room.
    pub(super) fn take(&self) -> Result<Option<Out>, Full> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.full {
            return Err(Full);
        }
        let Some((out, old)) = waiting.outs.pop_front() else { return Ok(None) };
        let count = if old { &mut waiting.old } else { &mut waiting.new };
        *count = (count.0 - 1, count.1 - out.bytes());
        if waiting.outs.is_empty() {
            // Most clients wait most of the time: what they do not need they do not hold.
            waiting.outs = VecDeque::new();
        }
        Ok(Some(out))
    }

    /// True while little enough waits that more may be asked for on a client's behalf.
    pub(super) fn has_room(&self) -> bool {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.outs.len() < LOW
    }

    /// Waits until there was no room. One task waits.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn filled(&self) {
        let full = || self.waiting.lock().unwrap_or_else(PoisonError::into_inner).full;
        while !full() {
            self.over.notified().await;
        }
    }

    #[cfg(test)]
    fn is_full(&self) -> bool {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).full
    }

    /// Lets go of what waits of one channel.
    pub(super) fn forget(&self, channel: &Tag) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.outs.retain(|(out, _)| out.channel() != channel);
        let sum = |wanted: bool| {
            let some = waiting.outs.iter().filter(|(_, old)| *old == wanted);
            some.fold((0, 0), |sum, (out, _)| (sum.0 + 1, sum.1 + out.bytes()))
        };
        (waiting.new, waiting.old) = (sum(false), sum(true));
    }

    /// Waits until something may be there to take. One task waits.
    ///
    /// # Cancel safety
    /// Nothing is lost: what is there is there still.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }
}

/// A client did not take what waited for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

#[cfg(test)]
mod tests {
    use super::*;

    fn out(channel: &str, seq: u64, bytes: usize) -> Out {
        Out::Frame(Tag::new(channel).unwrap(), Arc::new(Frame::new(seq, "x".repeat(bytes).into())))
    }

    #[test]
    fn what_waits_is_bounded_in_number_and_in_bytes() {
        let client = Client::new();
        (0..MAX_NEW as u64).for_each(|seq| client.push(out("a", seq, 1), false));
        assert!(!client.is_full() && !client.has_room());
        client.push(out("a", 999, 1), true);
        assert!(!client.is_full(), "what was missed has room of its own");
        client.push(out("a", 1_000, 1), false);
        assert!(client.is_full() && client.take().is_err());

        let client = Client::new();
        client.push(out("a", 1, MAX_BYTES), false);
        assert!(!client.is_full());
        assert!(matches!(client.take(), Ok(Some(_))));
        client.push(out("a", 2, MAX_BYTES), false);
        client.push(out("a", 3, 1), false);
        assert!(client.is_full());
    }

    #[test]
    fn a_channel_is_forgotten_and_others_are_not() {
        let client = Client::new();
        for seq in 1..=3 {
            client.push(out("a", seq, 5), false);
            client.push(out("b", seq, 7), true);
        }
        client.forget(&Tag::new("a").unwrap());
        let left = client.waiting.lock().unwrap();
        assert_eq!((left.new, left.old, left.outs.len()), ((0, 0), (3, 21), 3));
    }
}
