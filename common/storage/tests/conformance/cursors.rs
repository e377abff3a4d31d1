//! Cursors: one reader at a time, and the next one goes on where it was.

use std::time::Duration;

use sluice_storage::{ManualClock, StorageError};

use crate::ground::{Ground, NOON};

pub(crate) async fn one_reads_at_a_time_and_the_next_goes_on(ground: Ground) {
    let clock = ManualClock::at(NOON);
    let (first, second) = (ground.open_at(&clock).await.cursors(), ground.open_at(&clock).await.cursors());
    let minute = Duration::from_secs(60);
    assert_eq!(first.claim("hook", "a", 7, minute).await.unwrap(), Some(7), "a new one is at the beginning");
    assert_eq!(second.claim("hook", "b", 9, minute).await.unwrap(), None);
    assert_eq!(second.claim("other", "b", 9, minute).await.unwrap(), Some(9));
    first.advance("hook", "a", 8).await.unwrap();
    clock.advance(Duration::from_secs(59));
    assert_eq!(first.claim("hook", "a", 0, minute).await.unwrap(), Some(8), "kept");
    clock.advance(minute);
    assert_eq!(second.claim("hook", "b", 0, minute).await.unwrap(), Some(8));
    let late = first.advance("hook", "a", 20).await;
    assert!(matches!(late, Err(StorageError::Fenced)), "{late:?}");
}
