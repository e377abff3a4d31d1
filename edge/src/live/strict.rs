//! A text that is not UTF-8 is known to be none with its first wrong byte, and not only once its frame is whole: what is read of
//! a client is looked at on its way to the frames' reader (RFC 6455 section 8.1).

use sluice_service::Pipe;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The stream under a socket, whose reads end with [`io::ErrorKind::InvalidData`] where a text goes wrong.
#[derive(Debug)]
pub(super) struct Strict {
    pipe: Pipe,
    look: Look,
}

impl Strict {
    pub(super) fn new(pipe: Pipe) -> Self {
        Self { pipe, look: Look::default() }
    }
}

/// Where in a client's frames one is: their heads are read as far as texts are concerned, and nothing else is judged.
#[derive(Debug, Default)]
struct Look {
    /// What has come of a head.
    head: [u8; 14],
    come: usize,
    /// Bytes of the frame's payload that are to come, and the place in the mask of the next.
    left: u64,
    at: usize,
    mask: [u8; 4],
    /// The frame that is coming, and the message that frames continue, are text.
    of_text: bool,
    text: bool,
    /// The beginning of a character whose end is to come.
    begun: [u8; 4],
    count: usize,
}

impl Look {
    /// Looks at what comes next; false once a text is wrong.
    fn at(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            if self.left == 0 {
                self.head[self.come] = bytes[0];
                self.come += 1;
                bytes = &bytes[1..];
                self.begin();
            } else {
                let taken = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                let (payload, rest) = bytes.split_at(taken);
                if self.of_text && !self.is_text(payload) {
                    return false;
                }
                (self.left, bytes) = (self.left - taken as u64, rest);
            }
        }
        true
    }

    /// Begins a frame's payload once its head is whole.
    fn begin(&mut self) {
        if self.come < 2 {
            return;
        }
        let (opcode, masked) = (self.head[0] & 15, self.head[1] & 128 != 0);
        let extended = match self.head[1] & 127 {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let whole = 2 + extended + if masked { 4 } else { 0 };
        if self.come < whole {
            return;
        }
        let length = self.head[2..2 + extended].iter().fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte));
        self.left = if extended == 0 { u64::from(self.head[1] & 127) } else { length };
        self.mask = [0; 4];
        if masked {
            self.mask.copy_from_slice(&self.head[whole - 4..whole]);
        }
        if opcode == 1 || opcode == 2 {
            (self.text, self.count) = (opcode == 1, 0);
        }
        // Control frames come between the frames of a message.
        self.of_text = opcode < 3 && self.text;
        (self.come, self.at) = (0, 0);
    }

    /// Whether a text is none yet with these masked bytes.
    fn is_text(&mut self, masked: &[u8]) -> bool {
        for byte in masked {
            self.begun[self.count] = byte ^ self.mask[self.at % 4];
            (self.at, self.count) = (self.at + 1, self.count + 1);
            match std::str::from_utf8(&self.begun[..self.count]) {
                Ok(_) => self.count = 0,
                Err(error) if error.error_len().is_some() => return false,
                Err(_) => {}
            }
        }
        true
    }
}

impl AsyncRead for Strict {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        ready!(Pin::new(&mut self.pipe).poll_read(cx, out))?;
        let good = self.look.at(&out.filled()[before..]);
        Poll::Ready(if good { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) })
    }
}

impl AsyncWrite for Strict {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, text: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write(cx, text)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A masked frame.
    fn frame(fin: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [7, 99, 200, 31];
        let mut bytes = vec![u8::from(fin) << 7 | opcode];
        match payload.len() {
            length @ ..126 => bytes.push(128 | length as u8),
            length => bytes.extend([128 | 126, (length >> 8) as u8, length as u8]),
        }
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    proptest! {
        #[test]
        fn whatever_is_utf8_passes_however_it_is_cut(
            text in ".{0,200}", cut in any::<prop::sample::Index>(), piece in 1..40_usize,
        ) {
            let at = cut.index(text.len() + 1);
            let mut bytes = frame(false, 1, &text.as_bytes()[..at]);
            bytes.extend(frame(true, 9, &[0xff, 0xfe]));
            bytes.extend(frame(true, 0, &text.as_bytes()[at..]));
            bytes.extend(frame(true, 2, &[0xff; 9]));
            let mut look = Look::default();
            prop_assert!(bytes.chunks(piece).all(|piece| look.at(piece)));
        }

        #[test]
        fn the_first_wrong_byte_is_one_too_many(text in "[a-zäß☕]{0,200}", wrong in 0x80..=0xff_u8) {
            let mut payload = text.clone().into_bytes();
            payload.extend([wrong, b'a']);
            let bytes = frame(true, 1, &payload);
            let mut look = Look::default();
            // A byte that begins a character is wrong with the one after it.
            let goes = bytes.iter().take_while(|byte| look.at(&[**byte])).count();
            prop_assert!(goes + 2 >= bytes.len() && goes < bytes.len());
        }
    }
}
