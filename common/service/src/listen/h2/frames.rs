//! Frames of HTTP/2 as they go by (RFC 9113 section 4.1): heads are read, payloads are shown in the pieces they come in.

/// Bytes of a frame's head.
const HEAD: usize = 9;

/// Frame types (RFC 9113 section 6, RFC 9218 section 7).
pub(super) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const PRIORITY: u8 = 2;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
    pub(crate) const PRIORITY_UPDATE: u8 = 16;
}

/// Flags of frames.
pub(super) mod flag {
    pub(crate) const ACK: u8 = 1;
    pub(crate) const END_STREAM: u8 = 1;
    pub(crate) const END_HEADERS: u8 = 4;
    pub(crate) const PADDED: u8 = 8;
}

/// A frame's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) length: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Head {
    pub(super) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// What goes by.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event<'a> {
    /// A frame begins.
    Head(Head),
    /// Part of its payload, never empty.
    Payload(Head, &'a [u8]),
    /// It ends. Each frame does, an empty one too.
    End(Head),
}

/// Follows one direction of a connection.
#[derive(Debug)]
pub(super) struct Frames {
    /// Bytes that stand before the first frame and are still to come.
    preface: usize,
    head: [u8; HEAD],
    have: usize,
    current: Option<(Head, u32)>,
}

impl Frames {
    /// What a direction carries that begins with so many bytes of preface (RFC 9113 section 3.4).
    pub(super) const fn after(preface: usize) -> Self {
        Self { preface, head: [0; HEAD], have: 0, current: None }
    }

    /// True between two frames.
    pub(super) const fn at_boundary(&self) -> bool {
        self.preface == 0 && self.have == 0 && self.current.is_none()
    }

    /// The frame whose payload is going by.
    pub(super) const fn current(&self) -> Option<Head> {
        match self.current {
            Some((head, _)) => Some(head),
            None => None,
        }
    }

    /// Takes the next event out of bytes; `None` once they are used up.
    pub(super) fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Event<'a>> {
        if self.preface > 0 {
            self.preface -= take(bytes, self.preface).len();
        }
        match self.current {
            Some((head, 0)) => {
                self.current = None;
                Some(Event::End(head))
            }
            _ if bytes.is_empty() => None,
            Some((head, left)) => {
                let here = take(bytes, left as usize);
                self.current = Some((head, left - here.len() as u32));
                Some(Event::Payload(head, here))
            }
            None => {
                let here = take(bytes, HEAD - self.have);
                self.head[self.have..][..here.len()].copy_from_slice(here);
                self.have += here.len();
                (self.have == HEAD).then(|| {
                    self.have = 0;
                    let head = parse(self.head);
                    self.current = Some((head, head.length));
                    Event::Head(head)
                })
            }
        }
    }
}

fn take<'a>(bytes: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (here, rest) = bytes.split_at(most.min(bytes.len()));
    *bytes = rest;
    here
}

const fn parse(h: [u8; HEAD]) -> Head {
    Head {
        length: u32::from_be_bytes([0, h[0], h[1], h[2]]),
        kind: h[3],
        flags: h[4],
        stream: u32::from_be_bytes([h[5], h[6], h[7], h[8]]) & 0x7fff_ffff,
    }
}

/// A GOAWAY frame (RFC 9113 section 6.8).
pub(super) fn goaway(last_stream: u32, code: u32, why: &str) -> Vec<u8> {
    let length = 8 + why.len() as u32;
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[kind::GOAWAY, 0, 0, 0, 0, 0]);
    frame.extend_from_slice(&last_stream.to_be_bytes());
    frame.extend_from_slice(&code.to_be_bytes());
    frame.extend_from_slice(why.as_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn heads(pieces: &[&[u8]], preface: usize) -> (Vec<(Head, usize)>, bool) {
        let mut frames = Frames::after(preface);
        let mut seen = vec![];
        let mut length = 0;
        for piece in pieces {
            let mut bytes = *piece;
            while let Some(event) = frames.next(&mut bytes) {
                match event {
                    Event::Head(_) => length = 0,
                    Event::Payload(_, part) => length += part.len(),
                    Event::End(head) => seen.push((head, length)),
                }
            }
        }
        (seen, frames.at_boundary())
    }

    proptest! {
        #[test]
        fn frames_are_the_same_however_they_are_cut(
            payloads in prop::collection::vec((0u8..20, any::<u8>(), 0u32..9, prop::collection::vec(any::<u8>(), 0..40)), 0..8),
            cut in 1usize..12,
        ) {
            let mut text = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
            let mut wanted = vec![];
            for (kind, flags, stream, payload) in &payloads {
                let length = payload.len() as u32;
                text.extend_from_slice(&length.to_be_bytes()[1..]);
                text.extend_from_slice(&[*kind, *flags]);
                text.extend_from_slice(&stream.to_be_bytes());
                text.extend_from_slice(payload);
                wanted.push((Head { length, kind: *kind, flags: *flags, stream: *stream }, payload.len()));
            }
            let pieces: Vec<&[u8]> = text.chunks(cut).collect();
            prop_assert_eq!(heads(&pieces, 24), (wanted.clone(), true));
            prop_assert_eq!(heads(&[&text], 24), (wanted, true));
        }
    }

    #[test]
    fn a_goaway_is_a_frame() {
        let text = goaway(7, 11, "ping");
        let (seen, whole) = heads(&[&text], 0);
        assert!(whole);
        assert_eq!(seen, [(Head { length: 12, kind: kind::GOAWAY, flags: 0, stream: 0 }, 12)]);
    }
}
