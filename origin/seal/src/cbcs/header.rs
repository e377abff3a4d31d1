//! A track's header: what it says of how samples are coded, and how it says that they are encrypted.

use super::avc::Sets;
use super::boxes::{boxed, down, full, one, parts, put32, read32};
use super::pattern::{Pattern, SOUND, VIDEO};
use super::{SCHEME, Unsealable, pssh};
use sluice_wire::KeyId;

/// What has to be known of a track to seal its segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Track {
    /// Parameter sets of H.264; `None` of sound, whose samples are encrypted whole.
    pub(super) sets: Option<Sets>,
}

/// Bytes of a sample entry before its boxes (ISO/IEC 14496-12, sections 12.1.3 and 12.2.3).
const VISUAL: usize = 78;
const SOUNDING: usize = 28;

/// Boxes on the way to the sample description, each the only one of its kind in a header of ours.
const PATH: [&[u8; 4]; 6] = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"];

impl Track {
    /// Reads a CMAF header.
    ///
    /// # Errors
    /// [`Unsealable`] for more than one track or sample entry, or a picture that is not H.264.
    pub fn read(init: &[u8]) -> Result<Self, Unsealable> {
        let sound = is_sound(init)?;
        let entry = entry(down(init, &PATH)?)?;
        let least = if sound { SOUNDING } else { VISUAL };
        let boxes = entry.body.get(least..).ok_or(Unsealable("a sample entry is cut"))?;
        match &entry.kind {
            _ if sound => Ok(Self { sets: None }),
            b"avc1" | b"avc3" => {
                let boxes = parts(boxes)?;
                Ok(Self { sets: Some(Sets::read(one(&boxes, b"avcC")?.body)?) })
            }
            _ => Err(Unsealable("a picture that is not H.264")),
        }
    }

    pub(super) const fn pattern(&self) -> Pattern {
        if self.sets.is_some() { VIDEO } else { SOUND }
    }
}

/// The header of what a key seals: the sample entry says that it is encrypted and how (section 8.12 of ISO/IEC 14496-12,
/// section 8.2 of 23001-7), and the movie names the key for players that ask by it.
///
/// # Errors
/// As [`Track::read`].
pub fn header(init: &[u8], key: KeyId, iv: [u8; 16]) -> Result<Vec<u8>, Unsealable> {
    let track = Track::read(init)?;
    let mut out = Vec::with_capacity(init.len() + 256);
    for part in parts(init)? {
        if part.kind == *b"moov" {
            boxed_again(&mut out, b"moov", |out| {
                rewritten(out, part.body, &PATH[1..], &|out, entries| {
                    encrypted(out, entries, &track, key, iv)
                })?;
                out.extend(pssh(&[key]));
                Ok(())
            })?;
        } else {
            out.extend_from_slice(part.whole);
        }
    }
    Ok(out)
}

/// Writes the body of a box, given what it was.
type Rewrite<'a> = dyn Fn(&mut Vec<u8>, &[u8]) -> Result<(), Unsealable> + 'a;

/// Copies boxes; those on the path are written anew around what changes at its end.
fn rewritten(
    out: &mut Vec<u8>,
    body: &[u8],
    path: &[&[u8; 4]],
    last: &Rewrite<'_>,
) -> Result<(), Unsealable> {
    let Some((next, rest)) = path.split_first() else { return last(out, body) };
    for part in parts(body)? {
        if part.kind == **next {
            boxed_again(out, next, |out| rewritten(out, part.body, rest, last))?;
        } else {
            out.extend_from_slice(part.whole);
        }
    }
    Ok(())
}

fn boxed_again(
    out: &mut Vec<u8>,
    kind: &[u8; 4],
    fill: impl FnOnce(&mut Vec<u8>) -> Result<(), Unsealable>,
) -> Result<(), Unsealable> {
    let mut result = Ok(());
    boxed(out, kind, |out| result = fill(out));
    result
}

/// The body of `stsd`, with its entry as one that is encrypted.
fn encrypted(
    out: &mut Vec<u8>,
    entries: &[u8],
    track: &Track,
    key: KeyId,
    iv: [u8; 16],
) -> Result<(), Unsealable> {
    let entry = entry(entries)?;
    let kind = if track.sets.is_some() { b"encv" } else { b"enca" };
    put32(out, 0);
    put32(out, 1);
    boxed(out, kind, |out| {
        out.extend_from_slice(entry.body);
        boxed(out, b"sinf", |out| {
            boxed(out, b"frma", |out| out.extend_from_slice(&entry.kind));
            full(out, b"schm", 0, 0, |out| {
                out.extend_from_slice(SCHEME);
                put32(out, 0x0001_0000);
            });
            boxed(out, b"schi", |out| {
                full(out, b"tenc", 1, 0, |out| {
                    out.push(0);
                    parameters(out, track.pattern(), key, iv);
                });
            });
        });
    });
    Ok(())
}

/// What `tenc` and `seig` have in common: the pattern, that it is protected, no vector with each sample, key and vector.
pub(super) fn parameters(out: &mut Vec<u8>, pattern: Pattern, key: KeyId, iv: [u8; 16]) {
    out.push(pattern.encrypted << 4 | pattern.clear);
    out.extend_from_slice(&[1, 0]);
    out.extend_from_slice(&key.0);
    out.push(iv.len() as u8);
    out.extend_from_slice(&iv);
}

fn is_sound(init: &[u8]) -> Result<bool, Unsealable> {
    let handler = down(init, &[b"moov", b"trak", b"mdia", b"hdlr"])?;
    Ok(handler.get(8..12) == Some(b"soun"))
}

/// The one entry of a sample description.
fn entry(entries: &[u8]) -> Result<super::boxes::Part<'_>, Unsealable> {
    let more = Unsealable("a header of more than one sample entry");
    let all = parts(entries.get(8..).ok_or(more)?)?;
    match (read32(entries, 4)?, &all[..]) {
        (1, [entry]) => Ok(*entry),
        _ => Err(more),
    }
}
