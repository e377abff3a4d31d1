//! What is due is done: whatever is kept until a time, and is nobody's then, goes in the background, a batch at a time.

use std::future::Future;
use std::time::Duration;

use sluice_storage::{Objects, StorageError};
use sluice_wire::ObjectKey;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How often a process looks without having been told: others may have left something. As often as things come to be due, within
/// these bounds.
const EVERY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(20));
/// Pause after a failure.
const TROUBLE: Duration = Duration::from_secs(2);

/// Objects that could not be removed, after which the store is left alone for now.
const MAX_FAILED: usize = 4;

/// Removes objects by their rows' ids: those that are gone, and the first few that could not be removed now, which are not to hold up
/// others. What comes after more of those, or after the drain has begun, is in neither.
pub async fn remove(
    objects: &Objects,
    all: impl IntoIterator<Item = (i64, ObjectKey)>,
    stop: &CancellationToken,
) -> (Vec<i64>, Vec<i64>) {
    let (mut gone, mut later) = (vec![], vec![]);
    for (id, key) in all {
        if stop.is_cancelled() || later.len() >= MAX_FAILED {
            break;
        }
        match objects.delete(&key).await {
            Ok(()) => gone.push(id),
            Err(error) => {
                tracing::warn!(%error, %key, "an object is not removed now, trying again in a minute");
                later.push(id);
            }
        }
    }
    (gone, later)
}

/// Does what is due, until the drain begins: `batch` does the oldest of it, and says how much that was. A look is taken when something is
/// `told`, and four times in the milliseconds after which things are due, every 20 s at least and every 200 ms at most. What fails is
/// logged as `what` and tried again after 2 s.
pub async fn while_due<F, W>(due_ms: u64, told: &Notify, stop: &CancellationToken, what: &str, batch: F)
where
    F: Fn() -> W,
    W: Future<Output = Result<u64, StorageError>>,
{
    let every = Duration::from_millis(due_ms / 4).clamp(EVERY.0, EVERY.1);
    while !stop.is_cancelled() {
        match batch().await {
            // Whether the time is over or something was told makes no difference.
            Ok(0) => _ = stop.run_until_cancelled(timeout(every, told.notified())).await,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "{what} are not removed now, trying again");
                stop.run_until_cancelled(sleep(TROUBLE)).await;
            }
        }
    }
}
