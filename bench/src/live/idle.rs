//! What a silent socket with a subscription costs an edge in memory.

use super::frames::{Frames, TEXT, masked, request};
use super::{Ground, SOCKET};
use crate::fleet::{Fleet, Node, Wanted};
use crate::report::progress;
use crate::tls::{Identity, NAME};
use anyhow::{Context, ensure};
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

/// Sockets opened at a time, and those before the ones that count: what the first need once is not theirs.
const AT_A_TIME: usize = 64;
const FIRST: usize = 100;
/// Open channels, which the sockets share.
const CHANNELS: usize = 10;
/// Time for a socket.
const LIMIT: Duration = Duration::from_secs(20);
/// In which an edge gives back what it needed for a moment.
const SETTLE: Duration = Duration::from_secs(4);
/// Until each was pinged once: an edge does every 25 s.
const PINGED: Duration = Duration::from_secs(28);

/// Bytes of an edge for each socket.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) tls: bool,
    pub(super) sockets: usize,
    /// Before the first.
    pub(super) empty: u64,
    /// Each, a moment after the last came.
    pub(super) each: f64,
    /// Each, after a ping; `None` in runs that do not wait so long.
    pub(super) pinged: Option<f64>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}
type Socket = Box<dyn Stream>;

/// Measures plain sockets, then TLS.
pub(super) async fn run(ground: &Ground<'_>, sockets: usize) -> anyhow::Result<Vec<Found>> {
    let mut found = vec![];
    for tls in [false, true] {
        let folder = tempfile::tempdir()?;
        let identity = Identity::make(folder.path())?;
        let (cert, key) = (identity.cert.display().to_string(), identity.key.display().to_string());
        let edge = ["--listen.https", "127.0.0.1:0", "--tls.cert", &cert, "--tls.key", &key];
        let wanted = Wanted {
            edges: &["near-a"],
            edge: &edge,
            origin: &["--channels.open", "bench:"],
            ..Wanted::default()
        };
        let fleet = Fleet::start(folder.path(), &wanted).await?;
        let one = measure(ground, &fleet.edges[0], tls.then_some(&identity), sockets).await?;
        progress(format!("live: {sockets} silent sockets: {one:?}"));
        found.push(one);
        fleet.stop().await;
    }
    Ok(found)
}

async fn measure(
    ground: &Ground<'_>,
    edge: &Node,
    identity: Option<&Identity>,
    sockets: usize,
) -> anyhow::Result<Found> {
    let empty = edge.resident()?;
    let mut open = vec![];
    fill(&mut open, FIRST, edge, identity).await?;
    sleep(SETTLE).await;
    let before = edge.resident()?;
    fill(&mut open, FIRST + sockets, edge, identity).await?;
    sleep(SETTLE).await;
    let each = |now: u64| now.saturating_sub(before) as f64 / sockets as f64;
    let after = each(edge.resident()?);
    let mut pinged = None;
    if ground.window * 2 >= PINGED {
        sleep(PINGED).await;
        pinged = Some(each(edge.resident()?));
    }
    Ok(Found { tls: identity.is_some(), sockets, empty, each: after, pinged })
}

/// Opens sockets until there are so many.
async fn fill(
    open: &mut Vec<Socket>,
    count: usize,
    edge: &Node,
    identity: Option<&Identity>,
) -> anyhow::Result<()> {
    let tls =
        identity.map(|identity| anyhow::Ok(TlsConnector::from(identity.client(b"http/1.1")?))).transpose()?;
    let at = if tls.is_some() { edge.https()? } else { edge.http()? };
    while open.len() < count {
        let mut opening = JoinSet::new();
        for number in open.len()..count.min(open.len() + AT_A_TIME) {
            opening.spawn(timeout(LIMIT, subscribed(at.to_owned(), tls.clone(), number % CHANNELS)));
        }
        while let Some(opened) = opening.join_next().await {
            open.push(opened?.context("a socket could not be opened in time")??);
        }
    }
    Ok(())
}

/// A socket that has heard that it is subscribed.
async fn subscribed(at: String, tls: Option<TlsConnector>, channel: usize) -> anyhow::Result<Socket> {
    let stream = TcpStream::connect(&at).await?;
    // The name that the certificate has.
    let host = format!("{NAME}:{}", stream.peer_addr()?.port());
    let mut socket: Socket = match tls {
        Some(tls) => Box::new(tls.connect(NAME.try_into()?, stream).await?),
        None => Box::new(stream),
    };
    socket.write_all(request(&host, SOCKET).as_bytes()).await?;
    let mut read = vec![];
    let end = loop {
        ensure!(socket.read_buf(&mut read).await? > 0, "the connection was closed");
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
    };
    ensure!(read.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&read));
    let asked = json!({ "subscribe": format!("bench:{channel}") }).to_string();
    socket.write_all(&masked(TEXT, asked.as_bytes())).await?;
    let (mut frames, mut said) = (Frames::default(), vec![]);
    let mut piece = read.split_off(end);
    loop {
        frames.feed(&piece, |_, payload| said.push(String::from_utf8_lossy(payload).into_owned()))?;
        if let Some(first) = said.first() {
            ensure!(first.contains("\"subscribed\""), "{first}");
            return Ok(socket);
        }
        piece.clear();
        ensure!(socket.read_buf(&mut piece).await? > 0, "the connection was closed");
    }
}
