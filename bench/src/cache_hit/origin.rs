//! A small origin in this process: objects of any size, and the event feed that keeps an edge's cache fresh.

use anyhow::Context;
use bytes::Bytes;
use futures::stream;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// The largest object: no cell needs more.
const LARGEST: usize = 64 << 20;
/// As often as the true origin's feed says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Connections at a time; further ones replace the oldest that has ended, or wait.
const CONNECTIONS: usize = 256;

/// A running origin; it ends when dropped.
#[derive(Debug)]
pub(super) struct Origin {
    address: SocketAddr,
    asked: Arc<AtomicU64>,
    _serving: JoinSet<()>,
}

impl Origin {
    /// Starts one on a free port of loopback.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("starting the origin")?;
        let (address, asked) = (listener.local_addr()?, Arc::default());
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, Arc::clone(&asked)));
        Ok(Self { address, asked, _serving: serving })
    }

    /// Where it listens.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests for objects it has had.
    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

/// The path of the object of a size.
pub(super) fn path(size: usize) -> String {
    format!("/obj/{size}")
}

/// Its bytes: no two blocks of it are alike, so that a swapped or repeated one is seen.
pub(super) fn object(size: usize) -> Bytes {
    let words = (0..size.div_ceil(8) as u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
    bytes.truncate(size);
    bytes.into()
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

async fn accept(listener: TcpListener, asked: Arc<AtomicU64>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= CONNECTIONS {
            drop(connections.join_next().await);
        }
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => drop(connections.spawn(converse(stream, Arc::clone(&asked)))),
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn converse(stream: TcpStream, asked: Arc<AtomicU64>) {
    let handler = service_fn(move |request: Request<Incoming>| {
        let answer = answer(&request, &asked);
        async { answer }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new());
    // A server that hangs up in the middle is its own affair.
    drop(builder.serve_connection(TokioIo::new(stream), handler).await);
}

fn answer(request: &Request<Incoming>, asked: &AtomicU64) -> http::Result<Response<Body>> {
    let path = request.uri().path();
    // What follows the size tells objects of one size apart.
    let size = path.strip_prefix("/obj/").and_then(|rest| rest.split('/').next()?.parse().ok());
    let size = size.filter(|&size| size <= LARGEST);
    match (request.method(), size, path) {
        (&Method::GET | &Method::HEAD, Some(size), _) => {
            asked.fetch_add(1, Ordering::Relaxed);
            Response::builder()
                .header(CACHE_CONTROL, "public, max-age=3600")
                .header(CONTENT_TYPE, "application/octet-stream")
                .header(CONTENT_LENGTH, size)
                .header(ETAG, format!("\"{size}\""))
                .body(Full::new(object(size)).boxed_unsync())
        }
        (&Method::GET, None, "/v1/log") => {
            Response::builder().header(CONTENT_TYPE, "application/x-ndjson").body(feed())
        }
        _ => Response::builder().status(StatusCode::NOT_FOUND).body(Full::default().boxed_unsync()),
    }
}

/// An event feed in which nothing ever happens.
fn feed() -> Body {
    let lines = stream::unfold(Duration::ZERO, |wait| async move {
        sleep(wait).await;
        Some((Ok(Frame::data(Bytes::from_static(b"{\"heartbeat\":0}\n"))), HEARTBEAT))
    });
    StreamBody::new(lines).boxed_unsync()
}
