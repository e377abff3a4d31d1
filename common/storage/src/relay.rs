//! Moves committed events from the outbox into the log, where transactions do not take turns and so do not know their place before
//! they are committed. Every process that writes may run a relay; a lease lets one of them work at a time, and its fencing token
//! keeps a relay that lost the lease without noticing from writing.
//!
//! On SQLite events are in the log with what they tell of ([`Tx::emit`]). The relay finds nothing there but what was left by those
//! who did not know that yet; its lease still says that somebody is at work.

use std::time::Duration;

use sea_orm::sea_query::ExprTrait;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use tokio_util::sync::CancellationToken;

use crate::bus::{Bus, topics};
use crate::database::entity::{log, outbox};
use crate::database::{Database, Tx, append};
use crate::error::StorageError;
use crate::lease::{self, Held};
use crate::log::POLL;

/// How long a relay may be silent before another takes over. A stall of events after a kill -9 lasts no longer, so that who
/// listens is back within two seconds; a third of it is the time between two renewals.
const LEASE: Duration = Duration::from_millis(1_500);

/// The lease's name.
const NAME: &str = "relay";

/// Events moved in one transaction: few enough to be done in milliseconds.
const BATCH: u64 = 128;

/// Pause after a failure.
const TROUBLE_PAUSE: Duration = Duration::from_millis(500);

/// Moves events into the log while it holds the lease.
#[derive(Debug)]
pub struct Relay {
    database: Database,
    bus: Bus,
    holder: String,
}

impl Relay {
    pub(crate) fn new(database: Database, bus: Bus) -> Self {
        let holder = format!("{}-{:08x}", std::process::id(), rand::random::<u32>());
        Self { database, bus, holder }
    }

    /// Relays until `drain` is cancelled, then moves what is left and gives the lease back. Failures are logged and
    /// tried again: the outbox keeps what was not moved.
    pub async fn run(self, drain: CancellationToken) {
        let mut wake = self.bus.subscribe(topics::OUTBOX);
        let mut held = None;
        loop {
            let last_round = drain.is_cancelled();
            if let Err(error) = self.round(&mut held).await {
                tracing::warn!(%error, "relay round failed");
                held = None;
                tokio::select! {
                    () = tokio::time::sleep(TROUBLE_PAUSE) => {}
                    () = drain.cancelled() => {}
                }
            }
            if last_round {
                break;
            }
            tokio::select! {
                () = wake.wait(POLL) => {}
                () = drain.cancelled() => {}
            }
        }
        if let Some(held) = held
            && let Err(error) = lease::release(&self.database, &held).await
        {
            tracing::debug!(%error, "relay lease not given back; it runs out by itself");
        }
    }

