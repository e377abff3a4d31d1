//! The log as this process sees it: one tail, shared by everyone who waits for events.

use futures::StreamExt;
use sluice_service::Drain;
use sluice_storage::{Log, StorageError};
use sluice_wire::Event;
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::broadcast;

/// Events a slow listener may be behind before it is told that it missed some.
const BACKLOG: usize = 1_024;

/// The shared tail. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Hub {
    events: broadcast::Sender<Arc<Event>>,
}

impl Hub {
    /// Follows the log from its present end until the drain begins.
    ///
    /// # Errors
    /// The engine's, when the log's end cannot be read.
    pub async fn start(log: Log, drain: &Drain) -> Result<Self, StorageError> {
        let head = log.head().await?;
        let (events, _) = broadcast::channel(BACKLOG);
        let hub = Self { events };
        let (told, stop) = (hub.clone(), drain.token());
        drain.tasks().spawn(async move {
            let mut tail = pin!(log.tail(head));
            loop {
                tokio::select! {
                    event = tail.next() => match event {
                        // Nobody listening is no fault.
                        Some(event) => drop(told.events.send(Arc::new(event))),
                        None => return,
                    },
                    () = stop.cancelled() => return,
                }
            }
        });
        Ok(hub)
    }

    /// Events from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Arc<Event>> {
        self.events.subscribe()
    }
}
