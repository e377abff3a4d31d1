//! The bus over Redis: plain publish-subscribe. One task keeps the subscriptions alive over lost connections, another sends
//! wake-ups: nobody who has committed something waits for a server that stands still.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use redis::aio::{ConnectionManager, ConnectionManagerConfig, PubSubSink};
use redis::{Client, RedisError};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_stream::wrappers::BroadcastStream;

use super::local::Topics;
use super::{Message, Transport};
use crate::error::StorageError;

/// How long one command or connection attempt may take. A message that is later than this is of no use.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often a quiet subscription is tried, so that a half-open connection is noticed.
const HEARTBEAT: Duration = Duration::from_secs(3);

/// Pauses between connection attempts.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

pub(super) struct Redis {
    publisher: ConnectionManager,
    shared: Arc<Shared>,
    /// Owns the tasks that follow and wake; dropping it ends them.
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    topics: Topics,
    changed: Notify,
    /// Topics to wake, each once.
    due: Mutex<BTreeSet<&'static str>>,
    said: Notify,
}

impl Shared {
    /// All that is due, so that what is said again and again keeps nothing else back.
    fn take_due(&self) -> BTreeSet<&'static str> {
        std::mem::take(&mut *self.due.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Redis {
    pub(super) async fn open(url: &str) -> Result<Self, StorageError> {
        let client = Client::open(url).map_err(|e| StorageError::Config(format!("storage.bus: {e}")))?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(3);
        let publisher = client.get_connection_manager_with_config(config).await.map_err(StorageError::bus)?;
        let shared = Arc::new(Shared::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(follow(client, Arc::clone(&shared)));
        tasks.spawn(wake(publisher.clone(), Arc::clone(&shared)));
        Ok(Self { publisher, shared, _tasks: tasks })
    }
}

#[async_trait::async_trait]
impl Transport for Redis {
    async fn publish(&self, topic: &str, message: Bytes) -> Result<(), StorageError> {
        publish(&self.publisher, topic, &message).await
    }

    fn wake(&self, topic: &'static str) {
        self.shared.due.lock().unwrap_or_else(PoisonError::into_inner).insert(topic);
        self.shared.said.notify_one();
    }

    fn subscribe(&self, topic: &str) -> BroadcastStream<Message> {
        let (stream, fresh) = self.shared.topics.follow(topic);
        if fresh {
            self.shared.changed.notify_one();
        }
        stream
    }

    fn reaches_others(&self) -> bool {
        true
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("topics", &self.shared.topics.names().len()).finish_non_exhaustive()
    }
}

async fn publish(publisher: &ConnectionManager, topic: &str, message: &[u8]) -> Result<(), StorageError> {
    let mut command = redis::cmd("PUBLISH");
    command.arg(topic).arg(message);
    let mut connection = publisher.clone();
    let sent = command.query_async::<i64>(&mut connection);
    match tokio::time::timeout(PATIENCE * 2, sent).await {
        Ok(result) => result.map(|_receivers| ()).map_err(StorageError::bus),
        Err(_elapsed) => Err(StorageError::bus("no answer in time")),
    }
}

/// Sends wake-ups, one at a time. What is said meanwhile, however often, is sent once after it.
async fn wake(publisher: ConnectionManager, shared: Arc<Shared>) {
    loop {
        shared.said.notified().await;
        for topic in shared.take_due() {
            if let Err(error) = publish(&publisher, topic, b"").await {
                tracing::debug!(topic, %error, "wake-up not sent; who follows polls");
            }
        }
    }
}

/// Keeps this process subscribed to what its parts follow.
async fn follow(client: Client, shared: Arc<Shared>) {
    let (mut pause, longest) = RECONNECT;
    loop {
        match tokio::time::timeout(PATIENCE, client.get_async_pubsub()).await {
            Ok(Ok(connection)) => {
                pause = RECONNECT.0;
                let (sink, messages) = connection.split();
                if let Err(error) = serve(sink, messages, &shared).await {
                    tracing::warn!(%error, "bus subscription lost");
                }
            }
            Ok(Err(error)) => tracing::debug!(%error, "bus not reachable"),
            Err(_elapsed) => tracing::debug!("bus does not answer"),
        }
        tokio::time::sleep(pause.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
        pause = longest.min(pause * 2);
    }
}

/// Hands on messages until the connection fails.
async fn serve(
    mut sink: PubSubSink,
    mut messages: impl futures::Stream<Item = redis::Msg> + Unpin,
    shared: &Shared,
) -> Result<(), RedisError> {
    let mut followed = BTreeSet::new();
    align(&mut sink, shared, &mut followed).await?;
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            message = messages.next() => match message {
                Some(message) => {
                    let data = Bytes::copy_from_slice(message.get_payload_bytes());
                    shared.topics.deliver(message.get_channel_name(), Message::Data(data));
                }
                None => return Ok(()),
            },
            () = shared.changed.notified() => align(&mut sink, shared, &mut followed).await?,
            _ = heartbeat.tick() => {
                within(sink.ping::<redis::Value>()).await?;
                align(&mut sink, shared, &mut followed).await?;
            }
        }
    }
}

/// Subscribes to what is newly followed and tells its followers that they may have missed something; lets go of what
/// nobody follows any more.
async fn align(
    sink: &mut PubSubSink,
    shared: &Shared,
    followed: &mut BTreeSet<String>,
) -> Result<(), RedisError> {
    let wanted: BTreeSet<String> = shared.topics.names().into_iter().collect();
    let fresh: Vec<&String> = wanted.difference(followed).collect();
    if !fresh.is_empty() {
        within(sink.subscribe(&fresh)).await?;
        for topic in fresh {
            shared.topics.deliver(topic, Message::Lagged);
        }
    }
    let stale: Vec<&String> = followed.difference(&wanted).collect();
    if !stale.is_empty() {
        within(sink.unsubscribe(&stale)).await?;
    }
    *followed = wanted;
    Ok(())
}

async fn within<T>(work: impl Future<Output = Result<T, RedisError>>) -> Result<T, RedisError> {
    tokio::time::timeout(PATIENCE, work)
        .await
        .unwrap_or_else(|_elapsed| Err(RedisError::from((redis::ErrorKind::Io, "the bus does not answer"))))
}
