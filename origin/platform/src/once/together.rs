//! Requests of one kind that are answered together: those that came while a transaction was committed are the next one. So many
//! share one commit and one statement of each kind, and one that comes alone waits for nobody ("group commit", DeWitt et al.,
//! Implementation techniques for main memory database systems, 1984).
//!
//! Clients' requests bring keys and are answered with documents ([`Together::ask`]); steps of a longer work are done
//! with whatever type comes of them ([`Together::step`]).

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use sluice_service::Drain;
use sluice_storage::{Database, StorageError, Tx, WRITE_DEADLINE, count_statements, note_statements};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::{Answer, Asked, Key, Once, keep, kept, replayed};
use crate::ApiError;

/// Requests that may wait. Those beyond are told to come again.
const MAX_WAITING: usize = 1_024;
/// How long one waits: as long as a transaction is tried, and one before it.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long those who came together are tried in one transaction. What has lost to others for so long, dozens of times, is done
/// one by one: most of it loses to nobody, and those who ask have patience left. It is looked at between two attempts.
const TOGETHER: Duration = Duration::from_secs(5);
/// How long each is tried by itself then: one that loses to nobody takes milliseconds, and the others wait behind it.
const APART: Duration = Duration::from_secs(2);
/// How long a transaction keeps what it holds: one that is done again and again keeps nobody waiting.
const HELD: Duration = Duration::from_secs(1);

/// What becomes of one request.
pub type Decided<D = Answer> = Result<D, ApiError>;

/// What is held until it is dropped.
pub type Held = Box<dyn Send>;

/// What is done together.
#[async_trait::async_trait]
pub trait Batch: fmt::Debug + Send + Sync + 'static {
    /// One request, with all that is to be known of it.
    type Ask: Send + Sync + 'static;
    /// What comes of one: an [`Answer`] where requests bring keys.
    type Done: Send + Sync + 'static;

    /// Requests of one transaction at most.
    fn most(&self) -> usize;

    /// Keeps others of this process from what these asks change, from before the transaction until after it, or for a second.
    /// All who ask wait for it, and whoever wants what it has already: it must not take long, and goes without what it cannot
    /// have soon. Nothing by default.
    async fn hold(&self, _asks: &[&Self::Ask]) -> Held {
        Box::new(())
    }

    /// Decides on all, in the order in which they came, and writes what it grants. One decision for each. What is refused must
    /// have written nothing. It may run several times, as any transaction.
    ///
    /// # Errors
    /// Where nothing can be done for any of them. Nothing is kept then; each is tried alone, so that one hurts no other.
    async fn write(&self, tx: &Tx<'_>, asks: &[&Self::Ask]) -> Result<Vec<Decided<Self::Done>>, ApiError>;
}

/// A queue before a [`Batch`]. Clones are the same.
#[derive(Debug)]
pub struct Together<A, D = Answer> {
    once: Once,
    desk: Desk<A, D>,
    queue: mpsc::Sender<Waiting<A, D>>,
}

impl<A, D> Clone for Together<A, D> {
    fn clone(&self) -> Self {
        Self { once: self.once.clone(), desk: self.desk.clone(), queue: self.queue.clone() }
    }
}

/// One that waits.
#[derive(Debug)]
struct Waiting<A, D> {
    ask: A,
    key: Option<Keyed<D>>,
    answer: oneshot::Sender<(Decided<Told<D>>, u64)>,
}

/// A key, and what is kept under it of what comes of its request.
#[derive(Debug)]
pub(super) struct Keyed<D> {
    key: Key,
    answer: fn(&D) -> Cow<'_, Answer>,
}

impl Keyed<Answer> {
    /// All of it.
    pub(super) fn of(key: Key) -> Self {
        Self { key, answer: |done| Cow::Borrowed(done) }
    }
}

impl<A, D> Waiting<A, D> {
    fn key(&self) -> Option<&Key> {
        self.key.as_ref().map(|keyed| &keyed.key)
    }
}

