//! H.265: its parameter sets in a track's header, and what of an access unit is kept (ISO/IEC 14496-15, 8.3).

use super::annex_b::{length_prefixed, unescaped, units};
use super::bits::Bits;

/// NAL unit types (ISO/IEC 23008-2, table 7-1).
const VPS: u8 = 32;
const SPS: u8 = 33;
const PPS: u8 = 34;
const DELIMITER: u8 = 35;
const SEI: u8 = 39;
/// SEI payload type of words for people, as in H.264.
const UNREGISTERED: u8 = 5;
/// Bytes of a unit's own header.
const HEAD: usize = 2;

/// Parameter sets, and what had to be read of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hevc {
    vps: Vec<u8>,
    sps: Vec<u8>,
    pps: Vec<u8>,
    seen: Seen,
}

/// What a sequence parameter set says (ISO/IEC 23008-2, 7.3.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    /// Profile space, tier and profile.
    profile: u8,
    compatible: u32,
    constraints: [u8; 6],
    level: u8,
    chroma: u8,
    luma_depth: u8,
    chroma_depth: u8,
    layers: u8,
    nested: bool,
    /// Pictures by which decoding is ahead of presentation.
    reordered: u32,
}

impl Hevc {
    /// Takes the parameter sets out of an encoder's Annex B header. `None` when one is missing or cut.
    pub(super) fn read(header: &[u8]) -> Option<Self> {
        let of = |kind| units(header).find(|unit| kind_of(unit) == Some(kind)).map(<[u8]>::to_vec);
        let (vps, sps, pps) = (of(VPS)?, of(SPS)?, of(PPS)?);
        let seen = Seen::read(unescaped(&sps).get(HEAD..)?)?;
        Some(Self { vps, sps, pps, seen })
    }

    /// How many pictures decoding is ahead of presentation.
    pub(super) const fn reordered(&self) -> u32 {
        self.seen.reordered
    }

    /// ISO/IEC 14496-15, annex E.3: profile, compatibility with its bits turned round, tier and level, constraints without
    /// the zeros that end them.
    pub(super) fn codecs(&self) -> String {
        let seen = &self.seen;
        let space = ["", "A", "B", "C"][usize::from(seen.profile >> 6)];
        let tier = if seen.profile & 0x20 == 0 { 'L' } else { 'H' };
        let (profile, compatible) = (seen.profile & 0x1f, seen.compatible.reverse_bits());
        let mut text = format!("hvc1.{space}{profile}.{compatible:X}.{tier}{}", seen.level);
        let said = seen.constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        seen.constraints.iter().take(said).for_each(|byte| text += &format!(".{byte:X}"));
        text
    }

    /// HEVCDecoderConfigurationRecord (8.3.3.1), with all parameter sets: samples have none.
    pub(super) fn configuration(&self) -> Vec<u8> {
        let seen = &self.seen;
        let mut record = vec![1, seen.profile];
        record.extend_from_slice(&seen.compatible.to_be_bytes());
        record.extend_from_slice(&seen.constraints);
        // Slices are not told to be apart, nor pictures to be decodable in parallel; no average rate, no constant one.
        record.extend_from_slice(&[seen.level, 0xf0, 0, 0xfc, 0xfc | seen.chroma]);
        record.extend_from_slice(&[0xf8 | seen.luma_depth, 0xf8 | seen.chroma_depth, 0, 0]);
        // Lengths of samples have four bytes.
        record.push(seen.layers << 3 | u8::from(seen.nested) << 2 | 3);
        record.push(3);
        for (kind, set) in [(VPS, &self.vps), (SPS, &self.sps), (PPS, &self.pps)] {
            record.push(0x80 | kind);
            record.extend_from_slice(&[0, 1]);
            record.extend_from_slice(&(set.len() as u16).to_be_bytes());
            record.extend_from_slice(set);
        }
        record
    }
}

impl Seen {
    /// Reads a sequence parameter set up to how far pictures are out of order.
    fn read(set: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(set);
        bits.number(4)?;
        let more = bits.number(3)?;
        let nested = bits.bit()?;
        let (profile, compatible) = (bits.number(8)? as u8, bits.number(32)?);
        let mut constraints = [0; 6];
        for byte in &mut constraints {
            *byte = bits.number(8)? as u8;
        }
        let level = bits.number(8)? as u8;
        sub_layers(&mut bits, more)?;
        bits.exponential()?;
        let chroma = bits.exponential()?;
        if chroma == 3 {
            bits.bit()?;
        }
        // Width and height; what is cut off at each side.
        bits.exponential()?;
        bits.exponential()?;
        if bits.bit()? {
            (0..4).try_for_each(|_| bits.exponential().map(drop))?;
        }
        let (luma_depth, chroma_depth) = (bits.exponential()?, bits.exponential()?);
        bits.exponential()?;
        let each = bits.bit()?;
        let mut reordered = 0;
        // The last of them is that of the whole stream.
        for _ in 0..=if each { more } else { 0 } {
            bits.exponential()?;
            reordered = bits.exponential()?;
            bits.exponential()?;
        }
        let small = |number: u32| u8::try_from(number).ok().filter(|n| *n < 8);
        Some(Self {
            profile,
            compatible,
            constraints,
            level,
            chroma: small(chroma).filter(|c| *c < 4)?,
            luma_depth: small(luma_depth)?,
            chroma_depth: small(chroma_depth)?,
            layers: small(more + 1)?,
            nested,
            reordered: Some(reordered).filter(|n| *n <= 16)?,
        })
    }
}

