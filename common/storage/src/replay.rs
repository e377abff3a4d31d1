//! The log, told again: for edges that may have missed something, and for readers that are to read anew.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use sluice_wire::channel;

use crate::bus::topics;
use crate::cursors::Cursors;
use crate::database::entity::log;
use crate::database::{append, signed, to_json, unsigned};
use crate::error::StorageError;
use crate::log::Log;

/// Events told again in one transaction: as many as the relay moves.
const BATCH: u64 = 128;

/// The member of an event's data that says of which it is a copy.
pub(crate) const AGAIN: &str = "again";

/// What was told again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Events.
    pub events: u64,
    /// The first and the last sequence number of the copies, when there are any.
    pub seqs: Option<(u64, u64)>,
}

impl Log {
    /// Tells every event after the sequence number `after`, up to the end as it is now, once more at the log's end, in order: with
    /// its tag, its version, its time and what it says, but for what is for subscribers of channels. Edges validate again what they
    /// keep from before; nothing is told to subscribers, whose numbers are the versions that they have. Copies are not copied.
    ///
    /// # Errors
    /// As [`Database::write`](crate::Database::write). What was told until then stays told: it may be told again.
    pub async fn replay(&self, after: u64) -> Result<Replayed, StorageError> {
        let (end, mut at, mut told) = (self.head().await?, after, Replayed::default());
        while at < end {
            let events = self.since(at, BATCH).await?;
            let events: Vec<_> = events.into_iter().filter(|event| event.seq <= end).collect();
            let Some(last) = events.last() else { break };
            at = last.seq;
            let mut copies = vec![];
            for mut event in events.into_iter().filter(|event| event.data.get(AGAIN).is_none()) {
                channel::strip(&mut event);
                let mut data = event.data.as_object().cloned().unwrap_or_default();
                data.insert(AGAIN.to_owned(), event.seq.into());
                event.data = data.into();
                copies.push(row(&event)?);
            }
            if copies.is_empty() {
                continue;
            }
            let count = copies.len() as u64;
            let write =
                self.database().write::<_, StorageError, _>(|tx| Box::pin(append(tx, copies.clone())));
            let first = write.await?;
            told.events += count;
            let from = told.seqs.map_or(first, |(from, _)| from);
            told.seqs = Some((from, first + count - 1));
            self.database().wake(&[topics::LOG]).await;
        }
        Ok(told)
    }

    /// The sequence number before the first event that was committed at or after a time, in Unix milliseconds; the log's end when
    /// there is none. Looks at events until it finds one.
    ///
    /// # Errors
    /// The engine's.
    pub async fn before(&self, at_ms: u64) -> Result<u64, StorageError> {
        let first = log::Entity::find()
            .filter(log::Column::AtMs.gte(signed(at_ms)))
            .order_by_asc(log::Column::Seq)
            .limit(1)
            .one(self.database().reader())
            .await?;
        match first {
            Some(row) => unsigned("log.seq", row.seq - 1),
            None => self.head().await,
        }
    }
}

/// A row of the log, whose number is still to come.
fn row(event: &sluice_wire::Event) -> Result<log::Model, StorageError> {
    Ok(log::Model {
        seq: 0,
        tag: event.tag.as_str().to_owned(),
        version: signed(event.version.0),
        kind: event.kind.as_str().to_owned(),
        at_ms: signed(event.at_ms),
        data: to_json(&event.data)?,
    })
}

impl Cursors {
    /// Has a reader go on after a sequence number, back or ahead; whoever reads for it now finds out with its next note.
    ///
    /// # Errors
    /// [`StorageError::NotFound`], with the names that there are; the engine's.
    pub async fn rewind(&self, name: &str, seq: u64) -> Result<(), StorageError> {
        if self.set(name, seq).await? {
            return Ok(());
        }
        let names = self.names().await?;
        let names = if names.is_empty() { "there are none".to_owned() } else { names.join(", ") };
        Err(StorageError::NotFound(format!("no reader of the log is called {name}: {names}")))
    }
}
