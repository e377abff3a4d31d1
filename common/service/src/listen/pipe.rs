//! A WebSocket that ends here: the bytes of a request for one and those of its answer, as one stream to read and write.

use super::{Peer, Protocol, WebSocket};
use crate::{Body, HttpRequest, HttpResponse};
use bytes::Bytes;
use futures::channel::mpsc;
use http::StatusCode;
use http::header::{
    CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http_body::Body as _;
use sluice_wire::Problem;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Bytes of a piece that is written, and pieces that wait for the client, beside one that its sender has for itself: 20 KiB of
/// what it does not take yet.
const PIECE: usize = 4 << 10;
/// See [`PIECE`].
const PIECES: usize = 4;
/// Characters of a key: 16 bytes in base64 (RFC 6455 section 4.1).
const KEY: usize = 24;

/// The stream under a WebSocket: what is read comes from the client, what is written goes to it. Shut down or dropped, it
/// ends the answer.
#[derive(Debug)]
pub struct Pipe {
    client: Body,
    piece: Bytes,
    answer: mpsc::Sender<io::Result<Bytes>>,
}

impl Pipe {
    /// Opens the WebSocket that a request asks for: the answer (101), and the stream under it once that has gone out.
    /// Framing is the caller's.
    ///
    /// # Errors
    /// The answer for a request that RFC 6455 section 4.2.1 does not let in: 426 for another version or for none at all,
    /// 400 for the rest.
    pub fn open(request: HttpRequest) -> Result<(HttpResponse, Self), Problem> {
        let protocol = request.extensions().get::<Peer>().map_or(Protocol::Http1, |peer| peer.protocol);
        if request.extensions().get::<WebSocket>().is_none() {
            let detail = "ask for a WebSocket here: Upgrade: websocket, or an extended CONNECT";
            return Err(Problem::new(426, "websocket-only", "A WebSocket alone").detail(detail));
        }
        let accept = accept(request.headers(), protocol)?;
        // Of futures, not of tokio: empty, it holds no room for what may come, and most WebSockets are silent.
        let (answer, taken) = mpsc::channel(PIECES);
        let mut response = HttpResponse::new(Body::from_stream(taken));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        if let Some(accept) = accept {
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        let pipe = Self { client: request.into_body(), piece: Bytes::new(), answer };
        Ok((response, pipe))
    }
}

/// What answers a request's key; nothing where the protocol has none.
fn accept(headers: &HeaderMap, protocol: Protocol) -> Result<Option<HeaderValue>, Problem> {
    let one = |name| {
        let mut lines = headers.get_all(name).iter();
        lines.next().filter(|_| lines.next().is_none())
    };
    if one(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(Problem::new(426, "websocket-version", "Another version of WebSocket")
            .detail("Sec-WebSocket-Version: 13 is the version that is spoken here"));
    }
    if protocol != Protocol::Http1 {
        return Ok(None);
    }
    let base64 = |key: &&HeaderValue| {
        let (bytes, plain) = (key.as_bytes(), |c: &u8| c.is_ascii_alphanumeric() || b"+/".contains(c));
        bytes.len() == KEY && bytes.ends_with(b"==") && bytes[..KEY - 2].iter().all(plain)
    };
    let key = one(SEC_WEBSOCKET_KEY).filter(base64).ok_or_else(|| {
        Problem::new(400, "websocket-key", "Malformed request for a WebSocket")
            .detail("Sec-WebSocket-Key is 16 bytes in base64, said once")
    })?;
    Ok(HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok())
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.piece.is_empty() {
            match ready!(Pin::new(&mut self.client).poll_frame(cx)) {
                Some(Ok(frame)) => self.piece = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let taken = self.piece.len().min(out.remaining());
        out.put_slice(&self.piece.split_to(taken));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, text: &[u8]) -> Poll<io::Result<usize>> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        ready!(self.answer.poll_ready(cx)).map_err(gone)?;
        let piece = &text[..text.len().min(PIECE)];
        self.answer.start_send(Ok(Bytes::copy_from_slice(piece))).map_err(gone)?;
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.answer.close_channel();
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const SAMPLE: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn request(fields: &[(&'static str, &str)]) -> HttpRequest {
        let mut request = HttpRequest::new(Body::from("from the client"));
        fields
            .iter()
            .for_each(|(name, value)| _ = request.headers_mut().append(*name, value.parse().unwrap()));
        request.extensions_mut().insert(WebSocket);
        request
    }

    #[tokio::test]
    async fn both_ways_are_one_stream() {
        let fields = [("sec-websocket-version", "13"), ("sec-websocket-key", SAMPLE)];
        let (answer, mut pipe) = Pipe::open(request(&fields)).unwrap();
        // The example of RFC 6455 section 1.3.
        assert_eq!(answer.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let talk = async {
            let mut text = String::new();
            pipe.read_to_string(&mut text).await.unwrap();
            pipe.write_all(&vec![b'x'; 100_000]).await.unwrap();
            pipe.shutdown().await.unwrap();
            text
        };
        let (text, sent) = tokio::join!(talk, answer.into_body().collect());
        assert_eq!((text.as_str(), sent.unwrap().to_bytes().len()), ("from the client", 100_000));
    }

    #[test]
    fn who_asks_for_something_else_is_told_so() {
        let of =
            |fields: &[(&'static str, &str)]| Pipe::open(request(fields)).map_err(|p| p.status).map(|_| ());
        let version = ("sec-websocket-version", "13");
        assert_eq!(of(&[version, ("sec-websocket-key", SAMPLE)]), Ok(()));
        assert_eq!(of(&[version]), Err(400));
        assert_eq!(of(&[version, ("sec-websocket-key", "dG9vIHNob3J0")]), Err(400));
        assert_eq!(of(&[version, ("sec-websocket-key", SAMPLE), ("sec-websocket-key", SAMPLE)]), Err(400));
        assert_eq!(of(&[("sec-websocket-version", "8"), ("sec-websocket-key", SAMPLE)]), Err(426));
        let plain = Pipe::open(HttpRequest::new(Body::empty()));
        assert_eq!(plain.map_err(|problem| problem.status).map(|_| ()), Err(426));
    }
}
