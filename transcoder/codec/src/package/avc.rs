//! H.264: its parameter sets in a track's header, and what of an access unit is kept (ISO/IEC 14496-15, 5.3).

use super::annex_b::{length_prefixed, units};

/// NAL unit types (ISO/IEC 14496-10, table 7-1).
const SPS: u8 = 7;
const PPS: u8 = 8;
const DELIMITER: u8 = 9;
const SEI: u8 = 6;
/// SEI payload type of words for people: the encoder's options, some 700 bytes of them (ISO/IEC 14496-10, D.1).
const UNREGISTERED: u8 = 5;

/// Parameter sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Avc {
    sps: Vec<u8>,
    pps: Vec<u8>,
}

impl Avc {
    /// Takes the parameter sets out of an encoder's Annex B header. `None` when one is missing or cut.
    pub(super) fn read(header: &[u8]) -> Option<Self> {
        let of = |kind| units(header).find(|unit| kind_of(unit) == Some(kind)).map(<[u8]>::to_vec);
        let (sps, pps) = (of(SPS)?, of(PPS)?);
        (sps.len() >= 4).then_some(Self { sps, pps })
    }

    /// RFC 6381: `avc1.` and profile, constraints and level as the parameter set has them.
    pub(super) fn codecs(&self) -> String {
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

/// An access unit as MP4 holds it. Parameter sets and delimiters are left out, since the header has them, as are the
/// encoder's words about itself.
pub(super) fn sample(access_unit: &[u8]) -> Vec<u8> {
    length_prefixed(access_unit, |unit| {
        let words = kind_of(unit) == Some(SEI) && unit.get(1) == Some(&UNREGISTERED);
        !words && !matches!(kind_of(unit), None | Some(SPS | PPS | DELIMITER))
    })
}

fn kind_of(unit: &[u8]) -> Option<u8> {
    unit.first().map(|byte| byte & 0x1f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_sets_go_into_the_header_and_slices_into_samples() {
        let stream = [0, 0, 0, 1, 0x67, 100, 0, 31, 9, 0, 0, 1, 0x68, 5, 0, 0, 0, 1, 0x65, 7, 7];
        let avc = Avc::read(&stream).unwrap();
        assert_eq!(avc.codecs(), "avc1.64001F");
        assert_eq!(avc.pps, [0x68, 5]);
        assert_eq!(sample(&stream), [0, 0, 0, 3, 0x65, 7, 7]);
        assert_eq!(sample(&[0, 0, 1, 6, 5, 9, 9, 0, 0, 1, 6, 1, 9]), [0, 0, 0, 3, 6, 1, 9]);
        assert_eq!(Avc::read(&stream[..9]), None);
    }
}
