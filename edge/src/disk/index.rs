//! The index: which record is in force for a key, in memory. It holds hashes and places, no key and no header.
//!
//! A write is promised before it is made and kept afterwards, so that whatever forgets the key in between is not undone
//! by it. While the regions of an earlier life are read, the index remembers which keys it was told of: what those regions
//! say of them is older.

use super::record::{ALIGN, Place};
use super::region::Region;
use crate::cache::policy::Identity;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::BuildHasherDefault;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Records known at once; at about 60 bytes each a quarter of a gigabyte.
pub(super) const MAX_RECORDS: usize = 4 << 20;
/// Regions at once: each is an open file. A budget makes 32; the rest is for those that a restart cut short.
pub(super) const MAX_REGIONS: usize = 512;
/// Keys remembered while regions of an earlier life are read; when more are told of, the unread regions are given up.
const MAX_TOLD: usize = 1 << 18;

type Hashed<V> = HashMap<u64, V, BuildHasherDefault<Identity>>;

/// Where the record of a key is, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    region: u32,
    /// In units of [`ALIGN`].
    at: u32,
    /// Bytes in front of the body.
    pub(super) head: u32,
    pub(super) body: u32,
    /// It was asked for since it was written: it outlives its region once.
    asked: bool,
}

impl Slot {
    /// `None` when the record is beyond what the index can name.
    pub(super) fn new(place: Place, head: u64, body: u64) -> Option<Self> {
        let at = u32::try_from(place.at / ALIGN).ok()?;
        let (head, body) = (u32::try_from(head).ok()?, u32::try_from(body).ok()?);
        Some(Self { region: place.region, at, head, body, asked: false })
    }

    pub(super) const fn place(&self) -> Place {
        Place { region: self.region, at: self.at as u64 * ALIGN }
    }

    fn is_at(&self, place: Place) -> bool {
        self.place() == place
    }
}

/// Promises of writes to one key.
#[derive(Debug, Default)]
struct Promised {
    /// Rises whenever the key is forgotten.
    generation: u32,
    writes: u32,
}

#[derive(Debug, Default)]
struct Inner {
    slots: Hashed<Slot>,
    promised: Hashed<Promised>,
    regions: BTreeMap<u32, Arc<Region>>,
    /// Keys told of while regions of an earlier life are read.
    told: Option<HashSet<u64>>,
}

impl Inner {
    fn tell(&mut self, hash: u64) {
        if let Some(told) = &mut self.told {
            told.insert(hash);
        }
    }
}

/// The index.
#[derive(Debug, Default)]
pub(super) struct Index(Mutex<Inner>);

impl Index {
    /// The record in force for a key, and its region. It counts as asked for.
    pub(super) fn find(&self, hash: u64) -> Option<(Slot, Arc<Region>)> {
        let mut inner = self.lock();
        let slot = inner.slots.get_mut(&hash)?;
        slot.asked = true;
        let slot = *slot;
        Some((slot, Arc::clone(inner.regions.get(&slot.region)?)))
    }

    pub(super) fn contains(&self, hash: u64) -> bool {
        self.lock().slots.contains_key(&hash)
    }

    /// The record of a key in this region, if it is in force: where it is, and whether it was asked for.
    pub(super) fn in_region(&self, hash: u64, region: u32) -> Option<(Slot, bool)> {
        let slot = *self.lock().slots.get(&hash).filter(|slot| slot.region == region)?;
        Some((slot, slot.asked))
    }

    /// Promises a write; what to keep it with.
    pub(super) fn promise(&self, hash: u64) -> u32 {
        let mut inner = self.lock();
        let promised = inner.promised.entry(hash).or_default();
        promised.writes += 1;
        promised.generation
    }

    /// Takes a promise back: the write will not be made.
    pub(super) fn take_back(&self, hash: u64) {
        Self::settle(&mut self.lock(), hash);
    }

    /// Keeps a promise: records were written. The places of those they replace; or nothing, when the key was forgotten
    /// meanwhile.
    pub(super) fn keep(&self, hash: u64, generation: u32, written: &[(u64, Slot)]) -> Option<Vec<Place>> {
        let mut inner = self.lock();
        if Self::settle(&mut inner, hash) != Some(generation) {
            return None;
        }
        let mut replaced = vec![];
        for (hash, slot) in written {
            inner.tell(*hash);
            replaced.extend(inner.slots.insert(*hash, *slot).map(|before| before.place()));
        }
        Some(replaced)
    }

    fn settle(inner: &mut Inner, hash: u64) -> Option<u32> {
        let promised = inner.promised.get_mut(&hash)?;
        let generation = promised.generation;
        promised.writes = promised.writes.saturating_sub(1);
        if promised.writes == 0 {
            inner.promised.remove(&hash);
        }
        Some(generation)
    }

