//! Lists of ids that are read often, kept in front of the rows that they are made of. They are a cache: what is not here is read
//! from the rows, whoever loses it loses nothing, and an engine that is away is asked no more for a while.
//!
//! Who changes the rows says so before it commits ([`Lists::push`], [`Lists::forget`]), and when it has
//! ([`Lists::settled`]). In between nobody puts a list here, nor ever one whose rows were read before such a change
//! ([`Lists::begin`], [`Lists::fill`]). So a list that is here has all that was committed. Where the engine did not take the
//! first word, its lists are not to be believed any more: whoever wrote puts a new generation into their names, in the
//! transaction itself. So does whoever finds that the engine has an older state of itself ([`Lists::went_back`]).

mod none;
mod redis;
mod standing;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::StorageError;

/// How long a change may be under way, longer than a write is retried: whose writer died is over then.
pub(crate) const BARRED: Duration = Duration::from_secs(60);
/// How long reading what a list is filled with may take: much less than that.
const FRESH: Duration = Duration::from_secs(5);
/// How long a list is kept. It bounds how long one is believed of an old state that nobody finds out.
pub(crate) const KEPT: Duration = Duration::from_secs(120);
/// The most lists of one call.
const MAX_LISTS: usize = 10_000;

/// The newest of a list below some id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newest {
    /// Ids, the highest first.
    pub ids: Vec<u64>,
    /// There are no others below.
    pub whole: bool,
}

/// A list that is being read from its rows, to be put here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filling {
    list: String,
    /// What changes had begun before.
    seen: String,
    begun: Instant,
}

#[async_trait::async_trait]
trait Engine: std::fmt::Debug + Send + Sync {
    fn is_there(&self) -> bool;
    async fn newest(&self, list: &str, below: u64, count: usize) -> Result<Option<Newest>, StorageError>;
    async fn push(&self, lists: &[String], id: u64, most: u64) -> Result<(), StorageError>;
    async fn forget(&self, lists: &[String]) -> Result<(), StorageError>;
    async fn settled(&self, lists: &[String]) -> Result<(), StorageError>;
    async fn went_back(&self) -> Result<bool, StorageError>;
    async fn begin(&self, list: &str) -> Result<Option<String>, StorageError>;
    async fn fill(&self, list: &str, seen: &str, ids: &[u64]) -> Result<bool, StorageError>;
}

/// Kept lists. Clones share them.
#[derive(Debug, Clone)]
pub struct Lists {
    engine: Arc<dyn Engine>,
}

impl Lists {
    /// Beside the bus: in Redis where that is the bus's, else nowhere, since rows are as near there.
    pub(crate) fn open(bus: &str) -> Result<Self, StorageError> {
        let engine: Arc<dyn Engine> =
            if bus == "local:" { Arc::new(none::Nowhere) } else { Arc::new(redis::Redis::open(bus)?) };
        Ok(Self { engine })
    }

    /// False where no list is ever kept.
    #[must_use]
    pub fn are_kept(&self) -> bool {
        self.engine.is_there()
    }

    /// The newest `count` ids of a list below one. `None` when the list is not here, or the engine is away: at most a tenth of
    /// a second is waited for it.
    pub async fn newest(&self, list: &str, below: u64, count: usize) -> Option<Newest> {
        match self.engine.newest(list, below, count).await {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(list, %error, "list not read");
                None
            }
        }
    }

    /// Adds an id to those of these lists that are here, and cuts each to its newest `most`. To be called before what it tells
    /// of is committed: until [`Lists::settled`], none of them is put here.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] when it is not certain that all were told; [`StorageError::Conflict`] for more than 10,000.
    pub async fn push(&self, lists: &[String], id: u64, most: u64) -> Result<(), StorageError> {
        bounded(lists)?;
        if lists.is_empty() { Ok(()) } else { self.engine.push(lists, id, most).await }
    }

    /// Drops lists, before a change of their rows is committed. As with [`Lists::push`], none is put here until it is settled.
    ///
    /// # Errors
    /// As [`Lists::push`].
    pub async fn forget(&self, lists: &[String]) -> Result<(), StorageError> {
        bounded(lists)?;
        if lists.is_empty() { Ok(()) } else { self.engine.forget(lists).await }
    }

    /// A change of these lists is committed, or will not be.
    pub async fn settled(&self, lists: &[String]) {
        if let Err(error) = self.engine.settled(lists).await {
            tracing::debug!(%error, "lists are not put back for a while");
        }
    }

    /// Whether the engine has an older state of itself than it had, or none: it is a replica that lags, was restored or emptied. Said
    /// once. Who hears it puts a new generation into the names of lists before it asks again; until it has, no list is believed here.
    ///
    /// To be asked every half a second or so: nor is one believed that an engine kept before it last failed to answer, until it was
    /// asked this.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`].
    pub async fn went_back(&self) -> Result<bool, StorageError> {
        self.engine.went_back().await
    }

    /// Begins to put a list here; its rows are read after that. `None` when it is here already, or is being changed.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] when the engine does not answer.
    pub async fn begin(&self, list: &str) -> Result<Option<Filling>, StorageError> {
        let begun = Instant::now();
        let seen = self.engine.begin(list).await?;
        Ok(seen.map(|seen| Filling { list: list.to_owned(), seen, begun }))
    }

    /// Puts a list here, all of it as it was read from its rows. False when a change has begun since, or it took more
    /// than 5 s.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] when the engine does not answer.
    pub async fn fill(&self, filling: &Filling, ids: &[u64]) -> Result<bool, StorageError> {
        if filling.begun.elapsed() > FRESH {
            return Ok(false);
        }
        self.engine.fill(&filling.list, &filling.seen, ids).await
    }
}

fn bounded(lists: &[String]) -> Result<(), StorageError> {
    if lists.len() <= MAX_LISTS {
        return Ok(());
    }
    Err(StorageError::Conflict(format!("at most {MAX_LISTS} lists at once")))
}
