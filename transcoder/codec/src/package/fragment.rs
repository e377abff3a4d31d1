//! A segment: `styp`, then for each keyframe a `moof` and an `mdat` (ISO/IEC 23000-19, 7.3.2).

use super::boxes::{boxed, full, put32, put64};
use sluice_wire::codec::Key;

/// One encoded frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Its bytes, as MP4 holds them.
    pub data: Vec<u8>,
    /// Its duration in ticks.
    pub duration: u32,
    /// Presentation time less decoding time, in ticks.
    pub offset: u32,
    /// True when decoding can begin here.
    pub key: bool,
}

/// `tfhd`: data offsets count from the `moof`.
const DEFAULT_BASE_IS_MOOF: u32 = 0x02_0000;
/// `trun`: a data offset, and for each sample duration, size, flags and offset.
const TRUN_FLAGS: u32 = 0x01 | 0x100 | 0x200 | 0x400 | 0x800;
/// Sample flags (ISO/IEC 14496-12, 8.8.3.1): depends on no other.
const SYNC: u32 = 0x0200_0000;
/// Sample flags: depends on others, is no sync sample.
const NON_SYNC: u32 = 0x0101_0000;

/// Fragments of a segment are numbered from this many times its own number on.
const FRAGMENTS: u32 = 256;

/// Packages samples that are decoded from `start` (in ticks) on: a fragment from each keyframe to the next, so that a
/// player can fetch a keyframe alone. `seq` counts segments from 0. Gives the bytes and where the keyframes are.
#[must_use]
pub fn segment(seq: u32, start: u64, samples: &[Sample]) -> (Vec<u8>, Vec<Key>) {
    let bytes: usize = samples.iter().map(|s| s.data.len()).sum();
    let mut out = Vec::with_capacity(bytes + 16 * samples.len() + 256);
    segment_type(&mut out);
    let (mut keys, mut decoded) = (vec![], start);
    for (index, gop) in (0..).zip(samples.chunk_by(|_, next| !next.key)) {
        let offset = out.len();
        let duration: u32 = gop.iter().map(|s| s.duration).sum();
        let head = fragment(&mut out, seq.saturating_mul(FRAGMENTS) + index + 1, decoded, gop);
        let first = gop.first().map_or(0, |sample| sample.data.len());
        keys.push(Key { offset: offset as u32, bytes: (head + first) as u32, duration });
        decoded += u64::from(duration);
    }
    (out, keys)
}

/// As [`segment`], of sound: one fragment, since each of its samples is one to begin with.
#[must_use]
pub fn sound_segment(seq: u32, start: u64, samples: &[Sample]) -> Vec<u8> {
    let bytes: usize = samples.iter().map(|s| s.data.len()).sum();
    let mut out = Vec::with_capacity(bytes + 16 * samples.len() + 256);
    segment_type(&mut out);
    fragment(&mut out, seq.saturating_mul(FRAGMENTS) + 1, start, samples);
    out
}

fn segment_type(out: &mut Vec<u8>) {
    boxed(out, b"styp", |out| {
        out.extend_from_slice(b"msdh");
        put32(out, 0);
        for brand in [b"msdh", b"msix", b"cmfs"] {
            out.extend_from_slice(brand);
        }
    });
}

/// Writes a `moof` and an `mdat`; gives the bytes before the first sample.
fn fragment(out: &mut Vec<u8>, number: u32, start: u64, samples: &[Sample]) -> usize {
    let moof_at = out.len();
    let mut offset_at = 0;
    boxed(out, b"moof", |out| {
        full(out, b"mfhd", 0, 0, |out| put32(out, number));
        boxed(out, b"traf", |out| {
            full(out, b"tfhd", 0, DEFAULT_BASE_IS_MOOF, |out| put32(out, 1));
            full(out, b"tfdt", 1, 0, |out| put64(out, start));
            full(out, b"trun", 0, TRUN_FLAGS, |out| {
                put32(out, samples.len() as u32);
                offset_at = out.len();
                put32(out, 0);
                for sample in samples {
                    put32(out, sample.duration);
                    put32(out, sample.data.len() as u32);
                    put32(out, if sample.key { SYNC } else { NON_SYNC });
                    put32(out, sample.offset);
                }
            });
        });
    });
    let head = out.len() - moof_at + 8;
    out[offset_at..offset_at + 4].copy_from_slice(&(head as u32).to_be_bytes());
    boxed(out, b"mdat", |out| samples.iter().for_each(|s| out.extend_from_slice(&s.data)));
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Top-level boxes: kind and whole bytes.
    fn top(mut bytes: &[u8]) -> Vec<(String, &[u8])> {
        let mut boxes = vec![];
        while bytes.len() >= 8 {
            let size = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
            boxes.push((String::from_utf8_lossy(&bytes[4..8]).into_owned(), &bytes[..size]));
            bytes = &bytes[size..];
        }
        assert!(bytes.is_empty());
        boxes
    }

    proptest! {
        #[test]
        fn each_data_offset_points_at_its_keyframe(
            frames in prop::collection::vec((1usize..50, any::<bool>()), 1..20), seq in 0u32..1000, start: u32,
        ) {
            let samples: Vec<Sample> = frames.iter().enumerate()
                .map(|(i, (n, key))| Sample {
                    data: vec![i as u8 + 1; *n], duration: 1001, offset: 1001, key: *key || i == 0,
                })
                .collect();
            let (bytes, keys) = segment(seq, start.into(), &samples);
            let boxes = top(&bytes);
            let gops = samples.iter().filter(|s| s.key).count();
            prop_assert_eq!(keys.len(), gops);
            let kinds: Vec<_> = boxes.iter().map(|b| b.0.as_str()).collect();
            let wanted: Vec<_> = std::iter::once("styp").chain(["moof", "mdat"].repeat(gops)).collect();
            prop_assert_eq!(kinds, wanted);
            let ticks: u64 = keys.iter().map(|k| u64::from(k.duration)).sum();
            prop_assert_eq!(ticks, samples.len() as u64 * 1001);
            let firsts = samples.iter().filter(|s| s.key);
            for (key, first) in keys.iter().zip(firsts) {
                let alone = &bytes[key.offset as usize..(key.offset + key.bytes) as usize];
                prop_assert_eq!(&alone[4..8], b"moof");
                prop_assert!(alone.ends_with(&first.data));
                let trun = alone.windows(4).position(|w| w == b"trun").unwrap();
                let offset = u32::from_be_bytes(alone[trun + 12..trun + 16].try_into().unwrap()) as usize;
                prop_assert_eq!(&alone[offset..], &first.data[..]);
            }
        }
    }
}
