//! `sluice`: the operator's command line.
//!
//! Exit codes: 0 done, 1 refused or failed, 2 the command line is at fault.

mod api;
mod commands;
mod mint;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Operates a Sluice: its fleet through the control plane, its videos through an edge.
#[derive(Debug, Parser)]
#[command(name = "sluice", version)]
struct Options {
    /// The control plane.
    #[arg(long, env = "SLUICE_CONTROL", default_value = "http://127.0.0.1:8090", global = true)]
    control: String,
    /// An edge.
    #[arg(long, env = "SLUICE_EDGE", default_value = "http://127.0.0.1:8080", global = true)]
    edge: String,
    /// Prints answers as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The fleet: each node's state and figures.
    Nodes,
    /// The route table.
    Routes,
    /// Gives a node nothing new.
    Drain { node: String },
    /// Lets a node take part again.
    Undrain { node: String },
    /// Has copies forgotten in every tier, or validated before they are served.
    Purge(Purge),
    /// Which nodes own a URL, recomputed from the published table.
    Owner { url: String },
    /// Uploads a file; prints the video's id.
    Upload {
        file: PathBuf,
        /// Waits until it can be played to its end.
        #[arg(long)]
        wait: bool,
    },
    /// The library.
    Videos,
    /// One video.
    Video { id: String },
    /// Signs a variant of an image; prints its path and query.
    SignImage {
        /// The image's path and the variant: `/a.jpg?w=320&fmt=auto`.
        target: String,
        /// The file that `transform.images.key_file` of the edges names.
        #[arg(long, env = "SLUICE_IMAGE_KEY_FILE")]
        key_file: PathBuf,
    },
    /// Deletes a video.
    Delete { id: String },
    /// Keys, tokens and signed URLs for edges that check them.
    #[command(flatten)]
    Mint(mint::Mint),
}

/// What is purged. Each may be given several times.
#[derive(Debug, clap::Args)]
struct Purge {
    /// A tag.
    #[arg(long)]
    tag: Vec<String>,
    /// A media path: everything with its tags.
    #[arg(long)]
    path: Vec<String>,
    /// A URL, http://host/path?query; /path?query at the fleet's own hosts.
    #[arg(long)]
    url: Vec<String>,
    /// A path and all below it, http://host/path; /path at the fleet's own hosts.
    #[arg(long)]
    prefix: Vec<String>,
    /// Every copy there is.
    #[arg(long)]
    all: bool,
    /// Lets copies be validated, and served stale where their answers allow it.
    #[arg(long)]
    soft: bool,
    /// Milliseconds to wait for every edge to have applied it.
    #[arg(long, default_value_t = 5_000)]
    wait: u64,
    /// The admin listener of one edge, to purge there alone.
    #[arg(long)]
    at: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match commands::run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            api::complain(&format!("sluice: {error:#}\n"));
            ExitCode::FAILURE
        }
    }
}
