//! `sluice-transcoder`; see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    sluice_transcoder::main_with(std::env::args_os())
}
