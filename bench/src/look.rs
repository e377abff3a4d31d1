//! A client that looks again and again until it sees what is new.

use crate::statistics::millis;
use anyhow::{Context, ensure};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Between two looks at what is in an edge's cache.
pub(crate) const EVERY: Duration = Duration::from_millis(1);
/// Nothing new for so long is a fault.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// Looks until what is new is there; milliseconds since `begun` until it had been seen.
///
/// # Errors
/// What a look found wrong; that nothing new came within [`LIMIT`].
pub(crate) async fn until(
    begun: Instant,
    every: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<f64> {
    loop {
        if look().await.with_context(|| format!("looking at {what}"))? {
            return Ok(millis(begun));
        }
        ensure!(begun.elapsed() < LIMIT, "{what}: nothing new after {LIMIT:?}");
        sleep(every).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn looks_go_on_until_there_is_something_and_end_with_what_is_wrong() {
        let (begun, mut looks) = (Instant::now(), 0);
        let seen = until(begun, EVERY, "a thing", async || {
            looks += 1;
            Ok(looks == 3)
        });
        assert!(seen.await.unwrap() >= 2.0);
        assert_eq!(looks, 3);
        let broken = until(begun, EVERY, "a thing", async || anyhow::bail!("it is broken")).await;
        assert_eq!(format!("{:#}", broken.unwrap_err()), "looking at a thing: it is broken");
    }
}
