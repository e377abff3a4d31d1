//! H.264: where a slice's header ends (ISO/IEC 14496-10, section 7.3.3). It stays clear, what follows is the picture.
//!
//! How long a header is depends on the parameter sets. Those are read out of the track's header, once.

use super::Unsealable;
use super::bits::Bits;

/// NAL unit types (table 7-1): slices, of pictures that can be begun with and of others.
const SLICE: u8 = 1;
const IDR: u8 = 5;

/// Profiles whose sequence parameter sets say more of colours (section 7.3.2.1.1).
const HIGH: [u8; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

/// Reference pictures that a slice may have (section 7.4.3).
const MAX_REFERENCES: u32 = 32;

/// What a sequence parameter set says that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sequence {
    /// 0 where there are no colours, or each is a picture of its own.
    chroma: u32,
    separate_planes: bool,
    frame_num_bits: u32,
    order: Order,
    frames_only: bool,
}

/// How the order of pictures is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Lsb(u32),
    Deltas { always_zero: bool },
    Decoding,
}

/// What a picture parameter set says that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Picture {
    cabac: bool,
    field_order: bool,
    references: [u32; 2],
    weighted: bool,
    weighted_both: u32,
    deblocking: bool,
    redundant: bool,
}

/// A track's parameter sets: one of each, as the packager writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sets {
    sequence: Sequence,
    picture: Picture,
    /// Bytes of the length before each NAL unit.
    pub(super) length_bytes: usize,
}

impl Sets {
    /// Out of an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, section 5.3.3.1).
    pub(super) fn read(record: &[u8]) -> Result<Self, Unsealable> {
        const CUT: Unsealable = Unsealable("avcC is cut");
        let length_bytes = usize::from(record.get(4).ok_or(CUT)? & 3) + 1;
        let mut rest = record.get(5..).ok_or(CUT)?;
        let mut set = |mask: u8| {
            let (count, after) = rest.split_first().ok_or(CUT)?;
            if count & mask != 1 {
                return Err(Unsealable("avcC has not one parameter set of each kind"));
            }
            let (size, after) = after.split_first_chunk().ok_or(CUT)?;
            let (set, after) = after.split_at_checked(u16::from_be_bytes(*size).into()).ok_or(CUT)?;
            rest = after;
            Ok(set)
        };
        let (sequence, picture) = (sequence(set(0x1f)?)?, picture(set(0xff)?)?);
        Ok(Self { sequence, picture, length_bytes })
    }

    /// Bytes of a NAL unit that stay clear: the header of a slice, all of anything else.
    pub(super) fn clear_bytes(&self, unit: &[u8]) -> Result<usize, Unsealable> {
        let first = *unit.first().ok_or(Unsealable("a NAL unit is empty"))?;
        match first & 0x1f {
            SLICE | IDR => self.slice_header(unit, first),
            // Partitions and extensions of other profiles.
            2..=4 | 14 | 20 | 21 => Err(Unsealable("a NAL unit of a kind that is not made here")),
            _ => Ok(unit.len()),
        }
    }

    fn slice_header(&self, unit: &[u8], first: u8) -> Result<usize, Unsealable> {
        let (idr, reference) = (first & 0x1f == IDR, first >> 5 & 3 != 0);
        let mut bits = Bits::new(unit);
        bits.unsigned()?;
        let kind = Kind::of(bits.unsigned()?)?;
        bits.unsigned()?;
        if self.sequence.separate_planes {
            bits.skip(2)?;
        }
        bits.skip(self.sequence.frame_num_bits)?;
        self.picture_order(&mut bits, idr)?;
        if self.picture.redundant {
            bits.unsigned()?;
        }
        self.references(&mut bits, kind)?;
        if reference {
            marking(&mut bits, idr)?;
        }
        if self.picture.cabac && kind != Kind::I {
            bits.unsigned()?;
        }
        bits.skip_signed()?;
        if self.picture.deblocking && bits.unsigned()? != 1 {
            bits.skip_signed()?;
            bits.skip_signed()?;
        }
        Ok(bits.bytes_read())
    }

    fn picture_order(&self, bits: &mut Bits<'_>, idr: bool) -> Result<(), Unsealable> {
        let field = !self.sequence.frames_only && bits.bit()?;
        if field {
            bits.skip(1)?;
        }
        if idr {
            bits.unsigned()?;
        }
        let both = self.picture.field_order && !field;
        match self.sequence.order {
            Order::Lsb(width) => {
                bits.skip(width)?;
                if both {
                    bits.skip_signed()?;
                }
            }
            Order::Deltas { always_zero: false } => {
                bits.skip_signed()?;
                if both {
                    bits.skip_signed()?;
                }
            }
            Order::Deltas { always_zero: true } | Order::Decoding => {}
        }
        Ok(())
    }

