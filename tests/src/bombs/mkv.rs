//! Matroska elements.

/// An element: its id as it is written, and what it holds.
#[must_use]
pub fn element(id: u32, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out: Vec<u8> = id.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    // A length in eight bytes.
    out.extend_from_slice(&(length as u64 | 1 << 56).to_be_bytes());
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

/// An element that holds a number.
#[must_use]
pub fn number(id: u32, value: u64) -> Vec<u8> {
    element(id, &[&value.to_be_bytes()])
}

/// A track of pictures, 64 x 64, of a codec by Matroska's name; `extra` is further elements.
#[must_use]
pub fn track(id: u64, codec: &str, extra: &[u8]) -> Vec<u8> {
    let video = element(0xe0, &[&number(0xb0, 64), &number(0xba, 64)]);
    let name = element(0x86, &[codec.as_bytes()]);
    element(0xae, &[&number(0xd7, id), &number(0x73c5, id), &number(0x83, 1), &name, &video, extra])
}

/// The elements that say that a track's blocks are packed by zlib.
#[must_use]
pub fn packed_by_zlib() -> Vec<u8> {
    let compression = element(0x5034, &[&number(0x4254, 0)]);
    let encoding =
        element(0x6240, &[&number(0x5031, 0), &number(0x5032, 1), &number(0x5033, 0), &compression]);
    element(0x6d80, &[&encoding])
}

/// The private data that names a codec of Windows by its four letters.
#[must_use]
pub fn of_windows(letters: &[u8; 4]) -> Vec<u8> {
    let mut header = vec![];
    for value in [40u32, 64, 64, 1 | 24 << 16] {
        header.extend_from_slice(&value.to_le_bytes());
    }
    header.extend_from_slice(letters);
    header.extend_from_slice(&[0; 20]);
    element(0x63a2, &[&header])
}

/// A file of these tracks and of clusters with `blocks`, each of the first track.
#[must_use]
pub fn film(info: &[u8], tracks: &[u8], blocks: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let head = element(0x1a45_dfa3, &[&element(0x4282, &[b"matroska"])]);
    let info = element(0x1549_a966, &[&number(0x2ad7b1, 1_000_000), info]);
    let mut clusters = vec![];
    let mut blocks = blocks.zip(0u64..).peekable();
    while let Some((_, at)) = blocks.peek() {
        let mut body = number(0xe7, *at);
        for (block, within) in blocks.by_ref().take(1_000).map(|(block, _)| block).zip(0u16..) {
            let time = within.to_be_bytes();
            body.extend(element(0xa3, &[&[0x81, time[0], time[1], 0x80], &block]));
        }
        clusters.extend(element(0x1f43_b675, &[&body]));
    }
    [head, element(0x1853_8067, &[&info, &element(0x1654_ae6b, &[tracks]), &clusters])].concat()
}
