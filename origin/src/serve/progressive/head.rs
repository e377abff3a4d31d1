//! `ftyp`, `moov` and the beginning of `mdat`. What describes a track comes from its CMAF header.

use super::fragment::{find, word};
use super::table::Tables;

/// Ticks a second of the movie: all frame rates and sample rates in use come out even, or nearly.
const TIMESCALE: u32 = 90_000;
/// The unity matrix (ISO/IEC 14496-12, 6.2.2).
const UNITY: [u32; 9] = [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000];

/// A track to be.
#[derive(Debug)]
pub(super) struct Track {
    timescale: u32,
    /// Width and height as `tkhd` has them.
    size: (u32, u32),
    /// Boxes that are taken as they are: `hdlr`, the media header, `dinf`, `stsd`.
    handler: Vec<u8>,
    header: Vec<u8>,
    data: Vec<u8>,
    description: Vec<u8>,
    sound: bool,
    /// Ticks that are decoded and not shown: priming of sound, reordering of pictures.
    hidden: u64,
    /// Ticks of the movie before it is shown.
    late: u64,
    /// How long it is shown, in its ticks.
    shown: u64,
    pub(super) samples: Tables,
}

impl Track {
    /// Reads a header; `late` and `shown` are ticks of the track.
    pub(super) fn new(init: &[u8], late: u64, shown: u64) -> Option<Self> {
        let trak = find(find(init, b"moov")?, b"trak")?;
        let mdia = find(trak, b"mdia")?;
        let minf = find(mdia, b"minf")?;
        let timescale = word(find(mdia, b"mdhd")?, 12).filter(|scale| *scale > 0)?;
        let tkhd = find(trak, b"tkhd")?;
        let sound = find(minf, b"smhd").is_some();
        let kind: &[u8; 4] = if sound { b"smhd" } else { b"vmhd" };
        let hidden = match find(trak, b"edts").and_then(|edts| find(edts, b"elst")) {
            // The first entry's media time, of version 1.
            Some(elst) => u64::from_be_bytes(elst.get(16..24)?.try_into().ok()?),
            None => 0,
        };
        Some(Self {
            timescale,
            size: (word(tkhd, 76)?, word(tkhd, 80)?),
            handler: whole(mdia, b"hdlr")?,
            header: whole(minf, kind)?,
            data: whole(minf, b"dinf")?,
            description: whole(find(minf, b"stbl")?, b"stsd")?,
            sound,
            hidden,
            late: late * u64::from(TIMESCALE) / u64::from(timescale),
            shown,
            samples: Tables::default(),
        })
    }

    /// How long it is shown, in ticks of the movie.
    fn length(&self) -> u64 {
        self.shown * u64::from(TIMESCALE) / u64::from(self.timescale)
    }
}

/// A box with its head, as it is.
fn whole(bytes: &[u8], kind: &[u8; 4]) -> Option<Vec<u8>> {
    let mut out = vec![];
    let body = find(bytes, kind)?;
    boxed(&mut out, *kind, |out| out.extend_from_slice(body));
    Some(out)
}

/// Writes everything before `media` bytes of segments.
pub(super) fn write(tracks: &[Track], media: u64) -> Vec<u8> {
    let mut out = vec![];
    boxed(&mut out, *b"ftyp", |out| {
        out.extend_from_slice(b"isom");
        put(out, 0x200);
        [b"isom", b"iso6", b"avc1", b"mp41"].iter().for_each(|brand| out.extend_from_slice(*brand));
    });
    // Where chunks are depends on the length of what says it, which does not depend on where they are.
    let length = movie(tracks, 0).len();
    let mdat = (out.len() + length + MDAT) as u64;
    out.extend(movie(tracks, mdat));
    put(&mut out, 1);
    out.extend_from_slice(b"mdat");
    out.extend_from_slice(&(media + MDAT as u64).to_be_bytes());
    out
}

/// Bytes of the head of an `mdat` with a large size.
const MDAT: usize = 16;

fn movie(tracks: &[Track], mdat: u64) -> Vec<u8> {
    let mut out = vec![];
    let length = tracks.iter().map(|track| track.late + track.length()).max().unwrap_or(0);
    boxed(&mut out, *b"moov", |out| {
        full(out, *b"mvhd", 1, 0, |out| {
            zeros(out, 16);
            put(out, TIMESCALE);
            out.extend_from_slice(&length.to_be_bytes());
            put(out, 0x0001_0000);
            out.extend_from_slice(&[1, 0]);
            zeros(out, 10);
            UNITY.iter().for_each(|v| put(out, *v));
            zeros(out, 24);
            put(out, tracks.len() as u32 + 1);
        });
        (1..).zip(tracks).for_each(|(number, track)| trak(out, number, track, mdat));
    });
    out
}

fn trak(out: &mut Vec<u8>, number: u32, track: &Track, mdat: u64) {
    boxed(out, *b"trak", |out| {
        full(out, *b"tkhd", 1, 7, |out| {
            zeros(out, 16);
            put(out, number);
            zeros(out, 4);
            out.extend_from_slice(&(track.late + track.length()).to_be_bytes());
            zeros(out, 12);
            out.extend_from_slice(if track.sound { &[1, 0, 0, 0] } else { &[0; 4] });
            UNITY.iter().for_each(|v| put(out, *v));
            put(out, track.size.0);
            put(out, track.size.1);
        });
        boxed(out, *b"edts", |out| edits(out, track));
        boxed(out, *b"mdia", |out| {
            full(out, *b"mdhd", 1, 0, |out| {
                zeros(out, 16);
                put(out, track.timescale);
                out.extend_from_slice(&track.samples.duration().to_be_bytes());
                // `und`.
                put(out, 0x55c4_0000);
            });
            out.extend_from_slice(&track.handler);
            boxed(out, *b"minf", |out| {
                out.extend_from_slice(&track.header);
                out.extend_from_slice(&track.data);
                boxed(out, *b"stbl", |out| {
                    out.extend_from_slice(&track.description);
                    track.samples.write(out, mdat);
                });
            });
        });
    });
}

/// Nothing while it is late, then what is not hidden (8.6.6).
fn edits(out: &mut Vec<u8>, track: &Track) {
    let mut all = vec![(track.length(), track.hidden)];
    if track.late > 0 {
        all.insert(0, (track.late, u64::MAX));
    }
    full(out, *b"elst", 1, 0, |out| {
        put(out, all.len() as u32);
        for (length, from) in &all {
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(&from.to_be_bytes());
            put(out, 0x0001_0000);
        }
    });
}

/// Writes a box whose contents `fill` writes.
pub(super) fn boxed(out: &mut Vec<u8>, kind: [u8; 4], fill: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&kind);
    fill(out);
    let size = u32::try_from(out.len() - at).expect("an index of 12 hours is below 4 GiB");
    out[at..at + 4].copy_from_slice(&size.to_be_bytes());
}

fn full(out: &mut Vec<u8>, kind: [u8; 4], version: u8, flags: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    boxed(out, kind, |out| {
        out.extend_from_slice(&[version, 0, 0, flags]);
        fill(out);
    });
}

fn put(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn zeros(out: &mut Vec<u8>, count: usize) {
    out.resize(out.len() + count, 0);
}