    /// How many references there are, in which order and with which weights.
    fn references(&self, bits: &mut Bits<'_>, kind: Kind) -> Result<(), Unsealable> {
        if kind == Kind::I {
            return Ok(());
        }
        let lists = if kind == Kind::B { 2 } else { 1 };
        if kind == Kind::B {
            bits.skip(1)?;
        }
        let mut counts = self.picture.references;
        if bits.bit()? {
            for count in counts.iter_mut().take(lists) {
                *count = bits.unsigned()?.saturating_add(1);
            }
        }
        if counts.iter().any(|count| *count > MAX_REFERENCES) {
            return Err(Unsealable("a slice with too many references"));
        }
        for _ in 0..lists {
            if bits.bit()? {
                while bits.unsigned()? != 3 {
                    bits.unsigned()?;
                }
            }
        }
        let weighted = match kind {
            Kind::P => self.picture.weighted,
            Kind::B => self.picture.weighted_both == 1,
            Kind::I => false,
        };
        if weighted { self.weights(bits, counts.get(..lists).unwrap_or_default()) } else { Ok(()) }
    }

    fn weights(&self, bits: &mut Bits<'_>, counts: &[u32]) -> Result<(), Unsealable> {
        let colours = self.sequence.chroma != 0;
        bits.unsigned()?;
        if colours {
            bits.unsigned()?;
        }
        for _ in 0..counts.iter().sum::<u32>() {
            if bits.bit()? {
                (0..2).try_for_each(|_| bits.skip_signed())?;
            }
            if colours && bits.bit()? {
                (0..4).try_for_each(|_| bits.skip_signed())?;
            }
        }
        Ok(())
    }
}

/// What a slice is predicted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    P,
    B,
    I,
}

impl Kind {
    fn of(slice_type: u32) -> Result<Self, Unsealable> {
        match slice_type % 5 {
            0 => Ok(Self::P),
            1 => Ok(Self::B),
            2 => Ok(Self::I),
            _ => Err(Unsealable("a slice of a kind that is not made here")),
        }
    }
}

/// dec_ref_pic_marking (section 7.3.3.3).
fn marking(bits: &mut Bits<'_>, idr: bool) -> Result<(), Unsealable> {
    if idr {
        return bits.skip(2);
    }
    if !bits.bit()? {
        return Ok(());
    }
    loop {
        let numbers = match bits.unsigned()? {
            0 => return Ok(()),
            1 | 2 | 4 | 6 => 1,
            3 => 2,
            5 => 0,
            _ => return Err(Unsealable("an operation on references that there is not")),
        };
        for _ in 0..numbers {
            bits.unsigned()?;
        }
    }
}

fn sequence(unit: &[u8]) -> Result<Sequence, Unsealable> {
    let mut bits = Bits::new(unit);
    let profile = bits.number(8)? as u8;
    bits.skip(16)?;
    bits.unsigned()?;
    let (mut chroma, mut separate_planes) = (1, false);
    if HIGH.contains(&profile) {
        chroma = bits.unsigned()?;
        separate_planes = chroma == 3 && bits.bit()?;
        bits.unsigned()?;
        bits.unsigned()?;
        bits.skip(1)?;
        if bits.bit()? {
            return Err(Unsealable("scaling matrices are not made here"));
        }
    }
    let frame_num_bits = width(bits.unsigned()?)?;
    let order = match bits.unsigned()? {
        0 => Order::Lsb(width(bits.unsigned()?)?),
        1 => {
            let always_zero = bits.bit()?;
            bits.skip_signed()?;
            bits.skip_signed()?;
            (0..bits.unsigned()?.min(255)).try_for_each(|_| bits.skip_signed())?;
            Order::Deltas { always_zero }
        }
        _ => Order::Decoding,
    };
    bits.unsigned()?;
    bits.skip(1)?;
    bits.unsigned()?;
    bits.unsigned()?;
    let frames_only = bits.bit()?;
    let chroma = if separate_planes { 0 } else { chroma };
    Ok(Sequence { chroma, separate_planes, frame_num_bits, order, frames_only })
}

/// The width of a number that is given as its logarithm less 4, at most 12 (section 7.4.2.1.1).
fn width(log: u32) -> Result<u32, Unsealable> {
    if log <= 12 { Ok(log + 4) } else { Err(Unsealable("a parameter set with too wide a number")) }
}

fn picture(unit: &[u8]) -> Result<Picture, Unsealable> {
    let mut bits = Bits::new(unit);
    bits.unsigned()?;
    bits.unsigned()?;
    let (cabac, field_order) = (bits.bit()?, bits.bit()?);
    if bits.unsigned()? != 0 {
        return Err(Unsealable("groups of slices are not made here"));
    }
    let references = [bits.unsigned()?.saturating_add(1), bits.unsigned()?.saturating_add(1)];
    let (weighted, weighted_both) = (bits.bit()?, bits.number(2)?);
    (0..3).try_for_each(|_| bits.skip_signed())?;
    let deblocking = bits.bit()?;
    bits.skip(1)?;
    let redundant = bits.bit()?;
    Ok(Picture { cabac, field_order, references, weighted, weighted_both, deblocking, redundant })
}
