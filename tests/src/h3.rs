//! A client of HTTP/3 that keeps its connection, and opens another when it is told that this one takes no more.

use crate::tls::Client;
use bytes::{Buf, Bytes};
use futures::future::poll_fn;
use h3::client::{RequestStream, SendRequest};
use h3::error::{Code, StreamError};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long anything of a request may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

type Stream = RequestStream<h3_quinn::BidiStream<Bytes>, Bytes>;

/// A client of one address.
#[derive(Debug)]
pub struct H3 {
    endpoint: quinn::Endpoint,
    at: SocketAddr,
    live: Option<Live>,
    /// Connections it has opened.
    pub opened: usize,
}

struct Live {
    requests: SendRequest<h3_quinn::OpenStreams, Bytes>,
    _driving: JoinSet<()>,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

/// An exchange whose answer has begun.
pub struct Exchange {
    stream: Stream,
    /// Its status.
    pub status: u16,
}

/// A request that is not answered yet.
pub struct Asked(Stream);

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asked").finish_non_exhaustive()
    }
}

impl Asked {
    /// The next head of its answer, which may be an interim one.
    ///
    /// # Errors
    /// What went wrong.
    pub async fn head(&mut self) -> Result<http::Response<()>, String> {
        let head = timeout(LIMIT, self.0.recv_response()).await.map_err(|_| "no head")?;
        head.map_err(|e| format!("head: {e}"))
    }
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange").field("status", &self.status).finish_non_exhaustive()
    }
}

/// A request whose body is being sent.
pub struct Upload(Stream);

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload").finish_non_exhaustive()
    }
}

impl H3 {
    /// One that has not connected yet.
    #[must_use]
    pub fn new(at: SocketAddr) -> Self {
        Self::from(Ipv4Addr::LOCALHOST, at)
    }

    /// As [`new`](Self::new), from another address than loopback's.
    #[must_use]
    pub fn from(from: Ipv4Addr, at: SocketAddr) -> Self {
        let mut endpoint = quinn::Endpoint::client((from, 0).into()).unwrap();
        endpoint.set_default_client_config(Client::quic(false));
        Self { endpoint, at, live: None, opened: 0 }
    }

    async fn connect(&mut self) -> Result<&mut Live, String> {
        if self.live.is_none() {
            let connecting = self.endpoint.connect(self.at, "localhost").unwrap();
            let connection = timeout(LIMIT, connecting).await.map_err(|_| "no handshake")?;
            let quic = h3_quinn::Connection::new(connection.map_err(|e| format!("handshake: {e}"))?);
            let (mut driver, requests) = h3::client::new(quic).await.map_err(|e| format!("begin: {e}"))?;
            let mut driving = JoinSet::new();
            driving.spawn(async move { drop(poll_fn(|cx| driver.poll_close(cx)).await) });
            self.opened += 1;
            self.live = Some(Live { requests, _driving: driving });
        }
        Ok(self.live.as_mut().expect("just made"))
    }

    /// Sends a request's head. A connection that takes no more, or is closed, is replaced: nothing was sent over it.
    async fn send(&mut self, method: &str, path: &str) -> Result<Stream, String> {
        for _ in 0..3 {
            let url = format!("https://localhost{path}");
            let request = http::Request::builder().method(method).uri(url).body(()).unwrap();
            let sending = timeout(LIMIT, self.connect().await?.requests.send_request(request)).await;
            match sending.map_err(|_| "a head could not be sent")? {
                Ok(stream) => return Ok(stream),
                Err(StreamError::RemoteClosing { .. } | StreamError::ConnectionError { .. }) => {
                    self.live = None
                }
                Err(error) => return Err(format!("head: {error}")),
            }
        }
        Err("no connection takes a request".into())
    }

    /// Asks for a path.
    ///
    /// # Errors
    /// What went wrong.
    pub async fn ask(&mut self, path: &str) -> Result<Asked, String> {
        let mut stream = self.send("GET", path).await?;
        stream.finish().await.map_err(|e| format!("end: {e}"))?;
        Ok(Asked(stream))
    }

    /// Asks for a path, until the answer's head is there. What was not looked at is asked again.
    ///
    /// # Errors
    /// What went wrong.
    pub async fn begin(&mut self, path: &str) -> Result<Exchange, String> {
        loop {
            let Asked(stream) = self.ask(path).await?;
            match timeout(LIMIT, answered(stream)).await.map_err(|_| "no answer")? {
                Ok(exchange) => return Ok(exchange),
                Err(StreamError::RemoteTerminate { code: Code::H3_REQUEST_REJECTED, .. }) => self.live = None,
                Err(error) => return Err(format!("answer: {error}")),
            }
        }
    }

    /// Asks for a path; status and body.
    ///
    /// # Errors
    /// What went wrong.
    pub async fn get(&mut self, path: &str) -> Result<(u16, Vec<u8>), String> {
        let mut exchange = self.begin(path).await?;
        let mut body = vec![];
        while let Some(piece) = exchange.piece().await? {
            body.extend_from_slice(&piece);
        }
        Ok((exchange.status, body))
    }

    /// Begins to send a body.
    ///
    /// # Errors
    /// What went wrong.
    pub async fn upload(&mut self, path: &str) -> Result<Upload, String> {
        Ok(Upload(self.send("POST", path).await?))
    }
}

async fn answered(mut stream: Stream) -> Result<Exchange, StreamError> {
    loop {
        let head = stream.recv_response().await?;
        if !head.status().is_informational() {
            let status = head.status().as_u16();
            return Ok(Exchange { stream, status });
        }
    }
}

impl Exchange {
    /// The next bytes of its body.
    ///
    /// # Errors
    /// What went wrong.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, String> {
        let piece = timeout(LIMIT, self.stream.recv_data()).await.map_err(|_| "no more of a body")?;
        let piece = piece.map_err(|e| format!("body: {e}"))?;
        Ok(piece.map(|mut piece| piece.copy_to_bytes(piece.remaining())))
    }
}

impl Upload {
    /// Sends some of it.
    ///
    /// # Errors
    /// What went wrong.
    pub async fn send(&mut self, piece: &'static str) -> Result<(), String> {
        self.0.send_data(Bytes::from(piece)).await.map_err(|e| format!("upload: {e}"))
    }

    /// Ends it; the answer.
    ///
    /// # Errors
    /// What went wrong.
    pub async fn end(mut self) -> Result<(u16, Vec<u8>), String> {
        self.0.finish().await.map_err(|e| format!("end: {e}"))?;
        let answered = timeout(LIMIT, answered(self.0)).await.map_err(|_| "no answer")?;
        let mut exchange = answered.map_err(|e| format!("answer: {e}"))?;
        let mut body = vec![];
        while let Some(piece) = exchange.piece().await? {
            body.extend_from_slice(&piece);
        }
        Ok((exchange.status, body))
    }
}
