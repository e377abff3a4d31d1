//! A PNG of which there is little more than its head.

/// Its head promises `side` x `side` pixels.
#[must_use]
pub fn square(side: u32) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    let head = [&b"IHDR"[..], &side.to_be_bytes(), &side.to_be_bytes(), b"\x08\x02\0\0\0"].concat();
    png.extend_from_slice(&head);
    png.extend_from_slice(&crc(&head).to_be_bytes());
    png.extend_from_slice(b"\0\0\x10\0IDATx\x9c");
    png.resize(4_200, 0);
    png
}

/// The checksum of a chunk's kind and content (PNG, third edition, annex D).
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 },
        )
    })
}
