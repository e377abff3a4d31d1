//! A segment: `styp`, one `moof`, one `mdat` (ISO/IEC 23000-19, 7.3.2).

use super::boxes::{boxed, full, put32, put64};

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

/// Packages samples that are decoded from `start` (in ticks) on. `seq` counts segments from 0.
#[must_use]
pub fn fragment(seq: u32, start: u64, samples: &[Sample]) -> Vec<u8> {
    let bytes: usize = samples.iter().map(|s| s.data.len()).sum();
    let mut out = Vec::with_capacity(bytes + 16 * samples.len() + 128);
    boxed(&mut out, b"styp", |out| {
        out.extend_from_slice(b"msdh");
        put32(out, 0);
        for brand in [b"msdh", b"msix", b"cmfs"] {
            out.extend_from_slice(brand);
        }
    });
    let moof_at = out.len();
    let mut offset_at = 0;
    boxed(&mut out, b"moof", |out| {
        full(out, b"mfhd", 0, 0, |out| put32(out, seq + 1));
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
    let data_offset = (out.len() - moof_at + 8) as u32;
    out[offset_at..offset_at + 4].copy_from_slice(&data_offset.to_be_bytes());
    boxed(&mut out, b"mdat", |out| samples.iter().for_each(|s| out.extend_from_slice(&s.data)));
    out
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
        fn the_data_offset_points_at_the_first_sample(
            sizes in prop::collection::vec(1usize..50, 1..20), seq in 0u32..1000, start: u32,
        ) {
            let samples: Vec<Sample> = sizes.iter().enumerate()
                .map(|(i, n)| Sample { data: vec![i as u8 + 1; *n], duration: 1001, offset: 1001, key: i == 0 }).collect();
            let bytes = fragment(seq, start.into(), &samples);
            let boxes = top(&bytes);
            prop_assert_eq!(boxes.iter().map(|b| b.0.as_str()).collect::<Vec<_>>(), ["styp", "moof", "mdat"]);
            let trun = boxes[1].1.windows(4).position(|w| w == b"trun").unwrap();
            let offset = u32::from_be_bytes(boxes[1].1[trun + 12..trun + 16].try_into().unwrap()) as usize;
            let moof_at = boxes[0].1.len();
            prop_assert_eq!(bytes[moof_at + offset], 1);
            prop_assert_eq!(boxes[2].1.len(), 8 + sizes.iter().sum::<usize>());
        }
    }
}
