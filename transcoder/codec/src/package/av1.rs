//! AV1: its sequence header in a track's header, and what of a temporal unit is kept (AV1 Codec ISO Media File Format
//! Binding; sections of the AV1 Bitstream and Decoding Process Specification).

use super::bits::Bits;

/// Types of OBUs (6.2.2).
const SEQUENCE: u8 = 1;
const DELIMITER: u8 = 2;
const PADDING: u8 = 15;
/// That a choice is made frame by frame (6.4.2).
const SELECT: u32 = 2;

/// A sequence header, and what had to be read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Av1 {
    /// The whole OBU.
    header: Vec<u8>,
    seen: Seen,
}

/// What a sequence header says (5.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    profile: u8,
    level: u8,
    high_tier: bool,
    colour: Colour,
}

/// `color_config()` (5.5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Colour {
    high_depth: bool,
    twelve_bits: bool,
    grey: bool,
    /// Primaries, transfer, matrix.
    cicp: [u8; 3],
    full: bool,
    halved: (bool, bool),
    position: u8,
}

impl Av1 {
    /// Takes the sequence header out of what an encoder says at first. `None` when there is none, or it is cut.
    pub(super) fn read(header: &[u8]) -> Option<Self> {
        let unit = units(header).find(|unit| unit.kind == SEQUENCE)?;
        Some(Self { header: unit.whole.to_vec(), seen: Seen::read(unit.body)? })
    }

    /// `av01.` and profile, level with tier, depth; the rest, which is all or nothing, where it is not what is assumed.
    pub(super) fn codecs(&self) -> String {
        let Seen { profile, level, high_tier, colour } = self.seen;
        let (tier, depth) = (if high_tier { 'H' } else { 'M' }, colour.depth());
        let short = format!("av01.{profile}.{level:02}{tier}.{depth:02}");
        let Colour { grey, cicp: [primaries, transfer, matrix], full, halved: (x, y), position, .. } = colour;
        let (usual, both) = (!grey && x && y && position == 0 && !full, x && y);
        if usual && colour.cicp == [1, 1, 1] {
            return short;
        }
        let (grey, x, y, full) = (u8::from(grey), u8::from(x), u8::from(y), u8::from(full));
        let position = if both { position } else { 0 };
        format!("{short}.{grey}.{x}{y}{position}.{primaries:02}.{transfer:02}.{matrix:02}.{full}")
    }

    /// AV1CodecConfigurationRecord (2.3.3 of the binding), with the sequence header.
    pub(super) fn configuration(&self) -> Vec<u8> {
        let Seen { profile, level, high_tier, colour } = self.seen;
        let bit = |set: bool, at: u32| u8::from(set) << at;
        let flags = bit(high_tier, 7) | bit(colour.high_depth, 6) | bit(colour.twelve_bits, 5);
        let chroma = bit(colour.grey, 4) | bit(colour.halved.0, 3) | bit(colour.halved.1, 2);
        let mut record = vec![0x81, profile << 5 | level, flags | chroma | colour.position, 0];
        record.extend_from_slice(&self.header);
        record
    }
}

impl Colour {
    const fn depth(self) -> u8 {
        match (self.high_depth, self.twelve_bits) {
            (false, _) => 8,
            (true, false) => 10,
            (true, true) => 12,
        }
    }

    fn read(bits: &mut Bits<'_>, profile: u8) -> Option<Self> {
        let high_depth = bits.bit()?;
        let twelve_bits = profile == 2 && high_depth && bits.bit()?;
        let grey = profile != 1 && bits.bit()?;
        let cicp = if bits.bit()? {
            [bits.number(8)? as u8, bits.number(8)? as u8, bits.number(8)? as u8]
        } else {
            // Unspecified.
            [2, 2, 2]
        };
        let made = |full, halved, position| {
            Some(Self { high_depth, twelve_bits, grey, cicp, full, halved, position })
        };
        if grey {
            return made(bits.bit()?, (true, true), 0);
        }
        if cicp == [1, 13, 0] {
            return made(true, (false, false), 0);
        }
        let full = bits.bit()?;
        let halved = match profile {
            0 => (true, true),
            1 => (false, false),
            _ if twelve_bits => {
                let across = bits.bit()?;
                (across, across && bits.bit()?)
            }
            _ => (true, false),
        };
        let position = if halved == (true, true) { bits.number(2)? as u8 } else { 0 };
        made(full, halved, position)
    }
}

impl Seen {
    fn read(header: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(header);
        let profile = bits.number(3)? as u8;
        bits.bit()?;
        let still = bits.bit()?;
        let (level, high_tier) =
            if still { (bits.number(5)? as u8, false) } else { operating_points(&mut bits)? };
        let (across, down) = (bits.number(4)? + 1, bits.number(4)? + 1);
        bits.number(across)?;
        bits.number(down)?;
        if !still && bits.bit()? {
            // Frames have ids of these lengths.
            bits.number(7)?;
        }
        // Superblocks of 128, intra filters, intra edge filters.
        bits.number(3)?;
        if !still {
            tools(&mut bits)?;
        }
        // Superresolution, CDEF, restoration.
        bits.number(3)?;
        let colour = Colour::read(&mut bits, profile)?;
        Some(Self { profile, level, high_tier, colour })
    }
}

