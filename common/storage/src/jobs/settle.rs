//! How a lease ends: done, tried again, or dead; and the way back.

use std::time::Duration;

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use sluice_wire::{JobId, VideoId};

use super::backoff::wait_after;
use super::lease::{Lease, as_seen, ours, prove};
use super::{Job, JobState, Jobs, MAX_LIST};
use crate::bus::topics;
use crate::clock::millis;
use crate::database::entity::job;
use crate::database::{Tx, signed};
use crate::error::StorageError;

/// Whether a failed job is worth another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Yes, after a while: something around it failed.
    Backoff,
    /// No: the job itself is at fault.
    Never,
}

/// What became of a failed job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// It runs again, not before this time in Unix milliseconds.
    Again {
        /// The time.
        run_at_ms: u64,
    },
    /// It is dead: an operator may revive it.
    Dead,
}

/// The longest reason that is kept, in characters.
const MAX_REASON: usize = 2000;

impl Jobs {
    /// Finishes the job with the transaction.
    ///
    /// # Errors
    /// [`StorageError::Fenced`] when the lease was lost; the engine's.
    pub async fn complete(&self, tx: &Tx<'_>, lease: &Lease) -> Result<(), StorageError> {
        let done = ours(tx, lease)
            .col_expr(job::Column::State, Expr::value(JobState::Done.as_str()))
            .col_expr(job::Column::Reason, Expr::value(None::<String>));
        prove(tx, done).await
    }

    /// Ends the attempt as failed, for a reason that a person understands.
    ///
    /// # Errors
    /// [`StorageError::Fenced`] when the lease was lost; the engine's.
    pub async fn fail(&self, lease: &Lease, reason: &str, retry: Retry) -> Result<Failed, StorageError> {
        self.database.write(|tx| Box::pin(self.fail_in(tx, lease, reason, retry))).await
    }

    /// As [`Jobs::fail`], within a transaction of the caller's.
    ///
    /// # Errors
    /// As [`Jobs::fail`].
    pub async fn fail_in(
        &self,
        tx: &Tx<'_>,
        lease: &Lease,
        reason: &str,
        retry: Retry,
    ) -> Result<Failed, StorageError> {
        let again = retry == Retry::Backoff && lease.attempt < lease.max_attempts;
        let (state, fate) = if again {
            let run_at_ms = tx.now_ms() + millis(wait_after(lease.attempt, rand::random()));
            (JobState::Queued, Failed::Again { run_at_ms })
        } else {
            (JobState::Dead, Failed::Dead)
        };
        let run_at = match fate {
            Failed::Again { run_at_ms } => run_at_ms,
            Failed::Dead => tx.now_ms(),
        };
        let reason: String = reason.chars().take(MAX_REASON).collect();
        let failed = ours(tx, lease)
            .col_expr(job::Column::State, Expr::value(state.as_str()))
            .col_expr(job::Column::RunAtMs, Expr::value(signed(run_at)))
            .col_expr(job::Column::LeaseUntilMs, Expr::value(0_i64))
            .col_expr(job::Column::Reason, Expr::value(reason));
        prove(tx, failed).await?;
        Ok(fate)
    }

    /// Gives a job back unharmed, as a worker does that is told to stop: it is due at once, and the attempt does not
    /// count.
    ///
    /// # Errors
    /// [`StorageError::Fenced`] when the lease was lost; the engine's.
    pub async fn give_back(&self, lease: &Lease) -> Result<(), StorageError> {
        self.put_off(lease, Duration::ZERO).await
    }

    /// As [`Jobs::give_back`], but it is due only after a while.
    ///
    /// # Errors
    /// [`StorageError::Fenced`] when the lease was lost; the engine's.
    pub async fn put_off(&self, lease: &Lease, for_: Duration) -> Result<(), StorageError> {
        self.database
            .write(|tx| {
                Box::pin(async move {
                    let back = ours(tx, lease)
                        .col_expr(job::Column::State, Expr::value(JobState::Queued.as_str()))
                        .col_expr(job::Column::Attempt, Expr::value(signed(lease.attempt.saturating_sub(1))))
                        .col_expr(job::Column::RunAtMs, Expr::value(signed(tx.now_ms() + millis(for_))))
                        .col_expr(job::Column::LeaseUntilMs, Expr::value(0_i64));
                    prove(tx, back).await?;
                    tx.wake_after_commit(topics::JOBS);
                    Ok(())
                })
            })
            .await
    }

