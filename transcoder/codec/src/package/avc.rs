//! H.264: from Annex B (start codes) to what MP4 holds (lengths), and its parameter sets (ISO/IEC 14496-15, 5.3).

/// NAL unit types (ISO/IEC 14496-10, table 7-1).
const SPS: u8 = 7;
const PPS: u8 = 8;
const DELIMITER: u8 = 9;
const SEI: u8 = 6;
/// SEI payload type of words for people: the encoder's options, some 700 bytes of them (ISO/IEC 14496-10, D.1).
const UNREGISTERED: u8 = 5;

/// What a track's header says of H.264.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoTrack {
    /// Ticks a second.
    pub timescale: u32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Ticks by which decoding is ahead of presentation; an edit list takes them back.
    pub delay: u32,
    sps: Vec<u8>,
    pps: Vec<u8>,
}

impl VideoTrack {
    /// Takes the parameter sets out of an encoder's Annex B header. `None` when one is missing or cut.
    #[must_use]
    pub fn from_annex_b(timescale: u32, width: u32, height: u32, delay: u32, header: &[u8]) -> Option<Self> {
        let of = |kind| units(header).find(|unit| kind_of(unit) == Some(kind)).map(<[u8]>::to_vec);
        let (sps, pps) = (of(SPS)?, of(PPS)?);
        (sps.len() >= 4).then_some(Self { timescale, width, height, delay, sps, pps })
    }

    /// RFC 6381: `avc1.` and profile, constraints and level as the parameter set has them.
    #[must_use]
    pub fn codecs(&self) -> String {
        format!("avc1.{:02X}{:02X}{:02X}", self.sps[1], self.sps[2], self.sps[3])
    }

    /// AVCDecoderConfigurationRecord.
    pub(super) fn configuration(&self) -> Vec<u8> {
        let mut record = vec![1, self.sps[1], self.sps[2], self.sps[3], 0xff, 0xe1];
        for (count, set) in [(None, &self.sps), (Some(1), &self.pps)] {
            record.extend(count);
            record.extend_from_slice(&(set.len() as u16).to_be_bytes());
            record.extend_from_slice(set);
        }
        if matches!(self.sps[1], 100 | 110 | 122 | 144) {
            // 4:2:0, eight bits, no further extensions.
            record.extend_from_slice(&[0xfd, 0xf8, 0xf8, 0]);
        }
        record
    }
}

/// Turns an access unit's start codes into 32-bit lengths. Parameter sets and delimiters are left out, since the header
/// has them, as are the encoder's words about itself.
#[must_use]
pub fn to_length_prefixed(access_unit: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(access_unit.len() + 16);
    for unit in units(access_unit) {
        let words = kind_of(unit) == Some(SEI) && unit.get(1) == Some(&UNREGISTERED);
        if !words && !matches!(kind_of(unit), None | Some(SPS | PPS | DELIMITER)) {
            out.extend_from_slice(&(unit.len() as u32).to_be_bytes());
            out.extend_from_slice(unit);
        }
    }
    out
}

fn kind_of(unit: &[u8]) -> Option<u8> {
    unit.first().map(|byte| byte & 0x1f)
}

/// The NAL units of an Annex B stream.
fn units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
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
        let track = VideoTrack::from_annex_b(30, 2, 2, 0, &stream).unwrap();
        assert_eq!(track.codecs(), "avc1.64001F");
        assert_eq!(track.pps, [0x68, 5]);
        assert_eq!(to_length_prefixed(&stream), [0, 0, 0, 3, 0x65, 7, 7]);
        assert_eq!(to_length_prefixed(&[0, 0, 1, 6, 5, 9, 9, 0, 0, 1, 6, 1, 9]), [0, 0, 0, 3, 6, 1, 9]);
        assert_eq!(VideoTrack::from_annex_b(30, 2, 2, 0, &stream[..9]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_without_panic(stream in prop::collection::vec(any::<u8>(), 0..200)) {
            let out = to_length_prefixed(&stream);
            prop_assert!(out.len() <= stream.len() + stream.len() / 3 + 4);
        }
    }
}
