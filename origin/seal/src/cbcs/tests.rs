//! Opened by other code than sealed: what comes out is what went in.

use super::bits::tests::Writer;
use super::boxes::{boxed, down, full, parts, put16, put32};
use super::*;
use crate::keys::ContentKey;
use aes::Aes128;
use aes::cipher::{BlockCipherDecrypt, KeyInit};
use proptest::prelude::*;

/// What parameter sets say, chosen by chance.
#[derive(Debug, Clone)]
struct Stream {
    high: bool,
    order: u32,
    frames_only: bool,
    cabac: bool,
    field_order: bool,
    weighted: bool,
    weighted_both: u32,
    deblocking: bool,
    redundant: bool,
}

fn streams() -> impl Strategy<Value = Stream> {
    (any::<[bool; 7]>(), 0u32..3, 0u32..3).prop_map(
        |([high, frames_only, cabac, field_order, weighted, deblocking, redundant], order, weighted_both)| {
            Stream {
                high,
                order,
                frames_only,
                cabac,
                field_order,
                weighted,
                weighted_both,
                deblocking,
                redundant,
            }
        },
    )
}

impl Stream {
    fn record(&self) -> Vec<u8> {
        let mut sps = Writer::default();
        sps.put(if self.high { 100 } else { 77 }, 8);
        sps.put(31, 16);
        sps.ue(0);
        if self.high {
            [1, 0, 0].iter().for_each(|&v| sps.ue(v));
            sps.put(0, 2);
        }
        sps.ue(3);
        sps.ue(self.order);
        match self.order {
            0 => sps.ue(2),
            1 => {
                sps.put(0, 1);
                [0, 0, 2, 1, 1].iter().for_each(|&v| sps.ue(v));
            }
            _ => {}
        }
        sps.ue(4);
        sps.put(0, 1);
        sps.ue(79);
        sps.ue(44);
        sps.put(self.frames_only.into(), 1);
        sps.put(0, 16);
        let mut pps = Writer::default();
        pps.ue(0);
        pps.ue(0);
        pps.put(self.cabac.into(), 1);
        pps.put(self.field_order.into(), 1);
        [0, 2, 0].iter().for_each(|&v| pps.ue(v));
        pps.put(self.weighted.into(), 1);
        pps.put(self.weighted_both, 2);
        [0, 0, 3].iter().for_each(|&v| pps.ue(v));
        pps.put(self.deblocking.into(), 1);
        pps.put(0, 1);
        pps.put(self.redundant.into(), 1);
        let mut record = vec![1, 100, 0, 31, 0xff];
        for (count, set) in [(0xe1, sps.unit(0x67, &[]).0), (1, pps.unit(0x68, &[]).0)] {
            record.push(count);
            put16(&mut record, set.len() as u16);
            record.extend(set);
        }
        record
    }

    /// A slice of a kind, its header and the data after it; how long the header is.
    fn slice(&self, kind: u32, idr: bool, numbers: u32, data: &[u8]) -> (Vec<u8>, usize) {
        let mut w = Writer::default();
        w.ue(0);
        w.ue(kind + 5);
        w.ue(0);
        w.put(numbers & 0x7f, 7);
        let field = !self.frames_only && numbers & 1 == 1;
        if !self.frames_only {
            w.put(field.into(), 1);
            w.put(0, u32::from(field));
        }
        if idr {
            w.ue(numbers);
        }
        let both = self.field_order && !field;
        match self.order {
            0 => {
                w.put(numbers & 0x3f, 6);
                (0..u32::from(both)).for_each(|_| w.ue(numbers));
            }
            1 => (0..1 + u32::from(both)).for_each(|_| w.ue(numbers)),
            _ => {}
        }
        if self.redundant {
            w.ue(0);
        }
        self.references(&mut w, kind, numbers);
        if idr {
            w.put(0, 2);
        } else {
            w.put(1, 1);
            [1, numbers, 3, 1, 2, 5, 0].iter().for_each(|&v| w.ue(v));
        }
        if self.cabac && kind != 2 {
            w.ue(1);
        }
        w.ue(numbers);
        if self.deblocking {
            w.ue(numbers % 2);
            (0..(1 - numbers % 2) * 2).for_each(|_| w.ue(5));
        }
        w.unit(if idr { 0x65 } else { 0x41 }, data)
    }

