//! What is kept of the log, as lines: each is its sum and a JSON document. Pure.

use serde::{Deserialize, Serialize};
use sluice_wire::purge::PurgeData;
use sluice_wire::{Event, EventKind, Tag};
use std::collections::HashMap;
use xxhash_rust::xxh3::xxh3_64;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Line {
    /// Continuity begins here, after this event; without one, no log was followed yet.
    Epoch { epoch: u64, after: Option<u64> },
    /// An event was applied.
    Event(Event),
}

/// What was heard of the log before this process began.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Kept {
    /// The epoch that objects of before were asked for in.
    pub(crate) epoch: u64,
    /// The newest event applied, or where continuity began.
    pub(crate) cursor: Option<u64>,
    /// The newest event of each tag, kind and purge, in the log's order: a soft purge does not undo a hard one.
    pub(crate) events: Vec<Event>,
}

impl Line {
    pub(super) fn render(&self) -> Vec<u8> {
        let text = serde_json::to_string(self).unwrap_or_default();
        format!("{:016x} {text}\n", xxh3_64(text.as_bytes())).into_bytes()
    }

    fn read(line: &str) -> Option<Self> {
        let (sum, text) = line.split_once(' ')?;
        let sum = u64::from_str_radix(sum, 16).ok()?;
        if xxh3_64(text.as_bytes()) != sum {
            return None;
        }
        serde_json::from_str(text).ok()
    }
}

impl Kept {
    /// Reads lines up to the first that is damaged: what is lost after it is told by the log again. `None` when not even
    /// the first can be read. Beside it, how many lines counted, and their bytes.
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, usize, u64)> {
        let (mut kept, mut lines, mut end): (Option<Self>, usize, u64) = (None, 0, 0);
        let mut newest: HashMap<String, Event> = HashMap::new();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = line.strip_suffix(b"\n").and_then(|line| std::str::from_utf8(line).ok());
            let Some(read) = text.and_then(Line::read) else { break };
            match (read, &mut kept) {
                (Line::Epoch { epoch, after }, kept) => {
                    newest.clear();
                    *kept = Some(Self { epoch, cursor: after, events: vec![] });
                }
                (Line::Event(event), Some(kept)) => {
                    kept.cursor = Some(event.seq);
                    if is_of_all(&event) {
                        newest.clear();
                    }
                    newest.insert(format!("{} {:?} {}", event.tag, event.kind, event.data), event);
                }
                (Line::Event(_), None) => break,
            }
            lines += 1;
            end += line.len() as u64;
        }
        let mut kept = kept?;
        kept.events = newest.into_values().collect();
        kept.events.sort_by_key(|event| event.seq);
        Some((kept, lines, end))
    }

    /// The fewest lines that say the same.
    pub(super) fn render(&self) -> Vec<u8> {
        let mut bytes = Line::Epoch { epoch: self.epoch, after: self.cursor }.render();
        self.events.iter().for_each(|event| bytes.extend(Line::Event(event.clone()).render()));
        bytes
    }
}

/// True for a hard purge of everything: nothing that was said before it matters any more.
fn is_of_all(event: &Event) -> bool {
    event.tag == Tag::everything()
        && event.kind == EventKind::Purged
        && PurgeData::read(&event.data) == PurgeData::default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use sluice_wire::tag::Version;

    fn event(seq: u64, tag: u8) -> Event {
        let tag = if tag == 0 { Tag::everything() } else { Tag::new(format!("t{tag}")).unwrap() };
        let (version, kind) = (Version(seq), EventKind::Purged);
        Event { seq, tag, version, kind, at_ms: 1, data: serde_json::Value::Null }
    }

    fn journal(tags: &[u8]) -> Vec<u8> {
        let mut bytes = Line::Epoch { epoch: 7, after: Some(100) }.render();
        for (i, tag) in tags.iter().enumerate() {
            bytes.extend(Line::Event(event(101 + i as u64, *tag)).render());
        }
        bytes
    }

    #[test]
    fn a_soft_purge_does_not_undo_a_hard_one() {
        let (hard, later) = (event(101, 1), event(103, 1));
        let soft = Event { data: json!({ "soft": true }), ..event(102, 1) };
        let of = |events: &[&Event]| {
            let mut bytes = Line::Epoch { epoch: 7, after: Some(100) }.render();
            events.iter().for_each(|event| bytes.extend(Line::Event((*event).clone()).render()));
            Kept::read(&bytes).unwrap().0.events
        };
        assert_eq!(of(&[&hard, &soft]), [hard.clone(), soft.clone()]);
        assert_eq!(of(&[&hard, &soft, &later]), [soft.clone(), later]);
        let all = Event { data: json!({ "soft": true }), ..event(104, 0) };
        assert_eq!(of(&[&hard, &all]), [hard, all], "nor does one of everything");
    }

    proptest! {
        #[test]
        fn the_fewest_lines_say_the_same(tags in prop::collection::vec(0u8..6, 0..40)) {
            let bytes = journal(&tags);
            let (kept, lines, end) = Kept::read(&bytes).unwrap();
            prop_assert_eq!((lines, end), (tags.len() + 1, bytes.len() as u64));
            prop_assert_eq!(kept.cursor, Some(100 + tags.len() as u64));
            prop_assert_eq!(kept.epoch, 7);
            let since = tags.iter().rposition(|tag| *tag == 0).unwrap_or(0);
            prop_assert!(kept.events.iter().all(|event| event.seq >= 101 + since as u64));
            let (again, lines, _) = Kept::read(&kept.render()).unwrap();
            prop_assert_eq!(lines, kept.events.len() + 1);
            prop_assert_eq!(again, kept);
        }

        #[test]
        fn a_damaged_line_hides_what_follows_and_nothing_else(
            tags in prop::collection::vec(1u8..6, 1..20),
            at in any::<prop::sample::Index>(),
        ) {
            let mut bytes = journal(&tags);
            let at = at.index(bytes.len());
            let whole = bytes[..at].iter().filter(|byte| **byte == b'\n').count();
            bytes[at] ^= 1;
            match Kept::read(&bytes) {
                None => prop_assert_eq!(whole, 0),
                Some((kept, lines, _)) => {
                    prop_assert_eq!(lines, whole);
                    prop_assert_eq!(kept.cursor, Some(99 + whole as u64));
                }
            }
        }

        #[test]
        fn nothing_makes_the_reader_fail(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            Kept::read(&bytes);
        }
    }
}
