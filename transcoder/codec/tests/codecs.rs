//! Rungs of further codecs beside those of H.264, read back by ffprobe.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

mod support;

use sluice_wire::RungName;
use sluice_wire::codec::ChunkWork;
use sluice_wire::ladder::{Ladder, Source, VideoCodec, VideoRange, plan_with};
use sluice_wire::limits::CHUNK_SEGMENTS;
use std::path::Path;
use support::{
    Made, Packet, decoded_frames, encode_as, encode_chunks, ffmpeg, ffprobe, made_clip, packets, probe,
    written,
};

/// Pictures alone, with all codecs.
fn all_codecs(source: &Source) -> Ladder {
    let mut ladder = plan_with(source, &VideoCodec::ALL);
    ladder.audio.clear();
    ladder
}

fn named(name: &str) -> RungName {
    RungName::new(name).unwrap()
}

fn said(dir: &Path, made: &Made, name: &str) -> String {
    let file = written(dir, &format!("{name}.mp4"), &made.rungs[&named(name)].whole());
    ffprobe(
        &file,
        "stream=codec_name,codec_tag_string,pix_fmt,color_range,color_space,color_transfer,color_primaries",
    )
}

fn keys(list: &[Packet]) -> Vec<i64> {
    list.iter().filter(|p| p.key).map(|p| (p.pts * 1e3).round() as i64).collect()
}

#[test]
fn each_codec_has_every_picture_on_the_grid_of_h264() {
    let dir = tempfile::tempdir().unwrap();
    // A cut within a group of pictures, at 3 s; a last segment of half a second.
    let white = "drawbox=color=white:t=fill:enable='gte(t,2.99)'";
    let arguments = format!(
        "-f lavfi -i testsrc2=size=160x120:rate=50:duration=8.52,{white} -c:v libx264 -preset ultrafast -pix_fmt yuv420p"
    );
    let file = made_clip(dir.path(), "cut.mp4", &arguments);
    let source = probe(&file).unwrap();
    let ladder = all_codecs(&source);
    let made = encode_as(&file, &source, ladder.clone(), vec![]);
    let names: Vec<_> = made.rungs.keys().map(RungName::as_str).collect();
    assert_eq!(names, ["av1x120", "hevc120", "v120"], "{:?}", made.last);
    let grid = keys(&packets(&made.rungs[&named("v120")].whole()));
    assert_eq!(grid, [0, 2_000, 3_000, 4_000, 6_000, 8_000]);
    for (name, rung) in &made.rungs {
        let whole = rung.whole();
        let list = packets(&whole);
        // Half of fifty a second.
        assert_eq!((list.len(), decoded_frames(&whole)), (213, 213), "{name}");
        assert_eq!(keys(&list), grid, "{name}");
        assert!(list.windows(2).all(|w| w[0].dts < w[1].dts), "{name}");
        let mut times: Vec<_> = list.iter().map(|p| (p.pts * 25.0).round() as i64).collect();
        times.sort_unstable();
        assert_eq!(times, (0..213).collect::<Vec<_>>(), "{name}");
    }
    let colours = "yuv420p,tv,bt709,bt709,bt709";
    assert_eq!(said(dir.path(), &made, "v120"), format!("h264,avc1,{colours}"));
    assert_eq!(said(dir.path(), &made, "hevc120"), format!("hevc,hvc1,{colours}"));
    assert_eq!(said(dir.path(), &made, "av1x120"), format!("av1,av01,{colours}"));
    let codecs = |name: &str| made.rungs[&named(name)].codecs.clone();
    assert_eq!(codecs("hevc120"), "hvc1.1.6.L30.90");
    assert_eq!(codecs("av1x120"), "av01.0.00M.08");
    let bytes = |name: &str| made.rungs[&named(name)].whole().len();
    assert!(bytes("hevc120") < bytes("v120") && bytes("av1x120") < bytes("v120"));
}

