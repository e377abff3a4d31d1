//! `sluice-codec probe SOURCE` and `sluice-codec encode SOURCE`; see the library.

use sluice_codec::{Task, run};
use std::io::{BufWriter, Write, stdin, stdout};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let task = match (words.first().and_then(|w| w.to_str()), words.len()) {
        (Some("probe"), 2) => Task::Probe,
        (Some("encode"), 2) => Task::Encode,
        _ => {
            drop(std::io::stderr().write_all(b"usage: sluice-codec probe|encode SOURCE\n"));
            return ExitCode::from(64);
        }
    };
    match run(task, Path::new(&words[1]), stdin(), BufWriter::new(stdout())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
