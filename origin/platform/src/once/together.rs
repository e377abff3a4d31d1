//! Requests of one kind that are answered together: those that came while a transaction was committed are the next one. So many
//! share one commit and one statement of each kind, and one that comes alone waits for nobody ("group commit", DeWitt et al.,
//! Implementation techniques for main memory database systems, 1984).

use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use sluice_service::Drain;
use sluice_storage::{Database, StorageError, Tx};
use tokio::sync::{mpsc, oneshot};

use super::{Answer, Asked, Key, Once, keep, kept, replayed};
use crate::ApiError;

/// Requests that may wait. Those beyond are told to come again.
const MAX_WAITING: usize = 1_024;
/// How long one waits: as long as a transaction is tried, and one before it.
const PATIENCE: Duration = Duration::from_secs(30);

/// What becomes of one request.
pub type Decided = Result<Answer, ApiError>;

/// What is done together.
#[async_trait::async_trait]
pub trait Batch: Send + Sync + 'static {
    /// One request, with all that is to be known of it.
    type Ask: Send + Sync + 'static;

    /// Requests of one transaction at most.
    fn most(&self) -> usize;

    /// Decides on all, in the order in which they came, and writes what it grants. One decision for each. What is refused must
    /// have written nothing. It may run several times, as any transaction.
    ///
    /// # Errors
    /// Where nothing can be done for any of them. Nothing is kept then; each is tried alone, so that one hurts no other.
    async fn write(&self, tx: &Tx<'_>, asks: &[&Self::Ask]) -> Result<Vec<Decided>, ApiError>;
}

/// A queue before a [`Batch`]. Clones are the same.
#[derive(Debug)]
pub struct Together<A> {
    once: Once,
    queue: mpsc::Sender<Waiting<A>>,
}

impl<A> Clone for Together<A> {
    fn clone(&self) -> Self {
        Self { once: self.once.clone(), queue: self.queue.clone() }
    }
}

/// One that waits.
#[derive(Debug)]
struct Waiting<A> {
    ask: A,
    key: Option<Key>,
    answer: oneshot::Sender<Result<Told, ApiError>>,
}

/// An answer, and whether it was given before.
#[derive(Debug, Clone)]
struct Told {
    answer: Answer,
    again: bool,
}

/// Why nothing came of a transaction.
enum Failure {
    /// The store failed; it may even have committed.
    Store(StorageError),
    /// The batch itself: nothing was kept.
    Batch(ApiError),
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::Store(error)
    }
}

impl Once {
    /// Begins to do requests together, until the drain ends them.
    pub fn together<B: Batch>(&self, batch: B, drain: &Drain) -> Together<B::Ask> {
        let (queue, waiting) = mpsc::channel(MAX_WAITING);
        let desk = Desk { database: self.database.clone(), batch: Arc::new(batch) };
        let stop = drain.token();
        drain.tasks().spawn(async move { desk.run(waiting, stop).await });
        Together { once: self.clone(), queue }
    }
}

impl<A: Send + Sync + 'static> Together<A> {
    /// Has a request done, once for its key, as [`Once::write`] does. Whoever stops waiting may find it done.
    ///
    /// # Errors
    /// What the batch decided; 409 while the same key is under way here, 422 for a key that came with another request; 503
    /// where too many wait, or for too long.
    pub async fn ask<T>(&self, asked: &Asked<T>, owner: &str, ask: A) -> Result<Response, ApiError> {
        let _running = asked.key.as_deref().map(|key| self.once.begin(owner, key)).transpose()?;
        let key = asked.key.as_ref().map(|key| asked.named(owner, key));
        let (answer, decided) = oneshot::channel();
        self.queue.try_send(Waiting { ask, key, answer }).map_err(|_| busy())?;
        let told =
            tokio::time::timeout(PATIENCE, decided).await.map_err(|_| busy())?.map_err(|_| busy())??;
        Ok(if told.again { replayed(told.answer) } else { told.answer.into_response() })
    }
}

fn busy() -> ApiError {
    ApiError::new(503, "busy", "Busy", "too many ask for this at once; try again")
}

/// Who does them.
struct Desk<B> {
    database: Database,
    batch: Arc<B>,
}

