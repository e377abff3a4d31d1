//! QUIC streams as the library for HTTP/3 gets them: those of requests are read through [`head`], so that an extended
//! CONNECT for a WebSocket (RFC 9220) is understood.

mod head;

use super::limits::MAX_HEADER_LIST;
use bytes::Bytes;
use h3::error::Code;
use h3::quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, StreamId, WriteBuf};
use head::Head;
use http::{Method, Request};
use std::task::{Context, Poll, ready};

/// True for a request that asks for a WebSocket.
pub(super) fn is_websocket(request: &Request<()>) -> bool {
    let protocol = request.extensions().get::<h3::ext::Protocol>();
    *request.method() == Method::CONNECT && protocol.is_some_and(|p| p.as_str() == head::WEBSOCKET)
}

/// Who opens or takes streams, which are read so.
pub(super) struct Through<T>(T);

/// A connection whose requests are read so.
pub(super) type Connection = Through<h3_quinn::Connection>;

/// Opens streams; a server opens none for requests.
type Opener = Through<h3_quinn::OpenStreams>;

impl Connection {
    pub(super) fn new(connection: quinn::Connection) -> Self {
        Self(h3_quinn::Connection::new(connection))
    }
}

impl quic::Connection<Bytes> for Connection {
    type RecvStream = h3_quinn::RecvStream;
    type OpenStreams = Opener;

    fn poll_accept_recv(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::RecvStream, ConnectionErrorIncoming>> {
        quic::Connection::<Bytes>::poll_accept_recv(&mut self.0, cx)
    }

    fn poll_accept_bidi(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::BidiStream, ConnectionErrorIncoming>> {
        self.0.poll_accept_bidi(cx).map_ok(Stream::new)
    }

    fn opener(&self) -> Opener {
        Through(quic::Connection::<Bytes>::opener(&self.0))
    }
}

impl<T> quic::OpenStreams<Bytes> for Through<T>
where
    T: quic::OpenStreams<
            Bytes,
            BidiStream = h3_quinn::BidiStream<Bytes>,
            SendStream = h3_quinn::SendStream<Bytes>,
        >,
{
    type BidiStream = Stream;
    type SendStream = h3_quinn::SendStream<Bytes>;

    fn poll_open_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<Stream, StreamErrorIncoming>> {
        self.0.poll_open_bidi(cx).map_ok(Stream::new)
    }

    fn poll_open_send(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::SendStream, StreamErrorIncoming>> {
        self.0.poll_open_send(cx)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.0.close(code, reason);
    }
}

/// A request's stream.
pub(super) struct Stream {
    send: h3_quinn::SendStream<Bytes>,
    receive: Receive,
}

/// Its receiving half.
pub(super) struct Receive {
    stream: h3_quinn::RecvStream,
    head: Head,
    /// A read is under way, and has the stream.
    reading: bool,
}

impl Stream {
    fn new(stream: h3_quinn::BidiStream<Bytes>) -> Self {
        let (send, stream) = quic::BidiStream::split(stream);
        Self { send, receive: Receive { stream, head: Head::default(), reading: false } }
    }
}

impl quic::RecvStream for Receive {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        loop {
            let next = self.stream.poll_data(cx);
            self.reading = next.is_pending();
            let next = ready!(next)?;
            if self.head.is_past() {
                return Poll::Ready(Ok(next));
            }
            let on = match next {
                Some(bytes) => self.head.push(bytes, MAX_HEADER_LIST as usize),
                None => match self.head.rest() {
                    rest if rest.is_empty() => return Poll::Ready(Ok(None)),
                    rest => rest,
                },
            };
            if !on.is_empty() {
                return Poll::Ready(Ok(Some(on)));
            }
        }
    }

    fn stop_sending(&mut self, error_code: u64) {
        // The library has no stream to stop while one reads, and panics. The client is told so or so: once this is dropped,
        // with a code of no meaning, which is H3_NO_ERROR (RFC 9114 section 8.1).
        if !self.reading {
            self.stream.stop_sending(error_code);
        }
    }

    fn recv_id(&self) -> StreamId {
        self.stream.recv_id()
    }
}

impl quic::RecvStream for Stream {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        self.receive.poll_data(cx)
    }

    fn stop_sending(&mut self, error_code: u64) {
        self.receive.stop_sending(error_code);
    }

    fn recv_id(&self) -> StreamId {
        self.receive.recv_id()
    }
}

impl quic::SendStream<Bytes> for Stream {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_ready(cx)
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.send.send_data(data)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_finish(cx)
    }

    fn reset(&mut self, reset_code: u64) {
        self.send.reset(reset_code);
    }

    fn send_id(&self) -> StreamId {
        self.send.send_id()
    }
}

impl quic::BidiStream<Bytes> for Stream {
    type SendStream = h3_quinn::SendStream<Bytes>;
    type RecvStream = Receive;

    fn split(self) -> (Self::SendStream, Receive) {
        (self.send, self.receive)
    }
}
