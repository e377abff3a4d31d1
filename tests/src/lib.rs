//! The harness of the end-to-end stories: real processes on loopback, real clips, an outside client's view.
//!
//! - [`process`]: one server process: started, waited for, killed, started again where it was
//! - [`accounts`]: a stack that has accounts, and what is asked of it
//! - [`sources`]: sources as they are stored, under the HTTP interface
//! - [`stack`]: a whole Sluice: control plane, origin, transcoders, shields, near edges, on a choice of engines
//! - [`origin`]: an origin of a story's own, for stories of an edge alone
//! - [`link`]: a line that loses and reorders
//! - [`faulty`]: disks that fail when a story wants it
//! - [`mutate`]: media that is broken a little
//! - [`town`]: all apps behind an edge, and who writes to them without a pause
//! - [`store`]: an object store that errs when a story wants it
//! - [`stripe`]: a payment gateway that errs when a story wants it; [`shop`]: origins with a shop; [`sale`]: one that
//!   everybody comes to at once; [`crowd`]: those who wait in line at an edge
//! - [`log`]: an event log of a story's own
//! - [`echo`]: an origin that speaks WebSocket; [`chat`]: conversations behind edges, [`device`]: a person's
//!   device in one
//! - [`channels`]: live channels that a story writes into; [`ear`]: who listens over a WebSocket
//! - [`h2`]: an HTTP/2 client that sends what no client should
//! - [`rawlog`]: an origin that keeps what it was sent, byte for byte
//! - [`client`]: what a client does: upload, wait, fetch
//! - [`results`]: what a story leaves beside the results of benches
//! - [`swapped`]: an edge whose binary is replaced
//! - [`h3`]: a client of HTTP/3 that keeps its connection
//! - [`tls`]: a client that looks at handshakes, and certificates
//! - [`authoring`]: what Apple asks of an HLS stream, checked
//! - [`clips`]: the media the stories use; [`sealed`]: videos that are sealed, and who opens them
//! - [`python`]: readers from outside, in Python, [`pillow`] among them; [`programs`]: programs that are run to their end
//! - [`viewer`]: a player without a screen, for crowds; [`fleet`]: a fleet in several cities, to break
//! - [`cities`]: a control plane that knows two cities; [`nodes`]: nodes that only report
//! - [`mmdb`]: databases of countries, cities and networks; [`ffprobe`]: what an independent reader says of what we serve
#![allow(clippy::unwrap_used, reason = "a harness reports a broken assumption by panicking, as tests do")]

pub mod accounts;
pub mod authoring;
pub mod bombs;
pub mod channels;
pub mod chat;
pub mod cities;
pub mod client;
pub mod clips;
pub mod crowd;
pub mod device;
pub mod dns;
pub mod ear;
pub mod echo;
pub mod faulty;
pub mod ffprobe;
pub mod fleet;
pub mod h2;
pub mod h3;
pub mod hearing;
pub mod link;
pub mod log;
pub mod mmdb;
pub mod mutate;
pub mod nodes;
pub mod origin;
pub mod pillow;
pub mod process;
pub mod programs;
pub mod proxy;
pub mod python;
pub mod raw;
pub mod rawlog;
pub mod results;
pub mod sale;
pub mod sealed;
pub mod shop;
pub mod social;
pub mod sources;
pub mod stack;
pub mod store;
pub mod stripe;
pub mod swapped;
pub mod tls;
pub mod town;
pub mod viewer;
