//! What is encrypted of a range of bytes (ISO/IEC 23001-7, sections 9.6 and 9.7).

use aes::Aes128;
use cbc::cipher::{Block, BlockModeEncrypt, KeyIvInit};

/// Bytes of a block.
pub(super) const BLOCK: usize = 16;

/// Blocks that are encrypted, and blocks after them that are not.
pub(super) const VIDEO: Pattern = Pattern { encrypted: 1, clear: 9 };
/// Every whole block.
pub(super) const SOUND: Pattern = Pattern { encrypted: 0, clear: 0 };

/// Runs of blocks. Without any, all whole blocks are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pattern {
    pub(super) encrypted: u8,
    pub(super) clear: u8,
}

/// A key with the vector that each range begins with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cipher {
    pub(super) key: [u8; 16],
    pub(super) iv: [u8; 16],
}

impl Cipher {
    /// Encrypts a range in its place: the chain goes through the encrypted blocks, what is left of a block stays clear.
    pub(super) fn encrypt(&self, range: &mut [u8], pattern: Pattern) {
        let mut chain = cbc::Encryptor::<Aes128>::new(&self.key.into(), &self.iv.into());
        let (run, step) = match (usize::from(pattern.encrypted), usize::from(pattern.clear)) {
            (0, _) => (range.len().max(1), range.len().max(1)),
            (encrypted, clear) => (encrypted * BLOCK, (encrypted + clear) * BLOCK),
        };
        for part in range.chunks_mut(step) {
            let run = run.min(part.len());
            let (blocks, _) = Block::<cbc::Encryptor<Aes128>>::slice_as_chunks_mut(&mut part[..run]);
            chain.encrypt_blocks(blocks);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn only_what_the_pattern_says_changes(clear in prop::collection::vec(any::<u8>(), 0..700), key: [u8; 16], iv: [u8; 16], video: bool) {
            let mut sealed = clear.clone();
            let pattern = if video { VIDEO } else { SOUND };
            Cipher { key, iv }.encrypt(&mut sealed, pattern);
            for (at, (block, was)) in sealed.chunks(BLOCK).zip(clear.chunks(BLOCK)).enumerate() {
                let chosen = block.len() == BLOCK && (!video || at % 10 == 0);
                prop_assert_eq!(block != was, chosen, "block {}", at);
            }
        }
    }
}