/// What became of a request that may have come before.
#[derive(Debug)]
pub enum Outcome<D> {
    /// It was done now.
    Now(D),
    /// It was done before; what was kept of it then.
    Before(Answer),
}

/// What is told to one that waits.
#[derive(Debug)]
pub(super) enum Told<D> {
    /// It was done now.
    Now(D),
    /// Its key was answered before.
    Before(Answer),
}

/// Why nothing came of a transaction.
#[derive(Debug)]
enum Failure {
    /// The store failed; it may even have committed.
    Store(StorageError),
    /// The batch itself: nothing was kept.
    Batch(ApiError),
}

impl Failure {
    /// True when nothing was kept, and one of several may be why. Where writers take turns, none loses for what it is about.
    fn is_of_one(&self, database: &Database) -> bool {
        match self {
            Self::Batch(_) => true,
            Self::Store(error) => matches!(error, StorageError::Contended) && !database.has_one_writer(),
        }
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::Store(error)
    }
}

impl Once {
    /// Begins to do requests together, until the drain ends them.
    pub fn together<B: Batch>(&self, batch: B, drain: &Drain) -> Together<B::Ask, B::Done> {
        self.serve(batch, drain, Arc::new(Semaphore::new(1)))
    }

    fn serve<B: Batch>(&self, batch: B, drain: &Drain, turn: Arc<Semaphore>) -> Together<B::Ask, B::Done> {
        let (queue, waiting) = mpsc::channel(MAX_WAITING);
        let desk = Desk { database: self.database.clone(), batch: Arc::new(batch), turn };
        let (stop, served) = (drain.token(), desk.clone());
        drain.tasks().spawn(async move { served.run(waiting, stop).await });
        Together { once: self.clone(), desk, queue }
    }
}

impl<A, D> Together<A, D> {
    /// Begins to do other requests together, beside these: of both, one transaction is done at a time. For those that change
    /// the same rows, and would only lose to one another.
    pub fn beside<B: Batch>(&self, batch: B, drain: &Drain) -> Together<B::Ask, B::Done> {
        self.once.serve(batch, drain, Arc::clone(&self.desk.turn))
    }

    /// Does a transaction of one's own that changes the same rows in a turn among these: in this process it loses to none of
    /// them then, for a second, after which they go on beside it. Those of other processes know nothing of it, so that the
    /// engine still has to choose.
    ///
    /// # Errors
    /// 503 where its turn does not come within 30 s.
    pub async fn in_turn<T>(&self, work: impl Future<Output = T>) -> Result<T, ApiError> {
        let permit = timeout(PATIENCE, self.desk.turn.acquire()).await.map_err(|_| busy())?;
        Ok(while_held(permit.expect("it is never closed"), work).await)
    }
}

impl<A: Send + Sync + 'static> Together<A> {
    /// Has a request done, once for its key, as [`Once::write`] does. Whoever stops waiting may find it done.
    ///
    /// # Errors
    /// What the batch decided; 409 while the same key is under way here, 422 for a key that came with another request; 503
    /// where 1,024 wait already, or for 30 s.
    pub async fn ask<T>(&self, asked: &Asked<T>, owner: &str, ask: A) -> Result<Response, ApiError> {
        let _running = asked.key.as_deref().map(|key| self.once.begin(owner, key)).transpose()?;
        let key = asked.key.as_ref().map(|key| Keyed::of(asked.named(owner, key)));
        let (answer, decided) = oneshot::channel();
        self.queue.try_send(Waiting { ask, key, answer }).map_err(|_| busy())?;
        let told = timeout(PATIENCE, decided).await.map_err(|_| busy())?;
        let (told, statements) = told.map_err(|_| busy())?;
        note_statements(statements);
        Ok(match told? {
            Told::Now(answer) => answer.into_response(),
            Told::Before(answer) => replayed(answer),
        })
    }
}

