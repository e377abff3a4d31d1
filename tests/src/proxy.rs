//! A TCP proxy of a story's own, whose line can be cut, silenced, narrowed and healed, and led elsewhere.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Connections that wait to be accepted.
const QUEUE: u32 = 16;
/// Pieces that a narrow line carries in a second.
const PIECES: u32 = 20;

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
    /// So many bytes a second come back, over all connections together.
    Slow(u32),
    /// Connections there are are reset. Each request is answered with this status, and nothing goes through.
    Answers(u16),
    /// Each body is broken off, its connection reset, so many bytes after its answer began; what is smaller comes whole.
    Cut(u32),
    /// Each body stands still so many bytes after its answer began, and its connection stays.
    Stalls(u32),
}

impl Line {
    /// The bytes of an answer that come back.
    const fn passes(self) -> Option<u32> {
        match self {
            Self::Cut(bytes) | Self::Stalls(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// When the next byte may come back over a narrow line.
type Free = Arc<Mutex<Instant>>;

/// A proxy in front of one address. It ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub at: SocketAddr,
    to: Arc<Mutex<SocketAddr>>,
    line: watch::Sender<Line>,
    _serving: JoinSet<()>,
}

impl Proxy {
    /// Starts one whose line is up.
    #[must_use]
    pub fn start(to: SocketAddr) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), to)
    }

    /// The same, at this address.
    #[must_use]
    pub fn start_at(at: SocketAddr, to: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(at).unwrap();
        let listener = socket.listen(QUEUE).unwrap();
        let at = listener.local_addr().unwrap();
        let (line, state) = watch::channel(Line::Up);
        let (to, mut serving) = (Arc::new(Mutex::new(to)), JoinSet::new());
        serving.spawn(accept(listener, at, Arc::clone(&to), state));
        Self { at, to, line, _serving: serving }
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    /// Leads connections to come to another address.
    pub fn lead_to(&self, to: SocketAddr) {
        *self.to.lock().unwrap() = to;
    }

    /// Changes what the line does, for connections there are and those to come.
    pub fn set(&self, line: Line) {
        self.line.send_replace(line);
    }
}

async fn accept(
    listener: TcpListener,
    at: SocketAddr,
    to: Arc<Mutex<SocketAddr>>,
    mut line: watch::Receiver<Line>,
) {
    let mut connections = JoinSet::new();
    let free: Free = Arc::new(Mutex::new(Instant::now()));
    loop {
        let full = *line.borrow_and_update() == Line::Full;
        tokio::select! {
            accepted = listener.accept(), if !full => {
                let Ok((near, _)) = accepted else { return };
                connections.spawn(connect(near, Arc::clone(&to), line.clone(), Arc::clone(&free)));
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

async fn connect(near: TcpStream, to: Arc<Mutex<SocketAddr>>, mut line: watch::Receiver<Line>, free: Free) {
    // A reset, where the story says so, and not an orderly end.
    near.set_zero_linger().unwrap();
    let begun = *line.borrow();
    if let Line::Answers(status) = begun {
        return answers(near, status).await;
    }
    let mut reset = line.clone();
    let begun_up = begun != Line::HalfOpen;
    let through = async {
        let closed = |line: &Line| matches!(line, Line::Silent | Line::Full | Line::Reset);
        drop(line.wait_for(|line| !closed(line)).await);
        let to = *to.lock().unwrap();
        let Ok(far) = TcpStream::connect(to).await else { return };
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        let back = |line: &Line| matches!(line, Line::Up | Line::Slow(_)) || line.passes().is_some();
        let there = move |line: &Line| *line == Line::OneWay || back(line);
        // One that began while others were half open is not.
        let half = move |line: &Line| !begun_up && *line == Line::HalfOpen;
        // How much of an answer has come; another request begins another.
        let come = Arc::new(Mutex::new(0));
        let asked = Way { line: line.clone(), come: Arc::clone(&come), free: None };
        let answered = Way { line, come, free: Some(free) };
        let both = async {
            tokio::try_join!(
                asked.copy(near_in, far_out, move |line| there(line) || half(line)),
                answered.copy(far_in, near_out, move |line| back(line) || half(line)),
            )
        };
        drop(both.await);
    };
    tokio::select! {
        () = through => {}
        _ = reset.wait_for(|line| matches!(line, Line::Reset | Line::Answers(_))) => {}
    }
}

/// Answers a request, and ends.
async fn answers(mut near: TcpStream, status: u16) {
    let mut asked = vec![];
    while !asked.ends_with(b"\r\n\r\n") {
        let Ok(byte) = near.read_u8().await else { return };
        asked.push(byte);
        if asked.len() > 16 << 10 {
            return;
        }
    }
    let answer = format!("HTTP/1.1 {status} Story\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    if near.write_all(answer.as_bytes()).await.is_ok() && near.shutdown().await.is_ok() {
        // Until the other side has it: it is a reset that ends this.
        drop(near.read(&mut [0]).await);
    }
}

/// One way of a connection.
struct Way {
    line: watch::Receiver<Line>,
    /// Bytes of the answer that have come back.
    come: Arc<Mutex<usize>>,
    /// Of the way back alone.
    free: Option<Free>,
}

/// The connection is broken off.
struct Broken;

impl Way {
    async fn copy(
        mut self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        passes: impl Fn(&Line) -> bool + Copy,
    ) -> Result<(), Broken> {
        let mut buffer = vec![0; 16 << 10];
        loop {
            let read = from.read(&mut buffer).await;
            drop(self.line.wait_for(passes).await);
            let Ok(count @ 1..) = read else { break };
            let line = *self.line.borrow();
            let room = self.room(line, count);
            if self.send(line, &mut to, &buffer[..room]).await.is_err() {
                break;
            }
            match line {
                Line::Stalls(_) if room < count => pending().await,
                _ if room < count => return Err(Broken),
                _ => {}
            }
        }
        drop(to.shutdown().await);
        Ok(())
    }

    /// How many bytes of these go through.
    fn room(&self, line: Line, count: usize) -> usize {
        let mut come = self.come.lock().unwrap();
        if self.free.is_none() {
            *come = 0;
            return count;
        }
        let left = line.passes().map_or(usize::MAX, |most| (most as usize).saturating_sub(*come));
        *come = come.saturating_add(count);
        left.min(count)
    }

    /// Sends, as fast as the line is.
    async fn send(&self, line: Line, to: &mut OwnedWriteHalf, bytes: &[u8]) -> io::Result<()> {
        let (Line::Slow(rate), Some(free)) = (line, &self.free) else { return to.write_all(bytes).await };
        for piece in bytes.chunks((rate / PIECES).max(1) as usize) {
            let turn = {
                let mut free = free.lock().unwrap();
                let turn = (*free).max(Instant::now());
                *free = turn + Duration::from_secs_f64(piece.len() as f64 / f64::from(rate));
                *free
            };
            sleep_until(turn).await;
            to.write_all(piece).await?;
        }
        Ok(())
    }
}
