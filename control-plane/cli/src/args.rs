//! What can be said on the command line.

use crate::mint;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::path::PathBuf;

/// Operates a Sluice: its fleet through the control plane, its videos through an edge.
#[derive(Debug, Parser)]
#[command(name = "sluice", version)]
pub(crate) struct Options {
    /// The control plane.
    #[arg(long, env = "SLUICE_CONTROL", default_value = "http://127.0.0.1:8090", global = true)]
    pub(crate) control: String,
    /// An edge.
    #[arg(long, env = "SLUICE_EDGE", default_value = "http://127.0.0.1:8080", global = true)]
    pub(crate) edge: String,
    /// The operator's token for the control plane.
    #[arg(long, env = "SLUICE_TOKEN", hide_env_values = true, global = true)]
    pub(crate) token: Option<String>,
    /// Prints answers as JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
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
    /// The fleet's configuration: sites, nodes, outside CDNs.
    #[command(subcommand)]
    Config(Config),
    /// What operators did, the newest first.
    Audit {
        /// Entries shown at most.
        #[arg(long, default_value_t = 50)]
        limit: u64,
    },
    /// Makes an operator's token, and the line that lets its bearer in.
    Operator {
        name: String,
        /// `viewer`, `operator` or `admin`.
        #[arg(long, default_value = "operator", value_parser = ["viewer", "operator", "admin"])]
        role: String,
    },
    /// Which nodes own a URL at each site, its replicas and its shield, recomputed from the published table.
    Owner {
        url: String,
        /// One site alone.
        #[arg(long)]
        site: Option<String>,
    },
    /// Where a viewer of a video would be sent now, and what was weighed.
    Why {
        video: String,
        /// The viewer's address; this machine's where it is absent.
        #[arg(long)]
        client: Option<String>,
    },
    /// What is expected to be asked for at each site, what is fetched ahead of it, and why the rest is not.
    Prefetch {
        /// One site alone.
        #[arg(long)]
        site: Option<String>,
        /// Media groups shown of a site, at most.
        #[arg(long, default_value_t = 50)]
        limit: u64,
    },
    /// Uploads a file; prints the video's id. The same command goes on where one that was cut left off.
    Upload(Upload),
    /// Lists videos, the newest first.
    #[command(visible_alias = "videos")]
    List(List),
    /// Shows one video.
    #[command(visible_alias = "video")]
    Show { id: String },
    /// Follows a video until it is ready (exit code 0) or has failed (3).
    Watch { id: String },
    /// Changes what people say of a video, and who sees it.
    Edit(Edit),
    /// Deletes a video; it can be restored for a while.
    Delete {
        id: String,
        /// For good, at once.
        #[arg(long)]
        now: bool,
    },
    /// Makes videos anew of the sources they have, where the policy of now makes another of them; each is played as it is
    /// until that is ready.
    Remake(Remake),
    /// Brings a deleted video back.
    Restore { id: String },
    /// What a player needs for a video: its address, with a token if it is private.
    Playback { id: String },
    /// What the videos take up in the store.
    Storage,
    /// Signs a variant of an image; prints its path and query.
    SignImage {
        /// The image's path and the variant: `/a.jpg?w=320&fmt=auto`.
        target: String,
        /// The file that `transform.images.key_file` of the edges names.
        #[arg(long, env = "SLUICE_IMAGE_KEY_FILE")]
        key_file: PathBuf,
    },
    /// Keys, tokens and signed URLs for edges that check them.
    #[command(flatten)]
    Mint(mint::Mint),
    /// Prints completions for a shell.
    Completions { shell: Shell },
    /// Prints the man page.
    Man,
}

/// What is done with the fleet's configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Prints the configuration in force, or an older version of it.
    Show { version: Option<u64> },
    /// Puts the configuration of a file in force, if the one that the file was made from still is.
    Set {
        file: PathBuf,
        /// Why, for whoever reads the log.
        #[arg(long, default_value = "")]
        note: String,
        /// Whichever version is in force.
        #[arg(long)]
        force: bool,
    },
    /// Says which sessions the configuration of a file would send elsewhere. Nothing changes.
    Try { file: PathBuf },
    /// Who changed it when, the newest first.
    Log {
        /// Versions shown at most.
        #[arg(long, default_value_t = 50)]
        limit: u64,
    },
    /// Puts an older version in force again.
    Rollback { version: u64 },
}

