//! Frames of conversations, and what is said over a socket that speaks in them.

use sluice_wire::compact::talk::{Said, Told};
use sluice_wire::compact::{CompactError, Frame};
use std::fmt::Debug;

/// Each frame, and each record of a socket, is refused, or written again it is the same bytes.
pub fn compact(bytes: &[u8]) {
    all(bytes, Frame::decode, Frame::encode);
    all(bytes, Said::decode, Said::encode);
    all(bytes, Told::decode, Told::encode);
}

type Decode<T> = fn(&[u8]) -> Result<(T, &[u8]), CompactError>;
type Encode<T> = fn(&T, &mut Vec<u8>) -> Result<(), CompactError>;

fn all<T: Debug>(bytes: &[u8], decode: Decode<T>, encode: Encode<T>) {
    let mut rest = bytes;
    // Each takes bytes away, so that this ends.
    while let Ok((read, more)) = decode(rest) {
        let mut again = vec![];
        assert_eq!(encode(&read, &mut again), Ok(()), "{read:?} cannot be written");
        assert_eq!(again, rest[..rest.len() - more.len()]);
        rest = more;
    }
}