/// Passes over clocks and operating points; gives the first one's level and tier.
fn operating_points(bits: &mut Bits<'_>) -> Option<(u8, bool)> {
    let (mut delay_bits, clocked) = (None, bits.bit()?);
    if clocked {
        bits.number(32)?;
        bits.number(32)?;
        if bits.bit()? {
            bits.exponential()?;
        }
        if bits.bit()? {
            delay_bits = Some(bits.number(5)? + 1);
            bits.number(32)?;
            bits.number(10)?;
        }
    }
    let (delayed, points) = (bits.bit()?, bits.number(5)? + 1);
    let mut first = None;
    for _ in 0..points {
        bits.number(12)?;
        let level = bits.number(5)? as u8;
        let high_tier = level > 7 && bits.bit()?;
        first = first.or(Some((level, high_tier)));
        if let Some(length) = delay_bits
            && bits.bit()?
        {
            bits.number(length)?;
            bits.number(length)?;
            bits.bit()?;
        }
        if delayed && bits.bit()? {
            bits.number(4)?;
        }
    }
    first
}

/// Passes over the tools of pictures that depend on others.
fn tools(bits: &mut Bits<'_>) -> Option<()> {
    // Compound prediction by masks, warped motion, dual filters.
    bits.number(4)?;
    let ordered = bits.bit()?;
    if ordered {
        bits.number(2)?;
    }
    let screen = if bits.bit()? { SELECT } else { u32::from(bits.bit()?) };
    // Whole-pel motion, which may be a choice likewise, matters to screens' contents alone.
    if screen > 0 && !bits.bit()? {
        bits.bit()?;
    }
    if ordered {
        bits.number(3)?;
    }
    Some(())
}

/// An OBU: its type, its contents, and all of it.
struct Unit<'b> {
    kind: u8,
    body: &'b [u8],
    whole: &'b [u8],
}

/// The OBUs of a stream (5.3). What is cut, or the last without a length, ends it.
fn units(mut stream: &[u8]) -> impl Iterator<Item = Unit<'_>> {
    std::iter::from_fn(move || {
        let head = *stream.first()?;
        let (kind, extended, sized) = (head >> 3 & 0xf, head & 4 != 0, head & 2 != 0);
        let before = 1 + usize::from(extended);
        let (size, length) =
            if sized { leb128(stream.get(before..)?)? } else { (stream.len().checked_sub(before)?, 0) };
        let end = before.checked_add(length)?.checked_add(size)?;
        let (whole, rest) = stream.split_at_checked(end)?;
        stream = rest;
        Some(Unit { kind, body: whole.get(before + length..)?, whole })
    })
}

/// A number in seven bits a byte (4.10.5), and its bytes.
fn leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut number = 0;
    for (at, byte) in bytes.iter().take(8).enumerate() {
        number |= usize::from(byte & 0x7f).checked_shl(7 * at as u32)?;
        if byte & 0x80 == 0 {
            return Some((number, at + 1));
        }
    }
    None
}

/// A temporal unit as MP4 holds it: without its delimiter and padding (2.4 of the binding). A sequence header stays where a
/// keyframe has one, as players ask for.
pub(super) fn sample(temporal_unit: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(temporal_unit.len());
    for unit in units(temporal_unit).filter(|unit| !matches!(unit.kind, DELIMITER | PADDING)) {
        out.extend_from_slice(unit.whole);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What SVT-AV1 says of 160x120 with ten bits, PQ.
    const HEADER: [u8; 15] =
        [0x0a, 0x0d, 0, 0, 0, 0x03, 0xb4, 0xff, 0x70, 0x0b, 0xe1, 0x42, 0x44, 0x02, 0x41];

    #[test]
    fn a_record_and_a_string_say_what_the_header_does() {
        let av1 = Av1::read(&HEADER).unwrap();
        assert_eq!(av1.codecs(), "av01.0.00M.10.0.110.09.16.09.0");
        assert_eq!(av1.configuration()[..4], [0x81, 0, 0x4c, 0]);
        assert_eq!(av1.configuration()[4..], HEADER);
    }

    #[test]
    fn usual_colours_are_left_out_and_others_said_whole() {
        let mut av1 = Av1::read(&HEADER).unwrap();
        let colour = &mut av1.seen.colour;
        (colour.high_depth, colour.cicp, colour.position, colour.full) = (false, [1, 1, 1], 0, false);
        (av1.seen.level, av1.seen.high_tier) = (13, true);
        assert_eq!(av1.codecs(), "av01.0.13H.08");
        av1.seen.colour.full = true;
        assert_eq!(av1.codecs(), "av01.0.13H.08.0.110.01.01.01.1");
        av1.seen.colour.grey = true;
        assert_eq!(av1.codecs(), "av01.0.13H.08.1.110.01.01.01.1");
    }

    #[test]
    fn samples_have_neither_delimiters_nor_padding() {
        let unit =
            [&[0x12, 0][..], &HEADER, &[0x32, 3, 1, 2, 3], &[0x7a, 1, 0], &[0x36, 0, 2, 9, 9], &[0x30, 7]];
        let kept = [&HEADER[..], &[0x32, 3, 1, 2, 3], &[0x36, 0, 2, 9, 9], &[0x30, 7]];
        assert_eq!(sample(&unit.concat()), kept.concat());
        assert_eq!(sample(&[0x32, 9, 1]), [0; 0], "cut");
        assert_eq!(leb128(&[0xe5, 0x8e, 0x26]), Some((624_485, 3)));
    }

    proptest! {
        #[test]
        fn what_is_cut_or_spoilt_is_taken_without_panic(stream in prop::collection::vec(any::<u8>(), 0..60)) {
            prop_assert!(sample(&stream).len() <= stream.len());
            let mut header = HEADER.to_vec();
            header.iter_mut().skip(2).zip(&stream).for_each(|(byte, other)| *byte ^= other);
            if let Some(av1) = Av1::read(&header) {
                prop_assert!(av1.codecs().starts_with("av01."));
                prop_assert_eq!(&av1.configuration()[4..], &header[..]);
            }
        }
    }
}
