//! Bits of a NAL unit (ISO/IEC 14496-10, sections 7.3.1 and 9.1): without the bytes that keep start codes out of it.

use super::Unsealable;

/// Reads bits, first the high ones.
#[derive(Debug, Clone)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// Of the next byte.
    at: usize,
    /// The byte that is being read, and how many of its bits are left.
    byte: u8,
    left: u32,
    zeros: u32,
}

impl<'a> Bits<'a> {
    /// Of a unit behind its first byte.
    pub(super) const fn new(unit: &'a [u8]) -> Self {
        Self { bytes: unit, at: 1, byte: 0, left: 0, zeros: 0 }
    }

    /// Bytes of the unit that have been looked at, the last perhaps in part.
    pub(super) const fn bytes_read(&self) -> usize {
        self.at
    }

    pub(super) fn bit(&mut self) -> Result<bool, Unsealable> {
        if self.left == 0 {
            self.next_byte()?;
        }
        self.left -= 1;
        Ok(self.byte >> self.left & 1 == 1)
    }

    fn next_byte(&mut self) -> Result<(), Unsealable> {
        let next = |at: usize| self.bytes.get(at).copied().ok_or(Unsealable("a NAL unit ends early"));
        let mut byte = next(self.at)?;
        self.at += 1;
        if self.zeros >= 2 && byte == 3 {
            byte = next(self.at)?;
            self.at += 1;
            self.zeros = 0;
        }
        self.zeros = if byte == 0 { self.zeros + 1 } else { 0 };
        (self.byte, self.left) = (byte, 8);
        Ok(())
    }

    /// u(n), at most 32 bits.
    pub(super) fn number(&mut self, bits: u32) -> Result<u32, Unsealable> {
        (0..bits.min(32)).try_fold(0, |sum, _| Ok(sum << 1 | u32::from(self.bit()?)))
    }

    pub(super) fn skip(&mut self, bits: u32) -> Result<(), Unsealable> {
        (0..bits).try_for_each(|_| self.bit().map(drop))
    }

    /// ue(v).
    pub(super) fn unsigned(&mut self) -> Result<u32, Unsealable> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros == 32 {
                return Err(Unsealable("a number of a NAL unit is too large"));
            }
        }
        Ok((1 << zeros) - 1 + self.number(zeros)?)
    }

    /// se(v), of which only the length counts here.
    pub(super) fn skip_signed(&mut self) -> Result<(), Unsealable> {
        self.unsigned().map(drop)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Writes what [`Bits`] reads.
    #[derive(Debug, Default, Clone)]
    pub(in super::super) struct Writer(pub(in super::super) Vec<bool>);

    impl Writer {
        pub(in super::super) fn put(&mut self, value: u32, bits: u32) {
            self.0.extend((0..bits).rev().map(|bit| value >> bit & 1 == 1));
        }

        pub(in super::super) fn ue(&mut self, value: u32) {
            let code = u64::from(value) + 1;
            let bits = 64 - code.leading_zeros();
            self.0.extend(vec![false; bits as usize - 1]);
            self.0.extend((0..bits).rev().map(|bit| code >> bit & 1 == 1));
        }

        /// A unit with emulation prevention, and its bytes up to the last bit written here; then the data, as they are.
        pub(in super::super) fn unit(&self, first: u8, data: &[u8]) -> (Vec<u8>, usize) {
            let byte =
                |bits: &[bool]| (0..8).fold(0, |sum, n| sum << 1 | u8::from(bits.get(n) == Some(&true)));
            let (mut out, mut zeros) = (vec![first], 0);
            for plain in self.0.chunks(8).map(byte) {
                if zeros >= 2 && plain <= 3 {
                    out.push(3);
                    zeros = 0;
                }
                zeros = if plain == 0 { zeros + 1 } else { 0 };
                out.push(plain);
            }
            let head = out.len();
            out.extend_from_slice(data);
            (out, head)
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(values in prop::collection::vec((0u32..1 << 31, 1u32..32), 1..20)) {
            let mut writer = Writer::default();
            for (value, bits) in &values {
                writer.put(value & ((1 << bits) - 1), *bits);
                writer.ue(*value);
            }
            let (unit, head) = writer.unit(0x65, &[]);
            let mut bits = Bits::new(&unit);
            for (value, width) in &values {
                prop_assert_eq!(bits.number(*width), Ok(value & ((1 << width) - 1)));
                prop_assert_eq!(bits.unsigned(), Ok(*value));
            }
            prop_assert_eq!(bits.bytes_read(), head);
        }

        #[test]
        fn any_bytes_end(unit in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut bits = Bits::new(&unit);
            while bits.unsigned().is_ok() {}
            prop_assert!(bits.bytes_read() <= unit.len().max(1) + 1);
        }
    }
}
