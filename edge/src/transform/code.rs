//! Bytes into a coding, in one go.

use super::Coding;
use brotli::enc::BrotliEncoderParams;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{self, Write};

/// zstd's own default: beyond it each step costs twice the time for a percent or two.
const ZSTD: i32 = 3;
/// The highest level of br whose speed is that of gzip's default; 6 and above take twice as long for 2 % less.
const BROTLI: i32 = 5;
/// gzip's own default.
const GZIP: u32 = 6;
/// Bits of br's window, its default: 4 MiB, as large as the largest body that is coded.
const BROTLI_WINDOW: i32 = 22;
/// A coded form that saves less than one part in this many is not worth a client's time.
const WORTH: usize = 16;

/// The bytes in a coding; `None` when that saves too little to be worth it.
///
/// # Errors
///
/// When the encoder fails, which only a lack of memory makes it do.
pub(super) fn encode(coding: Coding, bytes: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let coded = match coding {
        Coding::Zstd => zstd::bulk::compress(bytes, ZSTD)?,
        Coding::Brotli => brotli(bytes)?,
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(vec![], Compression::new(GZIP));
            encoder.write_all(bytes)?;
            encoder.finish()?
        }
    };
    let mut coded = Some(coded).filter(|coded| coded.len() < bytes.len() - bytes.len() / WORTH);
    coded.iter_mut().for_each(Vec::shrink_to_fit);
    Ok(coded)
}

fn brotli(mut bytes: &[u8]) -> io::Result<Vec<u8>> {
    let parameters = BrotliEncoderParams {
        quality: BROTLI,
        lgwin: BROTLI_WINDOW,
        size_hint: bytes.len(),
        ..Default::default()
    };
    let mut coded = vec![];
    brotli::BrotliCompress(&mut bytes, &mut coded, &parameters)?;
    Ok(coded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Read;

    fn decode(coding: Coding, coded: &[u8]) -> Vec<u8> {
        let mut bytes = vec![];
        match coding {
            Coding::Zstd => bytes = zstd::stream::decode_all(coded).unwrap(),
            Coding::Brotli => drop(brotli::Decompressor::new(coded, 4_096).read_to_end(&mut bytes).unwrap()),
            Coding::Gzip => drop(flate2::read::GzDecoder::new(coded).read_to_end(&mut bytes).unwrap()),
        }
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_coded_decodes_to_the_same(words in prop::collection::vec("[a-z]{1,6}", 100..400)) {
            let text = words.join(" ").repeat(3);
            for coding in Coding::ALL {
                let coded = encode(coding, text.as_bytes()).unwrap().expect("repeated text is worth it");
                prop_assert_eq!(decode(coding, &coded), text.as_bytes());
            }
        }
    }

    #[test]
    fn noise_is_not_worth_it() {
        let noise: Vec<u8> = (0..4_096).map(|_| rand::random()).collect();
        for coding in Coding::ALL {
            assert_eq!(encode(coding, &noise).unwrap(), None);
        }
    }
}
