//! The bytes of a request stream until its head has gone by, in which an extended CONNECT is made to say what the library
//! understands. Pure.
//!
//! The library takes two values of `:protocol`, neither of which is served here, and refuses any other as malformed. So
//! the one that means a WebSocket is told as the first of them, and every other value as the second.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::ops::Range;

/// What `websocket` is told as.
pub(super) const WEBSOCKET: &str = "connect-udp";
/// What any other protocol is told as.
pub(super) const OTHER: &str = "webtransport";

/// `:protocol` and `websocket` in the Huffman code of RFC 7541 appendix B.
const NAME_CODED: [u8; 7] = [0xb9, 0x5d, 0x87, 0x49, 0xc8, 0x7a, 0x3f];
/// See [`NAME_CODED`].
const VALUE_CODED: [u8; 7] = [0xf0, 0x58, 0xd0, 0x72, 0x75, 0x2a, 0x7f];

/// A frame that carries a field section (RFC 9114 section 7.2.2).
const HEADERS: u64 = 1;
/// The last type of frame with a meaning; those beyond are passed over (RFC 9114 section 9).
const LAST_KNOWN: u64 = 0x0d;

/// A stream as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Head {
    buffer: BytesMut,
    /// Bytes left of a frame that is passed over.
    over: u64,
    gone_by: bool,
}

impl Head {
    /// True once nothing is changed any more.
    pub(super) const fn is_past(&self) -> bool {
        self.gone_by
    }

    /// Takes bytes of the stream, and gives those that may be read on. A head of more than `most` bytes is left as it is.
    pub(super) fn push(&mut self, bytes: Bytes, most: usize) -> Bytes {
        let mut bytes = bytes;
        if self.over == 0 && self.buffer.is_empty() && !self.gone_by {
            // Mostly a head comes whole, and has nothing to be changed.
            if let Some(Frame { kind: HEADERS, start, len }) = Frame::read(&bytes)
                && bytes.len() - start >= len as usize
                && changed(&bytes[start..start + len as usize]).is_none()
            {
                self.gone_by = true;
                return bytes;
            }
        }
        let mut on = BytesMut::new();
        while !self.gone_by {
            if self.over > 0 {
                let len = bytes.len().min(usize::try_from(self.over).unwrap_or(usize::MAX));
                on.put(bytes.split_to(len));
                self.over -= len as u64;
                if self.over > 0 {
                    return on.freeze();
                }
            }
            self.buffer.put(std::mem::take(&mut bytes));
            let Some(frame) = Frame::read(&self.buffer) else { return on.freeze() };
            let Frame { kind, start, len } = frame;
            if kind > LAST_KNOWN {
                self.over = start as u64 + len;
                bytes = self.buffer.split().freeze();
                continue;
            }
            let end = usize::try_from(len).unwrap_or(usize::MAX).saturating_add(start);
            if kind == HEADERS && len <= most as u64 {
                if self.buffer.len() < end {
                    return on.freeze();
                }
                let whole = self.buffer.split_to(end);
                match changed(&whole[start..]) {
                    Some(section) => {
                        put_varint(&mut on, HEADERS);
                        put_varint(&mut on, section.len() as u64);
                        on.put(section.as_slice());
                    }
                    None => on.put(whole),
                }
            }
            self.gone_by = true;
        }
        on.put(self.rest());
        on.put(bytes);
        on.freeze()
    }

    /// What is kept of a stream that has ended.
    pub(super) fn rest(&mut self) -> Bytes {
        self.gone_by = true;
        self.buffer.split().freeze()
    }
}

/// The beginning of a frame.
#[derive(Debug)]
struct Frame {
    kind: u64,
    /// Where its payload begins.
    start: usize,
    len: u64,
}

impl Frame {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let (kind, len) = (varint(&mut rest)?, varint(&mut rest)?);
        Some(Self { kind, start: bytes.len() - rest.len(), len })
    }
}

/// A field section with another `:protocol`; `None` where it has none, or cannot be read. One that has several is
/// malformed, and asks for no WebSocket.
fn changed(section: &[u8]) -> Option<Vec<u8>> {
    let values = protocols(section)?;
    let told = match values.as_slice() {
        [] => return None,
        [(_, true)] => WEBSOCKET,
        _ => OTHER,
    };
    let (mut out, mut copied) = (Vec::with_capacity(section.len() + told.len()), 0);
    for (at, _) in values {
        out.extend_from_slice(&section[copied..at.start]);
        out.push(told.len() as u8);
        out.extend_from_slice(told.as_bytes());
        copied = at.end;
    }
    out.extend_from_slice(&section[copied..]);
    Some(out)
}

/// Where each value of `:protocol` is in a field section (RFC 9204 section 4.5), and whether it is `websocket`.
fn protocols(section: &[u8]) -> Option<Vec<(Range<usize>, bool)>> {
    let (mut rest, mut found) = (section, vec![]);
    // Required insert count and base: nothing is inserted here.
    prefixed(&mut rest, 8)?;
    prefixed(&mut rest, 7)?;
    while let Some(first) = rest.first().copied() {
        match first {
            // Indexed; indexed after the base.
            0x80.. => drop(prefixed(&mut rest, 6)?),
            0x10..0x20 => drop(prefixed(&mut rest, 4)?),
            // A literal with a name of a table.
            0x40..0x80 => {
                prefixed(&mut rest, 4)?;
                text(&mut rest, 7)?;
            }
            0x00..0x10 => {
                prefixed(&mut rest, 3)?;
                text(&mut rest, 7)?;
            }
            // A literal with a name of its own.
            0x20..0x40 => {
                let (name, coded) = text(&mut rest, 3)?;
                let is_protocol = if coded { name == NAME_CODED } else { name == b":protocol" };
                let start = section.len() - rest.len();
                let (value, coded) = text(&mut rest, 7)?;
                let is_websocket = if coded { value == VALUE_CODED } else { value == b"websocket" };
                if is_protocol {
                    found.push((start..section.len() - rest.len(), is_websocket));
                }
            }
        }
    }
    Some(found)
}

