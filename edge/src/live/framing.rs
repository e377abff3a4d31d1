//! How sockets are framed here, how long they may be silent, and how they end.

use super::strict::Strict;
use futures::StreamExt;
use sluice_service::Pipe;
use std::io::ErrorKind;
use std::time::Duration;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

/// Time between two pings: less than most balancers and home routers forget a connection after.
pub(super) const PING: Duration = Duration::from_secs(25);
/// Silence after which a client is gone: two pings went unanswered.
pub(super) const DEAD: Duration = Duration::from_secs(60);
/// Bytes read, and gathered to be written, at a time. Most sockets are silent: what they hold is what they cost.
const BUFFERS: (usize, usize) = (1 << 10, 2 << 10);
/// Time in which a client that is cut must take what it was sent, to hear why.
const FAREWELL: Duration = Duration::from_secs(5);

/// Why a conversation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The client ended it.
    Client,
    /// The client did not take what waited.
    Slow,
    /// Nothing was heard of it.
    Dead,
    /// It said what cannot be understood: what it is told of it (RFC 6455 section 7.4.1).
    Fault(CloseCode),
    /// The edge drains.
    Drain,
}

impl End {
    /// Why, as metrics have it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Slow => "slow",
            Self::Dead => "dead",
            Self::Fault(_) => "fault",
            Self::Drain => "drain",
        }
    }

    /// What a failed read means. Whoever broke off is not told anything; whoever sent what is no WebSocket is.
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::Client,
            Error::Protocol(_) => Self::Fault(CloseCode::Protocol),
            Error::Utf8(_) => Self::Fault(CloseCode::Invalid),
            Error::Io(error) if error.kind() == ErrorKind::InvalidData => Self::Fault(CloseCode::Invalid),
            Error::Capacity(CapacityError::MessageTooLong { .. }) => Self::Fault(CloseCode::Size),
            _ => Self::Client,
        }
    }

    /// What the client is told, if it is still there.
    const fn farewell(self) -> Option<(CloseCode, &'static str)> {
        match self {
            Self::Client | Self::Dead => None,
            Self::Slow => Some((CloseCode::Again, "slow: resume after your last numbers")),
            Self::Fault(code) => Some((
                code,
                match code {
                    CloseCode::Size => "a message is too long",
                    CloseCode::Invalid => "a text is not UTF-8",
                    CloseCode::Unsupported => "messages of another kind are spoken here",
                    _ => "this is not how WebSocket is spoken",
                },
            )),
            Self::Drain => Some((CloseCode::Away, "go on elsewhere after your last numbers")),
        }
    }
}

/// A socket over the bytes of a request and its answer, for messages of so many bytes.
pub(super) async fn framed(pipe: Pipe, most: usize) -> WebSocketStream<Strict> {
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFERS.0)
        .write_buffer_size(BUFFERS.1)
        .max_message_size(Some(most))
        .max_frame_size(Some(most));
    WebSocketStream::from_raw_socket(Strict::new(pipe), Role::Server, Some(config)).await
}

/// Tells a client why it ends.
pub(super) async fn part(mut socket: WebSocketStream<Strict>, end: End) {
    let Some((code, reason)) = end.farewell() else { return };
    let close = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
    let parting = async {
        socket.close(Some(close)).await?;
        // What comes after a fault cannot be read; who errs has nothing more to say (RFC 6455 section 7.1.7). Others get to say
        // their own close frame: a connection closed before would be reset under what they have not read.
        let hears = !matches!(end, End::Fault(_));
        while hears && socket.next().await.is_some_and(|said| said.is_ok()) {}
        Ok::<_, Error>(())
    };
    drop(timeout(FAREWELL, parting).await);
}
