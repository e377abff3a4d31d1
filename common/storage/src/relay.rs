//! Moves committed events from the outbox into the log. Every process that writes may run a relay; a lease lets one of
//! them work at a time, and its fencing token keeps a relay that lost the lease without noticing from writing.

use std::time::Duration;

use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use tokio_util::sync::CancellationToken;

use crate::bus::{Bus, topics};
use crate::database::entity::{log, log_head, outbox};
use crate::database::{Database, Tx};
use crate::error::StorageError;
use crate::lease::{self, Held};
use crate::log::{HEAD, POLL};

/// How long a relay may be silent before another takes over. A stall of events after a kill -9 lasts no longer, so that who
/// listens is back within two seconds; a third of it is the time between two renewals.
const LEASE: Duration = Duration::from_millis(1_500);

/// The lease's name.
const NAME: &str = "relay";

/// Events moved in one transaction: few enough to hold SQLite's write lock for milliseconds.
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
            let moved = self.database.write(|tx| Box::pin(move_batch(tx, proof.clone()))).await;
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

/// Moves one batch under the lease, which it renews. Gives the lease's new end and the number moved.
async fn move_batch(tx: &Tx<'_>, held: Held) -> Result<(u64, usize), StorageError> {
    let until_ms = lease::renew(tx, &held, LEASE).await?;
    let rows = outbox::Entity::find()
        .order_by_asc(outbox::Column::Position)
        .order_by_asc(outbox::Column::Tag)
        .limit(BATCH)
        .all(tx.conn())
        .await?;
    if rows.is_empty() {
        return Ok((until_ms, 0));
    }
    let count = rows.len();
    let first = reserve(tx, count).await?;
    let moved = keys_of(&rows);
    let entries = rows.into_iter().zip(first..).map(|(row, seq)| log::ActiveModel {
        seq: Set(seq),
        tag: Set(row.tag),
        version: Set(row.version),
        kind: Set(row.kind),
        at_ms: Set(row.at_ms),
        data: Set(row.data),
    });
    log::Entity::insert_many(entries).exec_without_returning(tx.conn()).await?;
    let deleted = outbox::Entity::delete_many().filter(moved).exec(tx.conn()).await?;
    if deleted.rows_affected == count as u64 {
        Ok((until_ms, count))
    } else {
        Err(StorageError::Conflict("outbox rows vanished while being moved".into()))
    }
}

/// Takes the next `count` sequence numbers and gives the first of them.
pub(crate) async fn reserve(tx: &Tx<'_>, count: usize) -> Result<i64, StorageError> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let start = log_head::ActiveModel { name: Set(HEAD.to_owned()), seq: Set(count) };
    let head = log_head::Entity::insert(start)
        .on_conflict(
            OnConflict::column(log_head::Column::Name)
                .value(log_head::Column::Seq, Expr::col((log_head::Entity, log_head::Column::Seq)).add(count))
                .to_owned(),
        )
        .exec_with_returning(tx.conn())
        .await?;
    Ok(head.seq - count + 1)
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

    use sluice_wire::{EventKind, Tag};

    use super::*;
    use crate::{ManualClock, Storage, StorageConfig};

    #[tokio::test]
    async fn a_relay_that_lost_its_lease_moves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let config = StorageConfig {
            database: format!("sqlite:{}", folder.path().join("sluice.db").display()),
            objects: format!("file:{}", folder.path().display()),
            ..StorageConfig::default()
        };
        let clock = ManualClock::at(1_800_000_000_000);
        let storage = Storage::open_with(&config, Arc::clone(&clock) as _).await.unwrap();
        let database = &storage.database;
        let tag = &Tag::everything();
        let emit = database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move { tx.emit(tag, EventKind::Purged, serde_json::Value::Null).await })
        });
        emit.await.unwrap();

        let frozen = lease::take(database, NAME, "frozen", LEASE).await.unwrap().unwrap();
        assert_eq!(lease::take(database, NAME, "early", LEASE).await.unwrap(), None);
        clock.advance(LEASE);
        let heir = lease::take(database, NAME, "heir", LEASE).await.unwrap().unwrap();

        let moved = database.write(|tx| Box::pin(move_batch(tx, frozen.clone()))).await;
        assert!(matches!(moved, Err(StorageError::Fenced)), "{moved:?}");
        assert_eq!(storage.log().head().await.unwrap(), 0);
        let (_, moved) = database.write(|tx| Box::pin(move_batch(tx, heir.clone()))).await.unwrap();
        assert_eq!((moved, storage.log().head().await.unwrap()), (1, 1));
    }
}
