//! A TCP proxy of a story's own, whose line can be cut, silenced and healed.

use std::future::pending;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Connections that wait to be accepted.
const QUEUE: u32 = 16;

/// What the line does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Everything goes through.
    Up,
    /// Connections are accepted, and nothing goes through: neither bytes nor ends. What was sent arrives once it heals.
    Silent,
    /// What is sent goes through, and nothing comes back.
    OneWay,
    /// Connections there are go nowhere, and do not end, as after a machine lost its power; new ones are up.
    HalfOpen,
    /// Nobody accepts, and the queue of those that wait is full.
    Full,
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
    #[must_use]
    pub fn start(to: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(QUEUE).unwrap();
        let at = listener.local_addr().unwrap();
        let (line, state) = watch::channel(Line::Up);
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, at, to, state));
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

async fn accept(listener: TcpListener, at: SocketAddr, to: SocketAddr, mut line: watch::Receiver<Line>) {
    let mut connections = JoinSet::new();
    loop {
        let full = *line.borrow_and_update() == Line::Full;
        tokio::select! {
            accepted = listener.accept(), if !full => {
                let Ok((near, _)) = accepted else { return };
                connections.spawn(connect(near, to, line.clone()));
            }
            changed = line.changed() => {
                if changed.is_err() {
                    return;
                }
                if *line.borrow() == Line::Full {
                    // Who waits in the queue, until there is no room.
                    for _ in 0..4 * QUEUE {
                        connections.spawn(async move {
                            let waiting = TcpStream::connect(at).await;
                            pending::<()>().await;
                            drop(waiting);
                        });
                    }
                }
            }
        }
    }
}

async fn connect(near: TcpStream, to: SocketAddr, mut line: watch::Receiver<Line>) {
    // A reset, where the story says so, and not an orderly end.
    near.set_zero_linger().unwrap();
    let mut reset = line.clone();
    let begun_up = !matches!(*line.borrow(), Line::HalfOpen);
    let through = async {
        drop(line.wait_for(|line| matches!(line, Line::Up | Line::OneWay | Line::HalfOpen)).await);
        let Ok(far) = TcpStream::connect(to).await else { return };
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        let there = |line: &Line| matches!(line, Line::Up | Line::OneWay);
        let back = |line: &Line| *line == Line::Up;
        // One that began while others were half open is not.
        let half = move |line: &Line| !begun_up && *line == Line::HalfOpen;
        tokio::join!(
            copy(near_in, far_out, line.clone(), move |line| there(line) || half(line)),
            copy(far_in, near_out, line, move |line| back(line) || half(line)),
        );
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
    passes: impl Fn(&Line) -> bool + Copy,
) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = from.read(&mut buffer).await;
        drop(line.wait_for(passes).await);
        match read {
            Ok(count) if count > 0 && to.write_all(&buffer[..count]).await.is_ok() => {}
            _ => break,
        }
    }
    drop(to.shutdown().await);
}