#[test]
fn what_encoders_make_does_not_depend_on_who_else_works() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = "-f lavfi -i testsrc2=size=160x120:rate=25:duration=18,noise=alls=20 -g 60 -c:v libx264 \
                     -preset ultrafast -pix_fmt yuv420p";
    let file = made_clip(dir.path(), "long.mp4", arguments);
    let source = probe(&file).unwrap();
    let ladder = all_codecs(&source);
    let rungs = |names: &[&str]| names.iter().map(|name| (named(name), 0)).collect::<Vec<_>>();
    let all: Vec<_> = ladder.pictures().map(|rung| (rung.name.clone(), 0)).collect();
    let whole = encode_chunks(&file, &source, &ladder, vec![ChunkWork { chunk: 0, rungs: all }], true);
    assert_eq!(whole.rungs.len(), 3);
    // One alone, both together, the second chunk without the first.
    for (chunk, names) in [(0, &["hevc120"][..]), (0, &["av1x120"]), (1, &["hevc120", "av1x120"])] {
        let chunks = vec![ChunkWork { chunk, rungs: rungs(names) }];
        let made = encode_chunks(&file, &source, &ladder, chunks, false);
        for name in names {
            let (one, other) = (&whole.rungs[&named(name)], &made.rungs[&named(name)]);
            assert_eq!(one.init, other.init, "{name}");
            assert_eq!(one.codecs, other.codecs, "{name}");
            let from = (chunk * CHUNK_SEGMENTS) as usize;
            for (at, segment) in other.segments.iter().enumerate() {
                assert!(one.segments[from + at] == *segment, "{name}: segment {}", segment.0);
                assert_eq!(one.names[from + at], other.names[at], "{name}");
            }
            assert_eq!(other.segments.len(), if chunk == 0 { 4 } else { 1 }, "{name}");
        }
    }
}

/// A moving picture with ten bits and this transfer.
fn bright(dir: &Path, transfer: &str) -> std::path::PathBuf {
    let arguments = format!(
        "-f lavfi -i testsrc2=size=160x120:rate=25:duration=3 -pix_fmt yuv420p10le -c:v libx265 -preset ultrafast \
         -color_primaries bt2020 -color_trc {transfer} -colorspace bt2020nc -tag:v hvc1 -x265-params \
         log-level=error:colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc:range=limited"
    );
    made_clip(dir, &format!("{transfer}.mp4"), &arguments)
}

/// The first picture's brightness, ten bits a value.
fn brightness(file: &Path) -> Vec<u16> {
    let file = file.to_str().unwrap();
    let raw = ffmpeg(&["-i", file, "-frames:v", "1", "-pix_fmt", "gray10le", "-f", "rawvideo", "-"]);
    raw.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect()
}

#[test]
fn bright_sources_stay_bright_in_further_codecs_alone() {
    let dir = tempfile::tempdir().unwrap();
    for (transfer, range, number) in
        [("smpte2084", VideoRange::Pq, "16"), ("arib-std-b67", VideoRange::Hlg, "18")]
    {
        let file = bright(dir.path(), transfer);
        let source = probe(&file).unwrap();
        assert_eq!(source.video.as_ref().unwrap().range, range);
        let made = encode_as(&file, &source, all_codecs(&source), vec![]);
        assert_eq!(said(dir.path(), &made, "v120"), "h264,avc1,yuv420p,tv,bt709,bt709,bt709");
        let colours = format!("yuv420p10le,tv,bt2020nc,{transfer},bt2020");
        assert_eq!(said(dir.path(), &made, "hevc120"), format!("hevc,hvc1,{colours}"));
        assert_eq!(said(dir.path(), &made, "av1x120"), format!("av1,av01,{colours}"));
        assert_eq!(made.rungs[&named("hevc120")].codecs, "hvc1.2.4.L30.90");
        let codecs = format!("av01.0.00M.10.0.110.09.{number}.09.0");
        assert_eq!(made.rungs[&named("av1x120")].codecs, codecs);
        let wanted = brightness(&file);
        for name in ["hevc120", "av1x120"] {
            let rung = &made.rungs[&named(name)];
            assert_eq!(decoded_frames(&rung.whole()), 75, "{name}");
            let colr: Vec<u8> = [&b"nclx"[..], &[0, 9, 0, number.parse().unwrap(), 0, 9, 0]].concat();
            assert!(rung.init.windows(colr.len()).any(|w| w == colr), "{name}");
            let found = brightness(&dir.path().join(format!("{name}.mp4")));
            let off: f64 = wanted.iter().zip(&found).map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
            let off = off / wanted.len() as f64;
            assert!(found.len() == wanted.len() && off < 12.0, "{name}: {off} of 1023 off");
        }
    }
}