/// Passes over what is said of each lower layer (7.3.3).
fn sub_layers(bits: &mut Bits<'_>, more: u32) -> Option<()> {
    let mut said = vec![];
    for _ in 0..more {
        said.push((bits.bit()?, bits.bit()?));
    }
    if more > 0 {
        bits.number(2 * (8 - more))?;
    }
    for (profile, level) in said {
        // Eleven bytes and one.
        bits.skip(8 * (11 * usize::from(profile) + usize::from(level)));
    }
    Some(())
}

/// An access unit as MP4 holds it. Parameter sets and delimiters are left out, since the header has them, as are the
/// encoder's words about itself.
pub(super) fn sample(access_unit: &[u8]) -> Vec<u8> {
    length_prefixed(access_unit, |unit| {
        let words = kind_of(unit) == Some(SEI) && unit.get(HEAD) == Some(&UNREGISTERED);
        !words && !matches!(kind_of(unit), None | Some(VPS | SPS | PPS | DELIMITER))
    })
}

fn kind_of(unit: &[u8]) -> Option<u8> {
    unit.first().map(|byte| byte >> 1 & 0x3f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The parameter sets that x265 makes for 160x120 with ten bits, PQ.
    const SETS: [&str; 3] = [
        "40010c01ffff02200000030090000003000003001e959809",
        "42010102200000030090000003000003001ea0142079365959a4932bc05a848804820000030002000003003210",
        "4401c172b42240",
    ];

    /// They behind start codes, as the encoder gives them.
    fn header() -> Vec<u8> {
        SETS.iter().flat_map(|set| [vec![0, 0, 0, 1], bytes(set)].concat()).collect()
    }

    /// The `hvcC` that FFmpeg writes of them.
    fn record() -> Vec<u8> {
        let [vps, sps, pps] = SETS;
        let head = "0102200000009000000000001ef000fcfdfafa00000f03";
        bytes(&format!("{head}a000010018{vps}a10001002d{sps}a200010007{pps}"))
    }

    fn bytes(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().map(|c| (c as char).to_digit(16).unwrap() as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    #[test]
    fn a_record_is_what_others_write() {
        let hevc = Hevc::read(&header()).unwrap();
        assert_eq!(hevc.codecs(), "hvc1.2.4.L30.90");
        assert_eq!(hevc.configuration(), record());
        assert_eq!(hevc.reordered(), 2);
    }

    #[test]
    fn a_string_says_space_tier_and_constraints() {
        let mut hevc = Hevc::read(&header()).unwrap();
        hevc.seen.profile = 0xa1;
        hevc.seen.compatible = 0x6000_0000;
        hevc.seen.constraints = [0xb0, 0, 3, 0, 0, 0];
        hevc.seen.level = 153;
        assert_eq!(hevc.codecs(), "hvc1.B1.6.H153.B0.0.3");
        hevc.seen.constraints = [0; 6];
        assert_eq!(hevc.codecs(), "hvc1.B1.6.H153");
    }

    #[test]
    fn samples_are_slices_alone() {
        let stream = [header(), vec![0, 0, 1, 0x4e, 1, 5, 9, 9, 0, 0, 1, 0x4e, 1, 1, 7, 0, 0, 1, 0x26, 1, 8]];
        assert_eq!(sample(&stream.concat()), [0, 0, 0, 4, 0x4e, 1, 1, 7, 0, 0, 0, 3, 0x26, 1, 8]);
    }

    proptest! {
        #[test]
        fn what_is_cut_or_spoilt_is_taken_without_panic(at in 0usize..90, byte: u8, length in 0usize..91) {
            let mut header = header();
            let at = at.min(header.len() - 1);
            header[at] = byte;
            if let Some(hevc) = Hevc::read(&header[..length.min(header.len())]) {
                prop_assert!(hevc.codecs().starts_with("hvc1."));
                prop_assert_eq!(hevc.configuration()[21] & 3, 3);
            }
        }
    }
}