    /// Forgets a key, and what was promised for it; where its record was.
    pub(super) fn forget(&self, hash: u64) -> Option<Place> {
        let mut inner = self.lock();
        if let Some(promised) = inner.promised.get_mut(&hash) {
            promised.generation = promised.generation.wrapping_add(1);
        }
        inner.tell(hash);
        inner.slots.remove(&hash).map(|slot| slot.place())
    }

    /// Forgets a record, unless a newer one took its place.
    pub(super) fn forget_at(&self, hash: u64, place: Place) -> bool {
        let mut inner = self.lock();
        let found = inner.slots.get(&hash).is_some_and(|slot| slot.is_at(place));
        if found {
            inner.slots.remove(&hash);
        }
        found
    }

    /// A record was copied: it is found at its new place, unless a newer one took its place.
    pub(super) fn moved(&self, hash: u64, from: Place, to: Slot) -> bool {
        let mut inner = self.lock();
        match inner.slots.get_mut(&hash) {
            Some(slot) if slot.is_at(from) => {
                *slot = to;
                true
            }
            _ => false,
        }
    }

    /// Regions of an earlier life are about to be read.
    pub(super) fn begin_recovery(&self) {
        self.lock().told = Some(HashSet::new());
    }

    /// They have been read, or given up.
    pub(super) fn end_recovery(&self) {
        self.lock().told = None;
    }

    /// False when too much happened meanwhile to tell what of the unread regions still holds.
    pub(super) fn can_recover(&self) -> bool {
        self.lock().told.as_ref().is_some_and(|told| told.len() <= MAX_TOLD)
    }

    /// A record of an earlier life. False when it is not in force: something newer is known, or there is no room.
    pub(super) fn recover(&self, hash: u64, slot: Slot) -> bool {
        let mut inner = self.lock();
        let newer = inner.told.as_ref().is_none_or(|told| told.contains(&hash));
        let room = inner.slots.len() < MAX_RECORDS && inner.regions.contains_key(&slot.region);
        if newer || !room || inner.slots.contains_key(&hash) {
            return false;
        }
        inner.slots.insert(hash, slot);
        true
    }

    pub(super) fn add(&self, region: Arc<Region>) {
        self.lock().regions.insert(region.id, region);
    }

    pub(super) fn region(&self, id: u32) -> Option<Arc<Region>> {
        self.lock().regions.get(&id).cloned()
    }

    /// All regions, the oldest first.
    pub(super) fn regions(&self) -> Vec<Arc<Region>> {
        self.lock().regions.values().cloned().collect()
    }

    /// The region that goes next.
    pub(super) fn oldest(&self) -> Option<Arc<Region>> {
        self.lock().regions.first_key_value().map(|(_, region)| Arc::clone(region))
    }

    /// Takes a region out: its records are found no more.
    pub(super) fn take_out(&self, id: u32) -> Option<Arc<Region>> {
        self.lock().regions.remove(&id)
    }

    /// Bytes of all regions, their number, and the number of records.
    pub(super) fn extent(&self) -> (u64, usize, usize) {
        let inner = self.lock();
        (inner.regions.values().map(|r| r.length()).sum(), inner.regions.len(), inner.slots.len())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(at: u64) -> Slot {
        Slot::new(Place { region: 1, at }, 100, 10).unwrap()
    }

    #[test]
    fn an_entry_is_small() {
        assert!(
            size_of::<(u64, Slot)>() <= 32,
            "with the map's free places and the region's list, below 64 bytes"
        );
    }

    #[test]
    fn what_is_forgotten_while_it_is_written_stays_forgotten() {
        let index = Index::default();
        let generation = index.promise(7);
        assert_eq!(index.forget(7), None);
        assert_eq!(index.keep(7, generation, &[(7, slot(0))]), None);
        assert!(!index.contains(7));
        let (first, second) = (index.promise(7), index.promise(7));
        assert_eq!(index.keep(7, first, &[(7, slot(0))]), Some(vec![]));
        let replaced = index.keep(7, second, &[(7, slot(64))]);
        assert_eq!(replaced, Some(vec![slot(0).place()]), "two writes of one key, in their order");
    }

    #[test]
    fn an_earlier_life_never_overrules_this_one() {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::default();
        index.add(Arc::new(Region::create(dir.path(), 1).unwrap()));
        index.begin_recovery();
        index.forget(1);
        let generation = index.promise(2);
        index.keep(2, generation, &[(2, slot(0))]);
        assert!(!index.recover(1, slot(64)), "forgotten since");
        assert!(!index.recover(2, slot(64)), "written since");
        assert!(index.recover(3, slot(64)));
        index.take_out(1);
        assert!(!index.recover(4, slot(64)), "its region went meanwhile");
    }
}
