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
    /// Primaries, transfer and matrix of a picture (ISO/IEC 23091-2); 0 of sound.
    pub colours: [u64; 3],
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
            picture(entry, timescale, codecs)
        }
        b"hvc1" => picture(entry, timescale, hevc_codecs(find(&entry[78..], &[b"hvcC"]).unwrap())),
        b"av01" => picture(entry, timescale, av1_codecs(entry)),
        b"mp4a" => {
            let esds = find(&entry[28..], &[b"esds"]).unwrap();
            let (object, audio) = descriptors(esds);
            Header {
                codecs: format!("mp4a.{object:x}.{audio}"),
                timescale,
                size: None,
                channels: number(entry, 16, 2),
                colours: [0; 3],
            }
        }
        other => panic!("a sample entry of {:?}", String::from_utf8_lossy(other)),
    }
}

fn picture(entry: &[u8], timescale: u64, codecs: String) -> Header {
    let size = Some((number(entry, 24, 2), number(entry, 26, 2)));
    let colr = find(&entry[78..], &[b"colr"]).expect("colours");
    assert!(colr.starts_with(b"nclx"));
    Header { codecs, timescale, size, channels: 0, colours: [4, 6, 8].map(|at| number(colr, at, 2)) }
}

/// ISO/IEC 14496-15, annex E.3.
fn hevc_codecs(config: &[u8]) -> String {
    let compatible = (number(config, 2, 4) as u32).reverse_bits();
    let (profile, tier) = (config[1] & 0x1f, if config[1] & 0x20 == 0 { "L" } else { "H" });
    let constraints: Vec<String> = config[6..12].iter().map(|byte| format!(".{byte:X}")).collect();
    let constraints = constraints.concat();
    let constraints = constraints.trim_end_matches(".0");
    assert!(config[22] == 3 && config[23] == 0x80 | 32, "all parameter sets, those of the video first");
    format!("hvc1.{profile}.{compatible:X}.{tier}{}{constraints}", config[12])
}

/// Section 5 of the AV1 binding: the short form of what is BT.709 in eight bits, else the long one.
fn av1_codecs(entry: &[u8]) -> String {
    let config = find(&entry[78..], &[b"av1C"]).unwrap();
    assert!(config[0] == 0x81 && config[4] >> 3 & 0xf == 1, "a sequence header");
    let (profile, level) = (config[1] >> 5, config[1] & 0x1f);
    let tier = if config[2] & 0x80 == 0 { "M" } else { "H" };
    let depth = if config[2] & 0x40 == 0 { 8 } else { 10 };
    let short = format!("av01.{profile}.{level:02}{tier}.{depth:02}");
    let [primaries, transfer, matrix] = picture(entry, 1, String::new()).colours;
    match [primaries, transfer, matrix] {
        [1, 1, 1] => short,
        _ => format!("{short}.0.110.{primaries:02}.{transfer:02}.{matrix:02}.0"),
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
    /// True when it begins with a picture from which on all can be decoded: an IDR of H.264 or H.265, a keyframe of AV1.
    pub idr: bool,
}

/// The fragments of a segment, or of a range of one, of a track of this codecs string.
#[must_use]
pub fn fragments(bytes: &[u8], codecs: &str) -> Vec<Fragment> {
    let begins = match codecs.split('.').next() {
        Some("hvc1") => hevc_idr,
        Some("av01") => av1_key,
        _ => idr,
    };
    let all = boxes(bytes);
    let pairs = all.windows(2).filter(|pair| &pair[0].0 == b"moof" && &pair[1].0 == b"mdat");
    pairs
        .map(|pair| {
            let traf = find(pair[0].1, &[b"traf"]).expect("a track fragment");
            let tfdt = find(traf, &[b"tfdt"]).unwrap();
            let start = number(tfdt, 4, if tfdt[0] == 1 { 8 } else { 4 });
            Fragment { start, duration: duration(traf), idr: begins(pair[1].1) }
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

/// The same of H.265: IDR_W_RADL or IDR_N_LP.
fn hevc_idr(mut data: &[u8]) -> bool {
    while data.len() > 4 {
        match data[4] >> 1 & 0x3f {
            19 | 20 => return true,
            0..=31 => return false,
            _ => data = data.get(4 + number(data, 0, 4) as usize..).unwrap_or_default(),
        }
    }
    false
}

/// Whether the sequence header comes first, then a frame that is shown and a key: `show_existing_frame`, `frame_type`,
/// `show_frame` begin its header.
fn av1_key(data: &[u8]) -> bool {
    let [head, length, ..] = data else { return false };
    let frame = data.get(2 + usize::from(*length)..).unwrap_or_default();
    // A frame may be longer than one byte of length says.
    let before = frame.iter().skip(1).take_while(|byte| **byte & 0x80 != 0).count();
    let header = frame.get(2 + before).copied().unwrap_or(0xff);
    head >> 3 & 0xf == 1 && matches!(frame.first().map(|b| b >> 3 & 0xf), Some(3 | 6)) && header >> 4 == 1
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
