//! The event log, as its readers see it: in order, without gaps, each event once per reader.

use std::collections::VecDeque;
use std::time::Duration;

use futures::Stream;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use sluice_wire::{Event, EventKind, Tag, Version};

use crate::bus::{Bus, Subscription, topics};
use crate::database::entity::{log, log_head, tag_version};
use crate::database::{Database, flag, from_json, signed, unsigned};
use crate::error::StorageError;

/// How often a follower looks without having been woken: other processes may write to the same file.
pub(crate) const POLL: Duration = Duration::from_millis(100);

/// Events read in one go.
const PAGE: u64 = 256;

/// Pause after a failed read before the next.
const TROUBLE_PAUSE: Duration = Duration::from_secs(1);

/// Events that are looked at for a member of their data: at a hundred a second the last hour and a half, in a good second.
const MAX_LOOK: u64 = 500_000;

/// The log's one row in `log_heads`.
pub(crate) const HEAD: &str = "log";

/// Reads the event log.
#[derive(Debug, Clone)]
pub struct Log {
    database: Database,
    bus: Bus,
}

impl Log {
    pub(crate) fn new(database: Database, bus: Bus) -> Self {
        Self { database, bus }
    }

    pub(crate) const fn database(&self) -> &Database {
        &self.database
    }

    /// The newest sequence number; 0 when there is no event.
    ///
    /// # Errors
    /// The engine's.
    pub async fn head(&self) -> Result<u64, StorageError> {
        let row = log_head::Entity::find_by_id(HEAD.to_owned()).one(self.database.reader()).await?;
        unsigned("log_heads.seq", row.map_or(0, |row| row.seq))
    }

    /// Up to `limit` events after the sequence number `after`, in order; none where there are no more. Without gaps, but for those that
    /// cannot be read: they are passed over, and hold up no other.
    ///
    /// # Errors
    /// The engine's.
    pub async fn since(&self, mut after: u64, limit: u64) -> Result<Vec<Event>, StorageError> {
        loop {
            let rows = log::Entity::find()
                .filter(log::Column::Seq.gt(signed(after)))
                .order_by_asc(log::Column::Seq)
                .limit(limit)
                .all(self.database.reader())
                .await?;
            let Some(last) = rows.last().map(|row| row.seq) else { return Ok(vec![]) };
            let events: Vec<Event> = rows.into_iter().filter_map(readable).collect();
            if !events.is_empty() {
                return Ok(events);
            }
            after = unsigned("log.seq", last)?;
        }
    }

    /// Up to `limit` events of one tag, one for each version, after the version `after`, in the order of their versions, which is the log's own.
    ///
    /// # Errors
    /// The engine's.
    pub async fn of_tag(&self, tag: &Tag, after: Version, limit: u64) -> Result<Vec<Event>, StorageError> {
        let rows = log::Entity::find()
            .filter(log::Column::Tag.eq(tag.as_str()))
            .filter(log::Column::Version.gt(signed(after.0)))
            .order_by_asc(log::Column::Version)
            .order_by_asc(log::Column::Seq)
            .limit(limit)
            .all(self.database.reader())
            .await?;
        let events: Result<Vec<_>, _> = rows.into_iter().map(event).collect();
        let mut events = events?;
        // What was told again is of a version that was told before.
        events.dedup_by_key(|event| event.version);
        Ok(events)
    }

    /// The last events whose data has this member, at most `limit` of those committed at or after `since_ms`, in order.
    /// Looks at the last half million events of the log alone. One that cannot be read is passed over: it hides no other. How many such
    /// there are, and more than `limit` count as one.
    ///
    /// # Errors
    /// The engine's.
    pub async fn with_member(
        &self,
        member: &str,
        since_ms: u64,
        limit: u64,
    ) -> Result<(Vec<Event>, usize), StorageError> {
        let from = self.head().await?.saturating_sub(MAX_LOOK);
        let rows = log::Entity::find()
            .filter(log::Column::Seq.gt(signed(from)))
            .filter(log::Column::AtMs.gte(signed(since_ms)))
            .filter(log::Column::Data.contains(format!("\"{member}\":")))
            .order_by_desc(log::Column::Seq)
            .limit(limit)
            .all(self.database.reader())
            .await?;
        let (found, is_cut) = (rows.len(), rows.len() as u64 >= limit);
        let events: Vec<Event> = rows.into_iter().rev().filter_map(readable).collect();
        let unread = found - events.len() + usize::from(is_cut);
        // The text may stand deeper in the data, too.
        Ok((events.into_iter().filter(|event| event.data.get(member).is_some()).collect(), unread))
    }

