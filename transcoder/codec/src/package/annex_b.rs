//! Streams of NAL units with start codes (Annex B of ISO/IEC 14496-10 and 23008-2), and what MP4 holds instead: lengths.

/// The NAL units of a stream.
pub(super) fn units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(stream);
    std::iter::from_fn(move || {
        let from = rest?;
        let (unit, next) = match find_start_code(from) {
            Some(at) => (&from[..at], Some(&from[at + 3..])),
            None => (from, None),
        };
        rest = next;
        // A four-byte start code leaves its first zero at the end of the unit before it, as does trailing padding.
        let end = unit.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
        Some(&unit[..end])
    })
}

/// The units that are kept, each behind its length in 32 bits.
pub(super) fn length_prefixed(stream: &[u8], keep: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(stream.len() + 16);
    for unit in units(stream).filter(|unit| keep(unit)) {
        out.extend_from_slice(&(unit.len() as u32).to_be_bytes());
        out.extend_from_slice(unit);
    }
    out
}

/// A unit without the bytes that keep start codes out of it.
pub(super) fn unescaped(unit: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(unit.len());
    let mut zeros = 0;
    for &byte in unit {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

fn after_start_code(stream: &[u8]) -> Option<&[u8]> {
    find_start_code(stream).map(|at| &stream[at + 3..])
}

fn find_start_code(stream: &[u8]) -> Option<usize> {
    stream.windows(3).position(|w| w == [0, 0, 1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_are_found_behind_both_start_codes() {
        let stream = [0, 0, 0, 1, 0x67, 100, 0, 31, 9, 0, 0, 1, 0x68, 5, 0, 0, 0, 1, 0x65, 7, 7];
        assert_eq!(
            units(&stream).collect::<Vec<_>>(),
            [&[0x67, 100, 0, 31, 9][..], &[0x68, 5], &[0x65, 7, 7]]
        );
        assert_eq!(unescaped(&[1, 0, 0, 3, 1, 0, 0, 3, 0, 0, 3, 3]), [1, 0, 0, 1, 0, 0, 0, 0, 3]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_without_panic(stream in prop::collection::vec(0u8..4, 0..200)) {
            let out = length_prefixed(&stream, |unit| !unit.is_empty());
            prop_assert!(out.len() <= stream.len() + stream.len() / 3 + 4);
            prop_assert!(unescaped(&stream).len() <= stream.len());
        }
    }
}
