//! Messages between parts that are running now: wake-ups and live channels. Nothing is kept: who is not subscribed, or
//! too slow, misses messages, and a slow subscriber is told so. What must not be lost goes through the log.

mod local;
mod redis;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

use crate::error::StorageError;

/// Topics of this crate. Their messages are empty: they say "look".
pub mod topics {
    /// A transaction with events was committed.
    pub const OUTBOX: &str = "sluice.outbox";
    /// Events were appended to the log.
    pub const LOG: &str = "sluice.log";
    /// A job was enqueued or revived.
    pub const JOBS: &str = "sluice.jobs";
    /// The fleet's configuration, its route table or what an operator set for a node was changed.
    pub const FLEET: &str = "sluice.fleet";
}

/// Messages a subscriber may be behind before the oldest are dropped for it: a second of a busy chat room.
pub(crate) const BACKLOG: usize = 1024;

/// The largest message. Larger things are stored, and the message says where.
const MAX_MESSAGE: usize = 1 << 20;

/// Topics one process may follow at a time.
pub(crate) const MAX_TOPICS: usize = 65_536;

#[async_trait::async_trait]
trait Transport: std::fmt::Debug + Send + Sync {
    async fn publish(&self, topic: &str, message: Bytes) -> Result<(), StorageError>;
    fn wake(&self, topic: &'static str);
    fn subscribe(&self, topic: &str) -> BroadcastStream<Message>;
    /// True when it ends not with this process.
    fn reaches_others(&self) -> bool;
}

/// A publish-subscribe bus. Clones share it.
#[derive(Debug, Clone)]
pub struct Bus {
    transport: Arc<dyn Transport>,
}

/// What a subscriber receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A published message.
    Data(Bytes),
    /// Messages were lost here: the subscriber was too slow, or the bus was away. Look at the truth again.
    Lagged,
}

/// A stream of one topic's messages from the moment it was made. It ends when the bus is gone.
#[derive(Debug)]
pub struct Subscription {
    stream: BroadcastStream<Message>,
}

pub(crate) fn check_url(url: &str) -> Result<(), StorageError> {
    if url == "local:" || url.starts_with("redis://") || url.starts_with("unix://") {
        return Ok(());
    }
    let scheme = url.split_once(':').map_or(url, |(scheme, _)| scheme);
    Err(StorageError::Config(format!("storage.bus is local: or redis://HOST:PORT/DB, not a {scheme:?} URL")))
}

impl Bus {
    pub(crate) async fn open(url: &str) -> Result<Self, StorageError> {
        check_url(url)?;
        let transport: Arc<dyn Transport> = match url {
            "local:" => Arc::new(local::Local::default()),
            url => Arc::new(redis::Redis::open(url).await?),
        };
        Ok(Self { transport })
    }

    /// A bus within this process, for tests of what uses one.
    #[must_use]
    pub fn local() -> Self {
        Self { transport: Arc::new(local::Local::default()) }
    }

    /// Sends a message to everyone subscribed to the topic now.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] when the engine does not take it; [`StorageError::Conflict`] above 1 MiB.
    pub async fn publish(&self, topic: &str, message: &[u8]) -> Result<(), StorageError> {
        if message.len() > MAX_MESSAGE {
            return Err(StorageError::Conflict(format!("a message is at most {MAX_MESSAGE} bytes")));
        }
        self.transport.publish(topic, Bytes::copy_from_slice(message)).await
    }

    /// Says to everyone subscribed to the topic that there is something new, and waits for nothing. What is said again before
    /// it is sent is sent once; what the engine does not take in time is lost: who must not miss anything looks by itself.
    pub(crate) fn wake(&self, topic: &'static str) {
        self.transport.wake(topic);
    }

    /// True when processes that open the same bus hear each other.
    #[must_use]
    pub fn reaches_others(&self) -> bool {
        self.transport.reaches_others()
    }

    /// Follows a topic. On an engine beyond this process the subscription takes effect within moments; it begins with
    /// [`Message::Lagged`] when it does.
    #[must_use]
    pub fn subscribe(&self, topic: &str) -> Subscription {
        Subscription { stream: self.transport.subscribe(topic) }
    }
}

impl Subscription {
    /// The next message; `None` when the bus is gone.
    ///
    /// # Cancel safety
    /// No message is lost when it is dropped.
    pub async fn recv(&mut self) -> Option<Message> {
        futures::StreamExt::next(self).await
    }

    /// Waits for a message, but no longer than `patience`. Messages that piled up meanwhile count as one.
    ///
    /// # Cancel safety
    /// At worst a wake-up is lost.
    pub async fn wait(&mut self, patience: Duration) {
        match tokio::time::timeout(patience, self.recv()).await {
            Err(_elapsed) => {}
            Ok(None) => tokio::time::sleep(patience).await,
            Ok(Some(_)) => while let Some(Some(_)) = futures::FutureExt::now_or_never(self.recv()) {},
        }
    }
}

impl Stream for Subscription {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Message>> {
        Pin::new(&mut self.stream).poll_next(context).map(|next| {
            next.map(|item| match item {
                Ok(message) => message,
                Err(BroadcastStreamRecvError::Lagged(_)) => Message::Lagged,
            })
        })
    }
}
