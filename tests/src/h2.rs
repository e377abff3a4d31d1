//! An HTTP/2 client that sends any frame it is told to (RFC 9113), well-formed or not, over plain TCP.

use bytes::{Buf, BytesMut};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

/// Frame types.
pub mod kind {
    /// Part of a body.
    pub const DATA: u8 = 0;
    /// The begin of a header block.
    pub const HEADERS: u8 = 1;
    /// Advice on order.
    pub const PRIORITY: u8 = 2;
    /// The end of a stream before its time.
    pub const RST_STREAM: u8 = 3;
    /// Settings, or that they were heard.
    pub const SETTINGS: u8 = 4;
    /// A sign of life.
    pub const PING: u8 = 6;
    /// The end of a connection.
    pub const GOAWAY: u8 = 7;
    /// Room for more.
    pub const WINDOW_UPDATE: u8 = 8;
    /// More of a header block.
    pub const CONTINUATION: u8 = 9;
}

/// END_STREAM; of SETTINGS and PING: ACK.
pub const END_STREAM: u8 = 1;
/// END_HEADERS.
pub const END_HEADERS: u8 = 4;

/// How long a frame may be in coming on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A frame of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// Its payload.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The big-endian number at a place of the payload: the code of a RST_STREAM (0) or of a GOAWAY (4), say.
    #[must_use]
    pub fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    /// The status of an answer's HEADERS. Statuses outside of HPACK's static table are read where they are Huffman-coded
    /// digits (RFC 7541 appendix B).
    #[must_use]
    pub fn status(&self) -> u16 {
        match self.payload[0] {
            indexed @ 0x88..=0x8e => [200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)],
            _ => digits(&self.payload[1..]),
        }
    }
}

/// Three digits as a string of HPACK.
fn digits(text: &[u8]) -> u16 {
    let (huffman, length) = (text[0] & 0x80 != 0, usize::from(text[0] & 0x7f));
    let text = &text[1..=length];
    if !huffman {
        return std::str::from_utf8(text).unwrap().parse().unwrap();
    }
    let bits: Vec<u8> = text.iter().flat_map(|byte| (0..8).rev().map(move |n| byte >> n & 1)).collect();
    let (mut at, mut number) = (0, 0);
    for _ in 0..3 {
        let of =
            |length: usize| bits[at..at + length].iter().fold(0u16, |all, bit| all << 1 | u16::from(*bit));
        // 0, 1 and 2 are codes 0 to 2 of five bits; 3 to 9 are codes 0x19 to 0x1f of six.
        let (digit, length) = if of(5) < 3 { (of(5), 5) } else { (of(6) - 0x19 + 3, 6) };
        number = number * 10 + digit;
        at += length;
    }
    number
}

/// A frame's bytes.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap();
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A header block of literals that are not indexed and not Huffman-coded (RFC 7541 section 6.2.2).
#[must_use]
pub fn block(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut block = vec![];
    for (name, value) in fields {
        block.push(0);
        string(&mut block, name.as_bytes());
        string(&mut block, value);
    }
    block
}

fn string(block: &mut Vec<u8>, text: &[u8]) {
    match text.len() {
        short @ 0..127 => block.push(u8::try_from(short).unwrap()),
        long => {
            block.push(127);
            let mut rest = long - 127;
            while rest >= 128 {
                block.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            block.push(u8::try_from(rest).unwrap());
        }
    }
    block.extend_from_slice(text);
}

/// The header block of a plain GET.
#[must_use]
pub fn get(path: &str) -> Vec<u8> {
    let text = |text: &'static str| text.as_bytes();
    block(&[
        (":method", text("GET")),
        (":scheme", text("http")),
        (":authority", text("a.example")),
        (":path", path.as_bytes()),
    ])
}

/// What a connection is told.
#[derive(Debug)]
pub struct Sender(OwnedWriteHalf);

/// What a connection hears.
#[derive(Debug)]
pub struct Receiver {
    io: OwnedReadHalf,
    buffer: BytesMut,
}

/// Opens a connection: preface and settings are sent.
pub async fn connect(at: &str, settings: &[u8]) -> (Sender, Receiver) {
    let stream = TcpStream::connect(at).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (read, mut write) = stream.into_split();
    write.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let mut sender = Sender(write);
    sender.send(kind::SETTINGS, 0, 0, settings).await.unwrap();
    (sender, Receiver { io: read, buffer: BytesMut::new() })
}

impl Sender {
    /// Sends a frame.
    ///
    /// # Errors
    /// When the server has closed the connection.
    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        self.bytes(&frame(kind, flags, stream, payload)).await
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the server has closed the connection, or takes nothing.
    pub async fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        timeout(PATIENCE, self.0.write_all(bytes)).await?
    }

    /// Sends a whole request of this header block.
    ///
    /// # Errors
    /// When the server has closed the connection.
    pub async fn request(&mut self, stream: u32, block: &[u8]) -> io::Result<()> {
        self.send(kind::HEADERS, END_HEADERS | END_STREAM, stream, block).await
    }
}

impl Receiver {
    /// The next frame; `None` once the connection has ended.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if self.buffer.len() >= 9 {
                let length = u32::from_be_bytes([0, self.buffer[0], self.buffer[1], self.buffer[2]]) as usize;
                if self.buffer.len() >= 9 + length {
                    let mut head = self.buffer.split_to(9);
                    head.advance(3);
                    let (kind, flags, stream) = (head.get_u8(), head.get_u8(), head.get_u32());
                    return Some(Frame {
                        kind,
                        flags,
                        stream,
                        payload: self.buffer.split_to(length).to_vec(),
                    });
                }
            }
            let read = timeout(PATIENCE, self.io.read_buf(&mut self.buffer)).await;
            let read = read.expect("the server says something or closes");
            if !read.is_ok_and(|read| read > 0) {
                return None;
            }
        }
    }

    /// The next frame of one of these kinds; `None` once the connection has ended.
    pub async fn next_of(&mut self, kinds: &[u8]) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if kinds.contains(&frame.kind) {
                return Some(frame);
            }
        }
    }

    /// Every frame until the connection has ended.
    pub async fn rest(mut self) -> Vec<Frame> {
        let mut frames = vec![];
        while let Some(frame) = self.next().await {
            frames.push(frame);
        }
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_read() {
        let of = |payload: &[u8]| Frame { kind: 1, flags: 0, stream: 1, payload: payload.to_vec() }.status();
        assert_eq!(of(&[0x8c]), 400);
        assert_eq!(of(&[0x48, 3, b'4', b'3', b'1']), 431);
        // 431 by Huffman: 011010 011001 00001, padded with ones.
        assert_eq!(of(&[0x48, 0x83, 0b0110_1001, 0b1001_0000, 0b1111_1111]), 431);
    }

    #[test]
    fn long_strings_are_measured() {
        let block = block(&[("a", &[b'x'; 300])]);
        assert_eq!(block[..5], [0, 1, b'a', 127, 173]);
        assert_eq!(block[5], 1);
        assert_eq!(block.len(), 6 + 300);
    }
}
