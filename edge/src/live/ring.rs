//! The last frames of a channel, for those who come back: pure.

use serde_json::Value;
use sluice_wire::channel;
use sluice_wire::compact;
use sluice_wire::id::EPOCH_MS;
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// Frames kept: what a room says in some tens of seconds, in which most who lost their connection are back.
pub(crate) const MAX_FRAMES: usize = 256;
/// Bytes kept.
pub(crate) const MAX_BYTES: usize = 256 << 10;

/// A frame as clients get it: its number, and its JSON as the origin said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) seq: u64,
    pub(crate) text: Utf8Bytes,
    /// Once somebody is told so: the same in few bytes.
    spoken: OnceLock<Spoken>,
}

/// A frame as compact sockets have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Spoken {
    /// A change of a conversation.
    Frame(Box<compact::Frame>),
    /// Anything else: JSON; empty for nothing.
    Json { at_ms: u64, data: String },
}

impl Frame {
    pub(crate) const fn new(seq: u64, text: Utf8Bytes) -> Self {
        Self { seq, text, spoken: OnceLock::new() }
    }

    /// The same, read once for all who are told so.
    pub(crate) fn spoken(&self) -> &Spoken {
        self.spoken.get_or_init(|| {
            let Ok(said) = serde_json::from_str::<channel::Frame>(&self.text) else {
                return Spoken::Json { at_ms: EPOCH_MS, data: String::new() };
            };
            // One with words beyond a frame's bounds stays JSON.
            let frame = compact::Frame::of_channel(&said).filter(|frame| frame.encode(&mut vec![]).is_ok());
            match frame {
                Some(frame) => Spoken::Frame(Box::new(frame)),
                None => {
                    let data = if said.data.is_null() { String::new() } else { said.data.to_string() };
                    Spoken::Json { at_ms: said.at_ms.max(EPOCH_MS), data }
                }
            }
        })
    }

    /// A frame in which a message says something, first or changed, without what it says: as origins say it once the message is
    /// deleted. `None` for any other frame.
    fn without(&self, message: &str) -> Option<Self> {
        if !self.text.contains(message) {
            return None;
        }
        let said: channel::Frame = serde_json::from_str(&self.text).ok()?;
        let field = |name: &str| said.data.get(name).and_then(Value::as_str);
        if field("id") != Some(message) || !matches!(field("type"), Some("message" | "edit")) {
            return None;
        }
        let blank = channel::Frame { data: Value::Null, ..said };
        Some(Self::new(self.seq, serde_json::to_string(&blank).ok()?.into()))
    }
}

/// A channel's last frames, without gaps.
#[derive(Debug)]
pub(crate) struct Ring {
    /// The number before the oldest that is kept.
    before: u64,
    frames: VecDeque<Arc<Frame>>,
    bytes: usize,
}

impl Ring {
    /// Nothing yet of a channel that is at this number.
    pub(crate) const fn new(at: u64) -> Self {
        Self { before: at, frames: VecDeque::new(), bytes: 0 }
    }

