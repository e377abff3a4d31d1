//! What a connection that waits for its next request costs: bytes in memory, beside nothing at all.

use super::client::Protocol;
use super::origin;
use super::servers::Server;
use crate::cpu;
use anyhow::{Context, ensure};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Connections held open.
pub(super) const CONNECTIONS: usize = 10_000;
/// Opened at a time, so that no server's queue of new connections runs over.
const AT_A_TIME: usize = 100;
/// Time for each of them, and for a server to settle before and after.
const LIMIT: Duration = Duration::from_secs(20);
/// Time in which a server gives back what it needed for a moment.
const SETTLE: Duration = Duration::from_secs(4);
/// The object each connection has asked for once.
const SIZE: usize = 1 << 10;

/// Bytes in memory for each idle connection of a server.
pub(super) async fn run(server: &Server) -> anyhow::Result<f64> {
    let address = server.address(Protocol::Http1).context("it speaks HTTP/1")?;
    let pid = server.process.pid()?;
    let mut open = vec![ask_once(address).await?];
    sleep(SETTLE).await;
    let before = cpu::tree_resident(pid)?;
    while open.len() < CONNECTIONS {
        let mut opening = JoinSet::new();
        for _ in 0..AT_A_TIME.min(CONNECTIONS - open.len()) {
            opening.spawn(ask_once(address));
        }
        while let Some(opened) = opening.join_next().await {
            open.push(opened??);
        }
    }
    sleep(SETTLE).await;
    let after = cpu::tree_resident(pid)?;
    // All of them are still there: each would be told if its server had hung up.
    let gone = open.iter().filter(|stream| stream.try_read(&mut [0; 1]).is_ok()).count();
    ensure!(gone == 0, "{gone} of {CONNECTIONS} idle connections were closed");
    Ok(after.saturating_sub(before) as f64 / CONNECTIONS as f64)
}

async fn ask_once(address: SocketAddr) -> anyhow::Result<TcpStream> {
    timeout(LIMIT, async {
        let mut stream = TcpStream::connect(address).await?;
        let path = origin::path(SIZE);
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await?;
        let mut read = Vec::with_capacity(4 << 10);
        loop {
            ensure!(stream.read_buf(&mut read).await? > 0, "the connection was closed");
            let end = read.windows(4).position(|four| four == b"\r\n\r\n");
            if end.is_some_and(|end| read.len() >= end + 4 + SIZE) {
                return Ok(stream);
            }
        }
    })
    .await
    .context("an idle connection could not be opened in time")?
}
