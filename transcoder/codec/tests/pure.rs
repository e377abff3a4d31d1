//! A segment is what it is made from: alone, in a row, or while the source is still coming, the same bytes by the same name.

#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

mod support;

use sluice_wire::codec::{ChunkWork, CodecMessage, EncodeRequest, Order, Track, decode, encode_order};
use sluice_wire::ladder::{Ladder, Source, plan};
use sluice_wire::limits::CHUNK_SEGMENTS;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use support::{Made, encode, encode_chunks, made, made_clip, probe, rungs_of};

/// A ladder of two picture rungs and the sound: enough to share a decoder.
fn small(source: &Source) -> Ladder {
    let mut ladder = plan(source);
    ladder.video.truncate(2);
    ladder
}

fn chunk(ladder: &Ladder, chunk: u32) -> ChunkWork {
    ChunkWork { chunk, rungs: rungs_of(ladder).map(|name| (name.clone(), 0)).collect() }
}

/// Asserts that each segment of `part` is one of `whole`, by name and to the byte; gives how many there are.
fn same(whole: &Made, part: &Made, what: &str) -> usize {
    let mut compared = 0;
    for (name, rung) in &part.rungs {
        let all = &whole.rungs[name];
        assert_eq!(rung.init, all.init, "{what} {name}: one header for all");
        for (segment, digest) in rung.segments.iter().zip(&rung.names) {
            let at = all.segments.iter().position(|s| s.0 == segment.0);
            let at = at.unwrap_or_else(|| panic!("{what} {name}: {} is not in the whole", segment.0));
            assert_eq!(*digest, all.names[at], "{what} {name} {}: the same name", segment.0);
            assert!(segment.3 == all.segments[at].3, "{what} {name} {}: the same bytes", segment.0);
            compared += 1;
        }
    }
    compared
}

#[test]
fn a_rung_made_alone_is_the_one_made_beside_others() {
    let dir = tempfile::tempdir().unwrap();
    let picture = "-f lavfi -i testsrc2=size=1280x720:rate=50:duration=5 -pix_fmt yuv420p -c:v libx264 -preset veryfast";
    let file = made_clip(dir.path(), "a.mp4", picture);
    let source = probe(&file).unwrap();
    let ladder = plan(&source);
    assert_eq!(ladder.video.len(), 3);
    let whole = encode_chunks(&file, &source, &ladder, vec![chunk(&ladder, 0)], false);
    let subsets: [&[usize]; 5] = [&[0], &[1], &[2], &[0, 2], &[1, 2]];
    for wanted in subsets {
        let rungs = wanted.iter().map(|at| (ladder.video[*at].name.clone(), 0)).collect();
        let alone = encode_chunks(&file, &source, &ladder, vec![ChunkWork { chunk: 0, rungs }], false);
        assert_eq!(same(&whole, &alone, &format!("{wanted:?}")), 2 * wanted.len());
    }
}

#[test]
fn a_chunk_made_alone_is_the_one_made_in_a_row() {
    let dir = tempfile::tempdir().unwrap();
    // Keyframes far apart and B-frames across the borders; sound at another rate than the rung's.
    let picture = "-f lavfi -i testsrc2=size=426x240:rate=25:duration=39 -f lavfi -i \
                   aevalsrc='0.3*sin(2*PI*(200+20*t)*t)':s=44100:d=39 -pix_fmt yuv420p -g 130 -bf 3";
    for (name, codecs) in [
        ("a.mp4", "-c:v libx264 -preset veryfast -c:a aac"),
        ("a.mkv", "-c:v libx264 -preset veryfast -x264-params open-gop=1 -c:a libmp3lame"),
        ("a.webm", "-c:v libvpx -b:v 400k -deadline realtime -c:a libopus -ar 48000"),
        ("a.ts", "-c:v mpeg2video -b:v 1M -c:a ac3"),
    ] {
        let file = made_clip(dir.path(), name, &format!("{picture} {codecs}"));
        let source = probe(&file).unwrap();
        let ladder = small(&source);
        let whole = encode_chunks(&file, &source, &ladder, vec![chunk(&ladder, 0)], true);
        let ends: Vec<_> = whole.ends.iter().filter(|e| e.1 == Track::Picture).collect();
        assert_eq!(ends.iter().map(|e| (e.0, e.2)).collect::<Vec<_>>(), [(0, false), (1, false), (2, true)]);
        for number in [2, 1] {
            let alone = encode_chunks(&file, &source, &ladder, vec![chunk(&ladder, number)], false);
            let first = alone.rungs.values().map(|r| r.segments[0].0).min().unwrap();
            assert_eq!(first, number * CHUNK_SEGMENTS);
            let segments = if number == 2 { 2 } else { CHUNK_SEGMENTS as usize };
            assert_eq!(same(&whole, &alone, name), alone.rungs.len() * segments, "{name} {number}");
        }
        // A rung alone is what it is beside others.
        let mut lowest = ladder.clone();
        lowest.video.truncate(1);
        lowest.audio.clear();
        let rungs = chunk(&lowest, 1);
        let alone = encode_chunks(&file, &source, &ladder, vec![rungs], false);
        assert_eq!(same(&whole, &alone, name), CHUNK_SEGMENTS as usize);
    }
}

