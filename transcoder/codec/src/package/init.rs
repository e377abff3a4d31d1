//! A track's CMAF header: `ftyp` and `moov` (ISO/IEC 23000-19, 7.3.1).

use super::boxes::{boxed, full, put16, put32, put64, zeros};
use super::{AudioTrack, VideoTrack};

/// The only track of a file of ours.
const TRACK: u32 = 1;
/// The unity matrix (ISO/IEC 14496-12, 6.2.2).
const UNITY: [u32; 9] = [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000];
/// `und` in the packed form of `mdhd`.
const UNDETERMINED: u16 = 0x55c4;

/// The header of a picture track.
#[must_use]
pub fn init_video(track: &VideoTrack) -> Vec<u8> {
    let size = (track.width << 16, track.height << 16);
    let brand = track.sets.brand();
    header(track.timescale, (*b"vide", brand), size, track.delay, |out| video_entry(out, track))
}

/// The header of an AAC track. Its priming is cut off by an edit list.
#[must_use]
pub fn init_audio(track: &AudioTrack) -> Vec<u8> {
    header(track.sample_rate, (*b"soun", None), (0, 0), track.priming, |out| audio_entry(out, track))
}

fn header(
    timescale: u32,
    (handler, brand): ([u8; 4], Option<&[u8; 4]>),
    size: (u32, u32),
    hidden: u32,
    entry: impl FnOnce(&mut Vec<u8>),
) -> Vec<u8> {
    let mut out = Vec::with_capacity(1_024);
    boxed(&mut out, b"ftyp", |out| {
        out.extend_from_slice(b"iso6");
        put32(out, 0);
        for brand in [b"iso6", b"cmfc", b"mp41"].into_iter().chain(brand) {
            out.extend_from_slice(brand);
        }
    });
    boxed(&mut out, b"moov", |out| {
        movie_header(out, timescale);
        boxed(out, b"trak", |out| {
            track_header(out, handler == *b"soun", size);
            if hidden > 0 {
                boxed(out, b"edts", |out| edit_list(out, hidden));
            }
            boxed(out, b"mdia", |out| media(out, timescale, handler, entry));
        });
        boxed(out, b"mvex", |out| {
            full(out, b"trex", 0, 0, |out| {
                put32(out, TRACK);
                put32(out, 1);
                zeros(out, 12);
            });
        });
    });
    out
}

fn movie_header(out: &mut Vec<u8>, timescale: u32) {
    full(out, b"mvhd", 0, 0, |out| {
        zeros(out, 8);
        put32(out, timescale);
        put32(out, 0);
        put32(out, 0x0001_0000);
        put16(out, 0x0100);
        zeros(out, 10);
        UNITY.iter().for_each(|&v| put32(out, v));
        zeros(out, 24);
        put32(out, TRACK + 1);
    });
}

fn track_header(out: &mut Vec<u8>, sound: bool, (width, height): (u32, u32)) {
    // Enabled, in the movie, in its preview.
    full(out, b"tkhd", 0, 7, |out| {
        zeros(out, 8);
        put32(out, TRACK);
        zeros(out, 16);
        put16(out, 0);
        put16(out, 0);
        put16(out, if sound { 0x0100 } else { 0 });
        put16(out, 0);
        UNITY.iter().for_each(|&v| put32(out, v));
        put32(out, width);
        put32(out, height);
    });
}

/// Presentation begins this many ticks into the media: after priming samples, or where the first picture shows. The duration 0 means: to the end, whatever fragments follow.
fn edit_list(out: &mut Vec<u8>, hidden: u32) {
    full(out, b"elst", 1, 0, |out| {
        put32(out, 1);
        put64(out, 0);
        put64(out, u64::from(hidden));
        put16(out, 1);
        put16(out, 0);
    });
}

fn media(out: &mut Vec<u8>, timescale: u32, handler: [u8; 4], entry: impl FnOnce(&mut Vec<u8>)) {
    full(out, b"mdhd", 0, 0, |out| {
        zeros(out, 8);
        put32(out, timescale);
        put32(out, 0);
        put16(out, UNDETERMINED);
        put16(out, 0);
    });
    full(out, b"hdlr", 0, 0, |out| {
        zeros(out, 4);
        out.extend_from_slice(&handler);
        zeros(out, 12);
        out.extend_from_slice(b"Sluice\0");
    });
    boxed(out, b"minf", |out| {
        if handler == *b"soun" {
            full(out, b"smhd", 0, 0, |out| zeros(out, 4));
        } else {
            full(out, b"vmhd", 0, 1, |out| zeros(out, 8));
        }
        boxed(out, b"dinf", |out| {
            full(out, b"dref", 0, 0, |out| {
                put32(out, 1);
                // The media is in the same file.
                full(out, b"url ", 0, 1, |_| {});
            });
        });
        boxed(out, b"stbl", |out| sample_table(out, entry));
    });
}

/// The sample table of a fragmented track: a description, and no samples.
fn sample_table(out: &mut Vec<u8>, entry: impl FnOnce(&mut Vec<u8>)) {
    full(out, b"stsd", 0, 0, |out| {
        put32(out, 1);
        entry(out);
    });
    for kind in [b"stts", b"stsc"] {
        full(out, kind, 0, 0, |out| put32(out, 0));
    }
    full(out, b"stsz", 0, 0, |out| zeros(out, 8));
    full(out, b"stco", 0, 0, |out| put32(out, 0));
}

fn video_entry(out: &mut Vec<u8>, track: &VideoTrack) {
    let (entry, configuration) = track.sets.boxes();
    boxed(out, entry, |out| {
        zeros(out, 6);
        put16(out, 1);
        zeros(out, 16);
        put16(out, track.width as u16);
        put16(out, track.height as u16);
        // 72 dots an inch, both ways; one frame a sample; no name; 24 bits of colour; no colour table.
        put32(out, 0x0048_0000);
        put32(out, 0x0048_0000);
        put32(out, 0);
        put16(out, 1);
        zeros(out, 32);
        put16(out, 24);
        put16(out, 0xffff);
        boxed(out, configuration, |out| out.extend(track.sets.configuration()));
        boxed(out, b"pasp", |out| {
            put32(out, 1);
            put32(out, 1);
        });
        boxed(out, b"colr", |out| {
            // Values of limited range.
            out.extend_from_slice(b"nclx");
            track.range.cicp().iter().for_each(|&v| put16(out, v.into()));
            out.push(0);
        });
    });
}

fn audio_entry(out: &mut Vec<u8>, track: &AudioTrack) {
    boxed(out, b"mp4a", |out| {
        zeros(out, 6);
        put16(out, 1);
        zeros(out, 8);
        put16(out, track.channels);
        put16(out, 16);
        zeros(out, 4);
        put32(out, track.sample_rate << 16);
        full(out, b"esds", 0, 0, |out| out.extend(track.descriptors()));
    });
}