    /// The last number that has come.
    pub(crate) fn last(&self) -> u64 {
        self.before + self.frames.len() as u64
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes the next frame, and lets go of the oldest beyond the bounds. One that does not follow the last begins anew;
    /// one that has come already is passed over. True when it was taken.
    pub(crate) fn push(&mut self, frame: Arc<Frame>) -> bool {
        if frame.seq <= self.last() {
            return false;
        }
        if frame.seq != self.last() + 1 {
            *self = Self::new(frame.seq - 1);
        }
        self.bytes += frame.text.len();
        self.frames.push_back(frame);
        self.shrink(MAX_FRAMES, MAX_BYTES);
        true
    }

    /// Takes out what a message said: those who come back from now on are told that there was something, and not what.
    pub(crate) fn blank(&mut self, message: &str) {
        for frame in &mut self.frames {
            let Some(blank) = frame.without(message) else { continue };
            self.bytes = self.bytes - frame.text.len() + blank.text.len();
            *frame = Arc::new(blank);
        }
    }

    /// Lets go of the oldest until so many are left.
    pub(crate) fn shrink(&mut self, frames: usize, bytes: usize) {
        while self.frames.len() > frames || self.bytes > bytes {
            let Some(oldest) = self.frames.pop_front() else { return };
            self.bytes -= oldest.text.len();
            self.before += 1;
        }
        if self.frames.is_empty() {
            self.frames = VecDeque::new();
        }
    }

    /// The frames after a number; `None` when some of them are not kept any more.
    pub(crate) fn after(&self, seq: u64) -> Option<impl Iterator<Item = &Arc<Frame>>> {
        let skipped = usize::try_from(seq.checked_sub(self.before)?).unwrap_or(usize::MAX);
        Some(self.frames.iter().skip(skipped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use sluice_wire::Tag;

    fn frame(seq: u64, bytes: usize) -> Arc<Frame> {
        Arc::new(Frame::new(seq, "x".repeat(bytes).into()))
    }

    proptest! {
        #[test]
        fn what_is_kept_is_the_end_without_gaps(
            start in 0..1_000_u64,
            steps in prop::collection::vec((0..5_u64, 0..40_000_usize), 1..400),
            asked in 0..3_000_u64,
        ) {
            let mut ring = Ring::new(start);
            let mut last = start;
            for (step, bytes) in steps {
                // Most follow, some come again, a few leave some out.
                let seq = match step { 0 => last, 4 => last + 7, _ => last + 1 };
                let taken = ring.push(frame(seq, bytes));
                prop_assert_eq!(taken, seq > last);
                last = last.max(seq);
                prop_assert_eq!(ring.last(), last);
                let kept: usize = ring.frames.iter().map(|f| f.text.len()).sum();
                prop_assert_eq!(ring.bytes(), kept);
                prop_assert!(ring.frames.len() <= MAX_FRAMES && kept <= MAX_BYTES);
            }
            let seqs: Vec<u64> = ring.frames.iter().map(|f| f.seq).collect();
            prop_assert_eq!(&seqs, &(ring.before + 1..=last).collect::<Vec<_>>());
            match ring.after(asked) {
                Some(frames) => prop_assert_eq!(
                    frames.map(|f| f.seq).collect::<Vec<_>>(),
                    (asked + 1..=last).collect::<Vec<_>>()
                ),
                None => prop_assert!(asked < ring.before),
            }
        }
    }

    #[test]
    fn what_a_message_said_is_taken_out_and_its_places_stay() {
        let of = |kind: &str, id: &str| json!({ "type": kind, "id": id, "text": "of m1" });
        let all =
            [("message", "m1"), ("message", "m2"), ("edit", "m1"), ("reaction", "m1"), ("delete", "m1")];
        let mut ring = Ring::new(0);
        for (seq, (kind, id)) in (1..).zip(all) {
            let channel = Tag::new("chat:1").unwrap();
            let said = channel::Frame { channel, seq, at_ms: EPOCH_MS + seq, data: of(kind, id) };
            ring.push(Arc::new(Frame::new(seq, serde_json::to_string(&said).unwrap().into())));
        }
        // They were told in few bytes before.
        assert!(ring.frames.iter().all(|frame| matches!(frame.spoken(), Spoken::Json { .. })));
        ring.blank("m1");
        let left = ring.after(0).unwrap().map(|frame| {
            let said: channel::Frame = serde_json::from_str(&frame.text).unwrap();
            assert_eq!((said.seq, said.at_ms), (frame.seq, EPOCH_MS + frame.seq));
            said.data
        });
        let wanted = all.map(|(kind, id)| match (kind, id) {
            ("message" | "edit", "m1") => Value::Null,
            (kind, id) => of(kind, id),
        });
        assert_eq!(left.collect::<Vec<_>>(), wanted);
        assert_eq!(ring.frames[0].spoken(), &Spoken::Json { at_ms: EPOCH_MS + 1, data: String::new() });
        assert_eq!(ring.bytes(), ring.frames.iter().map(|frame| frame.text.len()).sum::<usize>());
        assert_eq!(ring.last(), 5);
    }

    #[test]
    fn a_ring_gives_way() {
        let mut ring = Ring::new(0);
        (1..=20).for_each(|seq| _ = ring.push(frame(seq, 10)));
        ring.shrink(5, 1_000);
        assert_eq!((ring.bytes(), ring.last(), ring.after(14).is_none()), (50, 20, true));
        ring.shrink(0, 0);
        assert_eq!((ring.bytes(), ring.last()), (0, 20));
        assert_eq!(ring.after(20).unwrap().count(), 0);
    }
}
