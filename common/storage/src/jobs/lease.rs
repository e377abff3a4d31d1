//! Taking a job, keeping it, and proving that one still has it.

use std::time::Duration;

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, UpdateMany};
use serde_json::Value;
use sluice_wire::JobId;

use super::{JobState, Jobs, id_of};
use crate::clock::millis;
use crate::database::entity::job;
use crate::database::{Tx, from_json, signed, to_json, unsigned, unsigned32};
use crate::error::StorageError;

/// Jobs looked at per attempt: enough that workers which start together do not all want the same one.
const CANDIDATES: u64 = 8;

/// A job that a worker has until the lease runs out.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// What proves the lease: one above the job's last.
    pub token: u64,
    /// Which attempt this is, 1 upwards.
    pub attempt: u32,
    /// How many there may be.
    pub max_attempts: u32,
    /// The job's sort.
    pub kind: String,
    /// What the worker needs to know.
    pub payload: Value,
    /// When it should be done, in Unix milliseconds.
    pub due_ms: u64,
    /// When it was enqueued, in Unix milliseconds.
    pub created_ms: u64,
}

impl Jobs {
    /// Takes the next job of these kinds for a worker, or gives `None` when none is due: the highest priority first,
    /// then the one that is due first, then the one that has waited longest. A job whose lease ran out is due again, until its attempts are used up:
    /// see [`Jobs::exhausted`].
    ///
    /// # Errors
    /// The engine's.
    ///
    /// # Cancel safety
    /// Dropped late, a job may stay leased until its lease runs out.
    pub async fn lease(
        &self,
        worker: &str,
        kinds: &[&str],
        for_: Duration,
    ) -> Result<Option<Lease>, StorageError> {
        for candidate in self.candidates(kinds).await? {
            let taken = self.database.write(|tx| Box::pin(take(tx, candidate.clone(), worker, for_))).await?;
            if let Some(row) = taken {
                return lease_of(row).map(Some);
            }
        }
        Ok(None)
    }

    /// Jobs that look free. Whether they are is decided when one is taken.
    async fn candidates(&self, kinds: &[&str]) -> Result<Vec<job::Model>, StorageError> {
        let now = signed(self.database.now_ms());
        let waiting = Condition::all()
            .add(job::Column::State.eq(JobState::Queued.as_str()))
            .add(job::Column::RunAtMs.lte(now));
        let abandoned = Condition::all()
            .add(job::Column::State.eq(JobState::Leased.as_str()))
            .add(job::Column::LeaseUntilMs.lt(now))
            .add(Expr::col(job::Column::Attempt).lt(Expr::col(job::Column::MaxAttempts)));
        Ok(job::Entity::find()
            .filter(job::Column::Kind.is_in(kinds.iter().copied()))
            .filter(Condition::any().add(waiting).add(abandoned))
            .order_by_desc(job::Column::Priority)
            .order_by_asc(job::Column::DueMs)
            .order_by_asc(job::Column::RunAtMs)
            .order_by_asc(job::Column::Id)
            .limit(CANDIDATES)
            .all(self.database.reader())
            .await?)
    }

    /// True when a job of these kinds waits that is due before a time, in Unix milliseconds.
    ///
    /// # Errors
    /// The engine's.
    pub async fn is_waiting(&self, kinds: &[&str], before_ms: u64) -> Result<bool, StorageError> {
        let found: Option<i64> = job::Entity::find()
            .select_only()
            .column(job::Column::Id)
            .filter(job::Column::Kind.is_in(kinds.iter().copied()))
            .filter(job::Column::State.eq(JobState::Queued.as_str()))
            .filter(job::Column::RunAtMs.lte(signed(self.database.now_ms())))
            .filter(job::Column::DueMs.lt(signed(before_ms)))
            .into_tuple()
            .one(self.database.reader())
            .await?;
        Ok(found.is_some())
    }