#[test]
fn each_sound_rung_alone_is_the_one_made_beside_others() {
    let dir = tempfile::tempdir().unwrap();
    let sounds = "-f lavfi -i anoisesrc=a=0.2:r=44100:d=37 -f lavfi -i aevalsrc=0.3*sin(2*PI*(200+20*t)*t):d=37 -map 0 \
                  -map 1 -c:a ac3 -ar 48000 -ac:a:0 6";
    let file = made_clip(dir.path(), "a.mka", sounds);
    let source = probe(&file).unwrap();
    let ladder = plan(&source);
    let whole = encode_chunks(&file, &source, &ladder, vec![chunk(&ladder, 0)], true);
    assert_eq!(whole.ends, [(0, Track::Sound, false), (1, Track::Sound, false), (2, Track::Sound, true)]);
    assert_eq!(ladder.audio.len(), 3);
    for rung in &ladder.audio {
        for number in [1, 2] {
            let chunks = vec![ChunkWork { chunk: number, rungs: vec![(rung.name.clone(), 0)] }];
            let alone = encode_chunks(&file, &source, &ladder, chunks, false);
            let segments = if number == 2 { 2 } else { CHUNK_SEGMENTS as usize };
            assert_eq!(same(&whole, &alone, "a.mka"), segments, "{} {number}", rung.name);
        }
    }
}

/// A child that is told of the source piece by piece, each when it asks for what is not there, and of the second half only
/// when each rung's first segment has come.
fn while_it_comes(file: &Path, source: &Source, ladder: &Ladder, piece: u64) -> Made {
    let mut child = Command::new("sh")
        .args(["-c", "exec \"$0\" encode 3<\"$1\"", env!("CARGO_BIN_EXE_sluice-codec")])
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut order = |order: Order| stdin.write_all(&encode_order(&order).unwrap()).unwrap();
    let (source, chunks) = (Source { indexed: false, ..source.clone() }, vec![chunk(ladder, 0)]);
    let request =
        EncodeRequest { source, ladder: ladder.clone(), chunks, named: vec![], onward: true, poster: false };
    order(Order::Encode(Box::new(request)));
    order(Order::Growing);
    let length = std::fs::metadata(file).unwrap().len();
    let (mut here, mut wanted, mut firsts) = (0, 0, 0);
    let (mut frames, mut buffer, mut read) = (vec![], bytes::BytesMut::new(), [0; 1 << 16]);
    while let bytes @ 1.. = stdout.read(&mut read).unwrap() {
        buffer.extend_from_slice(&read[..bytes]);
        while let Some((message, payload)) = decode(&mut buffer).unwrap() {
            match &message {
                CodecMessage::Want { from, .. } => wanted = wanted.max(*from),
                CodecMessage::Segment { seq: 0, .. } => firsts += 1,
                _ => {}
            }
            frames.push((message, payload));
        }
        let most = if firsts == rungs_of(ladder).count() { length } else { length / 2 };
        while wanted >= here && here < most {
            let to = (here + piece).min(most);
            order(Order::Here { from: here, to });
            here = to;
            if here == length {
                order(Order::Length { bytes: length });
                order(Order::Complete);
            }
        }
    }
    assert!(child.wait().unwrap().success());
    made(frames)
}

#[test]
fn a_source_that_is_still_coming_gives_the_same_segments_and_gives_them_early() {
    let dir = tempfile::tempdir().unwrap();
    let clip = "-f lavfi -i testsrc2=size=426x240:rate=25:duration=21 -f lavfi -i sine=f=440:duration=21 -pix_fmt \
                yuv420p -g 50 -c:a aac";
    // Should the first segments wait for more than half of it, it never ends.
    for (name, rest) in [
        ("faststart.mp4", "-c:v libx264 -movflags +faststart"),
        ("fragmented.mp4", "-c:v libx264 -movflags +frag_keyframe+empty_moov"),
        ("stream.ts", "-c:v libx264"),
        ("film.mkv", "-c:v libx264"),
    ] {
        let file = made_clip(dir.path(), name, &format!("{clip} {rest}"));
        let source = probe(&file).unwrap();
        let ladder = small(&source);
        let whole = encode(&file, &source, vec![]);
        let coming = while_it_comes(&file, &source, &ladder, 20_000);
        assert_eq!(same(&whole, &coming, name), coming.rungs.len() * 6, "{name}");
    }
}