impl<A: Send + Sync + 'static, D: Send + Sync + 'static> Together<A, D> {
    /// Does a request as a step, once for its key: `answer` is what is kept under it.
    ///
    /// # Errors
    /// As [`Self::step`]; 409 while the same key is under way here, 422 for a key that came with another request.
    pub async fn once<T>(
        &self,
        asked: &Asked<T>,
        owner: &str,
        ask: A,
        answer: fn(&D) -> Cow<'_, Answer>,
    ) -> Result<Outcome<D>, ApiError> {
        let _running = asked.key.as_deref().map(|key| self.once.begin(owner, key)).transpose()?;
        let key = asked.key.as_ref().map(|key| Keyed { key: asked.named(owner, key), answer });
        Ok(match self.done(ask, key).await? {
            Told::Now(done) => Outcome::Now(done),
            Told::Before(kept) => Outcome::Before(kept),
        })
    }

    /// Does a step of something that is under way: it waits for room in the queue, and once the drain has begun it is done
    /// in a transaction of its own, so that what was begun comes to its end. Whoever stops waiting may find it done.
    ///
    /// # Errors
    /// What the batch decided; 503 where it waits for 30 s.
    pub async fn step(&self, ask: A) -> Decided<D> {
        match self.done(ask, None).await? {
            Told::Now(done) => Ok(done),
            Told::Before(_) => Err(busy()),
        }
    }

    /// Does what belongs to something that is under way, with a key or without one, as [`Self::step`] does.
    pub(super) async fn done(&self, ask: A, key: Option<Keyed<D>>) -> Decided<Told<D>> {
        let (answer, decided) = oneshot::channel();
        let waiting = Waiting { ask, key, answer };
        let done = async {
            // The queue ends with the drain alone; what was in it by then is served.
            match self.queue.reserve().await {
                Ok(room) => room.send(waiting),
                Err(_) => return self.desk.alone(&waiting, WRITE_DEADLINE).await,
            }
            let (told, statements) = decided.await.map_err(|_| busy())?;
            note_statements(statements);
            told
        };
        timeout(PATIENCE, done).await.map_err(|_| busy())?
    }
}

fn busy() -> ApiError {
    ApiError::new(503, "busy", "Busy", "too many ask for this at once; try again")
}

/// Who does them. Clones are the same.
#[derive(Debug)]
struct Desk<A, D> {
    database: Database,
    batch: Arc<dyn Batch<Ask = A, Done = D>>,
    /// One transaction at a time, of all that change the same rows.
    turn: Arc<Semaphore>,
}

impl<A, D> Clone for Desk<A, D> {
    fn clone(&self) -> Self {
        Self { database: self.database.clone(), batch: Arc::clone(&self.batch), turn: Arc::clone(&self.turn) }
    }
}

