//! Sealing of media: headers and segments that are read before they are encrypted.

use sluice_seal::ContentKey;
use sluice_seal::cbcs::{Track, header, segment};
use sluice_wire::KeyId;

/// A header and a segment: the header's length in two bytes comes first. Whatever is sealed has grown, and nothing is said of a
/// track that cannot be sealed.
pub fn sealing(bytes: &[u8]) {
    let Some((length, rest)) = bytes.split_first_chunk() else { return };
    let Some((init, clear)) = rest.split_at_checked(u16::from_be_bytes(*length).into()) else { return };
    let key = ContentKey { id: KeyId([1; 16]), key: [2; 16] };
    let made = header(init, key.id, [3; 16]);
    let Ok(track) = Track::read(init) else {
        assert!(made.is_err(), "a header of a track that cannot be sealed");
        return;
    };
    assert!(made.is_ok_and(|made| made.len() > init.len()), "a header that says nothing more");
    if let Ok(sealed) = segment(&track, clear, &key, [3; 16]) {
        assert!(sealed.len() >= clear.len(), "a segment that shrank");
        assert_eq!(Some(sealed), segment(&track, clear, &key, [3; 16]).ok(), "the same each time");
    }
}
