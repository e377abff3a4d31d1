//! Sums of a body, block by block: a range is verified without reading much beside it. Pure.

use xxhash_rust::xxh3::xxh3_64;

/// Bytes that have a sum of their own.
pub(super) const BLOCK: usize = 64 << 10;

/// The sums of a body that comes in pieces, block by block.
#[derive(Debug, Default)]
pub(super) struct Sums {
    done: Vec<u64>,
    block: Vec<u8>,
}

impl Sums {
    pub(super) fn push(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            if self.block.is_empty() && piece.len() >= BLOCK {
                let (block, rest) = piece.split_at(BLOCK);
                self.done.push(xxh3_64(block));
                piece = rest;
                continue;
            }
            let (taken, rest) = piece.split_at(piece.len().min(BLOCK - self.block.len()));
            self.block.extend_from_slice(taken);
            piece = rest;
            if self.block.len() == BLOCK {
                self.done.push(xxh3_64(&self.block));
                self.block.clear();
            }
        }
    }

    pub(super) fn finish(mut self) -> Box<[u64]> {
        if !self.block.is_empty() {
            self.done.push(xxh3_64(&self.block));
        }
        self.done.into()
    }
}

/// True when whole blocks, the first of them number `first`, are what was written.
pub(super) fn is_sound(bytes: &[u8], first: usize, sums: &[u64]) -> bool {
    bytes.chunks(BLOCK).enumerate().all(|(i, block)| sums.get(first + i) == Some(&xxh3_64(block)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn sums_do_not_depend_on_the_pieces_and_miss_no_changed_byte(
            pieces in prop::collection::vec(0usize..150_000, 0..5),
            flipped in any::<prop::sample::Index>(),
        ) {
            let total: usize = pieces.iter().sum();
            let mut body: Vec<u8> = (0..total).map(|i| (i * 31 % 251) as u8).collect();
            let mut sums = Sums::default();
            let mut at = 0;
            for piece in pieces {
                sums.push(&body[at..at + piece]);
                at += piece;
            }
            let sums = sums.finish();
            prop_assert_eq!(sums.len(), total.div_ceil(BLOCK));
            prop_assert!(is_sound(&body, 0, &sums));
            if total > 0 {
                body[flipped.index(total)] ^= 4;
                prop_assert!(!is_sound(&body, 0, &sums));
            }
        }
    }
}