    /// Takes the lease if it is free, and moves all there is if it is ours.
    async fn round(&self, held: &mut Option<Held>) -> Result<(), StorageError> {
        if held.is_none() {
            *held = lease::take(&self.database, NAME, &self.holder, LEASE).await?;
        }
        while let Some(ours) = held {
            let idle = outbox::Entity::find().one(self.database.reader()).await?.is_none();
            let stale = self.database.now_ms() + crate::clock::millis(LEASE * 2 / 3) > ours.until_ms;
            if idle && !stale {
                break;
            }
            let proof = ours.clone();
            let moved = self.database.write(|tx| Box::pin(move_leased(tx, proof.clone()))).await;
            match moved {
                Ok((until_ms, 0)) => {
                    ours.until_ms = until_ms;
                    break;
                }
                Ok((until_ms, _)) => {
                    ours.until_ms = until_ms;
                    self.database.wake(&[topics::LOG]).await;
                }
                Err(StorageError::Fenced) => *held = None,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Moves what there is without a lease, before anybody else is at work or where transactions take turns.
///
/// # Errors
/// The engine's.
pub(crate) async fn empty(database: &Database) -> Result<(), StorageError> {
    while outbox::Entity::find().one(database.reader()).await?.is_some() {
        database.write::<_, StorageError, _>(|tx| Box::pin(move_batch(tx))).await?;
    }
    Ok(())
}

/// Moves one batch under the lease, which it renews. Gives the lease's new end and the number moved.
async fn move_leased(tx: &Tx<'_>, held: Held) -> Result<(u64, usize), StorageError> {
    let until_ms = lease::renew(tx, &held, LEASE).await?;
    Ok((until_ms, move_batch(tx).await?))
}

/// Moves one batch, and gives the number moved.
async fn move_batch(tx: &Tx<'_>) -> Result<usize, StorageError> {
    let rows = outbox::Entity::find()
        .order_by_asc(outbox::Column::Position)
        .order_by_asc(outbox::Column::Tag)
        .limit(BATCH)
        .all(tx.conn())
        .await?;
    if rows.is_empty() {
        return Ok(0);
    }
    let (count, moved) = (rows.len(), keys_of(&rows));
    append(tx, rows.into_iter().map(log::Model::from).collect()).await?;
    let deleted = outbox::Entity::delete_many().filter(moved).exec(tx.conn()).await?;
    if deleted.rows_affected == count as u64 {
        Ok(count)
    } else {
        Err(StorageError::Conflict("outbox rows vanished while being moved".into()))
    }
}

/// Names exactly these outbox rows.
fn keys_of(rows: &[outbox::Model]) -> Condition {
    rows.iter().fold(Condition::any(), |any, row| {
        any.add(outbox::Column::Tag.eq(&row.tag).and(outbox::Column::Version.eq(row.version)))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sea_orm::ActiveModelTrait;
    use sluice_wire::{Event, EventKind, Tag};

    use super::*;
    use crate::{ManualClock, Storage, StorageConfig};

    /// Opens a database in a folder; `clock` is its time.
    async fn open(folder: &std::path::Path, clock: &Arc<ManualClock>) -> Storage {
        let config = StorageConfig {
            database: format!("sqlite:{}", folder.join("sluice.db").display()),
            objects: format!("file:{}", folder.display()),
            ..StorageConfig::default()
        };
        Storage::open_with(&config, Arc::clone(clock) as _).await.unwrap()
    }

    /// An event that is committed and not in the log.
    async fn leave(database: &Database, version: i64) {
        database
            .write::<_, StorageError, _>(|tx| {
                Box::pin(async move {
                    let left = outbox::Model {
                        tag: Tag::everything().as_str().to_owned(),
                        version,
                        position: version,
                        kind: EventKind::Purged.as_str().to_owned(),
                        at_ms: 7,
                        data: "{}".to_owned(),
                    };
                    outbox::ActiveModel::from(left).insert(tx.conn()).await?;
                    Ok(())
                })
            })
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_relay_that_lost_its_lease_moves_nothing() {
        let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::at(1_800_000_000_000));
        let storage = open(folder.path(), &clock).await;
        let database = &storage.database;
        leave(database, 1).await;

        let frozen = lease::take(database, NAME, "frozen", LEASE).await.unwrap().unwrap();
        assert_eq!(lease::take(database, NAME, "early", LEASE).await.unwrap(), None);
        clock.advance(LEASE);
        let heir = lease::take(database, NAME, "heir", LEASE).await.unwrap().unwrap();

        let moved = database.write(|tx| Box::pin(move_leased(tx, frozen.clone()))).await;
        assert!(matches!(moved, Err(StorageError::Fenced)), "{moved:?}");
        assert_eq!(storage.log().head().await.unwrap(), 0);
        let (_, moved) = database.write(|tx| Box::pin(move_leased(tx, heir.clone()))).await.unwrap();
        assert_eq!((moved, storage.log().head().await.unwrap()), (1, 1));
    }

    #[tokio::test]
    async fn what_was_left_for_a_relay_comes_before_what_is_said_from_now_on() {
        let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::at(1_800_000_000_000));
        let before = open(folder.path(), &clock).await;
        let emit = |storage: Storage| async move {
            let emitted = storage.database.write::<_, StorageError, _>(|tx| {
                Box::pin(async move {
                    tx.emit(&Tag::everything(), EventKind::Changed, serde_json::json!({})).await
                })
            });
            emitted.await.unwrap();
        };
        emit(before.clone()).await;
        // As a program that knows of no other way would have left them.
        for version in 2..=3 {
            leave(&before.database, version).await;
        }
        drop(before);
        let after = open(folder.path(), &clock).await;
        emit(after.clone()).await;
        let events: Vec<Event> = after.log().since(0, 9).await.unwrap();
        let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
        let [changed, purged] = [EventKind::Changed, EventKind::Purged];
        assert_eq!(kinds, [changed, purged, purged, changed]);
        assert!(events.iter().map(|event| event.seq).eq(1..=4), "no gap");
        assert_eq!(outbox::Entity::find().one(after.database.reader()).await.unwrap(), None);
    }
}