    /// Every event after `after`, forever: those that are there, then each as it is committed. A reader that is slow
    /// holds nothing up; it reads on from where it is. While the database is away the stream waits.
    pub fn tail(&self, after: u64) -> impl Stream<Item = Event> + Send + 'static {
        let tail =
            Tail { log: self.clone(), wake: self.bus.subscribe(topics::LOG), after, ready: VecDeque::new() };
        futures::stream::unfold(tail, |mut tail| async move { Some((tail.next().await, tail)) })
    }

    /// A tag's version; 0 before its first event. Read it before what it describes, so that it never claims too much.
    ///
    /// # Errors
    /// The engine's.
    pub async fn version_of(&self, tag: &Tag) -> Result<Version, StorageError> {
        let row =
            tag_version::Entity::find_by_id(tag.as_str().to_owned()).one(self.database.reader()).await?;
        Ok(Version(unsigned("tag_versions.version", row.map_or(0, |row| row.version))?))
    }

    /// The versions of some tags, in the order asked.
    ///
    /// # Errors
    /// The engine's.
    pub async fn versions_of(&self, tags: &[Tag]) -> Result<Vec<(Tag, Version)>, StorageError> {
        let rows = tag_version::Entity::find()
            .filter(tag_version::Column::Tag.is_in(tags.iter().map(Tag::as_str)))
            .all(self.database.reader())
            .await?;
        let version = |tag: &Tag| {
            let row = rows.iter().find(|row| row.tag == tag.as_str());
            unsigned("tag_versions.version", row.map_or(0, |row| row.version))
        };
        tags.iter().map(|tag| Ok((tag.clone(), Version(version(tag)?)))).collect()
    }
}

/// A follower's place.
struct Tail {
    log: Log,
    wake: Subscription,
    after: u64,
    ready: VecDeque<Event>,
}

impl Tail {
    async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.after = event.seq;
                return event;
            }
            match self.log.since(self.after, PAGE).await {
                Ok(events) if events.is_empty() => self.wake.wait(POLL).await,
                Ok(events) => self.ready = events.into(),
                Err(error) => {
                    tracing::warn!(%error, after = self.after, "log not readable, trying again");
                    tokio::time::sleep(TROUBLE_PAUSE).await;
                }
            }
        }
    }
}

fn event(row: log::Model) -> Result<Event, StorageError> {
    Ok(Event {
        seq: unsigned("log.seq", row.seq)?,
        tag: flag("log.tag", &row.tag, |text| Tag::new(text).ok())?,
        version: Version(unsigned("log.version", row.version)?),
        kind: flag("log.kind", &row.kind, EventKind::parse)?,
        at_ms: unsigned("log.at_ms", row.at_ms)?,
        data: from_json("log.data", &row.data)?,
    })
}

/// An event, unless its row cannot be read.
fn readable(row: log::Model) -> Option<Event> {
    let seq = row.seq;
    event(row).inspect_err(|error| tracing::warn!(%error, seq, "an event is passed over")).ok()
}

#[cfg(test)]
mod tests {
    use sea_orm::sea_query::Expr;
    use serde_json::json;

    use super::*;
    use crate::{Storage, StorageConfig};

    async fn open(folder: &std::path::Path) -> Storage {
        let config = StorageConfig {
            database: format!("sqlite:{}", folder.join("sluice.db").display()),
            objects: format!("file:{}", folder.display()),
            ..StorageConfig::default()
        };
        Storage::open(&config).await.unwrap()
    }

    /// Emits five events of one tag.
    async fn emit(database: &Database) {
        let written = database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move {
                for n in 1..=5 {
                    tx.emit(&Tag::everything(), EventKind::Changed, json!({ "n": n })).await?;
                }
                Ok(())
            })
        });
        written.await.unwrap();
    }

    /// Leaves something in the row of an event that nobody understands.
    async fn spoil(database: &Database, version: i64, column: log::Column, left: &'static str) {
        let written = database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move {
                log::Entity::update_many()
                    .col_expr(column, Expr::value(left))
                    .filter(log::Column::Version.eq(version))
                    .exec(tx.conn())
                    .await?;
                Ok(())
            })
        });
        written.await.unwrap();
    }

    #[tokio::test]
    async fn an_event_that_cannot_be_read_hides_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let storage = open(folder.path()).await;
        emit(&storage.database).await;
        spoil(&storage.database, 2, log::Column::Kind, "unheard-of").await;
        spoil(&storage.database, 4, log::Column::Data, "{\"n\":").await;
        let (found, unread) = storage.log().with_member("n", 0, 9).await.unwrap();
        assert_eq!(found.iter().map(|event| event.version.0).collect::<Vec<_>>(), [1, 3, 5]);
        assert_eq!(unread, 2);
        // Whoever follows goes past it, too, also one at a time.
        let (mut after, mut told) = (0, vec![]);
        while let Some(event) = storage.log().since(after, 1).await.unwrap().pop() {
            after = event.seq;
            told.push(event.version.0);
        }
        assert_eq!(told, [1, 3, 5]);
    }
}
