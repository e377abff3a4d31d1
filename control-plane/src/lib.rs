//! Sluice's control plane: who is in the fleet, and which edge serves whom.
//!
//! ```text
//! reports -> leases in the database -> membership (pure) -> route table, versioned -> edges (long poll)
//!                                                        -> steering manifests, redirects -> players
//! ```
//!
//! - `membership`: what the records mean now, a pure function; `fleet`: the table in force, renewed and published
//! - `health`: scores and levels, a pure function of looks; `watcher`: who looks
//! - `traffic`: what sites have sent this month
//! - `issue`: tables signed, and what changed between them
//! - `reports`: which of them are believed, a pure function
//! - `routes` and `steer`: the HTTP interface of edges and players; `operate` and `purge`: what
//!   operators do; `page`: the operations page, built in player-demo/web
//! - `live`: the fleet once a second, for that page
//! - `ahead`: what will be asked for, and what edges fetch before it is
//! - `configuration`: the fleet's, versioned and audited; `operators`: who may
//!
//! What it leaves to others: media bytes, and anything edges need in order to keep serving.

mod ahead;
mod answer;
mod config;
mod configuration;
mod control;
mod dns;
mod fleet;
mod health;
mod issue;
mod live;
mod membership;
mod metrics;
mod operate;
mod operators;
mod page;
mod problem;
mod purge;
mod quality;
mod reports;
mod routes;
mod seats;
mod steering;
mod traffic;
mod watcher;

pub use config::Config;
pub use control::ControlPlane;
pub use dns::DnsConfig;
pub use operators::{OperatorConfig, Role};
pub use reports::ReportKeyConfig;

use std::ffi::OsString;
use std::process::ExitCode;

/// The whole of the program: its command line, its life, its exit code.
pub fn main_with(args: impl Iterator<Item = OsString>) -> ExitCode {
    sluice_service::main_with::<ControlPlane>(args)
}
