//! Common encryption, scheme `cbcs` (ISO/IEC 23001-7): of video one block in ten of each slice's data, of sound every whole
//! block, with one initialization vector a track.
//!
//! - `boxes` reads and writes boxes; `bits` reads what is coded in bits
//! - `avc` finds where a slice's header ends: it stays clear, as does all that is no slice
//! - `pattern` encrypts bytes; `header` and `fragment` rewrite a track's header and its segments around that
//!
//! Each fragment names its key (a `seig` sample group), as does the header of its period: players that fetch one header and
//! those that fetch one for each period find the same.

mod avc;
mod bits;
mod boxes;
mod fragment;
mod header;
mod pattern;
#[cfg(test)]
mod tests;

pub use fragment::{grown, segment};
pub use header::{Track, header};

use sluice_wire::KeyId;

/// Why something cannot be sealed. What the packager makes can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not what the packager makes: {0}")]
pub struct Unsealable(pub &'static str);

/// The scheme's name (section 4.2).
const SCHEME: &[u8; 4] = b"cbcs";

/// The system of players that need no more than key ids (Common PSSH Box Format for ISO BMFF).
const COMMON_SYSTEM: [u8; 16] =
    [0x10, 0x77, 0xef, 0xec, 0xc0, 0xb2, 0x4d, 0x02, 0xac, 0xe3, 0x3c, 0x1e, 0x52, 0xe2, 0xfb, 0x4b];

/// A protection system specific header that names keys (ISO/IEC 23001-7, section 8.1): what a ClearKey player
/// asks for a licence with.
#[must_use]
pub fn pssh(keys: &[KeyId]) -> Vec<u8> {
    let mut out = vec![];
    boxes::full(&mut out, b"pssh", 1, 0, |out| {
        out.extend_from_slice(&COMMON_SYSTEM);
        boxes::put32(out, keys.len() as u32);
        keys.iter().for_each(|key| out.extend_from_slice(&key.0));
        boxes::put32(out, 0);
    });
    out
}