impl<B: Batch> Desk<B> {
    async fn run(
        self,
        mut queue: mpsc::Receiver<Waiting<B::Ask>>,
        stop: tokio_util::sync::CancellationToken,
    ) {
        let most = self.batch.most().max(1);
        let mut waiting = Vec::with_capacity(most);
        loop {
            let came = tokio::select! {
                came = queue.recv_many(&mut waiting, most) => came,
                // Those who asked in time are answered: the queue is closed, and emptied.
                () = stop.cancelled(), if !queue.is_closed() => {
                    queue.close();
                    continue;
                }
            };
            if came == 0 {
                return;
            }
            // Who waits no more need not be served.
            waiting.retain(|one| !one.answer.is_closed());
            self.serve(std::mem::take(&mut waiting)).await;
        }
    }

    async fn serve(&self, waiting: Vec<Waiting<B::Ask>>) {
        let all: Vec<_> = waiting.iter().collect();
        let outcomes = match self.decide(&all).await {
            Ok(outcomes) => outcomes,
            Err(Failure::Batch(error)) if waiting.len() > 1 => {
                tracing::debug!(error = %error.0.title, "a batch is done one by one");
                let mut outcomes = vec![];
                for one in &waiting {
                    outcomes.push(self.alone(one).await);
                }
                outcomes
            }
            Err(failure) => self.failed(&waiting, failure).await,
        };
        for (one, outcome) in waiting.into_iter().zip(outcomes) {
            // Who has gone meanwhile asks again with the key.
            drop(one.answer.send(outcome));
        }
    }

    async fn alone(&self, one: &Waiting<B::Ask>) -> Result<Told, ApiError> {
        match self.decide(&[one]).await {
            Ok(mut outcomes) => outcomes.pop().unwrap_or_else(|| Err(busy())),
            Err(failure) => {
                let mut outcomes = self.failed(std::slice::from_ref(one), failure).await;
                outcomes.pop().unwrap_or_else(|| Err(busy()))
            }
        }
    }

    /// What to say after a failure: another process may have answered, or it is not known whether this one has.
    async fn failed(&self, waiting: &[Waiting<B::Ask>], failure: Failure) -> Vec<Result<Told, ApiError>> {
        let error = match failure {
            Failure::Store(error) => ApiError::from(error),
            Failure::Batch(error) => error,
        };
        let keys: Vec<_> = waiting.iter().map(|one| one.key.as_ref()).collect();
        let found = kept(self.database.reader(), &keys).await.unwrap_or_default();
        let mut found = found.into_iter();
        let tell = |_: &Waiting<B::Ask>| found.next().flatten().unwrap_or_else(|| Err(error.clone()));
        let tell: Vec<Decided> = waiting.iter().map(tell).collect();
        tell.into_iter().map(|told| told.map(|answer| Told { answer, again: true })).collect()
    }

    /// One transaction: those whose key was answered before are answered so, the others by the batch.
    async fn decide(&self, waiting: &[&Waiting<B::Ask>]) -> Result<Vec<Result<Told, ApiError>>, Failure> {
        let batch = &self.batch;
        let write = self.database.write::<_, Failure, _>(|tx| {
            Box::pin(async move {
                let keys: Vec<_> = waiting.iter().map(|one| one.key.as_ref()).collect();
                let before = kept(tx.conn(), &keys).await?;
                let open = waiting.iter().zip(&before).filter(|(_, before)| before.is_none());
                let (keys, asks): (Vec<_>, Vec<_>) =
                    open.map(|(one, _)| (one.key.as_ref(), &one.ask)).unzip();
                let fresh = match asks.is_empty() {
                    true => vec![],
                    false => batch.write(tx, &asks).await.map_err(Failure::Batch)?,
                };
                if fresh.len() != asks.len() {
                    return Err(StorageError::Corrupt("a batch decides on each that asks".into()).into());
                }
                let granted = keys.into_iter().zip(&fresh);
                let granted = granted.filter_map(|(key, decided)| Some((key?, decided.as_ref().ok()?)));
                keep(tx, granted).await?;
                let mut fresh = fresh.into_iter();
                let outcome = |before: Option<Decided>| match before {
                    Some(before) => Some(before.map(|answer| Told { answer, again: true })),
                    None => Some(fresh.next()?.map(|answer| Told { answer, again: false })),
                };
                Ok(before.into_iter().filter_map(outcome).collect())
            })
        });
        write.await
    }
}
