//! As much of the WebSocket protocol (RFC 6455) as a light client needs: whole frames of a server, masked ones to it.

use anyhow::ensure;

/// A server's frame has this many bytes at most here.
const MAX_PAYLOAD: usize = 1 << 20;
/// What a client masks with. Any key will do, and this one is worked out at once.
const MASK: [u8; 4] = [0; 4];

/// Frames by their opcodes.
pub(super) const TEXT: u8 = 1;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

/// Reads a stream of frames.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// The beginning of a frame whose end has not come.
    rest: Vec<u8>,
}

impl Frames {
    /// Takes what was read, and calls `each` with opcode and payload of every frame that is whole now.
    ///
    /// # Errors
    /// Bytes that are no frame of a server, and frames in pieces, which none of the servers sends.
    pub(super) fn feed(&mut self, read: &[u8], mut each: impl FnMut(u8, &[u8])) -> anyhow::Result<()> {
        let mut held = std::mem::take(&mut self.rest);
        let bytes = if held.is_empty() {
            read
        } else {
            held.extend_from_slice(read);
            &held
        };
        let mut at = 0;
        while let Some((opcode, start, end)) = one(&bytes[at..])? {
            each(opcode, &bytes[at + start..at + end]);
            at += end;
        }
        if at < bytes.len() {
            self.rest = bytes[at..].to_vec();
        }
        Ok(())
    }
}

/// Opcode, beginning and end of the payload of the first frame, if it is whole.
fn one(bytes: &[u8]) -> anyhow::Result<Option<(u8, usize, usize)>> {
    let &[first, second, ..] = bytes else { return Ok(None) };
    ensure!(first & 0xf0 == 0x80 && second & 0x80 == 0, "no whole frame of a server: {first:#x} {second:#x}");
    let (start, length) = match (usize::from(second), bytes) {
        (126, &[_, _, a, b, ..]) => (4, usize::from(u16::from_be_bytes([a, b]))),
        (127, &[_, _, a, b, c, d, e, f, g, h, ..]) => {
            (10, usize::try_from(u64::from_be_bytes([a, b, c, d, e, f, g, h]))?)
        }
        (126 | 127, _) => return Ok(None),
        (short, _) => (2, short),
    };
    ensure!(length <= MAX_PAYLOAD, "a frame of {length} bytes");
    let end = start + length;
    Ok((bytes.len() >= end).then_some((first & 0x0f, start, end)))
}

/// A client's frame.
pub(super) fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        long => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(long.min(usize::from(u16::MAX)) as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend_from_slice(payload);
    frame
}

/// The request that begins a conversation.
pub(super) fn request(host: &str, path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = masked(opcode, payload);
        // A server does not mask.
        let head = if payload.len() < 126 { 2 } else { 4 };
        frame[1] &= 0x7f;
        frame.drain(head..head + 4);
        frame
    }

    #[test]
    fn frames_are_the_same_however_they_are_cut() {
        let sent = [(TEXT, vec![b'a'; 5]), (PING, vec![]), (TEXT, vec![b'b'; 40_000]), (CLOSE, vec![3, 245])];
        let stream: Vec<u8> = sent.iter().flat_map(|(opcode, payload)| frame(*opcode, payload)).collect();
        for size in [1, 2, 3, 7, 4_096, stream.len()] {
            let (mut frames, mut heard) = (Frames::default(), vec![]);
            for piece in stream.chunks(size) {
                frames.feed(piece, |opcode, payload| heard.push((opcode, payload.to_vec()))).unwrap();
            }
            assert_eq!(heard, sent, "{size}");
        }
    }

    #[test]
    fn what_no_server_sends_is_refused() {
        let long = [&[0x81, 127][..], &u64::MAX.to_be_bytes()].concat();
        for bad in [&[0x01, 0][..], &[0x81, 0x80], &[0xc1, 0], &long] {
            assert!(Frames::default().feed(bad, |_, _| {}).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_client_masks() {
        assert_eq!(masked(TEXT, b"ab"), [0x81, 0x82, 0, 0, 0, 0, b'a', b'b']);
        assert_eq!(masked(PONG, &[7; 200])[..4], [0x8a, 0xfe, 0, 200]);
    }
}
