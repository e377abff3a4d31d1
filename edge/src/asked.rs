//! What clients ask this edge for, by media group, in a minute: what forecasts are made of. Counted apart for a few threads, so that
//! they do not wait for one another.

use crate::cache::policy::Identity;
use sluice_wire::plan::message::{AskedGroup, MAX_ASKED};
use sluice_wire::{MediaGroup, MediaPath, PlacementKey};
use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// As many as threads of a machine that serve at a time, up to here.
const PARTS: usize = 8;
/// Groups counted by one of them in a minute; further ones are not. 400 KB in all.
const GROUPS: usize = 1_024;

thread_local! {
    static PART: Cell<Option<usize>> = const { Cell::new(None) };
}

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// A placement key whose value is its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spread(PlacementKey);

impl Hash for Spread {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.as_u64());
    }
}

type Groups = HashMap<Spread, AskedGroup, BuildHasherDefault<Identity>>;

/// Counts of what clients ask for.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    parts: [Mutex<Groups>; PARTS],
}

impl Asked {
    /// Counts an answer of so many bytes to a request for a path that is placed by a key. Segments alone count.
    pub(crate) fn record(&self, key: PlacementKey, path: &str, bytes: u64) {
        if !path.ends_with(".m4s") {
            return;
        }
        let own = PART.get().unwrap_or_else(|| {
            let own = NEXT.fetch_add(1, Ordering::Relaxed) % PARTS;
            PART.set(Some(own));
            own
        });
        let mut groups = self.parts[own].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = groups.get_mut(&Spread(key)) {
            known.requests += 1;
            known.bytes = known.bytes.saturating_add(bytes);
        } else if groups.len() < GROUPS
            && let Some(group) = MediaPath::parse(path).as_ref().and_then(MediaGroup::of)
        {
            groups.insert(Spread(key), AskedGroup { group, requests: 1, bytes });
        }
    }

    /// What was asked for since this was taken last, the most frequent first.
    pub(crate) fn take(&self) -> Vec<AskedGroup> {
        let mut all: HashMap<MediaGroup, AskedGroup> = HashMap::new();
        for part in &self.parts {
            let taken = std::mem::take(&mut *part.lock().unwrap_or_else(PoisonError::into_inner));
            for one in taken.into_values() {
                let fresh = AskedGroup { group: one.group.clone(), requests: 0, bytes: 0 };
                let sum = all.entry(one.group).or_insert(fresh);
                sum.requests += one.requests;
                sum.bytes = sum.bytes.saturating_add(one.bytes);
            }
        }
        let mut all: Vec<AskedGroup> = all.into_values().collect();
        all.sort_unstable_by(|a, b| b.requests.cmp(&a.requests).then_with(|| a.group.cmp(&b.group)));
        all.truncate(MAX_ASKED);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(seq: u32, name: &str) -> String {
        format!("/v/05b05hcr0yd00/v720/{seq}-00112233445566778899aabbccddeeff.{name}")
    }

    #[test]
    fn segments_are_counted_by_group_over_all_threads() {
        let asked = Asked::default();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for seq in [0, 14, 15] {
                        let path = path(seq, "m4s");
                        asked.record(PlacementKey::of_path(&path), &path, 100);
                    }
                });
            }
        });
        let other = path(0, "mp4");
        asked.record(PlacementKey::of_path(&other), &other, 1);
        let taken = asked.take();
        let told: Vec<(String, u64, u64)> =
            taken.iter().map(|one| (one.group.to_string(), one.requests, one.bytes)).collect();
        assert_eq!(
            told,
            [("05b05hcr0yd00/v720/0".to_owned(), 6, 600), ("05b05hcr0yd00/v720/1".to_owned(), 3, 300)]
        );
        assert!(asked.take().is_empty());
    }

    #[test]
    fn there_are_not_too_many() {
        let asked = Asked::default();
        for seq in 0..3_000 {
            let path = path(seq * 15, "m4s");
            asked.record(PlacementKey::of_path(&path), &path, 1);
        }
        assert_eq!(asked.take().len(), MAX_ASKED);
    }
}
