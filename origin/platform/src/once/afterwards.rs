//! Answers that are kept after the work, where it is not one transaction.

use axum::response::{IntoResponse, Response};
use sluice_service::Drain;
use sluice_storage::Tx;

use super::together::{Keyed, Told};
use super::{Answer, Asked, Batch, Decided, Once, Together, replayed};
use crate::ApiError;

/// Keeps answers after the work that they tell of: those that come at once share a transaction. Clones are the same.
#[derive(Debug, Clone)]
pub struct Afterwards {
    once: Once,
    keeping: Together<Answer>,
}

/// Nothing but the answers themselves: what they tell of is done.
#[derive(Debug)]
struct Keeping {
    most: usize,
}

#[async_trait::async_trait]
impl Batch for Keeping {
    type Ask = Answer;
    type Done = Answer;

    fn most(&self) -> usize {
        self.most
    }

    async fn write(&self, _: &Tx<'_>, answers: &[&Answer]) -> Result<Vec<Decided>, ApiError> {
        Ok(answers.iter().map(|answer| Ok((*answer).clone())).collect())
    }
}

impl Once {
    /// Begins to keep answers after their work, at most so many in one transaction.
    pub fn afterwards(&self, most: usize, drain: &Drain) -> Afterwards {
        Afterwards { once: self.clone(), keeping: self.together(Keeping { most }, drain) }
    }
}

impl Afterwards {
    /// Does a request's work, which has transactions of its own and waits for others between them, and keeps its answer after
    /// it; or gives the answer that was kept before. The work must be safe to be done again: between its end and the answer's
    /// being kept a process may end, and another process may be about the same key. `owner` is whose key it is. Without a key
    /// it is just done.
    ///
    /// # Errors
    /// The work's own, which nothing is kept of; 409 while the first is under way here, 422 for a key that came with another
    /// request.
    pub async fn answer<T: Sync>(
        &self,
        asked: &Asked<T>,
        owner: &str,
        work: impl Future<Output = Result<Answer, ApiError>>,
    ) -> Result<Response, ApiError> {
        let Some(key) = &asked.key else { return Ok(work.await?.into_response()) };
        let _running = self.once.begin(owner, key)?;
        let key = asked.named(owner, key);
        if let Some(answer) = self.once.find(&key).await? {
            return Ok(replayed(answer));
        }
        let answer = work.await?;
        match self.keeping.done(answer.clone(), Some(Keyed::of(key))).await {
            Ok(Told::Now(answer)) => Ok(answer.into_response()),
            // Another process has answered meanwhile.
            Ok(Told::Before(before)) => Ok(replayed(before)),
            Err(reused) if reused.0.status == 422 => Err(reused),
            // What was done is told, kept or not: asked again, the work says the same.
            Err(error) => {
                tracing::warn!(error = ?error.0, "an answer is not kept under its key");
                Ok(answer.into_response())
            }
        }
    }
}
