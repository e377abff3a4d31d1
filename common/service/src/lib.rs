//! What every Sluice server needs around what it does.
//!
//! ```text
//! main_with::<P>(args): config -> faults? -> tracing -> bind every port -> P::load -> announce -> P::run -> drained
//! ```
//!
//! - [`config`]: layers (file < `SLUICE_*` < flags), every fault reported at once
//! - [`process`]: the life of a server; `command`: what it does beside serving; [`drain`]: its orderly end
//! - `reload`: configuration read anew (SIGHUP); `takeover`: the binary replaced (SIGUSR2), both while it serves
//! - [`listen`]: HTTP/1.1, HTTP/2 and HTTP/3 in front of one [`tower::Service`]
//! - `tls`: certificates and who is trusted, [`peer_tls`] for questions to others; `acme`: certificates that are ordered
//! - `uncopied`: large bodies, in memory ([`Arena`]) and in files ([`InFile`]), that go to clients without being copied
//! - [`Places`]: where an address is, by a database in MaxMind's format
//! - [`page()`]: built web pages
//! - [`Pool`]: a bound on work that keeps a processor busy
//! - [`metrics`], [`health`]: what the admin listener shows; [`trace`]: one trace over all hops
//! - [`crash`]: points at which stories let a process end, in debug builds
//! - [`problem`]: RFC 9457 answers; [`cut_response`]: none, where an error would be taken for an answer
//!
//! What it leaves to the servers: everything about media, caching, routing and storage.

mod acme;
mod admin;
mod announce;
mod command;
pub mod config;
pub mod crash;
mod cut;
pub mod drain;
mod files;
pub mod health;
pub mod listen;
pub mod metrics;
mod pages;
mod places;
mod pool;
pub mod problem;
pub mod process;
mod reload;
mod takeover;
pub mod telemetry;
mod tls;
pub mod trace;
mod uncopied;

pub use admin::Admin;
pub use command::{Command, CommandOption, Told};
pub use config::{
    ConfigError, Faults, LimitsConfig, ListenConfig, LogConfig, PeerTlsConfig, ProcessConfig, ServerConfig,
    TlsConfig,
};
pub use cut::{Cut, cut_response};
pub use drain::Drain;
pub use files::read_bounded;
pub use health::{Health, HealthFlag};
#[doc(hidden)]
pub use listen::fuzzing;
pub use listen::{
    Addresses, EarlyData, Interim, Listeners, Peer, Pipe, Plain, Protocol, Shortcut, WebSocket, is_host,
};
pub use metrics::Metrics;
pub use pages::page;
pub use places::Places;
pub use pool::{Pool, Undone};
pub use problem::problem_response;
pub use process::{Context, Process, ProcessError, main_with};
pub use reload::Apply;
pub use tls::peer_tls;
pub use trace::{RequestId, TraceContext};
pub use uncopied::{Arena, Filed, InFile};

/// The body of every request and answer: bytes in pieces, which may end in an error.
pub type Body = axum::body::Body;
/// A request as servers get it.
pub type HttpRequest = http::Request<Body>;
/// An answer as servers give it.
pub type HttpResponse = http::Response<Body>;
