//! Bits of a header, from the highest of each byte on.

/// A place in bytes.
#[derive(Debug, Clone)]
pub(super) struct Bits<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Bits<'b> {
    pub(super) const fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// One bit; `None` at the end.
    pub(super) fn bit(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// A number of so many bits, at most 32.
    pub(super) fn number(&mut self, bits: u32) -> Option<u32> {
        (0..bits).try_fold(0, |sum: u32, _| Some(sum << 1 | u32::from(self.bit()?)))
    }

    /// Passes over bits.
    pub(super) const fn skip(&mut self, bits: usize) {
        self.at += bits;
    }

    /// `ue(v)` (ISO/IEC 23008-2, 9.2) and `uvlc()` (AV1, 4.10.3): as many zeros as the number has bits behind its first.
    pub(super) fn exponential(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1_u32 << zeros) - 1 + self.number(zeros)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_read_across_bytes() {
        let mut bits = Bits::new(&[0b1010_0110, 0b1100_0000]);
        assert_eq!((bits.bit(), bits.number(3), bits.exponential()), (Some(true), Some(2), Some(2)));
        assert_eq!((bits.exponential(), bits.number(9)), (Some(2), None));
        assert_eq!(Bits::new(&[0; 9]).exponential(), None);
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(numbers in prop::collection::vec(0..u32::MAX >> 1, 1..20)) {
            let text: String = numbers.iter().map(|n| {
                let coded = format!("{:b}", n + 1);
                "0".repeat(coded.len() - 1) + &coded
            }).collect();
            let bytes: Vec<u8> = text.as_bytes().chunks(8)
                .map(|c| c.iter().chain(b"0000000").take(8).fold(0, |sum, b| sum << 1 | (b - b'0')))
                .collect();
            let mut bits = Bits::new(&bytes);
            for number in numbers {
                prop_assert_eq!(bits.exponential(), Some(number));
            }
        }
    }
}
