//! The bus within one process.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

use super::{BACKLOG, MAX_TOPICS, Message, Transport};
use crate::error::StorageError;

/// The topics somebody follows in this process, each with its ring of recent messages.
#[derive(Debug, Default)]
pub(super) struct Topics {
    senders: Mutex<HashMap<String, broadcast::Sender<Message>>>,
}

impl Topics {
    /// Follows a topic; true when nobody did before. Topics past the bound get a stream that ends at once.
    pub(super) fn follow(&self, topic: &str) -> (BroadcastStream<Message>, bool) {
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        if senders.len() >= MAX_TOPICS {
            senders.retain(|_, sender| sender.receiver_count() > 0);
        }
        let full = senders.len() >= MAX_TOPICS && !senders.contains_key(topic);
        if full {
            return (BroadcastStream::new(broadcast::channel(1).1), false);
        }
        let mut fresh = false;
        let sender = senders.entry(topic.to_owned()).or_insert_with(|| {
            fresh = true;
            broadcast::channel(BACKLOG).0
        });
        (BroadcastStream::new(sender.subscribe()), fresh)
    }

    /// Hands a message to the topic's followers.
    pub(super) fn deliver(&self, topic: &str, message: Message) {
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = senders.get(topic)
            && sender.send(message).is_err()
        {
            senders.remove(topic);
        }
    }

    /// The topics that are followed now.
    pub(super) fn names(&self) -> Vec<String> {
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        senders.retain(|_, sender| sender.receiver_count() > 0);
        senders.keys().cloned().collect()
    }
}

#[derive(Debug, Default)]
pub(super) struct Local {
    topics: Topics,
}

#[async_trait::async_trait]
impl Transport for Local {
    async fn publish(&self, topic: &str, message: Bytes) -> Result<(), StorageError> {
        self.topics.deliver(topic, Message::Data(message));
        Ok(())
    }

    fn wake(&self, topic: &'static str) {
        self.topics.deliver(topic, Message::Data(Bytes::new()));
    }

    fn subscribe(&self, topic: &str) -> BroadcastStream<Message> {
        self.topics.follow(topic).0
    }

    fn reaches_others(&self) -> bool {
        false
    }
}
