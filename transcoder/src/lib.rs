//! The Sluice transcoding worker.
//!
//! ```text
//! lease -> supply (the source's pieces into one file, as they come) -> probe -> plan -> codec child -> frames
//!       -> Objects (segment) -> one fenced transaction: row + progress + event
//! ```
//!
//! - `worker` leases jobs and keeps their leases alive; `job` does one: `first` a video's first pass, which makes it
//!   playable, `others` the other rungs of one of its chunks
//! - `judging` finds out which rungs are of use to a title
//! - `child` is the codec process: the only one that opens the source, killed when dropped; [`sandbox`] is what it
//!   may touch
//! - `supply` fetches the source, also while it is uploaded, and tells the codec which bytes are there; `stock` keeps the
//!   local copies
//! - `again` makes segments whose bytes were dropped or lost, and those that were named and not made
//! - `extras` are made of a video once its film is: text that came with it, a storyboard
//! - `publish` commits what was made, always with the lease's fencing token; `figures` are the bit rates that it says
//!
//! What it leaves to others: codecs (`sluice-codec`), rendering playlists (the origin).

mod again;
mod child;
mod config;
mod error;
mod extras;
mod figures;
mod first;
mod job;
mod judging;
mod metrics;
mod others;
mod publish;
pub mod sandbox;
mod scratch;
mod start;
mod stock;
mod supply;
mod worker;

pub use config::Config;
pub use error::SandboxError;
pub use judging::Rungs;
pub use worker::Transcoder;

use std::ffi::OsString;
use std::process::ExitCode;

/// The whole of the program: its command line, its life, its exit code.
pub fn main_with(args: impl Iterator<Item = OsString>) -> ExitCode {
    sluice_service::main_with::<Transcoder>(args)
}
