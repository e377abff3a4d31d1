//! A segment: its samples encrypted, and the boxes that say of each what is.

use super::Unsealable;
use super::avc::Sets;
use super::boxes::{Part, boxed, full, one, parts, put16, put32, read32};
use super::header::{Track, parameters};
use super::pattern::{BLOCK, Cipher};
use crate::keys::ContentKey;

/// `tfhd`: data offsets count from the `moof`; a sample size for all.
const DEFAULT_BASE_IS_MOOF: u32 = 0x02_0000;
/// `trun`: what stands before its samples, and what of each.
const DATA_OFFSET: u32 = 0x01;
const FIRST_FLAGS: u32 = 0x04;
const EACH_SIZE: u32 = 0x200;
const EACH: [u32; 4] = [0x100, EACH_SIZE, 0x400, 0x800];

/// `senc`: samples have parts.
const SUBSAMPLES: u32 = 2;
/// Bytes that stay clear and bytes that a pattern is applied to.
type Subsample = (u16, u32);
/// The most of a sample: `saiz` counts their bytes in one byte.
const MAX_SUBSAMPLES: usize = 42;

/// `sbgp`: the first description that stands in the fragment itself (ISO/IEC 14496-12, section 8.9.4).
const HERE: u32 = 0x1_0001;

/// Bytes that sealing adds to a fragment of pictures, each of one slice, as the packager's are: what is before a sample's data
/// is farther on by so much. Nothing is added behind it.
#[must_use]
pub const fn grown(pictures: u64) -> u64 {
    GROUPS + (SIZES + SAIO as u64 + SENC_HEAD as u64) + pictures * EACH_PICTURE
}

/// Bytes of `sgpd` and `sbgp`; of a `saiz` without its samples; of a picture of one part in `saiz` and `senc`.
const GROUPS: u64 = 61 + 28;
const SIZES: u64 = 17;
const EACH_PICTURE: u64 = 1 + 2 + 6;

/// Seals a segment of a track: every pair of `moof` and `mdat`. The rest stays as it is.
///
/// # Errors
/// [`Unsealable`] for what the packager does not make.
pub fn segment(track: &Track, clear: &[u8], key: &ContentKey, iv: [u8; 16]) -> Result<Vec<u8>, Unsealable> {
    let all = parts(clear)?;
    let mut out = Vec::with_capacity(clear.len() + clear.len() / 64 + 1_024);
    let mut rest = all.iter();
    while let Some(part) = rest.next() {
        match &part.kind {
            b"moof" => {
                let media = rest.next().filter(|next| next.kind == *b"mdat");
                let media = media.ok_or(Unsealable("a moof without its mdat"))?;
                fragment(&mut out, track, part, media, key, iv)?;
            }
            b"mdat" => return Err(Unsealable("an mdat without its moof")),
            _ => out.extend_from_slice(part.whole),
        }
    }
    Ok(out)
}

fn fragment(
    out: &mut Vec<u8>,
    track: &Track,
    moof: &Part<'_>,
    mdat: &Part<'_>,
    key: &ContentKey,
    iv: [u8; 16],
) -> Result<(), Unsealable> {
    let traf = one(&parts(moof.body)?, b"traf")?;
    let inner = parts(traf.body)?;
    if read32(one(&inner, b"tfhd")?.body, 0)? & DEFAULT_BASE_IS_MOOF == 0 {
        return Err(Unsealable("data that is not counted from the moof"));
    }
    let run = Run::read(one(&inner, b"trun")?.body)?;
    if run.offset != moof.whole.len() + 8 {
        return Err(Unsealable("samples that do not begin with the mdat"));
    }
    let samples = run.samples(mdat.body)?;
    let subsamples: Vec<Vec<Subsample>> = match &track.sets {
        Some(sets) => samples.iter().map(|sample| divided(sample, sets)).collect::<Result<_, _>>()?,
        None => vec![],
    };
    let mut added = vec![];
    groups(&mut added, track, key, iv, run.sizes.len());
    auxiliary(&mut added, &subsamples, moof, &traf)?;
    let grown = (run.offset + added.len()) as u32;
    boxed(out, b"moof", |out| {
        for part in parts(moof.body).unwrap_or_default() {
            if part.kind == *b"traf" {
                boxed(out, b"traf", |out| {
                    inner.iter().for_each(|part| copied(out, part, grown));
                    out.extend_from_slice(&added);
                });
            } else {
                out.extend_from_slice(part.whole);
            }
        }
    });
    let media = out.len() + 8;
    out.extend_from_slice(mdat.whole);
    let cipher = Cipher { key: key.key, iv };
    encrypt(out.get_mut(media..).unwrap_or_default(), &run.sizes, &subsamples, |range| {
        cipher.encrypt(range, track.pattern());
    });
    Ok(())
}

/// Encrypts samples in their place: the protected parts of each, or all of it when nothing is said of parts.
fn encrypt(mut rest: &mut [u8], sizes: &[usize], subsamples: &[Vec<Subsample>], with: impl Fn(&mut [u8])) {
    for (number, size) in sizes.iter().enumerate() {
        let (mut sample, after) = rest.split_at_mut(*size);
        rest = after;
        let Some(parts) = subsamples.get(number) else {
            with(sample);
            continue;
        };
        for (clear, protected) in parts {
            let (_, from) = sample.split_at_mut(usize::from(*clear));
            let (range, after) = from.split_at_mut(*protected as usize);
            with(range);
            sample = after;
        }
    }
}

