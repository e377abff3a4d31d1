//! Sources with several sound tracks and with more than two channels.

#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

mod support;

use sluice_wire::RungName;
use sluice_wire::ladder::{SoundRole, Source, plan};
use std::f64::consts::{FRAC_1_SQRT_2, TAU};
use std::path::Path;
use support::{Made, encode, encode_as, ffmpeg, ffprobe, made_clip, probe, written};

/// Samples of a rung by channel, from its first second on.
fn samples(dir: &Path, made: &Made, name: &str, channels: usize) -> Vec<Vec<f64>> {
    let rung = &made.rungs[&RungName::new(name).unwrap()];
    let file = written(dir, &format!("{name}.mp4"), &rung.whole());
    assert_eq!(ffprobe(&file, "stream=channels"), channels.to_string(), "{name}");
    let pcm = ffmpeg(&["-ss", "1", "-i", file.to_str().unwrap(), "-f", "f32le", "-"]);
    let all: Vec<f64> =
        pcm.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()).into()).collect();
    (0..channels).map(|channel| all.iter().skip(channel).step_by(channels).copied().collect()).collect()
}

/// How loud a tone is: its amplitude in two seconds of sound.
fn tone(samples: &[f64], hertz: f64) -> f64 {
    let window = &samples[..96_000];
    let (mut sine, mut cosine) = (0.0, 0.0);
    for (at, sample) in (0u32..).zip(window) {
        let angle = TAU * hertz * f64::from(at) / 48_000.0;
        sine += sample * angle.sin();
        cosine += sample * angle.cos();
    }
    2.0 * sine.hypot(cosine) / window.len() as f64
}

/// A film with three sound tracks: the second is the default, the third has six channels, each with a tone of its own.
fn film(dir: &Path) -> (std::path::PathBuf, Source) {
    let surround = "aevalsrc='0.1*sin(2*PI*300*t)|0.1*sin(2*PI*400*t)|0.2*sin(2*PI*500*t)|0.3*sin(2*PI*60*t)|\
                    0.1*sin(2*PI*700*t)|0.1*sin(2*PI*800*t)':c=5.1:s=48000:d=9";
    let arguments = format!(
        "-f lavfi -i testsrc2=size=320x240:rate=25:duration=9 -f lavfi -i aevalsrc=0.2*sin(2*PI*1000*t):d=9 -f \
         lavfi -i aevalsrc=0.2*sin(2*PI*2000*t)|0.2*sin(2*PI*2000*t):s=44100:d=9 -f lavfi -i {surround} -map 0 -map \
         1 -map 2 -map 3 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a flac -disposition:a 0 \
         -disposition:a:1 default -disposition:a:0 comment -metadata:s:a:0 language=eng -metadata:s:a:1 language=ger \
         -metadata:s:a:2 language=pt-BR -metadata:s:a:2 title=\"Cinema\""
    );
    let file = made_clip(dir, "film.mkv", &arguments);
    let source = probe(&file).unwrap();
    (file, source)
}

#[test]
fn each_track_is_heard_in_rungs_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (file, source) = film(dir.path());
    let said: Vec<_> = (source.audio.iter())
        .map(|a| (a.language.as_ref().map(|l| l.as_str()), a.title.as_deref(), a.role, a.channels))
        .collect();
    assert_eq!(
        said,
        [
            (Some("de"), None, SoundRole::Main, 2),
            (Some("en"), None, SoundRole::Commentary, 1),
            (Some("pt-BR"), Some("Cinema"), SoundRole::Main, 6)
        ]
    );
    let mut ladder = plan(&source);
    // As loud as it is: what is looked at is where each channel goes.
    ladder.audio.iter_mut().for_each(|rung| rung.gain = 0);
    let made = encode_as(&file, &source, ladder, vec![]);
    let near = |found: f64, wanted: f64| assert!((found - wanted).abs() < 0.01, "{found}, not {wanted}");
    let german = samples(dir.path(), &made, "a128", 2);
    near(tone(&german[0], 2_000.0), 0.2);
    near(tone(&german[1], 2_000.0), 0.2);
    near(tone(&samples(dir.path(), &made, "a64t1", 1)[0], 1_000.0), 0.2);
    // ITU-R BS.775: centre and surround come down by 3 dB, the low-frequency effects not at all.
    let stereo = samples(dir.path(), &made, "a128t2", 2);
    for (channel, [front, centre, low, surround, other]) in
        stereo.iter().zip([[300.0, 500.0, 60.0, 700.0, 400.0], [400.0, 500.0, 60.0, 800.0, 300.0]])
    {
        near(tone(channel, front), 0.1);
        near(tone(channel, centre), 0.2 * FRAC_1_SQRT_2);
        near(tone(channel, surround), 0.1 * FRAC_1_SQRT_2);
        near(tone(channel, low), 0.0);
        near(tone(channel, other), 0.0);
    }
    let cinema = samples(dir.path(), &made, "a320t2", 6);
    for (channel, (hertz, loud)) in
        cinema.iter().zip([(300.0, 0.1), (400.0, 0.1), (500.0, 0.2), (60.0, 0.3), (700.0, 0.1), (800.0, 0.1)])
    {
        near(tone(channel, hertz), loud);
    }
    let lengths: Vec<f64> = made.rungs.values().map(support::Rung::seconds).collect();
    assert!(lengths.iter().all(|length| (length - 9.0).abs() < 0.06), "{lengths:?}");
}

#[test]
fn a_track_that_ends_early_goes_on_in_silence() {
    let dir = tempfile::tempdir().unwrap();
    let file = made_clip(
        dir.path(),
        "short.mkv",
        "-f lavfi -i sine=f=440:duration=13 -f lavfi -i sine=f=880:duration=3 -map 0 -map 1 -c:a flac",
    );
    let source = probe(&file).unwrap();
    let made = encode(&file, &source, vec![]);
    let lengths: Vec<f64> = made.rungs.values().map(support::Rung::seconds).collect();
    assert!(lengths.len() == 2 && lengths.iter().all(|length| (length - 13.0).abs() < 0.1), "{lengths:?}");
}
