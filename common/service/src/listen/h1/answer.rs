//! Answers of HTTP/1, written.

use super::super::clear::Outlet;
use crate::config::LimitsConfig;
use crate::uncopied::Spliced;
use crate::{Cut, HttpResponse, InFile};
use bytes::{Buf, Bytes};
use futures::FutureExt;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use std::io::{self, IoSlice, Write};
use std::time::SystemTime;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout, timeout_at};

/// What an answer must heed of its request.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) keep_alive: bool,
    pub(super) modern: bool,
    /// It takes trailers.
    pub(super) trailers: bool,
    pub(super) limits: LimitsConfig,
}

/// How an answer's body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
    None,
    Length(u64),
    Chunked,
    /// By the connection's end.
    Closing,
}

/// Writes an answer. True when the connection may serve another request.
pub(super) async fn write<W: Outlet>(io: &mut W, answer: HttpResponse, asked: &Asked) -> io::Result<bool> {
    // Neither a client of HTTP/1.0 nor one that asked for a head alone could see that the body is cut.
    if (asked.method == Method::HEAD || !asked.modern) && answer.extensions().get::<Cut>().is_some() {
        return Err(io::Error::other("cut"));
    }
    let (mut head, mut body) = answer.into_parts();
    let length = body.size_hint().exact();
    let announced = head.headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    head.headers.remove(TRANSFER_ENCODING);
    head.headers.remove(CONNECTION);
    let frame = match announced.or(length) {
        _ if asked.method == Method::HEAD => Frame::None,
        _ if head.status.is_informational() || bodiless(head.status) => Frame::None,
        Some(length) => Frame::Length(length),
        None if asked.modern => Frame::Chunked,
        None => Frame::Closing,
    };
    if head.status == StatusCode::NO_CONTENT {
        head.headers.remove(CONTENT_LENGTH);
    }
    let limits = asked.limits;
    let keep_alive = asked.keep_alive && frame != Frame::Closing;
    let mut text = Vec::with_capacity(1_024);
    status_line(&mut text, head.status);
    fields(&mut text, &head.headers);
    if !head.headers.contains_key(DATE) {
        drop(write!(text, "date: {}\r\n", httpdate::fmt_http_date(SystemTime::now())));
    }
    match frame {
        Frame::Length(length) if announced.is_none() => drop(write!(text, "content-length: {length}\r\n")),
        Frame::Chunked => text.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        _ => {}
    }
    if !keep_alive {
        text.extend_from_slice(b"connection: close\r\n");
    } else if !asked.modern {
        text.extend_from_slice(b"connection: keep-alive\r\n");
    }
    text.extend_from_slice(b"\r\n");
    match frame {
        Frame::None => all(io, &text, &mut Bytes::new(), limits).await?,
        frame => match head.extensions.remove::<InFile>() {
            Some(part) if frame == Frame::Length(part.length()) && io.socket().is_some() => {
                file(io, &text, part, asked).await?;
            }
            _ => send(io, text, &mut body, frame, asked).await?,
        },
    }
    stalled(timeout(limits.write_stall(), io.flush()).await)?;
    Ok(keep_alive)
}

/// Writes an interim answer (RFC 9110 section 15.2).
pub(super) async fn interim<W: Outlet>(
    io: &mut W,
    status: StatusCode,
    headers: &HeaderMap,
    limits: LimitsConfig,
) -> io::Result<()> {
    let mut text = vec![];
    status_line(&mut text, status);
    fields(&mut text, headers);
    text.extend_from_slice(b"\r\n");
    all(io, &text, &mut Bytes::new(), limits).await?;
    stalled(timeout(limits.write_stall(), io.flush()).await)
}

async fn send<W: Outlet>(
    io: &mut W,
    mut text: Vec<u8>,
    body: &mut crate::Body,
    frame: Frame,
    asked: &Asked,
) -> io::Result<()> {
    let limits = asked.limits;
    let mut trailers = HeaderMap::new();
    let mut left = if let Frame::Length(length) = frame { length } else { u64::MAX };
    loop {
        // What is ready goes out with the head; what is not, does not hold it back.
        let next = match body.frame().now_or_never() {
            Some(next) => next,
            None => {
                all(io, &text, &mut Bytes::new(), limits).await?;
                stalled(timeout(limits.write_stall(), io.flush()).await)?;
                text.clear();
                body.frame().await
            }
        };
        let Some(next) = next else { break };
        // A body that ends in an error ends the connection: a client never takes it for a whole one.
        let mut data = match next.map_err(io::Error::other)?.into_data() {
            Ok(data) => data,
            Err(frame) => {
                trailers = frame.into_trailers().unwrap_or_default();
                continue;
            }
        };
        if data.is_empty() {
            continue;
        }
        left = left
            .checked_sub(data.len() as u64)
            .ok_or_else(|| io::Error::other("a body beyond its length"))?;
        if frame == Frame::Chunked {
            drop(write!(text, "{:x}\r\n", data.len()));
        }
        all(io, &text, &mut data, limits).await?;
        text.clear();
        if frame == Frame::Chunked {
            text.extend_from_slice(b"\r\n");
        }
        if left == 0 {
            break;
        }
    }
    match frame {
        Frame::Length(_) if left > 0 => return Err(io::Error::other("a body short of its length")),
        Frame::Chunked => {
            text.extend_from_slice(b"0\r\n");
            // Trailers are for those who take them (RFC 9110 section 6.5.1).
            if asked.trailers {
                fields(&mut text, &trailers);
            }
            text.extend_from_slice(b"\r\n");
        }
        _ => {}
    }
    all(io, &text, &mut Bytes::new(), limits).await
}

