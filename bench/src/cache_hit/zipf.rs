//! Hit ratios: one trace through every server's own cache, which is far smaller than what is asked for.

use super::client::{Client, Protocol, connect};
use super::origin;
use super::servers::{Server, is_hit};
use crate::replay::{Request, Trace};
use crate::tls::Identity;
use anyhow::Context;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Keys and requests of the trace.
const KEYS: u64 = 26_000;
const REQUESTS: usize = 100_000;
/// Connections that take the requests in their order.
const CLIENTS: usize = 8;
/// Time for all of it.
const LIMIT: Duration = Duration::from_secs(300);
/// A cache's share of the trace's unique bytes, in hundredths.
pub(super) const SHARE: u64 = 10;

/// How often a server had what was asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Hits {
    pub(super) objects: f64,
    pub(super) bytes: f64,
}

/// The trace, and the bytes each cache has for it.
pub(super) fn trace() -> (Arc<Trace>, usize) {
    let trace = Trace::zipf(KEYS, REQUESTS);
    let room = trace.unique_bytes / 100 * SHARE;
    (Arc::new(trace), usize::try_from(room).unwrap_or(usize::MAX))
}

/// Sends the trace through a server.
pub(super) async fn run(server: &Server, identity: &Identity, trace: &Arc<Trace>) -> anyhow::Result<Hits> {
    let address = server.address(Protocol::Http1).context("it speaks HTTP/1")?;
    let (next, mut drivers, mut askers) = (Arc::new(AtomicUsize::new(0)), JoinSet::new(), JoinSet::new());
    for _ in 0..CLIENTS {
        let clients = connect(Protocol::Http1, address, identity, 1, &mut drivers).await?;
        for client in clients {
            askers.spawn(ask(client, address.port(), Arc::clone(trace), Arc::clone(&next)));
        }
    }
    let (mut hits, mut hit_bytes) = (0, 0);
    let all = async {
        while let Some(ended) = askers.join_next().await {
            let (objects, bytes) = ended??;
            hits += objects;
            hit_bytes += bytes;
        }
        anyhow::Ok(())
    };
    timeout(LIMIT, all).await.context("the trace took too long")??;
    let bytes: u64 = trace.requests.iter().map(|request| request.size).sum();
    Ok(Hits { objects: hits as f64 / trace.requests.len() as f64, bytes: hit_bytes as f64 / bytes as f64 })
}

/// Takes request after request; hits and their bytes.
async fn ask(
    mut client: Client,
    port: u16,
    trace: Arc<Trace>,
    next: Arc<AtomicUsize>,
) -> anyhow::Result<(u64, u64)> {
    let (mut hits, mut bytes) = (0, 0);
    let largest = trace.requests.iter().map(|request| request.size).max().unwrap_or(0);
    let object = origin::object(usize::try_from(largest)?);
    while let Some(Request { key, size }) = trace.requests.get(next.fetch_add(1, Ordering::Relaxed)) {
        let path = format!("{}/{key:x}", origin::path(usize::try_from(*size)?));
        let request = Protocol::Http1.request(([127, 0, 0, 1], port).into(), &path)?;
        let head = client.get(request, &object.slice(..usize::try_from(*size)?), false).await?;
        if is_hit(&head.headers) {
            hits += 1;
            bytes += size;
        }
    }
    Ok((hits, bytes))
}
