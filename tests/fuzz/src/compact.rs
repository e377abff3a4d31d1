//! Frames of conversations.

use sluice_wire::compact::Frame;

/// Each frame is refused, or written again it is the same bytes.
pub fn compact(bytes: &[u8]) {
    let mut rest = bytes;
    // Every frame takes bytes away, so that this ends.
    while let Ok((frame, more)) = Frame::decode(rest) {
        let mut again = vec![];
        assert_eq!(frame.encode(&mut again), Ok(()), "{frame:?} cannot be written");
        assert_eq!(again, rest[..rest.len() - more.len()]);
        rest = more;
    }
}
