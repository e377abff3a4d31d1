//! `sluice-codec probe` and `sluice-codec encode`, with the source as descriptor 3, or named by a second argument; see the
//! library.
#![expect(unsafe_code, reason = "a descriptor that was handed over at the start becomes a file")]

use sluice_codec::{Task, run};
use sluice_wire::codec::SOURCE_FD;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufWriter, Write, stdin, stdout};
use std::os::fd::FromRawFd;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let task = match (words.first().and_then(|w| w.to_str()), words.len()) {
        (Some("probe"), 1 | 2) => Task::Probe,
        (Some("encode"), 1 | 2) => Task::Encode,
        _ => return complain("usage: sluice-codec probe|encode [SOURCE]; without SOURCE it is descriptor 3"),
    };
    let source = match source(words.get(1)) {
        Ok(source) => source,
        Err(error) => return complain(&format!("the source: {error}")),
    };
    match run(task, source, stdin(), BufWriter::new(stdout())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn source(named: Option<&OsString>) -> std::io::Result<File> {
    // SAFETY: the descriptor is this process's own from its start, and nothing else in it knows of it. Should there be
    // none, every read of the file fails.
    let handed_over = || unsafe { File::from_raw_fd(SOURCE_FD) };
    named.map_or_else(|| Ok(handed_over()), File::open)
}

fn complain(of: &str) -> ExitCode {
    drop(writeln!(std::io::stderr(), "sluice-codec: {of}"));
    ExitCode::from(64)
}
