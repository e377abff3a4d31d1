//! The media of the stories: real clips where they are at hand (`SLUICE_MEDIA_DIR`), else made with the ffmpeg command
//! line.

use crate::programs::printed;
use std::path::PathBuf;
use std::process::Command;

/// The folder of real clips, if there is one.
#[must_use]
pub fn media_dir() -> Option<PathBuf> {
    let dir = std::env::var_os("SLUICE_MEDIA_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/media"), PathBuf::from);
    dir.is_dir().then_some(dir)
}

/// A real clip by name, or `None` where it is not at hand.
#[must_use]
pub fn real(name: &str) -> Option<Vec<u8>> {
    std::fs::read(media_dir()?.join(name)).ok()
}

/// A made clip with English in 5.1 and German in stereo.
#[must_use]
pub fn dubbed(seconds: u32) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("clip.mkv");
    let noise = |amplitude| format!("anoisesrc=amplitude={amplitude}:seed=1:duration={seconds}");
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i"])
        .arg(format!("testsrc2=size=640x360:rate=25:duration={seconds}"))
        .args(["-f", "lavfi", "-i", &noise(0.1), "-f", "lavfi", "-i", &noise(0.05), "-map", "0", "-map", "1"])
        .args(["-map", "2", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"])
        .args(["-ac:a:0", "6", "-metadata:s:a:0", "language=eng", "-ac:a:1", "2"])
        .args(["-metadata:s:a:1", "language=ger"])
        .arg(&file)
        .output()
        .expect("ffmpeg is installed by `make setup`");
    printed("ffmpeg", &output);
    std::fs::read(file).unwrap()
}

/// A made clip of ten bits with this transfer (`smpte2084`, `arib-std-b67`), without sound.
#[must_use]
pub fn bright(seconds: u32, size: &str, transfer: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("clip.mp4");
    let colours = format!("colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc:range=limited");
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i"])
        .arg(format!("testsrc2=size={size}:rate=25:duration={seconds}"))
        .args(["-pix_fmt", "yuv420p10le", "-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1"])
        .args(["-x265-params", &format!("log-level=error:{colours}")])
        .arg(&file)
        .output()
        .expect("ffmpeg is installed by `make setup`");
    printed("ffmpeg", &output);
    std::fs::read(file).unwrap()
}

/// A made clip of what a filter of the ffmpeg command line draws, without sound.
#[must_use]
pub fn of(picture: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("clip.mp4");
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", picture])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-crf", "23", "-g", "50", "-pix_fmt", "yuv420p"])
        .arg(&file)
        .output()
        .expect("ffmpeg is installed by `make setup`");
    printed("ffmpeg", &output);
    std::fs::read(file).unwrap()
}

/// A made clip: a moving test picture and a tone.
///
/// `seconds` long, `size` such as `640x360`, at `rate` frames a second.
#[must_use]
pub fn made(seconds: u32, size: &str, rate: u32) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("clip.mp4");
    let output = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            &format!("testsrc2=size={size}:rate={rate}:duration={seconds}"),
        ])
        .args(["-f", "lavfi", "-i", &format!("sine=frequency=440:sample_rate=48000:duration={seconds}")])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest"])
        .arg(&file)
        .output()
        .expect("ffmpeg is installed by `make setup`");
    printed("ffmpeg", &output);
    std::fs::read(file).unwrap()
}
