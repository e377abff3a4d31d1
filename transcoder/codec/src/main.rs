//! `sluice-codec probe`, `encode`, `judge`, `text` and `storyboard`, with the source as descriptor 3; see the library.
//! `sluice-codec encoders` opens nothing, and writes the names of the codecs that it can encode pictures with.
#![expect(
    unsafe_code,
    reason = "at the start, a descriptor becomes a file and the allocator is told how to work"
)]

use nix::libc::{M_MMAP_THRESHOLD, mallopt};
use sluice_codec::{Task, encoders, run};
use sluice_wire::codec::SOURCE_FD;
use std::fs::File;
use std::io::{BufWriter, Write, stdin, stdout};
use std::os::fd::FromRawFd;
use std::process::ExitCode;

/// Bytes from which on memory is fresh from the kernel, and zero. x264 reads some of what it never wrote, so that a segment
/// would depend on what was in that memory before (14 of 3,000 did, when two rungs were made side by side).
const FRESH: i32 = 16 << 10;

fn main() -> ExitCode {
    // SAFETY: no other thread is there yet. Should it be refused, the allocator works as it always does.
    unsafe { mallopt(M_MMAP_THRESHOLD, FRESH) };
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let task = match (words.first().and_then(|w| w.to_str()), words.len()) {
        (Some("probe"), 1) => Task::Probe,
        (Some("encode"), 1) => Task::Encode,
        (Some("judge"), 1) => Task::Judge,
        (Some("text"), 1) => Task::Text,
        (Some("storyboard"), 1) => Task::Storyboard,
        (Some("encoders"), 1) => {
            let names: String = encoders().map(|codec| format!("{}\n", codec.as_str())).collect();
            return stdout().write_all(names.as_bytes()).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
        }
        _ => {
            drop(std::io::stderr().write_all(
                b"usage: sluice-codec encoders, or probe|encode|judge|text|storyboard 3<SOURCE\n",
            ));
            return ExitCode::from(64);
        }
    };
    // SAFETY: the descriptor is this process's own from its start, and nothing else in it knows of it. Should there be
    // none, every read of the file fails.
    let source = unsafe { File::from_raw_fd(SOURCE_FD) };
    match run(task, source, stdin(), BufWriter::new(stdout())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
