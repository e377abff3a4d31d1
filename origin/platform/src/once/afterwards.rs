//! Answers that are kept after the work, where it is not one transaction.

use axum::response::{IntoResponse, Response};
use sluice_storage::StorageError;

use super::{Answer, Asked, Once, keep, replayed};
use crate::ApiError;

impl Once {
    /// Does a request's work, which has transactions of its own and waits for others between them, and keeps its answer after
    /// it; or gives the answer that was kept before. The work must be safe to be done again: between its end and the answer's
    /// being kept a process may end, and another process may be about the same key. `owner` is whose key it is. Without a key
    /// it is just done.
    ///
    /// # Errors
    /// The work's own, which nothing is kept of; 409 while the first is under way here, 422 for a key that came with another
    /// request.
    pub async fn afterwards<T: Sync>(
        &self,
        asked: &Asked<T>,
        owner: &str,
        work: impl Future<Output = Result<Answer, ApiError>>,
    ) -> Result<Response, ApiError> {
        let Some(key) = &asked.key else { return Ok(work.await?.into_response()) };
        let _running = self.begin(owner, key)?;
        let key = asked.named(owner, key);
        if let Some(answer) = self.find(&key).await? {
            return Ok(replayed(answer));
        }
        let answer = work.await?;
        let kept = self.database.write::<_, StorageError, _>(|tx| {
            let (key, answer) = (key.clone(), answer.clone());
            Box::pin(async move { keep(tx, std::iter::once((&key, &answer))).await })
        });
        let Err(error) = kept.await else { return Ok(answer.into_response()) };
        match self.find(&key).await {
            // Another process has answered meanwhile.
            Ok(Some(before)) => Ok(replayed(before)),
            Err(reused) if reused.0.status == 422 => Err(reused),
            // What was done is told, kept or not: asked again, the work says the same.
            Ok(None) | Err(_) => {
                tracing::warn!(%error, "an answer is not kept under its key");
                Ok(answer.into_response())
            }
        }
    }
}
