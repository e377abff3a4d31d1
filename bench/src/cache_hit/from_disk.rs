//! Hits from the disk tier: an edge that was restarted, so that all it has is on disk (and in the kernel's cache).

use super::Ground;
use super::client::{Protocol, connect};
use super::load::Cell;
use super::origin;
use super::servers::{self, Server};
use anyhow::{Context, ensure};
use std::path::Path;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// Bytes of the object.
pub(super) const SIZE: usize = 1 << 20;
/// Time for the edge to write the object, and to know after its restart that it may serve it.
const LIMIT: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What is asked.
pub(super) const fn cell() -> Cell {
    Cell::new(Protocol::Http1, SIZE)
}

/// Starts an edge that has the object on disk alone.
pub(super) async fn start(ground: &Ground<'_>, folder: &Path) -> anyhow::Result<Server> {
    let (options, plan) = (ground.options, ground.plan);
    let start = || servers::start_on_disk(options, plan, ground.identity, ground.origin.address(), folder);
    let first = start().await?;
    until("it writes the object", async || {
        asked(ground, &first).await?;
        Ok(is_written(folder))
    })
    .await?;
    first.process.stop().await;
    let server = start().await?;
    until("it serves from disk", async || Ok(asked(ground, &server).await?.contains("detail=disk"))).await?;
    Ok(server)
}

/// Asks for the object; gives the answer's `Cache-Status`.
async fn asked(ground: &Ground<'_>, server: &Server) -> anyhow::Result<String> {
    let address = server.address(Protocol::Http1).context("it speaks HTTP/1")?;
    let mut drivers = JoinSet::new();
    let mut clients = connect(Protocol::Http1, address, ground.identity, 1, &mut drivers).await?;
    let client = clients.first_mut().context("a connection")?;
    let request = Protocol::Http1.request(address, &origin::path(SIZE))?;
    let head = client.get(request, &origin::object(SIZE), true).await?;
    let status = head.headers.get("cache-status").and_then(|value| value.to_str().ok());
    Ok(status.unwrap_or_default().to_owned())
}

fn is_written(folder: &Path) -> bool {
    let regions = std::fs::read_dir(folder.join("edge/disk")).into_iter().flatten().flatten();
    regions.filter_map(|entry| entry.metadata().ok()).any(|metadata| metadata.len() >= SIZE as u64)
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !is_so().await? {
        ensure!(begun.elapsed() < LIMIT, "waited in vain until {what}");
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}
