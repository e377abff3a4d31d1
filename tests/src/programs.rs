//! Programs that a story runs to their end.

use std::fmt::Debug;
use std::process::Output;

/// What a program wrote to its standard output, as text.
///
/// # Panics
/// If it ended badly: with its status, a signal's among it, and all that it wrote.
#[track_caller]
pub fn printed(program: impl Debug, output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{program:?}: {}\n{out}\n{err}", output.status);
    out
}