/// What is uploaded, and how.
#[derive(Debug, Args)]
pub(crate) struct Upload {
    pub(crate) file: PathBuf,
    /// What people call it; its name unless told otherwise.
    #[arg(long)]
    pub(crate) title: Option<String>,
    /// The video that it is to replace, under the same address: that is played as it is until this is ready.
    #[arg(long, value_name = "ID")]
    pub(crate) replaces: Option<String>,
    /// Waits until it can be played to its end.
    #[arg(long)]
    pub(crate) wait: bool,
    /// Sends the file from its beginning to its end, wherever its index is.
    #[arg(long)]
    pub(crate) in_order: bool,
    /// Sends the bytes to the object store, by URLs that the server signs.
    #[arg(long, conflicts_with = "in_order")]
    pub(crate) direct: bool,
}

/// What is made anew.
#[derive(Debug, Args)]
pub(crate) struct Remake {
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub(crate) id: Vec<String>,
    /// Every video of the library that is ready.
    #[arg(long)]
    pub(crate) all: bool,
    /// Also what would be the same.
    #[arg(long)]
    pub(crate) force: bool,
    /// Waits until they are ready.
    #[arg(long, conflicts_with = "all")]
    pub(crate) wait: bool,
}

/// Which videos are listed.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Words, each the beginning of one.
    pub(crate) words: Vec<String>,
    /// A tag; may be given several times.
    #[arg(long)]
    pub(crate) tag: Vec<String>,
    /// Who comes by them.
    #[arg(long, default_value = "all")]
    pub(crate) visibility: Seen,
    /// A state, or `deleted`.
    #[arg(long)]
    pub(crate) state: Option<String>,
    /// The oldest first.
    #[arg(long)]
    pub(crate) oldest: bool,
    /// Goes on after this video.
    #[arg(long)]
    pub(crate) after: Option<String>,
    /// Videos listed at most; 0 for all there are.
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: u64,
}

/// Who comes by a video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Seen {
    Public,
    Unlisted,
    Private,
    All,
}

impl Seen {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Unlisted => "unlisted",
            Self::Private => "private",
            Self::All => "all",
        }
    }
}

/// What is to be different.
#[derive(Debug, Args)]
pub(crate) struct Edit {
    pub(crate) id: String,
    #[arg(long)]
    pub(crate) title: Option<String>,
    #[arg(long)]
    pub(crate) description: Option<String>,
    /// A tag; all of them are to be given.
    #[arg(long, conflicts_with = "no_tags")]
    pub(crate) tag: Vec<String>,
    /// Takes its tags away.
    #[arg(long)]
    pub(crate) no_tags: bool,
    /// `public`, `unlisted` or `private`.
    #[arg(long)]
    pub(crate) visibility: Option<String>,
    /// How its media is sealed for delivery: `none`, `aes-128` or `cbcs`.
    #[arg(long)]
    pub(crate) protection: Option<String>,
    /// Only if it is at this version.
    #[arg(long)]
    pub(crate) if_version: Option<u64>,
}

/// What is purged. Each may be given several times.
#[derive(Debug, Args)]
pub(crate) struct Purge {
    /// A tag.
    #[arg(long)]
    pub(crate) tag: Vec<String>,
    /// A media path: everything with its tags.
    #[arg(long)]
    pub(crate) path: Vec<String>,
    /// A URL, http://host/path?query; /path?query at the fleet's own hosts.
    #[arg(long)]
    pub(crate) url: Vec<String>,
    /// A path and all below it, http://host/path; /path at the fleet's own hosts.
    #[arg(long)]
    pub(crate) prefix: Vec<String>,
    /// Every copy there is.
    #[arg(long)]
    pub(crate) all: bool,
    /// Lets copies be validated, and served stale where their answers allow it.
    #[arg(long)]
    pub(crate) soft: bool,
    /// Milliseconds to wait for every edge to have applied it.
    #[arg(long, default_value_t = 5_000)]
    pub(crate) wait: u64,
    /// The admin listener of one edge, to purge there alone.
    #[arg(long)]
    pub(crate) at: Option<String>,
}
