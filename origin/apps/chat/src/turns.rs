//! Changes of one conversation go one after another, so that those of one process do not lose to each other in the database;
//! those of several processes do, and are done again there. On an engine with one writer nothing is lost; but a hundred changes
//! of one conversation have one place in the writer's queue there, and not a hundred.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sluice_platform::ApiError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use crate::ConversationId;

/// Conversations that can be changed at once: six times the connections to a database, so that none is idle for the sake of
/// two conversations that share a turn.
const LANES: usize = 64;
/// How long a turn is waited for, of which one takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long whoever takes several waits for all of them, since others wait for those that it has by then, and all who are in the
/// batch for one busy conversation: a few transactions. To lose, and to be done again, takes no longer.
const SOON: Duration = Duration::from_millis(25);

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
        match timeout(PATIENCE, Arc::clone(&self.0[lane(conversation)]).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Turn(permit)),
            _ => Err(ApiError::new(503, "busy", "Busy", "too much is being said here at once; try again")),
        }
    }

    /// The turns of several conversations, but for those that do not come soon. Without one nothing goes wrong: the database
    /// may have the work done again, which is less than to refuse what wanted it, or to keep all the others waiting for it.
    /// Lanes are taken in one order, so that no two who take several wait for each other.
    pub(crate) async fn of_all(&self, conversations: &[ConversationId]) -> Vec<Turn> {
        let lanes: BTreeSet<usize> = conversations.iter().copied().map(lane).collect();
        let (soon, mut turns) = (Instant::now() + SOON, vec![]);
        for lane in lanes {
            // After that, those that are free are still taken.
            if let Ok(Ok(permit)) = timeout_at(soon, Arc::clone(&self.0[lane]).acquire_owned()).await {
                turns.push(Turn(permit));
            }
        }
        turns
    }
}

fn lane(conversation: ConversationId) -> usize {
    usize::try_from(conversation.as_u64() % LANES as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation(lane: u32) -> ConversationId {
        ConversationId::from_parts(1_800_000_000_000, lane)
    }

    impl Turns {
        /// Lanes that somebody has.
        fn taken(&self) -> Vec<usize> {
            (0..LANES).filter(|lane| self.0[*lane].available_permits() == 0).collect()
        }
    }

    #[tokio::test]
    async fn who_takes_several_has_all_but_those_that_do_not_come_soon() {
        let turns = Turns::default();
        let [first, second, third] = [1, 2, 3].map(conversation);
        let slow = turns.of(second).await.unwrap();
        let begun = Instant::now();
        let several = turns.of_all(&[third, second, first, third]).await;
        assert_eq!((several.len(), turns.taken()), (2, vec![1, 2, 3]));
        assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
        drop(several);
        assert_eq!(turns.taken(), [2], "each is given back");

        // One that comes soon is waited for.
        let two = [second, first];
        let (several, ()) = tokio::join!(turns.of_all(&two), async { drop(slow) });
        assert_eq!((several.len(), turns.taken()), (2, vec![1, 2]));
    }
}
