//! The servers under test: private, on free ports of loopback, one worker and one processor each.
//!
//! A file for each; what they share is here.

mod nginx;
mod sluice;
mod traffic_server;
mod varnish;

use super::client::Protocol;
use crate::args::Options;
use crate::cpu::Plan;
use crate::process::Process;
use crate::report::without_folders;
use crate::tls::Identity;
use http::HeaderMap;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::Path;
use tokio::process::Command;

/// Memory for each cache where all objects are to fit many times over.
pub(super) const AMPLE: usize = 256 << 20;
/// Connections each takes: as many idle ones as are measured, and some.
const CONNECTIONS: usize = 12_000;

/// A running server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) name: &'static str,
    pub(super) process: Process,
    /// What it says of itself.
    pub(super) version: String,
    /// How it was started, without this machine's paths and ports.
    pub(super) command: String,
    /// Its file of configuration, likewise.
    pub(super) config: Option<String>,
    /// Why it lacks the protocols it has no address for.
    pub(super) lacks: &'static str,
    at: Addresses,
}

/// Where a server listens; the edge announces it in this form.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct Addresses {
    http: Option<SocketAddr>,
    https: Option<SocketAddr>,
    h3: Option<SocketAddr>,
}

impl Server {
    /// Where it speaks a protocol, if it does.
    pub(super) const fn address(&self, protocol: Protocol) -> Option<SocketAddr> {
        match protocol {
            Protocol::Http1 => self.at.http,
            Protocol::Http2 => self.at.https,
            Protocol::Http3 => self.at.h3,
        }
    }
}

/// What a start needs to know.
struct Ground<'g> {
    identity: &'g Identity,
    origin: SocketAddr,
    folder: &'g Path,
    cpu: Option<usize>,
    /// Bytes of each cache.
    room: usize,
}

/// Starts all of them with caches of `room` bytes, below a folder that is there; they idle until it is their turn.
pub(super) async fn start_all(
    options: &Options,
    plan: &Plan,
    identity: &Identity,
    origin: SocketAddr,
    folder: &Path,
    room: usize,
) -> anyhow::Result<Vec<Server>> {
    let ground = Ground { identity, origin, folder, cpu: plan.server, room };
    Ok(vec![
        ground.sluice(options).await?,
        ground.nginx().await?,
        ground.varnish().await?,
        ground.traffic_server().await?,
    ])
}

/// Starts an edge of ours with what it left on disk below a folder.
pub(super) async fn start_on_disk(
    options: &Options,
    plan: &Plan,
    identity: &Identity,
    origin: SocketAddr,
    folder: &Path,
) -> anyhow::Result<Server> {
    Ground { identity, origin, folder, cpu: plan.server, room: AMPLE }.sluice_on_disk(options).await
}

/// Whether an answer calls itself a hit: `Cache-Status` (RFC 9211; the member nearest to the client counts), `X-Cache`,
/// which nginx and Varnish are configured to send, or the codes Traffic Server adds to `Via`.
pub(super) fn is_hit(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get_all(name).iter().next_back().and_then(|value| value.to_str().ok());
    if let Some(status) = text("cache-status") {
        let nearest = status.rsplit(',').next().unwrap_or_default();
        return nearest.split(';').skip(1).any(|parameter| parameter.trim() == "hit");
    }
    // `cH` is a fresh hit, `cR` one out of memory.
    text("x-cache").is_some_and(|word| word.eq_ignore_ascii_case("hit"))
        || text("via").is_some_and(|via| via.contains("[cH") || via.contains("[cR"))
}

impl Ground<'_> {
    fn shown(&self, command: &Command, names: &[(SocketAddr, &str)]) -> String {
        let command = command.as_std();
        let program = without_folders(&command.get_program().to_string_lossy());
        let words = command.get_args().map(|word| word.to_string_lossy().into_owned());
        let line = std::iter::once(program).chain(words).collect::<Vec<_>>().join(" ");
        self.anonymous(&line, names)
    }

    fn anonymous(&self, text: &str, names: &[(SocketAddr, &str)]) -> String {
        let text = text.replace(&*self.folder.to_string_lossy(), "DIR");
        let tls = self.identity.cert.parent().map(|folder| folder.to_string_lossy().into_owned());
        let text = tls.map_or_else(|| text.clone(), |folder| text.replace(&folder, "TLS"));
        let all = names.iter().copied().chain([(self.origin, "ORIGIN")]);
        all.fold(text, |text, (address, name)| text.replace(&address.to_string(), name))
    }
}

/// A system's program; servers often lie where an ordinary user's path does not lead.
fn system(name: &str) -> String {
    let file = format!("/usr/sbin/{name}");
    if Path::new(&file).is_file() { file } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(lines: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        is_hit(&headers)
    }

    #[test]
    fn the_nearest_cache_says_whether_it_was_a_hit() {
        assert!(hit(&[("cache-status", "shield; fwd=miss; stored, near; hit; ttl=9")]));
        assert!(hit(&[("cache-status", "shield; fwd=miss"), ("cache-status", "near;hit")]));
        assert!(!hit(&[("cache-status", "shield; hit, near; fwd=miss")]));
        assert!(!hit(&[("cache-status", "hit; fwd=stale")]));
        assert!(hit(&[("via", "http/1.1 edge (ApacheTrafficServer/9 [cRs f ])")]));
        assert!(!hit(&[("via", "http/1.1 edge (ApacheTrafficServer/9 [cMsSfW])")]));
        assert!(hit(&[("x-cache", "HIT")]) && !hit(&[("x-cache", "MISS")]) && !hit(&[]));
    }
}
