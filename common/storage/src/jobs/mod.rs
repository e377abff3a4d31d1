//! The job queue: leases with fencing tokens, heartbeats, retry with backoff, and a dead-letter state.
//!
//! ```text
//! enqueue -> queued -> lease -> leased -> complete -> done
//!              ^                  |  fail(Backoff), put_off, give_back, or the lease ran out
//!              +---- run_at ------+-----------------------------> dead    attempts used up, or fail(Never)
//!              +---- revive --------------------------------------+
//! ```
//!
//! Each lease has a token one above the last. A worker proves its token in every transaction it commits
//! ([`Jobs::check`]), so one that was frozen and has been replaced cannot write any more.

mod backoff;
mod lease;
mod settle;

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::Value;
use sluice_wire::{JobId, VideoId};

pub use lease::Lease;
pub use settle::{Failed, Retry};

use crate::bus::topics;
use crate::database::entity::job;
use crate::database::{Database, Tx, flag, from_json, signed, to_json, unsigned, unsigned32};
use crate::error::StorageError;

/// The most rows a listing gives.
const MAX_LIST: u64 = 1000;

/// The job queue. Clones share it.
#[derive(Debug, Clone)]
pub struct Jobs {
    database: Database,
}

/// What to enqueue.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// What sort of job it is; workers ask for sorts.
    pub kind: String,
    /// What the worker needs to know.
    pub payload: Value,
    /// Higher runs first; 0 is usual.
    pub priority: i32,
    /// Leases it may have before it is dead, at least 1.
    pub max_attempts: u32,
    /// The video it is for: jobs of one subject can be [dropped](Jobs::drop_others) together.
    pub subject: Option<VideoId>,
    /// When it should be done, in Unix milliseconds; of two of the same priority the one that is due first is leased first.
    /// `None` is now.
    pub due_ms: Option<u64>,
}

/// A job's place in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobState {
    /// Waits for a worker, or for its time.
    Queued,
    /// A worker has it.
    Leased,
    /// Finished.
    Done,
    /// Given up; [`Jobs::revive`] brings it back.
    Dead,
}

impl JobState {
    /// The name in the database and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Leased => "leased",
            Self::Done => "done",
            Self::Dead => "dead",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Queued, Self::Leased, Self::Done, Self::Dead].into_iter().find(|s| s.as_str() == name)
    }
}

/// A job as an operator sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Its sort.
    pub kind: String,
    /// Its state.
    pub state: JobState,
    /// What the worker needs to know.
    pub payload: Value,
    /// The token of its newest lease; 0 before the first.
    pub token: u64,
    /// Leases it has had.
    pub attempt: u32,
    /// Leases it may have.
    pub max_attempts: u32,
    /// Not before this time, in Unix milliseconds.
    pub run_at_ms: u64,
    /// Who has it or had it last.
    pub worker: Option<String>,
    /// Why the last attempt failed.
    pub reason: Option<String>,
    /// When it was enqueued, in Unix milliseconds.
    pub created_ms: u64,
    /// When it last changed, in Unix milliseconds.
    pub updated_ms: u64,
}

impl Jobs {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Enqueues a job with the transaction; workers that listen to [`topics::JOBS`] wake when it is committed.
    ///
    /// # Errors
    /// The engine's.
    pub async fn enqueue(&self, tx: &Tx<'_>, new: NewJob) -> Result<JobId, StorageError> {
        let id = tx.ids().job();
        let now = signed(tx.now_ms());
        let row = job::ActiveModel {
            id: Set(id.as_i64()),
            kind: Set(new.kind),
            state: Set(JobState::Queued.as_str().to_owned()),
            priority: Set(new.priority.into()),
            payload: Set(to_json(&new.payload)?),
            attempt: Set(0),
            max_attempts: Set(signed(new.max_attempts.max(1))),
            run_at_ms: Set(now),
            lease_until_ms: Set(0),
            worker: Set(None),
            token: Set(0),
            reason: Set(None),
            created_ms: Set(now),
            updated_ms: Set(now),
            subject: Set(new.subject.map_or(0, VideoId::as_i64)),
            due_ms: Set(new.due_ms.map_or(now, signed)),
        };
        job::Entity::insert(row).exec_without_returning(tx.conn()).await?;
        tx.wake_after_commit(topics::JOBS);
        Ok(id)
    }

    /// One job.
    ///
    /// # Errors
    /// The engine's.
    pub async fn get(&self, id: JobId) -> Result<Option<Job>, StorageError> {
        job::Entity::find_by_id(id.as_i64()).one(self.database.reader()).await?.map(Job::try_from).transpose()
    }

    /// Dead jobs, the newest first, at most 1000.
    ///
    /// # Errors
    /// The engine's.
    pub async fn dead(&self, limit: u64) -> Result<Vec<Job>, StorageError> {
        let rows = job::Entity::find()
            .filter(job::Column::State.eq(JobState::Dead.as_str()))
            .order_by_desc(job::Column::Id)
            .limit(limit.min(MAX_LIST))
            .all(self.database.reader())
            .await?;
        rows.into_iter().map(Job::try_from).collect()
    }
}

impl TryFrom<job::Model> for Job {
    type Error = StorageError;

    fn try_from(row: job::Model) -> Result<Self, StorageError> {
        Ok(Self {
            id: id_of(row.id)?,
            kind: row.kind,
            state: flag("jobs.state", &row.state, JobState::parse)?,
            payload: from_json("jobs.payload", &row.payload)?,
            token: unsigned("jobs.token", row.token)?,
            attempt: unsigned32("jobs.attempt", row.attempt)?,
            max_attempts: unsigned32("jobs.max_attempts", row.max_attempts)?,
            run_at_ms: unsigned("jobs.run_at_ms", row.run_at_ms)?,
            worker: row.worker,
            reason: row.reason,
            created_ms: unsigned("jobs.created_ms", row.created_ms)?,
            updated_ms: unsigned("jobs.updated_ms", row.updated_ms)?,
        })
    }
}

fn id_of(id: i64) -> Result<JobId, StorageError> {
    JobId::from_u64(unsigned("jobs.id", id)?).map_err(|e| StorageError::Corrupt(e.to_string()))
}
