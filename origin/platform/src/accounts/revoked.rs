//! What has ended, as the log tells of it: an access token of a session that is over is refused here as it is at edges, also by
//! the processes that did not end it.

use std::sync::Arc;
use std::time::Duration;

use sluice_storage::StorageError;
use sluice_wire::Event;
use sluice_wire::channel::{MAX_REVOKED, REVOKE, REVOKED_MS, Revoked};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::Accounts;

/// Pause after the log could not be read.
const AGAIN: Duration = Duration::from_secs(1);

impl Accounts {
    /// Learns what was revoked in the last hour. Whoever follows the log listens first, so that what comes meanwhile is heard.
    ///
    /// # Errors
    /// The engine's.
    pub(crate) async fn recall(&self) -> Result<(), StorageError> {
        let since_ms = self.storage.database.now_ms().saturating_sub(REVOKED_MS);
        let log = self.storage.log();
        let (events, unread) = log.with_member(REVOKE, since_ms, MAX_REVOKED as u64).await?;
        if unread > 0 {
            tracing::warn!(unread, "of what was revoked some is not known: tokens from before are refused");
            self.revoked.unknown_until(self.storage.database.now_ms());
        }
        events.iter().for_each(|event| self.hear(event));
        self.revoked.complete();
        Ok(())
    }

    /// Takes note of what is revoked from now on, until the drain begins.
    pub(crate) async fn follow(self, mut events: Receiver<Arc<Event>>, stop: CancellationToken) {
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Ok(event) => self.hear(&event),
                    // What was missed is in the log; what is known already is not heard twice.
                    Err(RecvError::Lagged(_)) => self.recall_again(&stop).await,
                    Err(RecvError::Closed) => return,
                },
                () = stop.cancelled() => return,
            }
        }
    }

    async fn recall_again(&self, stop: &CancellationToken) {
        while let Err(error) = self.recall().await {
            tracing::warn!(%error, "what was revoked cannot be read, trying again");
            if stop.run_until_cancelled(tokio::time::sleep(AGAIN)).await.is_none() {
                return;
            }
        }
    }

    fn hear(&self, event: &Event) {
        if let Some(said) = Revoked::of_event(event) {
            self.revoked.hear(&said, self.storage.database.now_ms());
        }
    }
}