    /// Brings a dead job back with all its attempts.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when it is not dead; the engine's.
    pub async fn revive(&self, id: JobId) -> Result<(), StorageError> {
        self.database
            .write(|tx| {
                Box::pin(async move {
                    let revived = job::Entity::update_many()
                        .col_expr(job::Column::State, Expr::value(JobState::Queued.as_str()))
                        .col_expr(job::Column::Attempt, Expr::value(0_i64))
                        .col_expr(job::Column::RunAtMs, Expr::value(signed(tx.now_ms())))
                        .col_expr(job::Column::UpdatedMs, Expr::value(signed(tx.now_ms())))
                        .filter(job::Column::Id.eq(id.as_i64()))
                        .filter(job::Column::State.eq(JobState::Dead.as_str()))
                        .exec(tx.conn())
                        .await?;
                    if revived.rows_affected == 0 {
                        return Err(StorageError::Conflict(format!("job {id} is not dead")));
                    }
                    tx.wake_after_commit(topics::JOBS);
                    Ok(())
                })
            })
            .await
    }

    /// Jobs whose worker vanished on the last attempt they had, at most 1000. Nobody is leased such a job; whoever
    /// watches over the queue [buries](Jobs::bury) it, together with what the job was for.
    ///
    /// # Errors
    /// The engine's.
    pub async fn exhausted(&self, kinds: &[&str]) -> Result<Vec<Job>, StorageError> {
        let rows = job::Entity::find()
            .filter(job::Column::Kind.is_in(kinds.iter().copied()))
            .filter(job::Column::State.eq(JobState::Leased.as_str()))
            .filter(job::Column::LeaseUntilMs.lt(signed(self.database.now_ms())))
            .filter(Expr::col(job::Column::Attempt).gte(Expr::col(job::Column::MaxAttempts)))
            .limit(MAX_LIST)
            .all(self.database.reader())
            .await?;
        rows.into_iter().map(Job::try_from).collect()
    }

    /// Declares an exhausted job dead with the transaction. Its last worker, should it still live, is fenced.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when another buried it first, or its worker came back; the engine's.
    pub async fn bury(&self, tx: &Tx<'_>, job: &Job, reason: &str) -> Result<(), StorageError> {
        let buried = as_seen(tx, job.id.as_i64(), signed(job.token), JobState::Leased.as_str())
            .filter(job::Column::LeaseUntilMs.lt(signed(tx.now_ms())))
            .col_expr(job::Column::State, Expr::value(JobState::Dead.as_str()))
            .col_expr(job::Column::Reason, Expr::value(reason))
            .exec(tx.conn())
            .await?;
        match buried.rows_affected {
            1 => Ok(()),
            _ => Err(StorageError::Conflict(format!("job {} is no longer exhausted", job.id))),
        }
    }

    /// Deletes with the transaction what else is to be done for a video: workers that are at it are fenced. Gives how many
    /// jobs that were.
    ///
    /// # Errors
    /// The engine's.
    pub async fn drop_others(&self, tx: &Tx<'_>, subject: VideoId, but: JobId) -> Result<u64, StorageError> {
        let deleted = job::Entity::delete_many()
            .filter(job::Column::Subject.eq(subject.as_i64()))
            .filter(job::Column::Id.ne(but.as_i64()))
            .filter(job::Column::State.is_in([JobState::Queued.as_str(), JobState::Leased.as_str()]))
            .exec(tx.conn())
            .await?;
        Ok(deleted.rows_affected)
    }

    /// Deletes a job with the transaction; a worker that has it is fenced. False when there is none.
    ///
    /// # Errors
    /// The engine's.
    pub async fn delete(&self, tx: &Tx<'_>, id: JobId) -> Result<bool, StorageError> {
        Ok(job::Entity::delete_by_id(id.as_i64()).exec(tx.conn()).await?.rows_affected == 1)
    }
}