    fn references(&self, w: &mut Writer, kind: u32, numbers: u32) {
        if kind == 2 {
            return;
        }
        let lists = if kind == 1 { 2 } else { 1 };
        if kind == 1 {
            w.put(1, 1);
        }
        let counts = if numbers & 2 == 2 { [1, 2] } else { [3, 1] };
        w.put(u32::from(numbers & 2 == 2), 1);
        if numbers & 2 == 2 {
            counts.iter().take(lists).for_each(|count| w.ue(count - 1));
        }
        for _ in 0..lists {
            w.put(1, 1);
            [0, numbers, 2, 0, 3].iter().for_each(|&v| w.ue(v));
        }
        if (kind == 0 && self.weighted) || (kind == 1 && self.weighted_both == 1) {
            w.ue(1);
            w.ue(2);
            for n in 0..counts.iter().take(lists).sum::<u32>() {
                w.put(n & 1, 1);
                (0..(n & 1) * 2).for_each(|_| w.ue(7));
                w.put(1, 1);
                (0..4).for_each(|_| w.ue(n));
            }
        }
    }
}

fn init(video: Option<&Stream>) -> Vec<u8> {
    let (handler, kind, head) = if video.is_some() { (b"vide", b"avc1", 78) } else { (b"soun", b"mp4a", 28) };
    let mut out = vec![];
    boxed(&mut out, b"ftyp", |out| out.extend(b"iso6"));
    boxed(&mut out, b"moov", |out| {
        boxed(out, b"trak", |out| {
            boxed(out, b"mdia", |out| {
                full(out, b"hdlr", 0, 0, |out| {
                    put32(out, 0);
                    out.extend(handler);
                });
                boxed(out, b"minf", |out| {
                    boxed(out, b"stbl", |out| {
                        full(out, b"stsd", 0, 0, |out| {
                            put32(out, 1);
                            boxed(out, kind, |out| {
                                out.extend(vec![0; head]);
                                video
                                    .into_iter()
                                    .for_each(|s| boxed(out, b"avcC", |out| out.extend(s.record())));
                            });
                        });
                        full(out, b"stco", 0, 0, |out| put32(out, 0));
                    });
                });
            });
        });
        boxed(out, b"mvex", |_| {});
    });
    out
}

fn clear_segment(samples: &[Vec<u8>]) -> Vec<u8> {
    let mut out = vec![];
    boxed(&mut out, b"styp", |out| out.extend(b"msdh"));
    for half in samples.chunks(samples.len().div_ceil(2).max(1)) {
        boxed(&mut out, b"moof", |out| {
            full(out, b"mfhd", 0, 0, |out| put32(out, 1));
            boxed(out, b"traf", |out| {
                full(out, b"tfhd", 0, 0x02_0000, |out| put32(out, 1));
                full(out, b"trun", 0, 0x301, |out| {
                    put32(out, half.len() as u32);
                    put32(out, (8 + 16 + 8 + 16 + 20 + 8 * half.len() + 8) as u32);
                    for sample in half {
                        put32(out, 1_001);
                        put32(out, sample.len() as u32);
                    }
                });
            });
        });
        boxed(&mut out, b"mdat", |out| half.iter().for_each(|s| out.extend(s)));
    }
    out
}

fn number(bytes: &[u8], at: usize, width: usize) -> usize {
    bytes[at..at + width].iter().fold(0, |sum, b| sum << 8 | usize::from(*b))
}

/// Opens a range: blocks by the pattern, each with the block before it of those.
fn open(range: &mut [u8], key: &[u8; 16], iv: [u8; 16], (crypt, skip): (usize, usize)) {
    let cipher = Aes128::new(key.into());
    let mut before = iv;
    for (n, block) in range.chunks_exact_mut(16).enumerate() {
        if skip == 0 || n % (crypt + skip) < crypt {
            let this: [u8; 16] = (&*block).try_into().unwrap();
            let mut clear = this;
            cipher.decrypt_block((&mut clear).into());
            block.iter_mut().zip(clear.iter().zip(before)).for_each(|(to, (a, b))| *to = a ^ b);
            before = this;
        }
    }
}

