//! AES-128 over a whole segment (RFC 8216bis section 4.4.4.4): CBC with PKCS #7 padding, the segment's number as
//! initialization vector.

use aes::Aes128;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeEncrypt, KeyIvInit};

/// Bytes of a block.
const BLOCK: usize = 16;

/// Bytes of a sealed segment: whole blocks of 16, one more where the clear ones fill them (PKCS #7, RFC 5652 section 6.3).
#[must_use]
pub const fn sealed_bytes(clear: u64) -> u64 {
    let block = BLOCK as u64;
    (clear / block + 1) * block
}

/// Seals a segment. `number` is its media sequence number, and so its vector (RFC 8216bis section 5.2): with a
/// key for each rung no two segments share key and vector.
#[must_use]
pub fn seal(clear: &[u8], key: &[u8; 16], number: u32) -> Vec<u8> {
    let mut iv = [0; BLOCK];
    iv[12..].copy_from_slice(&number.to_be_bytes());
    let mut segment = Vec::with_capacity(clear.len() + BLOCK);
    segment.extend_from_slice(clear);
    segment.resize(clear.len() + BLOCK, 0);
    let cipher = cbc::Encryptor::<Aes128>::new(key.into(), &iv.into());
    let sealed = cipher.encrypt_padded::<Pkcs7>(&mut segment, clear.len()).map(<[u8]>::len);
    segment.truncate(sealed.expect("there is room for the padding"));
    segment
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// By blocks, without the code that encrypted.
    fn opened(sealed: &[u8], key: &[u8; 16], number: u32) -> Vec<u8> {
        use aes::cipher::{BlockCipherDecrypt, KeyInit};
        let cipher = Aes128::new(key.into());
        let mut before = u128::from(number).to_be_bytes();
        let mut clear = vec![];
        for block in sealed.chunks_exact(BLOCK) {
            let mut this: [u8; BLOCK] = block.try_into().unwrap();
            cipher.decrypt_block((&mut this).into());
            clear.extend(this.iter().zip(before).map(|(a, b)| a ^ b));
            before = block.try_into().unwrap();
        }
        let padding = usize::from(*clear.last().unwrap());
        assert!((1..=BLOCK).contains(&padding) && clear.ends_with(&vec![padding as u8; padding]));
        clear.truncate(clear.len() - padding);
        clear
    }

    #[test]
    fn a_vector_of_nist() {
        // SP 800-38A, F.2.1, first block, with a vector that is a number.
        let key: [u8; 16] = hex::decode("2b7e151628aed2a6abf7158809cf4f3c").unwrap().try_into().unwrap();
        let clear = hex::decode("6bc1bee22e409f96e93d7e117393172a").unwrap();
        // With vector 0 the first block is that of ECB (F.1.1).
        let sealed = seal(&clear, &key, 0);
        assert_eq!(hex::encode(&sealed[..16]), "3ad77bb40d7a3660a89ecaf32466ef97");
    }

    proptest! {
        #[test]
        fn what_is_opened_is_what_was_sealed(clear in prop::collection::vec(any::<u8>(), 0..200), key: [u8; 16], number: u32) {
            let sealed = seal(&clear, &key, number);
            prop_assert_eq!(sealed.len() as u64, sealed_bytes(clear.len() as u64));
            prop_assert_eq!(opened(&sealed, &key, number), clear);
        }
    }
}
