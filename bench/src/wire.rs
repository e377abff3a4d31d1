//! A relay of loopback that counts what comes through it: what a parent costs an edge in bytes, heads and all.

use anyhow::Context;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Bytes that are passed on at a time.
const PIECE: usize = 64 << 10;

/// The relay. Dropped, it ends with its connections.
#[derive(Debug)]
pub(crate) struct Wire {
    at: SocketAddr,
    sent: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

impl Wire {
    /// Before a parent that listens at an address.
    pub(crate) async fn before(parent: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("binding a relay")?;
        let (at, sent, mut tasks) = (listener.local_addr()?, Arc::default(), JoinSet::new());
        tasks.spawn(serve(listener, parent, Arc::clone(&sent)));
        Ok(Self { at, sent, _tasks: tasks })
    }

    /// Its URL, for edges.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    /// Bytes that the parent has sent through it so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

async fn serve(listener: TcpListener, parent: SocketAddr, sent: Arc<AtomicU64>) {
    let mut open: JoinSet<io::Result<()>> = JoinSet::new();
    loop {
        tokio::select! {
            // An error is that of one connection: whoever connects tries again.
            taken = listener.accept() => if let Ok((edge, _)) = taken {
                open.spawn(relay(edge, parent, Arc::clone(&sent)));
            },
            Some(_) = open.join_next() => {}
        }
    }
}

/// Passes on what both say until both have ended.
async fn relay(edge: TcpStream, parent: SocketAddr, sent: Arc<AtomicU64>) -> io::Result<()> {
    let parent = TcpStream::connect(parent).await?;
    edge.set_nodelay(true)?;
    parent.set_nodelay(true)?;
    let ((mut asked, mut answers), (mut answered, mut asks)) = (edge.into_split(), parent.into_split());
    let up = async {
        copy(&mut asked, &mut asks).await?;
        asks.shutdown().await
    };
    let down = async {
        let mut piece = vec![0; PIECE];
        loop {
            let count = answered.read(&mut piece).await?;
            if count == 0 {
                return answers.shutdown().await;
            }
            sent.fetch_add(count as u64, Ordering::Relaxed);
            answers.write_all(&piece[..count]).await?;
        }
    };
    tokio::try_join!(up, down).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_parent_sends_is_passed_on_and_counted() {
        let parent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let wire = Wire::before(parent.local_addr().unwrap()).await.unwrap();
        let mut edge = TcpStream::connect(wire.at).await.unwrap();
        let (mut there, _) = parent.accept().await.unwrap();
        edge.write_all(b"may I?").await.unwrap();
        let mut asked = [0; 6];
        there.read_exact(&mut asked).await.unwrap();
        assert_eq!(&asked, b"may I?");
        there.write_all(&[7; 1_000]).await.unwrap();
        there.shutdown().await.unwrap();
        let mut answer = vec![];
        edge.read_to_end(&mut answer).await.unwrap();
        assert_eq!((answer.len(), wire.sent()), (1_000, 1_000));
    }
}