/// All samples of a sealed segment, opened as its own boxes say.
fn opened(sealed: &[u8], key: &ContentKey) -> Vec<Vec<u8>> {
    let (mut samples, mut at) = (vec![], 0);
    let all = parts(sealed).unwrap();
    for (index, part) in all.iter().enumerate() {
        if part.kind == *b"moof" {
            let boxes = |kind: &[u8; 4]| down(part.body, &[b"traf", kind]).ok();
            let seig = &boxes(b"sgpd").unwrap()[16..];
            assert_eq!((&seig[2..4], &seig[4..20]), (&[1, 0][..], &key.id.0[..]));
            let pattern = (usize::from(seig[1] >> 4), usize::from(seig[1] & 15));
            let iv: [u8; 16] = seig[21..37].try_into().unwrap();
            let trun = boxes(b"trun").unwrap();
            let (count, mut from) = (number(trun, 4, 4), at + number(trun, 8, 4));
            assert_eq!(from, at + part.whole.len() + 8);
            assert_eq!(all[index + 1].kind, *b"mdat");
            let mut table = boxes(b"saio").map(|saio| at + number(saio, 8, 4));
            assert_eq!(number(boxes(b"sbgp").unwrap(), 12, 4), count);
            for n in 0..count {
                let size = number(trun, 16 + 8 * n, 4);
                let mut sample = sealed[from..from + size].to_vec();
                from += size;
                let Some(entry) = table.as_mut() else {
                    open(&mut sample, &key.key, iv, pattern);
                    samples.push(sample);
                    continue;
                };
                let here = *entry;
                *entry += usize::from(boxes(b"saiz").unwrap()[9 + n]);
                let mut inside = 0;
                for part in (0..number(sealed, here, 2)).map(|n| here + 2 + 6 * n) {
                    inside += number(sealed, part, 2);
                    let end = inside + number(sealed, part + 2, 4);
                    open(&mut sample[inside..end], &key.key, iv, pattern);
                    inside = end;
                }
                assert_eq!(inside, size, "all of a sample is accounted for");
                samples.push(sample);
            }
        }
        at += part.whole.len();
    }
    samples
}

fn key(bytes: [u8; 16]) -> ContentKey {
    ContentKey { id: KeyId([9; 16]), key: bytes }
}

