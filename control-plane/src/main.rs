//! `sluice-control-plane`; see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    sluice_control_plane::main_with(std::env::args_os())
}
