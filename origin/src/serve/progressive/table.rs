//! A track's sample tables (ISO/IEC 14496-12, 8.6 and 8.7) as they grow, fragment by fragment: bytes that are written as
//! they are, so that memory is what the index takes.

use super::fragment::Fragment;

/// Tables of one track.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// `stts`: how many samples in a row last how long.
    times: Vec<(u32, u32)>,
    /// `ctts`, likewise.
    offsets: Vec<(u32, u32)>,
    /// `stsz`.
    sizes: Vec<u32>,
    /// `stss`.
    keys: Vec<u32>,
    /// `stsc`: from which chunk on there are how many samples in each.
    chunks: Vec<(u32, u32)>,
    /// `co64`, counted from the first segment.
    places: Vec<u64>,
    /// Decoding time after the last sample, from the first on.
    end: u64,
    /// Decoding time of the first sample.
    first: Option<u64>,
}

impl Tables {
    /// Adds a fragment as a chunk, in the segment that begins at `base`. A gap before it is the last sample's.
    pub(super) fn add(&mut self, base: u64, fragment: &Fragment) {
        let first = *self.first.get_or_insert(fragment.decoded);
        let gap = fragment.decoded.saturating_sub(first).saturating_sub(self.end);
        if gap > 0 {
            self.stretch(u32::try_from(gap).unwrap_or(u32::MAX));
        }
        for sample in &fragment.samples {
            run(&mut self.times, sample.duration);
            run(&mut self.offsets, sample.offset);
            self.sizes.push(sample.size);
            if sample.key {
                self.keys.push(self.sizes.len() as u32);
            }
            self.end += u64::from(sample.duration);
        }
        self.places.push(base + fragment.data);
        let count = fragment.samples.len() as u32;
        if self.chunks.last().is_none_or(|last| last.1 != count) {
            self.chunks.push((self.places.len() as u32, count));
        }
    }

    fn stretch(&mut self, gap: u32) {
        let Some(last) = self.times.last_mut() else { return };
        let (duration, alone) = (last.1, last.0 == 1);
        last.0 -= 1;
        if alone {
            self.times.pop();
        }
        self.times.push((1, duration.saturating_add(gap)));
        self.end += u64::from(gap);
    }

    /// How long it is decoded, in ticks.
    pub(super) const fn duration(&self) -> u64 {
        self.end
    }

    /// Writes the tables; chunks are counted from `mdat`.
    pub(super) fn write(&self, out: &mut Vec<u8>, mdat: u64) {
        pairs(out, *b"stts", &self.times);
        if self.offsets.iter().any(|(_, offset)| *offset > 0) {
            pairs(out, *b"ctts", &self.offsets);
        }
        // All samples of sound are ones to begin with, which is what is meant without the table.
        if self.keys.len() < self.sizes.len() {
            full(out, *b"stss", &[self.keys.len() as u32], self.keys.iter().map(|key| key.to_be_bytes()));
        }
        let chunks = self.chunks.iter().map(|(from, count)| triple(*from, *count));
        full(out, *b"stsc", &[self.chunks.len() as u32], chunks);
        full(out, *b"stsz", &[0, self.sizes.len() as u32], self.sizes.iter().map(|size| size.to_be_bytes()));
        let places = self.places.iter().map(|place| (mdat + place).to_be_bytes());
        full(out, *b"co64", &[self.places.len() as u32], places);
    }
}

fn run(runs: &mut Vec<(u32, u32)>, value: u32) {
    match runs.last_mut() {
        Some(last) if last.1 == value => last.0 += 1,
        _ => runs.push((1, value)),
    }
}

/// An entry of `stsc`; all have the first sample description.
fn triple(from: u32, count: u32) -> [u8; 12] {
    let mut entry = [0; 12];
    for (place, word) in entry.chunks_exact_mut(4).zip([from, count, 1]) {
        place.copy_from_slice(&word.to_be_bytes());
    }
    entry
}

fn pairs(out: &mut Vec<u8>, kind: [u8; 4], runs: &[(u32, u32)]) {
    let entries = runs.iter().flat_map(|(count, value)| [count.to_be_bytes(), value.to_be_bytes()]);
    full(out, kind, &[runs.len() as u32], entries);
}

/// A full box of version 0: words, then entries.
fn full<const N: usize>(
    out: &mut Vec<u8>,
    kind: [u8; 4],
    words: &[u32],
    entries: impl Iterator<Item = [u8; N]>,
) {
    super::head::boxed(out, kind, |out| {
        out.extend_from_slice(&[0; 4]);
        words.iter().for_each(|word| out.extend_from_slice(&word.to_be_bytes()));
        entries.for_each(|entry| out.extend_from_slice(&entry));
    });
}

#[cfg(test)]
mod tests {
    use super::super::fragment::Sample;
    use super::*;
    use proptest::prelude::*;

    fn fragment(decoded: u64, durations: &[u32]) -> Fragment {
        let sample =
            |(n, duration): (usize, &u32)| Sample { duration: *duration, size: 9, offset: 0, key: n == 0 };
        Fragment { decoded, data: 32, samples: durations.iter().enumerate().map(sample).collect() }
    }

    #[test]
    fn a_gap_is_the_last_samples_before_it() {
        let mut tables = Tables::default();
        tables.add(0, &fragment(100, &[10, 10]));
        tables.add(500, &fragment(150, &[10]));
        assert_eq!((tables.times.clone(), tables.duration()), (vec![(1, 10), (1, 40), (1, 10)], 60));
        assert_eq!(
            (tables.places, tables.keys, tables.chunks),
            (vec![32, 532], vec![1, 3], vec![(1, 2), (2, 1)])
        );
    }

    proptest! {
        #[test]
        fn runs_say_each_duration(durations in prop::collection::vec(prop::collection::vec(1u32..3, 1..6), 1..12)) {
            let (mut tables, mut at) = (Tables::default(), 7);
            for some in &durations {
                tables.add(0, &fragment(at, some));
                at += some.iter().map(|d| u64::from(*d)).sum::<u64>();
            }
            let said: Vec<u32> = tables.times.iter().flat_map(|(n, d)| std::iter::repeat_n(*d, *n as usize)).collect();
            prop_assert_eq!(said, durations.concat());
            prop_assert_eq!(tables.duration(), at - 7);
            let mut counts = vec![];
            for chunk in 1..=durations.len() as u32 {
                counts.push(tables.chunks.iter().rev().find(|(from, _)| *from <= chunk).unwrap().1 as usize);
            }
            prop_assert_eq!(counts, durations.iter().map(Vec::len).collect::<Vec<_>>());
        }
    }
}
