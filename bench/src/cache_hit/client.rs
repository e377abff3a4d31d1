//! One connection to a server, and requests on it: HTTP/1.1 and HTTP/2 by hyper, HTTP/3 by h3 over quinn.

use crate::tls::{CONNECTION_WINDOW, Identity, NAME, STREAM_WINDOW};
use anyhow::{Context, ensure};
use bytes::{Buf, Bytes};
use http::header::{CONTENT_LENGTH, HOST};
use http::{Request, StatusCode, response};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::RcvBufForce;
use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP/1.1 without TLS.
    Http1,
    /// HTTP/2 over TLS 1.3.
    Http2,
    /// HTTP/3.
    Http3,
}

impl Protocol {
    pub(super) const ALL: [Self; 3] = [Self::Http1, Self::Http2, Self::Http3];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Http1 => "h1",
            Self::Http2 => "h2",
            Self::Http3 => "h3",
        }
    }

    /// The request for a path, to be cloned for each use.
    pub(super) fn request(self, address: SocketAddr, path: &str) -> anyhow::Result<Request<()>> {
        let authority = format!("{NAME}:{}", address.port());
        let request = match self {
            Self::Http1 => Request::get(path).header(HOST, authority),
            Self::Http2 | Self::Http3 => Request::get(format!("https://{authority}{path}")),
        };
        Ok(request.body(())?)
    }
}

/// The right to send requests one after another; a clone (HTTP/2 and 3) may send at the same time.
pub(super) enum Client {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
    Http3(h3::client::SendRequest<h3_quinn::OpenStreams, Bytes>),
}

/// Opens a connection; what drives it goes to `tasks`, and the connection ends with them. Gives one client a stream.
pub(super) async fn connect(
    protocol: Protocol,
    address: SocketAddr,
    identity: &Identity,
    streams: usize,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<Vec<Client>> {
    match protocol {
        Protocol::Http1 => {
            let stream = tcp(address).await?;
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            tasks.spawn(async { drop(connection.await) });
            Ok(vec![Client::Http1(sender)])
        }
        Protocol::Http2 => {
            let tls = TlsConnector::from(identity.client(b"h2")?);
            let stream = tls.connect(NAME.try_into()?, tcp(address).await?).await?;
            let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .handshake(TokioIo::new(stream))
                .await?;
            tasks.spawn(async { drop(connection.await) });
            Ok((0..streams).map(|_| Client::Http2(sender.clone())).collect())
        }
        Protocol::Http3 => {
            let mut endpoint = quic_endpoint()?;
            endpoint.set_default_client_config(identity.quic_client()?);
            let connection = endpoint.connect(address, NAME)?.await?;
            let (mut driver, sender) = h3::client::new(h3_quinn::Connection::new(connection)).await?;
            tasks.spawn(async move {
                drop(poll_fn(|context| driver.poll_close(context)).await);
                drop(endpoint);
            });
            Ok((0..streams).map(|_| Client::Http3(sender.clone())).collect())
        }
    }
}

/// An endpoint with room for what comes in a burst.
fn quic_endpoint() -> anyhow::Result<quinn::Endpoint> {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    // What the system gives an ordinary program overflows in a moment, and each lost datagram is sent twice.
    setsockopt(&socket, RcvBufForce, &RECEIVE_BUFFER).ok();
    Ok(quinn::Endpoint::new(quinn::EndpointConfig::default(), None, socket, Arc::new(quinn::TokioRuntime))?)
}

/// Bytes of a socket's receive buffer, where the system lets us have it.
const RECEIVE_BUFFER: usize = 8 << 20;
async fn tcp(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address).await.context("connecting")?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Client {
    /// Gets an object to its end: the answer's status, declared and true length are checked, and its bytes as well when
    /// `compare` is set.
    pub(super) async fn get(
        &mut self,
        request: Request<()>,
        object: &Bytes,
        compare: bool,
    ) -> anyhow::Result<response::Parts> {
        let mut seen = Seen { object, compare, length: 0 };
        let head = match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                seen.body(sender.send_request(request.map(|()| Empty::new())).await?).await?
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                seen.body(sender.send_request(request.map(|()| Empty::new())).await?).await?
            }
            Self::Http3(sender) => {
                let mut stream = sender.send_request(request).await?;
                stream.finish().await?;
                let (head, ()) = stream.recv_response().await?.into_parts();
                while let Some(mut piece) = stream.recv_data().await? {
                    while piece.has_remaining() {
                        let length = piece.chunk().len();
                        seen.piece(piece.chunk())?;
                        piece.advance(length);
                    }
                }
                head
            }
        };
        seen.finish(&head)?;
        Ok(head)
    }
}

/// How much of an object has come.
struct Seen<'o> {
    object: &'o Bytes,
    compare: bool,
    length: usize,
}

impl Seen<'_> {
    async fn body(
        &mut self,
        response: http::Response<hyper::body::Incoming>,
    ) -> anyhow::Result<response::Parts> {
        let (head, mut body) = response.into_parts();
        while let Some(frame) = body.frame().await {
            if let Some(piece) = frame?.data_ref() {
                self.piece(piece)?;
            }
        }
        Ok(head)
    }

    fn piece(&mut self, piece: &[u8]) -> anyhow::Result<()> {
        let end = self.length + piece.len();
        let expected = self.object.get(self.length..end).context("more bytes than the object has")?;
        ensure!(!self.compare || expected == piece, "wrong bytes after {}", self.length);
        self.length = end;
        Ok(())
    }

    fn finish(&self, head: &response::Parts) -> anyhow::Result<()> {
        ensure!(head.status == StatusCode::OK, "status {}", head.status);
        let whole = self.object.len();
        ensure!(self.length == whole, "{} of {whole} bytes", self.length);
        let declared = head.headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
        ensure!(declared.is_none_or(|declared| declared == whole), "Content-Length {declared:?}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16, length: &str) -> response::Parts {
        http::Response::builder()
            .status(status)
            .header(CONTENT_LENGTH, length)
            .body(())
            .unwrap()
            .into_parts()
            .0
    }

    #[test]
    fn short_long_and_wrong_bodies_are_seen() {
        let object = Bytes::from_static(b"abcdef");
        let mut seen = Seen { object: &object, compare: true, length: 0 };
        seen.piece(b"abc").unwrap();
        assert!(seen.finish(&head(200, "6")).is_err());
        assert!(seen.piece(b"xyz").is_err());
        seen.piece(b"def").unwrap();
        seen.finish(&head(200, "6")).unwrap();
        assert!(seen.finish(&head(200, "7")).is_err());
        assert!(seen.finish(&head(206, "6")).is_err());
        assert!(seen.piece(b"g").is_err());
    }

    #[test]
    fn requests_name_the_server() {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 81));
        let h1 = Protocol::Http1.request(address, "/obj/1").unwrap();
        assert_eq!(
            (h1.uri().to_string(), &h1.headers()[HOST]),
            ("/obj/1".into(), &"localhost:81".parse().unwrap())
        );
        let h3 = Protocol::Http3.request(address, "/obj/1").unwrap();
        assert_eq!(h3.uri(), "https://localhost:81/obj/1");
    }
}
