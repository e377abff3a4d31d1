//! The seams between Sluice and what it stores, with their engines.
//!
//! A URL chooses an engine ([`StorageConfig`]); the code above does not know which one it got:
//!
//! | seam | embedded | beyond one machine |
//! |---|---|---|
//! | [`Database`] | SQLite in WAL mode | PostgreSQL |
//! | [`Bus`] | in process | Redis |
//! | [`Lists`], a cache of rows | none | Redis |
//! | [`Objects`] | a folder | S3 |
//!
//! The way of a write:
//!
//! ```text
//! Database::write(|tx| ...)            one transaction, retried whole
//!   videos / uploads / jobs / fleet    rows, each by a conditional statement
//!   Tx::emit(tag)                      tag version + 1, outbox row; on SQLite, where transactions take turns, log row
//! commit -> Bus "outbox" -> Relay      the lease's holder moves outbox rows into the log: gapless seq
//!                        -> Bus "log" -> Log::tail      every follower, in order; polls when no wake-up comes
//! ```
//!
//! Where the bus ends with the process, wake-ups reach the others beside the database (`wakes`).
//!
//! All rows go into one file, and back into either engine ([`back_up`], [`restore`]); the log can be told again ([`Log::replay`]).
//!
//! Jobs are leased with fencing tokens ([`Jobs`]): a worker that lost its lease cannot commit. Bytes go to [`Objects`]
//! first and are named by a row after that, so a row never points at something that is not durably there.
//!
//! What it leaves to others: keys and tags (`sluice-wire`), HTTP, what a job means, and the tables of the apps, which are the apps'
//! own ([`Schema`], [`rows`]).

mod audit;
mod bus;
mod clock;
mod config;
mod cursors;
mod database;
mod error;
mod fleet;
mod ids;
mod jobs;
mod lease;
mod lists;
mod log;
mod objects;
mod relay;
mod replay;
mod schema;
mod settings;
mod storage;
#[cfg(feature = "testing")]
pub mod testing;
mod traffic;
mod uploads;
mod videos;
mod wakes;

/// What an app describes and queries its own tables with: the ORM, in the one version that is used, and what goes between
/// columns and values.
pub mod rows {
    pub use crate::database::{flag, from_json, signed, to_json, unsigned, unsigned32};
    pub use crate::schema::{index, table};
    pub use sea_orm;
    pub use sea_orm_migration::schema as columns;
}

pub use audit::{Act, Audit, AuditEntry, Who};
pub use bus::{Bus, Message, Subscription, topics};
pub use clock::{Clock, ManualClock, SharedClock, SystemClock};
pub use config::StorageConfig;
pub use cursors::Cursors;
pub use database::{BackupError, BackupSummary, back_up, check_backup, restore};
pub use database::{Conn, Database, Engine, Tx, WRITE_DEADLINE, Work, count_statements, note_statements};
pub use error::StorageError;
pub use fleet::{Fleet, NodeRecord, Seen};
pub use ids::Ids;
pub use jobs::{Failed, Job, JobState, Jobs, Lease, NewJob, Retry};
pub use lists::{Filling, Lists, Newest};
pub use log::Log;
pub use objects::{ByteStream, Object, ObjectMeta, Objects, Put, SignedPut};
pub use relay::Relay;
pub use replay::Replayed;
pub use schema::{Schema, Step};
pub use settings::{ConfigVersion, Settings};
pub use storage::Storage;
pub use traffic::{Month, Sent, Traffic};
pub use uploads::{
    Fetch, MAX_JOINED, NewUpload, OwnerUsage, Part, Piece, Promise, Source, Upload, UploadKind, UploadState,
    Uploads,
};
pub use videos::{
    Change, Keeping, Listing, Media, NewVideo, Order, Page, Removals, Rendition, RenditionKind, Restored,
    RungUse, SegmentRow, SegmentSize, SourceFacts, Standing, StateUse, Usage, Video, VideoState, Videos,
    Visibility, Which,
};
pub use videos::{Storyboard, TextTrack, terms::words};
