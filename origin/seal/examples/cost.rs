//! What sealing costs on this machine: `cargo run --release -p sluice-seal --example cost -- INIT SEGMENT`, two files of a
//! picture rung as they are stored.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a measurement that a person runs"
)]

use sluice_seal::cbcs::{self, Track};
use sluice_seal::{ContentKey, whole};
use sluice_wire::KeyId;
use std::time::{Duration, Instant};

/// How long each way is repeated.
const FOR: Duration = Duration::from_secs(2);

fn main() {
    let mut files = std::env::args().skip(1).map(|name| std::fs::read(name).expect("a file"));
    let (init, segment) = files.next().zip(files.next()).expect("a header and a segment");
    let track = Track::read(&init).expect("a header of the packager");
    let key = ContentKey { id: KeyId([1; 16]), key: [2; 16] };
    measured("aes-128", &segment, || whole::seal(&segment, &key.key, 7));
    measured("cbcs", &segment, || {
        cbcs::segment(&track, &segment, &key, [3; 16]).expect("a segment of the packager")
    });
    measured("copy", &segment, || segment.clone());
}

fn measured(name: &str, segment: &[u8], seal: impl Fn() -> Vec<u8>) {
    let (begun, mut times, mut bytes) = (Instant::now(), 0u32, 0);
    while begun.elapsed() < FOR {
        bytes = std::hint::black_box(seal()).len();
        times += 1;
    }
    let megabytes = segment.len() as f64 * f64::from(times) / 1e6;
    let each = begun.elapsed().as_secs_f64() * 1e3 / megabytes;
    println!("{name:<8} {each:.3} ms a megabyte, {} bytes become {bytes}", segment.len());
}
