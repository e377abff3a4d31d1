//! Boxes (ISO/IEC 14496-12, section 4.2) of media that we packaged: a 32-bit size, four letters, contents.

use super::Unsealable;

/// A box in what it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part<'a> {
    pub(super) kind: [u8; 4],
    /// All of it.
    pub(super) whole: &'a [u8],
    /// What is in it.
    pub(super) body: &'a [u8],
}

/// Boxes that follow one another and fill the bytes.
pub(super) fn parts(mut bytes: &[u8]) -> Result<Vec<Part<'_>>, Unsealable> {
    const CUT: Unsealable = Unsealable("a box is cut");
    let mut all = vec![];
    while !bytes.is_empty() {
        let size = read32(bytes, 0)? as usize;
        let kind = bytes.get(4..8).and_then(|kind| kind.try_into().ok()).ok_or(CUT)?;
        let (whole, rest) = bytes.split_at_checked(size).filter(|_| size >= 8).ok_or(CUT)?;
        all.push(Part { kind, whole, body: whole.get(8..).ok_or(CUT)? });
        bytes = rest;
    }
    Ok(all)
}

/// The one box of a kind.
pub(super) fn one<'a>(parts: &[Part<'a>], kind: &[u8; 4]) -> Result<Part<'a>, Unsealable> {
    let mut found = parts.iter().filter(|part| part.kind == *kind);
    match (found.next(), found.next()) {
        (Some(part), None) => Ok(*part),
        _ => Err(Unsealable("a box is missing or there more than once")),
    }
}

/// Follows a path of boxes; each is there once.
pub(super) fn down<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Result<&'a [u8], Unsealable> {
    path.iter().try_fold(bytes, |body, kind| Ok(one(&parts(body)?, kind)?.body))
}

pub(super) fn read32(bytes: &[u8], at: usize) -> Result<u32, Unsealable> {
    let bytes = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(Unsealable("a field is cut"))?;
    Ok(u32::from_be_bytes(*bytes))
}

/// Writes a box whose contents `fill` writes.
pub(super) fn boxed(out: &mut Vec<u8>, kind: &[u8; 4], fill: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    put32(out, 0);
    out.extend_from_slice(kind);
    fill(out);
    let size = (out.len() - at) as u32;
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&size.to_be_bytes());
    }
}

/// Writes a full box: with a version and 24 bits of flags.
pub(super) fn full(
    out: &mut Vec<u8>,
    kind: &[u8; 4],
    version: u8,
    flags: u32,
    fill: impl FnOnce(&mut Vec<u8>),
) {
    boxed(out, kind, |out| {
        put32(out, u32::from(version) << 24 | (flags & 0x00ff_ffff));
        fill(out);
    });
}

pub(super) fn put16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(super) fn put32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}
