//! A TCP proxy of a story's own, whose line can be cut, silenced and healed.

use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What the line does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Everything goes through.
    Up,
    /// Connections are accepted, and nothing goes through: neither bytes nor ends. What was sent arrives once it heals.
    Silent,
    /// Every connection is reset.
    Reset,
}

/// A proxy in front of one address. It ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub at: SocketAddr,
    line: watch::Sender<Line>,
    _serving: JoinSet<()>,
}

impl Proxy {
    /// Starts one whose line is up.
    pub async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (line, state) = watch::channel(Line::Up);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                connections.spawn(connect(near, to, state.clone()));
            }
        });
        Self { at, line, _serving: serving }
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    /// Changes what the line does, for connections there are and those to come.
    pub fn set(&self, line: Line) {
        self.line.send_replace(line);
    }
}

async fn connect(near: TcpStream, to: SocketAddr, mut line: watch::Receiver<Line>) {
    // A reset, where the story says so, and not an orderly end.
    near.set_zero_linger().unwrap();
    let mut reset = line.clone();
    let through = async {
        drop(line.wait_for(|line| *line == Line::Up).await);
        let Ok(far) = TcpStream::connect(to).await else { return };
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        tokio::join!(copy(near_in, far_out, line.clone()), copy(far_in, near_out, line));
    };
    tokio::select! {
        () = through => {}
        _ = reset.wait_for(|line| *line == Line::Reset) => {}
    }
}

async fn copy(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut line: watch::Receiver<Line>,
) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = from.read(&mut buffer).await;
        drop(line.wait_for(|line| *line == Line::Up).await);
        match read {
            Ok(count) if count > 0 && to.write_all(&buffer[..count]).await.is_ok() => {}
            _ => break,
        }
    }
    drop(to.shutdown().await);
}