/// Writes two pieces as one. Within each deadline the client must take at least so much, or all that is left: a byte now
/// and then would hold an answer open for ever.
pub(super) async fn all<W: Outlet>(
    io: &mut W,
    head: &[u8],
    body: &mut Bytes,
    limits: LimitsConfig,
) -> io::Result<()> {
    let mut head = head;
    // Most answers are taken at once, and need no clock.
    if let Some(written) = some(io, head, body).now_or_never() {
        pass(&mut head, body, written?);
    }
    if head.is_empty() && body.is_empty() {
        return Ok(());
    }
    let mut pace = Pace::new(limits);
    while head.has_remaining() || body.has_remaining() {
        let written = pace.keep(some(io, head, body)).await?;
        pass(&mut head, body, written);
    }
    Ok(())
}

/// So much of two pieces was written.
fn pass(head: &mut &[u8], body: &mut Bytes, written: usize) {
    let of_head = written.min(head.len());
    head.advance(of_head);
    body.advance(written - of_head);
}

/// Writes a body that is part of a file behind a head. What cannot go that way is read.
async fn file<W: Outlet>(io: &mut W, head: &[u8], mut part: InFile, asked: &Asked) -> io::Result<()> {
    let (Some(socket), mut pace, mut head) = (io.socket(), Pace::new(asked.limits), head) else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    while head.has_remaining() {
        head.advance(pace.keep(socket.send_before(head)).await?);
    }
    while part.length() > 0 {
        let Spliced::Sent(sent) = pace.within(socket.send_file(&part)).await? else {
            let frame = Frame::Length(part.length());
            return send(io, vec![], &mut part.rest(), frame, asked).await;
        };
        pace.took(sent)?;
        part.advance(sent);
    }
    Ok(())
}

/// What a client must take: within each deadline so much, or all that is left.
struct Pace {
    limits: LimitsConfig,
    due: Instant,
    taken: u64,
}

impl Pace {
    fn new(limits: LimitsConfig) -> Self {
        Self { limits, due: Instant::now() + limits.write_stall(), taken: 0 }
    }

    /// Writes once, before the deadline.
    async fn keep(&mut self, writing: impl Future<Output = io::Result<usize>>) -> io::Result<usize> {
        let written = self.within(writing).await?;
        self.took(written)?;
        Ok(written)
    }

    async fn within<T>(&self, writing: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        stalled(timeout_at(self.due, writing).await)
    }

    fn took(&mut self, bytes: usize) -> io::Result<()> {
        if bytes == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.taken += bytes as u64;
        if self.taken >= self.limits.least_progress() {
            *self = Self::new(self.limits);
        }
        Ok(())
    }
}

/// Writes some of two pieces: without copying the second where that can be.
async fn some<W: Outlet>(io: &mut W, head: &[u8], body: &Bytes) -> io::Result<usize> {
    if let Some(socket) = io.socket().filter(|socket| socket.takes(body)) {
        if !head.is_empty() {
            return socket.send_before(head).await;
        }
        if let Spliced::Sent(sent) = socket.send(body).await? {
            return Ok(sent);
        }
    }
    if head.is_empty() {
        return io.write(body).await;
    }
    if body.is_empty() {
        return io.write(head).await;
    }
    io.write_vectored(&[IoSlice::new(head), IoSlice::new(body)]).await
}

fn stalled<T>(outcome: Result<io::Result<T>, tokio::time::error::Elapsed>) -> io::Result<T> {
    outcome.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
}

fn bodiless(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

fn status_line(text: &mut Vec<u8>, status: StatusCode) {
    drop(write!(text, "HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or_default()));
}

/// The fields as they go over the wire.
pub(super) fn fields(text: &mut Vec<u8>, headers: &HeaderMap) {
    for (name, value) in headers {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
}
