//! Sluice's edge: the caching proxy.
//!
//! ```text
//! accept -> authorise -> normalise -> lookup -> (collapse | alone -> fetch -> store) -> deliver
//! ```
//!
//! - `capped`: playlists and descriptions for those who begin when there is too much to send
//! - `probe`: how this edge is, for whoever asks
//! - `life`: a request's life, one enum of phases with a function for each; `gate`: what is let in, in one spelling;
//!   `tenant`: whose answers are kept apart from whose
//! - `access`: who may have what, before anything is looked up; `account`: sessions that have ended
//! - `shortcut`: hits, before a request is even made of the bytes that were read
//! - `cache`: directives, freshness, variants and [`policy`] (pure), objects, bodies that are read while they grow, the
//!   store, fills
//! - `disk`: what outlives the process, and what memory has no room for
//! - `searches`: which queries answers say are alike
//! - `names`: where names lead, also while nobody can say
//! - `upstreams`: which origins serve which paths; `parent`: where a miss goes, and how; `health`: what is known of a parent; `budget`: bounds of extra fetches; `same`:
//!   whether two answers may stand in one body; `watchdog`: bodies that stand still
//! - `deliver` and `ranges`: answers out of an object; `redirect`: to the next edge; `cuts`: what broke off a moment ago
//! - `transform`: other forms of what is kept, made here: codings, and variants of images
//! - `assemble`: lists of one client, and the fragments of everybody that they name
//! - `websocket` and `streams`: what is carried live, and never kept
//! - `live`: channels that end here, with those who listen
//! - `shares`: what one client may have of what is there for all
//! - `listed`: what an origin lists for edges
//! - `popular` and `asked`: what clients ask for most, now and in a minute
//! - `floors` and `feed`: what the event log says is stale; `purge`: what operators do; `fleet`: reports, the route table,
//!   its copy on disk, and plans of what is fetched ahead of demand
//!
//! What it leaves to others: deciding who is in the fleet, minting tokens, anything that cannot be fetched again.

mod access;
mod account;
mod asked;
mod assemble;
mod budget;
mod cache;
mod capped;
mod cmcd;
mod config;
mod cuts;
mod deliver;
mod disk;
mod edge;
mod feed;
mod fleet;
mod floors;
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod health;
mod lent;
mod life;
mod listed;
mod live;
mod metrics;
mod names;
mod overload;
mod parent;
mod popular;
mod probe;
mod purge;
mod ranges;
mod redirect;
mod rooms;
mod same;
mod searches;
mod shares;
mod shortcut;
mod siblings;
mod streams;
mod tenant;
mod trailers;
mod transform;
mod upstreams;
mod watchdog;
mod websocket;

pub use access::AccessConfig;
pub use cache::policy;
pub use config::{CacheConfig, Config};
pub use disk::DiskConfig;
pub use edge::Edge;
pub use names::DnsConfig;
pub use streams::StreamsConfig;
pub use tenant::TenantConfig;
pub use transform::{ImagesConfig, TransformConfig};
pub use upstreams::UpstreamConfig;

use std::ffi::OsString;
use std::process::ExitCode;

/// The whole of the program: its command line, its life, its exit code.
pub fn main_with(args: impl Iterator<Item = OsString>) -> ExitCode {
    sluice_service::main_with::<Edge>(args)
}