/// An integer of QUIC (RFC 9000 section 16).
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let len = 1usize << (bytes.first()? >> 6);
    let (number, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    let number = number.iter().fold(0u64, |sum, byte| (sum << 8) | u64::from(*byte));
    Some(number & (u64::MAX >> (64 - (8 * len - 2))))
}

fn put_varint(out: &mut BytesMut, number: u64) {
    match number {
        0..0x40 => out.put_u8(number as u8),
        0x40..0x4000 => out.put_u16(0x4000 | number as u16),
        _ => out.put_u32(0x8000_0000 | number as u32),
    }
}

/// An integer in the last `bits` of a byte and those behind it (RFC 7541 section 5.1).
fn prefixed(bytes: &mut &[u8], bits: u32) -> Option<usize> {
    let most = (1usize << bits) - 1;
    let mut number = usize::from(*bytes.first()?) & most;
    bytes.advance(1);
    if number < most {
        return Some(number);
    }
    for shift in (0..28).step_by(7) {
        let byte = *bytes.first()?;
        bytes.advance(1);
        number += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// A string whose length has `bits`, and whether it is Huffman coded, by the bit before these (RFC 9204 section 4.1.2).
fn text<'a>(bytes: &mut &'a [u8], bits: u32) -> Option<(&'a [u8], bool)> {
    let coded = bytes.first()? & (1 << bits) != 0;
    let len = prefixed(bytes, bits)?;
    let (text, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some((text, coded))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MOST: usize = 64 << 10;

    /// `:method: CONNECT`, `:scheme: https`, `:path: /` of the static table, a `:protocol`, and one more field.
    fn section(name: &[u8], value: &[u8]) -> Vec<u8> {
        [&[0, 0, 0xcf, 0xd7, 0xc1][..], name, value, &[0x21, b'x', 1, b'y']].concat()
    }

    fn plain(value: &str) -> Vec<u8> {
        let (name, length) = ([&[0x27, 2][..], b":protocol"].concat(), [value.len() as u8]);
        section(&name, &[&length[..], value.as_bytes()].concat())
    }

    fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
        let mut out = BytesMut::new();
        put_varint(&mut out, kind);
        put_varint(&mut out, payload.len() as u64);
        out.put(payload);
        out.to_vec()
    }

    /// What comes out of a stream that comes in pieces of this size.
    fn through(bytes: &[u8], piece: usize) -> Vec<u8> {
        let mut head = Head::default();
        let mut out = vec![];
        for piece in bytes.chunks(piece) {
            out.extend_from_slice(&head.push(Bytes::copy_from_slice(piece), MOST));
        }
        out.extend_from_slice(&head.rest());
        out
    }

    #[test]
    fn a_websocket_is_told_apart_from_all_else() {
        assert_eq!(changed(&plain("websocket")), Some(plain(WEBSOCKET)));
        for other in ["connect-udp", "connect-ip", "WebSocket", "websockets", ""] {
            assert_eq!(changed(&plain(other)), Some(plain(OTHER)), "{other}");
        }
        let coded = section(&[&[0x2f, 0][..], &NAME_CODED].concat(), &[&[0x87][..], &VALUE_CODED].concat());
        let told =
            section(&[&[0x2f, 0][..], &NAME_CODED].concat(), &[&[11][..], WEBSOCKET.as_bytes()].concat());
        assert_eq!(changed(&coded), Some(told));
        // No protocol, and what cannot be read.
        assert_eq!(changed(&[0, 0, 0xd1, 0xd7, 0xc1]), None);
        assert_eq!(changed(&[0, 0, 0x27, 2, b':']), None);
        let twice = |value: &str| [plain(value), plain(value)[5..].to_vec()].concat();
        assert_eq!(changed(&twice("websocket")), Some(twice(OTHER)));
    }

    #[test]
    fn a_head_is_changed_however_it_comes_and_all_else_passes() {
        let (asked, told) = (frame(HEADERS, &plain("websocket")), frame(HEADERS, &plain(WEBSOCKET)));
        let (grease, data) = (frame(0x21 * 7, &[9; 100]), frame(0, b"hello"));
        let get = frame(HEADERS, &[0, 0, 0xd1, 0xd7, 0xc1]);
        let later = [get.clone(), data.clone(), asked.clone()].concat();
        for piece in [1, 2, 7, 64, 1_000] {
            assert_eq!(
                through(&[&grease[..], &asked, &data].concat(), piece),
                [&grease[..], &told, &data].concat()
            );
            assert_eq!(through(&later, piece), later, "only the first head is one");
            assert_eq!(through(&data, piece), data);
            assert_eq!(through(&asked[..20], piece), &asked[..20], "cut short");
        }
        let huge = frame(HEADERS, &[0; MOST + 1]);
        assert_eq!(through(&huge, 1_000), huge);
    }

    proptest! {
        #[test]
        fn whatever_comes_passes_once_and_never_fails(
            bytes in prop::collection::vec(any::<u8>(), 0..300), piece in 1usize..64,
        ) {
            let whole = through(&bytes, 1_000);
            prop_assert_eq!(&through(&bytes, piece), &whole);
            prop_assert_eq!(whole.is_empty(), bytes.is_empty());
        }
    }
}
