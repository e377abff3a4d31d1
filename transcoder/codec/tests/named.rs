//! Segments that are named and not made: what is said of them is what is said when they are.

#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

mod support;

use sluice_wire::RungName;
use sluice_wire::codec::{ChunkWork, CodecMessage, Track};
use sluice_wire::ladder::{Ladder, Source, VideoCodec, plan, plan_with};
use std::path::Path;
use support::{Made, made_clip, name_and_encode, probe, rungs_of, test_clip};

/// All chunks of a ladder from the first on, with these rungs named and not made.
fn all(file: &Path, source: &Source, ladder: &Ladder, named: &[RungName]) -> Made {
    let rungs = rungs_of(ladder).map(|name| (name.clone(), 0)).collect();
    name_and_encode(file, source, ladder, (vec![ChunkWork { chunk: 0, rungs }], named.to_vec()), true)
}

/// Asserts that the named rungs are what they are when they are made, but for their bytes; the others are made.
fn same(whole: &Made, part: &Made, named: &[RungName], what: &str) {
    // Pictures and sound are made side by side: which of them comes first says nothing.
    for track in [Track::Picture, Track::Sound] {
        let ends = |made: &Made| made.ends.iter().filter(|end| end.1 == track).copied().collect::<Vec<_>>();
        assert_eq!(ends(part), ends(whole), "{what} {track:?}");
    }
    for (name, rung) in &part.rungs {
        let other = &whole.rungs[name];
        assert_eq!((&rung.init, &rung.names), (&other.init, &other.names), "{what} {name}");
        let times = |rung: &support::Rung| rung.segments.iter().map(|s| (s.0, s.1, s.2)).collect::<Vec<_>>();
        assert_eq!(times(rung), times(other), "{what} {name}");
        let bytes = rung.segments.iter().map(|s| s.3.len()).sum::<usize>();
        assert_eq!(bytes == 0, named.contains(name), "{what} {name}: {bytes} bytes");
    }
}

#[test]
fn a_rung_that_is_named_has_the_names_and_times_of_one_that_is_made() {
    let dir = tempfile::tempdir().unwrap();
    // More than a chunk, and a short last segment; then rungs of half the rate beside one of the full rate.
    let long = made_clip(
        dir.path(),
        "long.mp4",
        "-f lavfi -i testsrc2=size=640x480:rate=25:duration=17.3 -f lavfi -i sine=f=440:duration=17.3 -c:v \
         libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac",
    );
    let fast = test_clip(dir.path(), 5, "1280x720", "50");
    for file in [long, fast] {
        let source = probe(&file).unwrap();
        let ladder = plan(&source);
        let whole = all(&file, &source, &ladder, &[]);
        assert!(matches!(whole.last, CodecMessage::Done { .. }), "{:?}", whole.last);
        let uppers: Vec<RungName> = ladder.video[1..].iter().map(|rung| rung.name.clone()).collect();
        for named in [&uppers[..], &uppers[uppers.len() - 1..]] {
            let part = all(&file, &source, &ladder, named);
            same(&whole, &part, named, &format!("{} {named:?}", file.display()));
            assert_eq!(part.last, whole.last);
        }
    }
}

#[test]
fn nothing_but_names_takes_no_encoder_and_goes_on_where_one_left_off() {
    let dir = tempfile::tempdir().unwrap();
    let file = test_clip(dir.path(), 18, "640x480", "25");
    let source = probe(&file).unwrap();
    let ladder = plan(&source);
    let top = ladder.video.last().unwrap().name.clone();
    let whole = all(&file, &source, &ladder, &[]);
    // Of the first chunk two segments are known already.
    for (chunk, next, count) in [(0, 0, 4), (0, 2, 2), (1, 0, 1)] {
        let work = vec![ChunkWork { chunk, rungs: vec![(top.clone(), next)] }];
        let part = name_and_encode(&file, &source, &ladder, (work, vec![top.clone()]), false);
        let (named, made) = (&part.rungs[&top], &whole.rungs[&top]);
        let first = (chunk * 4).max(next) as usize;
        assert_eq!(named.names, made.names[first..first + count], "{chunk} {next}");
        assert_eq!(named.segments[0].1, made.segments[first].1);
        assert_eq!(part.poster, None, "of pictures that are not made there is none");
        assert_eq!(part.rungs.len(), 1);
    }
}

#[test]
fn further_codecs_are_named_too() {
    let dir = tempfile::tempdir().unwrap();
    let file = test_clip(dir.path(), 3, "320x240", "25");
    let source = probe(&file).unwrap();
    let ladder = plan_with(&source, &VideoCodec::ALL);
    let named: Vec<RungName> = ladder.beside.iter().map(|rung| rung.name.clone()).collect();
    assert_eq!(named.len(), 2);
    let whole = all(&file, &source, &ladder, &[]);
    same(&whole, &all(&file, &source, &ladder, &named), &named, "hevc and av1");
}