    /// Keeps with the transaction how far a job has come: what the worker needs to know from here on, and when the rest
    /// should be done.
    ///
    /// # Errors
    /// [`StorageError::Fenced`] when the lease was lost; the engine's.
    pub async fn advance(
        &self,
        tx: &Tx<'_>,
        lease: &Lease,
        payload: &Value,
        due_ms: u64,
    ) -> Result<(), StorageError> {
        let update = ours(tx, lease)
            .col_expr(job::Column::Payload, Expr::value(to_json(payload)?))
            .col_expr(job::Column::DueMs, Expr::value(signed(due_ms)));
        prove(tx, update).await
    }

    /// Prolongs a lease from now.
    ///
    /// # Errors
    /// [`StorageError::Fenced`] when the job has gone to another worker, was finished or given up; the engine's.
    pub async fn heartbeat(&self, lease: &Lease, for_: Duration) -> Result<(), StorageError> {
        let until = signed(self.database.now_ms() + millis(for_));
        self.database
            .write(|tx| {
                Box::pin(async move {
                    let update = ours(tx, lease).col_expr(job::Column::LeaseUntilMs, Expr::value(until));
                    prove(tx, update).await
                })
            })
            .await
    }

    /// Proves inside a transaction that the lease still holds: the transaction is committed only if it does.
    ///
    /// # Errors
    /// [`StorageError::Fenced`] when it does not; the engine's.
    pub async fn check(&self, tx: &Tx<'_>, lease: &Lease) -> Result<(), StorageError> {
        prove(tx, ours(tx, lease)).await
    }
}

/// An update of the leased job, as long as the lease holds.
pub(super) fn ours(tx: &Tx<'_>, lease: &Lease) -> UpdateMany<job::Entity> {
    as_seen(tx, lease.job.as_i64(), signed(lease.token), JobState::Leased.as_str())
}

/// An update of a job, as long as nobody changed its state or leased it since.
pub(super) fn as_seen(tx: &Tx<'_>, id: i64, token: i64, state: &str) -> UpdateMany<job::Entity> {
    job::Entity::update_many()
        .col_expr(job::Column::UpdatedMs, Expr::value(signed(tx.now_ms())))
        .filter(job::Column::Id.eq(id))
        .filter(job::Column::Token.eq(token))
        .filter(job::Column::State.eq(state))
}

pub(super) async fn prove(tx: &Tx<'_>, update: UpdateMany<job::Entity>) -> Result<(), StorageError> {
    match update.exec(tx.conn()).await?.rows_affected {
        1 => Ok(()),
        _ => Err(StorageError::Fenced),
    }
}

/// Takes a job if it is still as it was seen.
async fn take(
    tx: &Tx<'_>,
    seen: job::Model,
    worker: &str,
    for_: Duration,
) -> Result<Option<job::Model>, StorageError> {
    let taken = as_seen(tx, seen.id, seen.token, &seen.state)
        .filter(job::Column::LeaseUntilMs.eq(seen.lease_until_ms))
        .col_expr(job::Column::State, Expr::value(JobState::Leased.as_str()))
        .col_expr(job::Column::Token, Expr::col(job::Column::Token).add(1))
        .col_expr(job::Column::Attempt, Expr::col(job::Column::Attempt).add(1))
        .col_expr(job::Column::Worker, Expr::value(worker))
        .col_expr(job::Column::LeaseUntilMs, Expr::value(signed(tx.now_ms() + millis(for_))))
        .exec_with_returning(tx.conn())
        .await?;
    Ok(taken.into_iter().next())
}

fn lease_of(row: job::Model) -> Result<Lease, StorageError> {
    Ok(Lease {
        job: id_of(row.id)?,
        token: unsigned("jobs.token", row.token)?,
        attempt: unsigned32("jobs.attempt", row.attempt)?,
        max_attempts: unsigned32("jobs.max_attempts", row.max_attempts)?,
        kind: row.kind,
        payload: from_json("jobs.payload", &row.payload)?,
        due_ms: unsigned("jobs.due_ms", row.due_ms)?,
        created_ms: unsigned("jobs.created_ms", row.created_ms)?,
    })
}
