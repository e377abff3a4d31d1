//! `sluice`: the operator's command line.
//!
//! - `args`: what can be said; `commands`: the fleet; `videos`: the library; `watch`: a video on its way
//! - `upload`: files, resumed after anything; `mint`: keys, tokens and signed URLs; `manual`: completions and the man page
//!
//! Exit codes: 0 done, 1 refused or failed, 2 the command line is at fault, 3 the video that was waited for has failed.

mod api;
mod args;
mod commands;
mod fleet;
mod manual;
mod mint;
mod owner;
mod prefetch;
mod steering;
mod upload;
mod videos;
mod watch;

use args::Options;
use clap::Parser;
use std::process::ExitCode;

/// What an exit code says of a video that was waited for and will never be ready.
const VIDEO_FAILED: u8 = 3;

#[tokio::main]
async fn main() -> ExitCode {
    match commands::run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            api::complain(&format!("sluice: {error:#}\n"));
            if error.is::<watch::VideoFailed>() { ExitCode::from(VIDEO_FAILED) } else { ExitCode::FAILURE }
        }
    }
}
