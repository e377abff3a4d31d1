//! What one program takes: this program starts itself as `measure OUT PROGRAM ARG...`, runs the program as its only
//! child, and writes what the kernel accounted to that child and its children.
//!
//! A process of its own, since the kernel keeps the peak of memory over all children together.

use crate::cpu;
use anyhow::Context;
use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

/// The word on the command line.
pub(crate) const WORD: &str = "measure";

/// What a program took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Taken {
    /// Seconds from start to end.
    pub(crate) wall_s: f64,
    /// Seconds of processor time, its children's included.
    pub(crate) cpu_s: f64,
    /// Peak of resident memory of the largest process, in KiB.
    pub(crate) peak_kib: i64,
}

/// Plays the measuring process if that is what the command line asks for.
pub(crate) fn play(words: &[OsString]) -> Option<ExitCode> {
    let [_, word, out, program, args @ ..] = words else { return None };
    if word != WORD {
        return None;
    }
    let outcome = take(program, args).and_then(|(taken, success)| {
        std::fs::write(out, serde_json::to_vec(&taken)?)?;
        Ok(success)
    });
    Some(match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "measure: {error:#}"));
            ExitCode::FAILURE
        }
    })
}

fn take(program: &OsString, args: &[OsString]) -> anyhow::Result<(Taken, bool)> {
    let begun = Instant::now();
    let status = Command::new(program).args(args).status();
    let status = status.with_context(|| format!("cannot start {}", program.display()))?;
    let wall_s = begun.elapsed().as_secs_f64();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let taken = Taken { wall_s, cpu_s: cpu::of_usage(&usage).as_secs_f64(), peak_kib: usage.max_rss() };
    Ok((taken, status.success()))
}

/// Reads what a measuring process wrote.
pub(crate) fn read(file: &Path) -> anyhow::Result<Taken> {
    let text = std::fs::read(file).context("the measuring process left nothing")?;
    Ok(serde_json::from_slice(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn other_command_lines_are_left_alone() {
        for line in [&["bench"][..], &["bench", "transcode"], &["bench", "transcode", "a", "b"]] {
            assert!(play(&words(line)).is_none(), "{line:?}");
        }
    }

    #[test]
    fn a_program_is_measured_and_its_failure_passed_on() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("taken");
        let out = out.to_str().unwrap();
        assert_eq!(play(&words(&["bench", WORD, out, "sh", "-c", "exit 0"])), Some(ExitCode::SUCCESS));
        let taken = read(Path::new(out)).unwrap();
        assert!(taken.wall_s > 0.0 && taken.peak_kib > 0, "{taken:?}");
        assert_eq!(play(&words(&["bench", WORD, out, "sh", "-c", "exit 9"])), Some(ExitCode::FAILURE));
    }
}
