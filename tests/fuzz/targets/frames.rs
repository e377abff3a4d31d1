//! Frames between the worker and its codec child: each is refused, or reads back the same when it is written again.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use sluice_wire::codec::{decode, encode};

fuzz_target!(|bytes: &[u8]| {
    let mut buffer = BytesMut::from(bytes);
    // Every frame takes bytes away, so that this ends.
    while let Ok(Some((message, payload))) = decode(&mut buffer) {
        let Ok(again) = encode(&message, &payload) else { panic!("{message:?} cannot be written") };
        let read = decode(&mut BytesMut::from(&again[..]));
        assert!(matches!(read, Ok(Some(read)) if read == (message, payload)));
    }
});