impl<A: Send + Sync + 'static, D: Send + Sync + 'static> Desk<A, D> {
    async fn run(self, mut queue: mpsc::Receiver<Waiting<A, D>>, stop: tokio_util::sync::CancellationToken) {
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

    async fn serve(&self, waiting: Vec<Waiting<A, D>>) {
        let (outcomes, mut statements) = count_statements(self.outcomes(&waiting)).await;
        if let Some(outcomes) = outcomes {
            // What is shared is counted once, as the first's.
            for (one, outcome) in waiting.into_iter().zip(outcomes) {
                // Who has gone meanwhile asks again with the key.
                drop(one.answer.send((outcome, std::mem::take(&mut statements))));
            }
            return;
        }
        for one in waiting {
            // Who waits no more need not be served; who is served is told at once.
            if !one.answer.is_closed() {
                let (outcome, own) = count_statements(self.alone(&one, APART)).await;
                drop(one.answer.send((outcome, own + std::mem::take(&mut statements))));
            }
        }
    }

    /// What became of those who were tried together; nothing where each is to be tried alone.
    async fn outcomes(&self, waiting: &[Waiting<A, D>]) -> Option<Vec<Decided<Told<D>>>> {
        let all: Vec<_> = waiting.iter().collect();
        match self.decide(&all, TOGETHER).await {
            Ok(outcomes) => Some(outcomes),
            Err(failure) if waiting.len() > 1 && failure.is_of_one(&self.database) => {
                tracing::debug!(?failure, "a batch is done one by one");
                None
            }
            Err(failure) => Some(self.failed(waiting, failure).await),
        }
    }

    async fn alone(&self, one: &Waiting<A, D>, tried: Duration) -> Decided<Told<D>> {
        match self.decide(&[one], tried).await {
            Ok(mut outcomes) => outcomes.pop().unwrap_or_else(|| Err(busy())),
            Err(failure) => {
                let mut outcomes = self.failed(std::slice::from_ref(one), failure).await;
                outcomes.pop().unwrap_or_else(|| Err(busy()))
            }
        }
    }

    /// What to say after a failure: another process may have answered, or it is not known whether this one has.
    async fn failed(&self, waiting: &[Waiting<A, D>], failure: Failure) -> Vec<Decided<Told<D>>> {
        let error = match failure {
            Failure::Store(error) => ApiError::from(error),
            Failure::Batch(error) => error,
        };
        let keys: Vec<_> = waiting.iter().map(Waiting::key).collect();
        let found = kept(self.database.reader(), &keys).await.unwrap_or_default();
        let mut found = found.into_iter();
        let tell = |_: &Waiting<A, D>| found.next().flatten().unwrap_or_else(|| Err(error.clone()));
        let tell: Vec<Decided> = waiting.iter().map(tell).collect();
        tell.into_iter().map(|told| told.map(Told::Before)).collect()
    }

    /// One transaction: those whose key was answered before are answered so, the others by the batch.
    async fn decide(
        &self,
        waiting: &[&Waiting<A, D>],
        tried: Duration,
    ) -> Result<Vec<Decided<Told<D>>>, Failure> {
        let batch = &self.batch;
        let _turn = self.turn.acquire().await.expect("it is never closed");
        let all: Vec<_> = waiting.iter().map(|one| &one.ask).collect();
        let held = batch.hold(&all).await;
        let write = self.database.write_for::<_, Failure, _>(tried, |tx| {
            Box::pin(async move {
                let keys: Vec<_> = waiting.iter().map(|one| one.key()).collect();
                let before = kept(tx.conn(), &keys).await?;
                let open: Vec<_> =
                    waiting.iter().zip(&before).filter(|(_, before)| before.is_none()).collect();
                let asks: Vec<_> = open.iter().map(|(one, _)| &one.ask).collect();
                let fresh = match asks.is_empty() {
                    true => vec![],
                    false => batch.write(tx, &asks).await.map_err(Failure::Batch)?,
                };
                if fresh.len() != asks.len() {
                    return Err(StorageError::Corrupt("a batch decides on each that asks".into()).into());
                }
                let granted = open.iter().zip(&fresh).filter_map(|((one, _), decided)| {
                    let (keyed, done) = (one.key.as_ref()?, decided.as_ref().ok()?);
                    Some((&keyed.key, (keyed.answer)(done)))
                });
                keep(tx, granted).await?;
                let mut fresh = fresh.into_iter();
                let outcome = |before: Option<Decided>| match before {
                    Some(before) => Some(before.map(Told::Before)),
                    None => Some(fresh.next()?.map(Told::Now)),
                };
                Ok(before.into_iter().filter_map(outcome).collect())
            })
        });
        while_held(held, write).await
    }
}

/// Does work while something is held, which is let go of after [`HELD`].
async fn while_held<H, T>(held: H, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    if let Ok(done) = timeout(HELD, work.as_mut()).await {
        return done;
    }
    drop(held);
    work.await
}
