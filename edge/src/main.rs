//! `sluice-edge`; see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    sluice_edge::main_with(std::env::args_os())
}