proptest! {
    #[test]
    fn pictures_are_opened_as_they_were(
        stream in streams(), key_bytes: [u8; 16], iv: [u8; 16],
        frames in prop::collection::vec(prop::collection::vec((0u32..3, 0u32..9_000, 0usize..900), 1..4), 1..8),
    ) {
        let init = init(Some(&stream));
        let track = Track::read(&init).unwrap();
        let mut heads = vec![];
        let samples: Vec<Vec<u8>> = frames.iter().enumerate().map(|(n, slices)| {
            let mut sample = vec![0, 0, 0, 3, 6, 1, 7];
            for (kind, numbers, data) in slices {
                let idr = n == 0;
                let data: Vec<u8> = (0..*data).map(|b| (b * 7) as u8 | 1).collect();
                let (unit, head) = stream.slice(if idr { 2 } else { *kind }, idr, *numbers, &data);
                put32(&mut sample, unit.len() as u32);
                heads.push((n, sample.len(), head));
                sample.extend(unit);
            }
            sample
        }).collect();
        let clear = clear_segment(&samples);
        let key = key(key_bytes);
        let sealed = segment(&track, &clear, &key, iv).unwrap();
        prop_assert_eq!(opened(&sealed, &key), samples.clone());
        // Headers of slices are as they were.
        let wrong = ContentKey { key: key_bytes.map(|b| !b), ..key };
        for (n, at, head) in heads {
            let seen = &opened(&sealed, &wrong)[n];
            prop_assert_eq!(&seen[at..at + head], &samples[n][at..at + head]);
        }
    }

    #[test]
    fn a_fragment_grows_by_its_pictures(stream in streams(), sizes in prop::collection::vec(0usize..900, 1..9)) {
        let samples: Vec<Vec<u8>> = sizes.iter().map(|size| {
            let unit = stream.slice(2, true, 3, &vec![7; *size]).0;
            [&(unit.len() as u32).to_be_bytes()[..], &unit].concat()
        }).collect();
        let clear = clear_segment(&samples);
        let track = Track::read(&init(Some(&stream))).unwrap();
        let sealed = segment(&track, &clear, &key([1; 16]), [2; 16]).unwrap();
        let heads = |bytes: &[u8]| -> Vec<u64> {
            parts(bytes).unwrap().iter().filter(|p| p.kind == *b"moof").map(|p| p.whole.len() as u64).collect()
        };
        let halves = samples.chunks(samples.len().div_ceil(2)).map(|half| half.len() as u64);
        let wanted: Vec<u64> = heads(&clear).iter().zip(halves).map(|(head, half)| head + grown(half)).collect();
        prop_assert_eq!(heads(&sealed), wanted);
    }

    #[test]
    fn sound_is_opened_as_it_was(key_bytes: [u8; 16], iv: [u8; 16], samples in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..90), 1..9)) {
        let track = Track::read(&init(None)).unwrap();
        let key = key(key_bytes);
        let sealed = segment(&track, &clear_segment(&samples), &key, iv).unwrap();
        prop_assert_eq!(opened(&sealed, &key), samples);
    }

    #[test]
    fn broken_media_are_refused_without_panic(stream in streams(), at: prop::sample::Index, value: u8, cut: prop::sample::Index) {
        let (init, slice) = (init(Some(&stream)), stream.slice(0, false, 3, &[7; 99]).0);
        let mut sample = (slice.len() as u32).to_be_bytes().to_vec();
        sample.extend(slice);
        for bytes in [&init, &clear_segment(&[sample.clone(), sample])] {
            let mut broken = bytes.clone();
            broken[at.index(bytes.len())] = value;
            let cut = &bytes[..cut.index(bytes.len())];
            for bytes in [&broken[..], cut] {
                let made = header(bytes, KeyId([1; 16]), [2; 16]);
                prop_assert!(made.is_err() || Track::read(bytes).is_ok());
                if let Ok(made) = segment(&Track::read(&init).unwrap(), bytes, &key([3; 16]), [2; 16]) {
                    prop_assert!(made.len() >= bytes.len());
                }
            }
        }
    }
}

#[test]
fn a_header_says_what_is_encrypted() {
    let stream = Stream {
        high: true,
        order: 0,
        frames_only: true,
        cabac: true,
        field_order: false,
        weighted: true,
        weighted_both: 2,
        deblocking: true,
        redundant: false,
    };
    for (video, kind, head, pattern) in [(Some(&stream), b"encv", 78, 0x19), (None, b"enca", 28, 0)] {
        let clear = init(video);
        let made = header(&clear, KeyId([7; 16]), [8; 16]).unwrap();
        let moov = down(&made, &[b"moov"]).unwrap();
        let entries = down(moov, &[b"trak", b"mdia", b"minf", b"stbl", b"stsd"]).unwrap();
        let entry = parts(&entries[8..]).unwrap()[0];
        assert_eq!(&entry.kind, kind);
        let sinf = down(&entry.body[head..], &[b"sinf"]).unwrap();
        let original = if video.is_some() { b"avc1" } else { b"mp4a" };
        assert_eq!(down(sinf, &[b"frma"]).unwrap(), original);
        assert_eq!(&down(sinf, &[b"schm"]).unwrap()[4..], b"cbcs\x00\x01\x00\x00");
        let tenc = down(sinf, &[b"schi", b"tenc"]).unwrap();
        let wanted = [&[1, 0, 0, 0, 0, pattern, 1, 0][..], &[7; 16], &[16], &[8; 16]].concat();
        assert_eq!(tenc, wanted);
        assert!(moov.ends_with(&pssh(&[KeyId([7; 16])])), "a ClearKey player learns of the key");
        // Apart from that the header is as it was.
        assert_eq!(
            made.len() - clear.len(),
            8 + 12 + 20 + 8 + 8 + wanted.len() + pssh(&[KeyId([7; 16])]).len()
        );
    }
}

#[test]
fn what_is_not_h264_is_refused() {
    let mut init = init(None);
    let at = init.windows(4).position(|w| w == b"soun").unwrap();
    init[at..at + 4].copy_from_slice(b"vide");
    assert!(Track::read(&init).is_err() && header(&init, KeyId([1; 16]), [2; 16]).is_err());
}
