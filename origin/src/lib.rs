//! Sluice's origin: uploads, the catalogue, publishing, the log's feed.
//!
//! ```text
//! upload  PUT, form or tus -> parts -> Objects, rows -> Database; at the end, in one transaction: queued + job + event
//! serve   playlists rendered from committed rows; headers, segments and posters streamed from Objects
//! feed    the event log to edges; a video's states to whoever watches it
//! ```
//!
//! - `upload`: one intake behind four ways in; `serve`: what players fetch; `videos`: the library
//! - `again`: segments that are not there, made again when they are asked for
//! - `sealer`: what `serve` seals with, on the way out
//! - `outbound`: requests to URLs that others named
//! - `webhooks`: receivers told of states, signed
//! - `apps`: the shop, conversations and the feed, mounted beside
//! - `commands`: backup, restore and replay, beside serving
//! - `feed`: what is pushed; `pages`: the built web pages
//!
//! What it leaves to others: transcoding, caching, steering.

mod again;
mod apps;
mod commands;
mod config;
mod feed;
pub mod fuzzing;
mod keys;
mod metrics;
mod origin;
mod outbound;
mod pages;
mod sealer;
mod serve;
mod upload;
mod videos;
mod view;
mod webhooks;

pub use config::{
    App, AppsConfig, ChannelsConfig, Config, FetchConfig, LibraryConfig, PagesConfig, PlaybackConfig,
    ProtectionConfig, QuotaConfig, UploadConfig, WebhooksConfig,
};
pub use origin::Origin;

use std::ffi::OsString;
use std::process::ExitCode;

/// The whole of the program: its command line, its life, its exit code.
pub fn main_with(args: impl Iterator<Item = OsString>) -> ExitCode {
    sluice_service::main_with::<Origin>(args)
}
