//! TLS of a server and of its questions to other nodes.
//!
//! - `identity`: a certificate with its key; `names`: what a certificate is for (pure)
//! - `certificates`: all of a server's, one chosen by the name that a client asks for
//! - `clients`: those that must show a certificate; `peers`: the client's side; `roots`: authorities
//! - `watch`: files that change while the server runs; `reloads`: what came of it

mod certificates;
mod clients;
mod identity;
mod names;
mod peers;
mod reloads;
mod roots;
mod watch;

pub(crate) use certificates::Certificates;
pub(crate) use clients::Clients;
pub(crate) use identity::Identity;
pub(crate) use names::host_of;
pub(crate) use peers::acme_client;
pub use peers::peer_tls;
pub(crate) use reloads::Reloads;
pub(crate) use watch::{Watched, start as watch};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use std::sync::Arc;

/// The one cryptography library of the house.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
