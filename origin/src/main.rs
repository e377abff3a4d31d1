//! `sluice-origin`; see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    sluice_origin::main_with(std::env::args_os())
}
