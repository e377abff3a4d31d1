//! What a CMAF header and its segments say of themselves (ISO/IEC 14496-12, 14496-15), read by other code than wrote them.

/// A box: its type and what is in it.
type Box<'a> = ([u8; 4], &'a [u8]);

/// The boxes of a body, one after another; the last may be cut.
#[must_use]
pub fn boxes(mut bytes: &[u8]) -> Vec<Box<'_>> {
    let mut all = vec![];
    while bytes.len() >= 8 {
        let size = number(bytes, 0, 4) as usize;
        assert!(size >= 8, "a box of {size} bytes");
        let (this, rest) = bytes.split_at(size.min(bytes.len()));
        all.push((this[4..8].try_into().unwrap(), &this[8..]));
        bytes = rest;
    }
    all
}

fn find<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    path.iter().try_fold(bytes, |body, kind| {
        boxes(body).into_iter().find(|(found, _)| found == *kind).map(|(_, body)| body)
    })
}

fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    bytes[at..at + length].iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}

/// A track as its header describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// RFC 6381, from the sample entry.
    pub codecs: String,
    /// Ticks a second.
    pub timescale: u64,
    /// Width and height of a picture.
    pub size: Option<(u64, u64)>,
    /// Channels of sound; 0 of a picture.
    pub channels: u64,
}

/// Reads a header; a panic where it is none.
#[must_use]
pub fn header(init: &[u8]) -> Header {
    let media = find(init, &[b"moov", b"trak", b"mdia"]).expect("a track");
    let mdhd = find(media, &[b"mdhd"]).unwrap();
    let timescale = number(mdhd, if mdhd[0] == 1 { 20 } else { 12 }, 4);
    let entries = find(media, &[b"minf", b"stbl", b"stsd"]).unwrap();
    let all = boxes(&entries[8..]);
    assert_eq!(all.len(), 1, "one sample entry");
    let (kind, entry) = all[0];
    match &original(kind, entry) {
        b"avc1" => {
            // Visual sample entries have 78 bytes before their boxes.
            let config = find(&entry[78..], &[b"avcC"]).unwrap();
            let codecs = format!("avc1.{:02X}{:02X}{:02X}", config[1], config[2], config[3]);
            Header {
                codecs,
                timescale,
                size: Some((number(entry, 24, 2), number(entry, 26, 2))),
                channels: 0,
            }
        }
        b"mp4a" => {
            let esds = find(&entry[28..], &[b"esds"]).unwrap();
            let (object, audio) = descriptors(esds);
            Header {
                codecs: format!("mp4a.{object:x}.{audio}"),
                timescale,
                size: None,
                channels: number(entry, 16, 2),
            }
        }
        other => panic!("a sample entry of {:?}", String::from_utf8_lossy(other)),
    }
}

/// The type of a sample entry; of an encrypted one what it was before (ISO/IEC 14496-12, section 8.12.2).
fn original(kind: [u8; 4], entry: &[u8]) -> [u8; 4] {
    let before = match &kind {
        b"encv" => &entry[78..],
        b"enca" => &entry[28..],
        _ => return kind,
    };
    find(before, &[b"sinf", b"frma"]).expect("an original format").try_into().unwrap()
}

/// Object type indication, and audio object type of the DecoderSpecificInfo.
fn descriptors(esds: &[u8]) -> (u8, u8) {
    let mut rest = &esds[4..];
    let mut object = 0;
    loop {
        let tag = rest[0];
        // Lengths have seven bits a byte, the last without the eighth.
        let length = 1 + rest[1..].iter().take_while(|&&byte| byte & 0x80 != 0).count();
        rest = &rest[1 + length..];
        match tag {
            3 => rest = &rest[3..],
            4 => {
                object = rest[0];
                rest = &rest[13..];
            }
            5 => return (object, rest[0] >> 3),
            other => panic!("a descriptor {other}"),
        }
    }
}

/// A fragment: `moof` and the beginning of its `mdat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// Decoding time of its first sample, in ticks.
    pub start: u64,
    /// Sum of its samples' durations.
    pub duration: u64,
    /// True when its first coded picture is an IDR of H.264.
    pub idr: bool,
}

/// The fragments of a segment, or of a range of one.
#[must_use]
pub fn fragments(bytes: &[u8]) -> Vec<Fragment> {
    let all = boxes(bytes);
    let pairs = all.windows(2).filter(|pair| &pair[0].0 == b"moof" && &pair[1].0 == b"mdat");
    pairs
        .map(|pair| {
            let traf = find(pair[0].1, &[b"traf"]).expect("a track fragment");
            let tfdt = find(traf, &[b"tfdt"]).unwrap();
            let start = number(tfdt, 4, if tfdt[0] == 1 { 8 } else { 4 });
            Fragment { start, duration: duration(traf), idr: idr(pair[1].1) }
        })
        .collect()
}

fn duration(traf: &[u8]) -> u64 {
    let (tfhd, trun) = (find(traf, &[b"tfhd"]).unwrap(), find(traf, &[b"trun"]).unwrap());
    let flags = number(tfhd, 1, 3);
    let before = [(0x1, 8), (0x2, 4)].iter().filter(|(flag, _)| flags & flag != 0).map(|(_, size)| size);
    let default = if flags & 0x8 != 0 { number(tfhd, 8 + before.sum::<usize>(), 4) } else { 0 };
    let (flags, count) = (number(trun, 1, 3), number(trun, 4, 4) as usize);
    if flags & 0x100 == 0 {
        return default * count as u64;
    }
    let head = 8 + 4 * (flags & 0x5).count_ones() as usize;
    let sample = 4 * (flags & 0xf00).count_ones() as usize;
    (0..count).map(|n| number(trun, head + n * sample, 4)).sum()
}

/// Whether the first coded slice is an IDR's. NAL units have lengths of four bytes.
fn idr(mut data: &[u8]) -> bool {
    while data.len() > 4 {
        match data[4] & 0x1f {
            5 => return true,
            1..=4 => return false,
            _ => data = data.get(4 + number(data, 0, 4) as usize..).unwrap_or_default(),
        }
    }
    false
}
