//! HTTP/2 over TLS by another driver than ours: nghttp2's h2load.

use super::client::Protocol;
use super::load::Cell;
use super::origin;
use super::servers::Server;
use crate::cpu;
use anyhow::{Context, ensure};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

/// Sizes of the objects, and how many of each are asked for: some seconds' worth.
pub(super) const RUNS: [(usize, u64); 2] = [(1 << 10, 300_000), (1 << 20, 6_000)];
/// Time for one run.
const LIMIT: Duration = Duration::from_secs(120);

/// What one run came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// Requests a second.
    pub(super) rate: f64,
    /// Requests a second of the server's processor time, handshakes and all.
    pub(super) efficiency: f64,
}

/// Asks a server for an object so many times.
pub(super) async fn run(server: &Server, size: usize, requests: u64) -> anyhow::Result<Run> {
    let at = server.address(Protocol::Http2).context("it speaks HTTP/2")?;
    let cell = Cell::new(Protocol::Http2, size);
    let url = format!("https://{at}{}", origin::path(size));
    let mut command = Command::new("h2load");
    command.args(["-n", &requests.to_string(), "-c", &cell.connections.to_string()]);
    command.args(["-m", &cell.streams.to_string(), "--tls13-ciphers", "TLS_AES_128_GCM_SHA256", &url]);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let pid = server.process.pid()?;
    let before = cpu::tree_time(pid)?;
    // A child inherits the driver's processors.
    let output = timeout(LIMIT, command.output()).await.context("h2load took too long")?;
    let output = output.context("cannot start h2load; Debian has it in nghttp2-client")?;
    let used = cpu::tree_time(pid)?.saturating_sub(before);
    let said = String::from_utf8_lossy(&output.stdout);
    let (rate, good) = (rate(&said).context("h2load says no rate")?, succeeded(&said));
    ensure!(good == Some(requests), "of {requests} requests {} were answered", good.unwrap_or(0));
    Ok(Run { rate, efficiency: requests as f64 / used.as_secs_f64() })
}

/// Of `finished in 2.51s, 39841.43 req/s, 41.92MB/s`.
fn rate(said: &str) -> Option<f64> {
    let line = said.lines().find(|line| line.starts_with("finished in "))?;
    line.split(", ").find_map(|part| part.strip_suffix(" req/s"))?.parse().ok()
}

/// Of `status codes: 100000 2xx, 0 3xx, 0 4xx, 0 5xx`.
fn succeeded(said: &str) -> Option<u64> {
    let line = said.lines().find_map(|line| line.strip_prefix("status codes: "))?;
    line.split(", ").find_map(|part| part.strip_suffix(" 2xx"))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_h2load_says_is_understood() {
        let said = "\nfinished in 2.51s, 39841.43 req/s, 41.92MB/s\nrequests: 100000 total, 100000 started, 100000 done, \
                    100000 succeeded, 0 failed\nstatus codes: 99999 2xx, 0 3xx, 1 4xx, 0 5xx\n";
        assert_eq!((rate(said), succeeded(said)), (Some(39_841.43), Some(99_999)));
        assert_eq!((rate("finished"), succeeded("")), (None, None));
    }
}
