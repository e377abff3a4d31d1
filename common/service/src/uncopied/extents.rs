//! Which parts of an area are free. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// The free extents of an area, joined where they touch. Lengths and places are in whatever unit the caller counts.
#[derive(Debug)]
pub(super) struct Extents {
    /// By place, for joining: place -> length.
    places: BTreeMap<usize, usize>,
    /// By length, for the best fit: (length, place).
    lengths: BTreeSet<(usize, usize)>,
}

impl Extents {
    /// An area that is free.
    pub(super) fn new(length: usize) -> Self {
        let mut extents = Self { places: BTreeMap::new(), lengths: BTreeSet::new() };
        extents.insert(0, length);
        extents
    }

    /// Takes the place of the smallest free extent that is long enough; the first of several.
    pub(super) fn take(&mut self, length: usize) -> Option<usize> {
        let &(found, at) = self.lengths.range((length, 0)..).next()?;
        self.remove(at, found);
        self.insert(at + length, found - length);
        Some(at)
    }

    /// Gives back what was taken.
    pub(super) fn give(&mut self, at: usize, length: usize) {
        let (mut at, mut length) = (at, length);
        if let Some((&before, &its)) = self.places.range(..at).next_back()
            && before + its == at
        {
            self.remove(before, its);
            (at, length) = (before, its + length);
        }
        if let Some(&its) = self.places.get(&(at + length)) {
            self.remove(at + length, its);
            length += its;
        }
        self.insert(at, length);
    }

    fn insert(&mut self, at: usize, length: usize) {
        if length > 0 {
            self.places.insert(at, length);
            self.lengths.insert((length, at));
        }
    }

    fn remove(&mut self, at: usize, length: usize) {
        self.places.remove(&at);
        self.lengths.remove(&(length, at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nothing_is_taken_twice_and_all_comes_back(steps in prop::collection::vec((1usize..20, any::<prop::sample::Index>(), any::<bool>()), 1..200)) {
            const AREA: usize = 100;
            let mut extents = Extents::new(AREA);
            let mut held: Vec<(usize, usize)> = vec![];
            for (length, which, gives) in steps {
                if gives && !held.is_empty() {
                    let (at, length) = held.swap_remove(which.index(held.len()));
                    extents.give(at, length);
                } else if let Some(at) = extents.take(length) {
                    prop_assert!(at + length <= AREA);
                    prop_assert!(held.iter().all(|(other, its)| at + length <= *other || other + its <= at), "disjoint");
                    held.push((at, length));
                } else {
                    let taken: usize = held.iter().map(|(_, length)| length).sum();
                    prop_assert!(taken + length > AREA - taken.min(AREA) || !held.is_empty(), "an empty area has room");
                }
            }
            for (at, length) in held {
                extents.give(at, length);
            }
            prop_assert_eq!(extents.take(AREA), Some(0), "all of it, in one");
        }
    }

    #[test]
    fn the_best_fit_is_taken() {
        let mut extents = Extents::new(10);
        let taken: Vec<_> = [3, 1, 2, 1].iter().map(|length| extents.take(*length)).collect();
        assert_eq!(taken, [Some(0), Some(3), Some(4), Some(6)]);
        extents.give(0, 3);
        extents.give(4, 2);
        assert_eq!(extents.take(2), Some(4), "a hole of just two, before one of three");
        assert_eq!(extents.take(4), None);
    }
}
