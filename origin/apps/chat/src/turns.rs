//! Changes of one conversation go one after another, so that those of one process do not lose to each other in the database;
//! those of several processes do, and are done again there.

use std::sync::Arc;
use std::time::Duration;

use sluice_platform::ApiError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::ConversationId;

/// Conversations that can be changed at once: six times the connections to a database, so that none is idle for the sake of
/// two conversations that share a turn.
const LANES: usize = 64;
/// How long a turn is waited for, of which one takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whose turn it is.
#[derive(Debug, Clone)]
pub(crate) struct Turns(Arc<[Arc<Semaphore>]>);

/// A turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn(#[expect(dead_code, reason = "it is held, not read")] OwnedSemaphorePermit);

impl Default for Turns {
    fn default() -> Self {
        Self((0..LANES).map(|_| Arc::new(Semaphore::new(1))).collect())
    }
}

impl Turns {
    /// Waits for a turn; 503 when it does not come.
    pub(crate) async fn of(&self, conversation: ConversationId) -> Result<Turn, ApiError> {
        let lane = &self.0[usize::try_from(conversation.as_u64() % LANES as u64).unwrap_or(0)];
        match timeout(PATIENCE, Arc::clone(lane).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Turn(permit)),
            _ => Err(ApiError::new(503, "busy", "Busy", "too much is being said here at once; try again")),
        }
    }
}
