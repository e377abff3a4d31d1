//! What ffprobe says: an independent reader of what we serve.

use crate::programs::printed;
use serde_json::Value;
use std::process::Command;

fn run(args: &[&str], target: &str) -> Value {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-print_format", "json"])
        .args(args)
        .arg(target)
        .output()
        .expect("ffprobe is installed by `make setup`");
    serde_json::from_str(&printed(("ffprobe", target), &output)).unwrap()
}

/// Streams and format of a file or URL.
#[must_use]
pub fn streams(target: &str) -> Value {
    run(&["-show_streams", "-show_format"], target)
}

/// Streams of a file, with the number of frames that decode.
#[must_use]
pub fn counted(target: &str) -> Value {
    run(&["-show_streams", "-count_frames"], target)
}

/// One packet as ffprobe lists it.
#[derive(Debug, Clone, Copy)]
pub struct Packet {
    /// Presentation time in seconds.
    pub pts: f64,
    /// Decoding time in seconds.
    pub dts: f64,
    /// Duration in seconds.
    pub duration: f64,
    /// True for a keyframe.
    pub key: bool,
}

/// Packets of the first stream of a file held in memory, in decoding order.
#[must_use]
pub fn packets(bytes: &[u8]) -> Vec<Packet> {
    let file = tempfile::Builder::new().suffix(".mp4").tempfile().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let listing = run(&["-show_packets", "-select_streams", "0"], file.path().to_str().unwrap());
    let number = |p: &Value, key: &str| p[key].as_str().and_then(|t| t.parse().ok()).unwrap_or(f64::NAN);
    let mut packets: Vec<Packet> = listing["packets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| Packet {
            pts: number(p, "pts_time"),
            dts: number(p, "dts_time"),
            duration: number(p, "duration_time"),
            key: p["flags"].as_str().is_some_and(|f| f.starts_with('K')),
        })
        .collect();
    // ffprobe leaves out the duration of a packet that an edit list cuts; all of a track's are the same.
    let usual = packets.iter().map(|p| p.duration).find(|d| d.is_finite()).unwrap_or(f64::NAN);
    packets.iter_mut().filter(|p| !p.duration.is_finite()).for_each(|p| p.duration = usual);
    packets
}

/// Types of the pictures (`I`, `P`, `B`) that a file held in memory decodes to. What is cut after them is no failure.
#[must_use]
pub fn pictures(bytes: &[u8]) -> Vec<String> {
    let file = tempfile::Builder::new().suffix(".mp4").tempfile().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let output = Command::new("ffprobe")
        .args(["-v", "quiet", "-print_format", "json", "-show_frames", "-show_entries", "frame=pict_type"])
        .arg(file.path())
        .output()
        .expect("ffprobe is installed by `make setup`");
    let listing: Value = serde_json::from_slice(&output.stdout).unwrap();
    let frames = listing["frames"].as_array().into_iter().flatten();
    frames.map(|frame| frame["pict_type"].as_str().unwrap_or_default().to_owned()).collect()
}
