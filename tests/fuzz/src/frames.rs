//! Frames between the worker and its codec child.

use bytes::BytesMut;
use sluice_wire::codec::{decode, encode};

/// Each frame is refused, or reads back the same when it is written again.
pub fn frames(bytes: &[u8]) {
    let mut buffer = BytesMut::from(bytes);
    // Every frame takes bytes away, so that this ends.
    while let Ok(Some((message, payload))) = decode(&mut buffer) {
        let Ok(again) = encode(&message, &payload) else { panic!("{message:?} cannot be written") };
        let read = decode(&mut BytesMut::from(&again[..]));
        assert!(matches!(read, Ok(Some(read)) if read == (message, payload)));
    }
}