/// Copies a box; a run of samples with where they are now.
fn copied(out: &mut Vec<u8>, part: &Part<'_>, offset: u32) {
    let at = out.len() + 16;
    out.extend_from_slice(part.whole);
    if let (b"trun", Some(place)) = (&part.kind, out.get_mut(at..at + 4)) {
        place.copy_from_slice(&offset.to_be_bytes());
    }
}

/// A run of samples.
struct Run {
    /// From the beginning of the `moof`.
    offset: usize,
    sizes: Vec<usize>,
}

impl Run {
    fn read(body: &[u8]) -> Result<Self, Unsealable> {
        let (flags, count) = (read32(body, 0)? & 0x00ff_ffff, read32(body, 4)? as usize);
        if flags & DATA_OFFSET == 0 || flags & EACH_SIZE == 0 {
            return Err(Unsealable("a run without offset or sizes"));
        }
        let head = if flags & FIRST_FLAGS == 0 { 12 } else { 16 };
        let stride = EACH.iter().filter(|field| flags & **field != 0).count() * 4;
        let before = if flags & EACH[0] == 0 { 0 } else { 4 };
        if body.len() != count.saturating_mul(stride).saturating_add(head) {
            return Err(Unsealable("a run of another length"));
        }
        let size = |sample| Ok(read32(body, head + sample * stride + before)? as usize);
        Ok(Self { offset: read32(body, 8)? as usize, sizes: (0..count).map(size).collect::<Result<_, _>>()? })
    }

    /// Its samples, which fill the media.
    fn samples<'a>(&self, mut media: &'a [u8]) -> Result<Vec<&'a [u8]>, Unsealable> {
        const OTHER: Unsealable = Unsealable("samples that do not fill the mdat");
        let mut all = Vec::with_capacity(self.sizes.len());
        for size in &self.sizes {
            let (sample, after) = media.split_at_checked(*size).ok_or(OTHER)?;
            all.push(sample);
            media = after;
        }
        if media.is_empty() { Ok(all) } else { Err(OTHER) }
    }
}

/// Divides a sample: lengths, headers of slices and what is no slice stay clear. A slice with less than a block of data does,
/// too.
fn divided(sample: &[u8], sets: &Sets) -> Result<Vec<Subsample>, Unsealable> {
    const CUT: Unsealable = Unsealable("a NAL unit is cut");
    let (mut all, mut clear, mut rest) = (vec![], 0, sample);
    while !rest.is_empty() {
        let (length, after) = rest.split_at_checked(sets.length_bytes).ok_or(CUT)?;
        let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let (unit, after) = after.split_at_checked(length).ok_or(CUT)?;
        let open = sets.clear_bytes(unit)?;
        clear += sets.length_bytes + open;
        match unit.len() - open {
            few if few < BLOCK => clear += few,
            data => {
                push(&mut all, clear, data as u32);
                clear = 0;
            }
        }
        rest = after;
    }
    if clear > 0 || all.is_empty() {
        push(&mut all, clear, 0);
    }
    if all.len() > MAX_SUBSAMPLES { Err(Unsealable("a sample of too many slices")) } else { Ok(all) }
}

/// Adds a part; clear bytes are counted in 16 bits, and so perhaps in several parts.
fn push(all: &mut Vec<Subsample>, mut clear: usize, protected: u32) {
    while clear > usize::from(u16::MAX) {
        all.push((u16::MAX, 0));
        clear -= usize::from(u16::MAX);
    }
    all.push((clear as u16, protected));
}

/// The group that all samples are of: `seig` says key and vector (ISO/IEC 23001-7, section 6).
fn groups(out: &mut Vec<u8>, track: &Track, key: &ContentKey, iv: [u8; 16], samples: usize) {
    full(out, b"sgpd", 1, 0, |out| {
        out.extend_from_slice(b"seig");
        put32(out, 37);
        put32(out, 1);
        out.push(0);
        parameters(out, track.pattern(), key.id, iv);
    });
    full(out, b"sbgp", 0, 0, |out| {
        out.extend_from_slice(b"seig");
        put32(out, 1);
        put32(out, samples as u32);
        put32(out, HERE);
    });
}

/// What is encrypted of each sample: `senc` has it, `saiz` and `saio` say how long it is and where.
fn auxiliary(
    added: &mut Vec<u8>,
    samples: &[Vec<Subsample>],
    moof: &Part<'_>,
    traf: &Part<'_>,
) -> Result<(), Unsealable> {
    if samples.is_empty() {
        return Ok(());
    }
    full(added, b"saiz", 0, 0, |out| {
        out.push(0);
        put32(out, samples.len() as u32);
        out.extend(samples.iter().map(|parts| (2 + 6 * parts.len()) as u8));
    });
    // The table ends the traf, which ends the moof but for what stands after it; ours has nothing there.
    if !moof.whole.ends_with(traf.whole) {
        return Err(Unsealable("a moof that goes on behind its traf"));
    }
    let table = moof.whole.len() + added.len() + SAIO + SENC_HEAD;
    full(added, b"saio", 0, 0, |out| {
        put32(out, 1);
        put32(out, table as u32);
    });
    full(added, b"senc", 0, SUBSAMPLES, |out| {
        put32(out, samples.len() as u32);
        for parts in samples {
            put16(out, parts.len() as u16);
            for (clear, protected) in parts {
                put16(out, *clear);
                put32(out, *protected);
            }
        }
    });
    Ok(())
}

/// Bytes of a `saio` of one offset, and of a `senc` before its samples.
const SAIO: usize = 20;
const SENC_HEAD: usize = 16;
