//! Chunks (RFC 9112 section 7.1), read strictly.

use bytes::{Buf, Bytes, BytesMut};

/// Bytes of a chunk's first line, its extensions included.
const MAX_LINE: usize = 256;
/// Bytes of a trailer section. Trailers are read and dropped.
const MAX_TRAILERS: usize = 8 << 10;

/// Reads a chunked body.
#[derive(Debug, Default)]
pub(in crate::listen) struct Chunks {
    state: State,
    trailers: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Data(u64),
    DataEnd,
    Trailers,
    End,
}

/// A body that is not chunked as it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body's chunks are malformed")]
pub(in crate::listen) struct BadChunk;

/// What there is to be had of a body.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::listen) enum Piece {
    Data(Bytes),
    /// More must be read first.
    Wanting,
    End,
}

impl Chunks {
    /// Takes the next piece out of what was read.
    pub(in crate::listen) fn take(&mut self, buffer: &mut BytesMut) -> Result<Piece, BadChunk> {
        loop {
            match self.state {
                State::Size => {
                    let Some(line) = line(buffer, MAX_LINE)? else { return Ok(Piece::Wanting) };
                    self.state = match size(&line)? {
                        0 => State::Trailers,
                        size => State::Data(size),
                    };
                }
                State::Data(left) => {
                    if buffer.is_empty() {
                        return Ok(Piece::Wanting);
                    }
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                    let left = left - here as u64;
                    self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                    return Ok(Piece::Data(buffer.split_to(here).freeze()));
                }
                State::DataEnd => match buffer.get(..2) {
                    None if buffer.first().is_none_or(|c| *c == b'\r') => return Ok(Piece::Wanting),
                    Some(b"\r\n") => {
                        buffer.advance(2);
                        self.state = State::Size;
                    }
                    _ => return Err(BadChunk),
                },
                State::Trailers => {
                    let Some(line) = line(buffer, MAX_TRAILERS - self.trailers)? else {
                        return Ok(Piece::Wanting);
                    };
                    self.trailers += line.len() + 2;
                    if line.is_empty() {
                        self.state = State::End;
                    }
                }
                State::End => return Ok(Piece::End),
            }
        }
    }
}

/// A line without its end, if it is all there.
fn line(buffer: &mut BytesMut, limit: usize) -> Result<Option<Bytes>, BadChunk> {
    let Some(end) = buffer.iter().position(|c| *c == b'\n') else {
        return if buffer.len() > limit { Err(BadChunk) } else { Ok(None) };
    };
    let line = buffer.split_to(end + 1).freeze();
    let text = line.strip_suffix(b"\r\n").ok_or(BadChunk)?;
    if text.len() > limit || text.contains(&b'\r') {
        return Err(BadChunk);
    }
    Ok(Some(line.slice(..text.len())))
}

fn size(line: &[u8]) -> Result<u64, BadChunk> {
    let digits = line.split(|c| *c == b';').next().unwrap_or_default();
    let plain = !digits.is_empty() && digits.len() <= 16 && digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).ok().filter(|_| plain).ok_or(BadChunk)?;
    u64::from_str_radix(text, 16).map_err(|_| BadChunk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8], step: usize) -> Result<Option<Vec<u8>>, BadChunk> {
        let (mut chunks, mut buffer, mut body) = (Chunks::default(), BytesMut::new(), vec![]);
        for piece in bytes.chunks(step.max(1)) {
            buffer.extend_from_slice(piece);
            loop {
                match chunks.take(&mut buffer)? {
                    Piece::Data(data) => body.extend_from_slice(&data),
                    Piece::Wanting => break,
                    Piece::End => return Ok(Some(body)),
                }
            }
        }
        Ok(None)
    }

    proptest! {
        #[test]
        fn chunks_are_joined_however_they_come_in(parts in prop::collection::vec("[a-z]{1,9}", 0..5), step in 1usize..20) {
            let mut text: String = parts.iter().map(|p| format!("{:x};a=b\r\n{p}\r\n", p.len())).collect();
            text.push_str("0\r\nTrailer: x\r\n\r\n");
            prop_assert_eq!(read(text.as_bytes(), step), Ok(Some(parts.concat().into_bytes())));
        }

        #[test]
        fn no_bytes_make_the_reader_fail(bytes in prop::collection::vec(any::<u8>(), 0..100), step in 1usize..9) {
            drop(read(&bytes, step));
        }
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for bad in [
            "x\r\n",
            "-1\r\n",
            " 1\r\na\r\n",
            "0x1\r\na\r\n",
            "1\na\r\n",
            "1\r\nab\r\n",
            "1\r\naX",
            "fffffffffffffffff\r\n",
        ] {
            assert_eq!(read(bad.as_bytes(), 100), Err(BadChunk), "{bad:?}");
        }
        assert_eq!(read(b"2\r\nab\r\n", 100), Ok(None), "not ended");
    }
}
