//! The search of the catalog: words, facets with exact counts, prices; an index of tantivy's that is made of the rows and kept up
//! with the log (ADR 0053).
//!
//! ```text
//! rows ----> load --\
//! log -> follow ----> writer -> the index, in memory or in a folder -> query, collect -> facets -> http
//! ```
//!
//! - `question`: what is asked; `query`: its words, as the index looks for them, and what each is worth
//! - `fields`: what the index holds of a product: a document for each variant, those of a product side by side
//! - `collect`: one walk over what matches: the page, the total, every count; `facets`: the counts as documents
//! - `writer`, `folder`: the index on its way; `load`, `follow`, `batch`: what goes into it; `trouble`: what it cannot go on after
//!
//! Each process has an index of its own, which holds nothing that the rows do not: what is torn, missing or of another log is made
//! anew. An answer waits, for a while, until the index is as new as the rows were when it was asked for. Where the log itself is
//! behind the rows, it is as new as the log, and says so: no edge can have heard of more.

mod batch;
mod collect;
mod facets;
mod fields;
mod folder;
mod follow;
mod http;
mod load;
mod query;
mod question;
#[cfg(test)]
mod tests;
mod trouble;
mod writer;

pub(crate) use follow::Following;
pub(crate) use http::{__path_search, search};

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sluice_platform::ApiError;
use sluice_service::Metrics;
use sluice_storage::{Log, Storage};
use sluice_wire::{Tag, Version};
use tantivy::{IndexReader, TantivyError};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::raised;
use collect::{Found, Gather};
use fields::Fields;
use question::Question;

/// How long a search waits for the index to be as new as the rows.
const PATIENCE: Duration = Duration::from_secs(2);
/// And after that to be as new as the log: its follower gathers for 50 ms.
const CATCH_UP: Duration = Duration::from_millis(500);
/// Searches at a time: each has a core for some milliseconds.
const AT_ONCE: usize = 4;

/// The index as it is now, and the versions that it has reached. Clones are the same.
#[derive(Clone)]
pub(crate) struct Shown {
    reader: IndexReader,
    fields: Arc<Fields>,
    products: Version,
    availability: Version,
    /// The last event of the log that it has seen.
    seq: u64,
    /// Told once a search in it fails; all that is shown of one index has the same.
    damaged: CancellationToken,
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { products, availability, seq, .. } = self;
        write!(f, "Shown {{ products: {products:?}, availability: {availability:?}, seq: {seq} }}")
    }
}

/// What answers searches. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    shown: watch::Receiver<Option<Shown>>,
    turns: Arc<Semaphore>,
}

/// The tags of every answer.
pub(crate) fn tags() -> [Tag; 2] {
    [raised::products(), raised::availability()]
}

/// What answers, and what keeps the index up once it runs.
pub(crate) fn open(storage: &Storage, config: &Arc<Config>, metrics: &Metrics) -> (Search, Following) {
    let (told, shown) = watch::channel(None);
    let search = Search { shown, turns: Arc::new(Semaphore::new(AT_ONCE)) };
    (search, Following::new(storage.clone(), config, metrics, told))
}

impl Shown {
    /// Whether it has these versions of the tags that it knows.
    fn has(&self, versions: &[(Tag, Version)]) -> bool {
        let [products, availability] = tags();
        versions.iter().all(|(tag, version)| {
            (*tag != products || self.products >= *version)
                && (*tag != availability || self.availability >= *version)
        })
    }

    /// Those that it has.
    fn versions(&self) -> Vec<(Tag, Version)> {
        tags().into_iter().zip([self.products, self.availability]).collect()
    }

    /// Looks. Takes a thread for as long as it lasts.
    fn find(&self, question: &Question) -> Result<Found, TantivyError> {
        let query = query::query(&self.fields, &question.words);
        self.reader.searcher().search(&*query, &Gather::new(question))
    }
}

impl Search {
    /// What there is of a question, and the versions that it shows: `newest`, which the rows have; or, where the log has not
    /// told of these yet, what it has told, which is at least what was `demanded`. An edge can have heard of no more, and hears
    /// of the rest in the end: it keeps what it is given no longer than is true.
    ///
    /// # Errors
    /// 503 where the index has not got them in time, or too many search; the store's.
    async fn find(
        &self,
        log: &Log,
        question: Question,
        newest: Vec<(Tag, Version)>,
        demanded: &[(Tag, Version)],
    ) -> Result<(Found, Vec<(Tag, Version)>), ApiError> {
        if let Some(shown) = self.once(PATIENCE, |shown| shown.has(&newest)).await {
            return Ok((self.look(shown, question).await?, newest));
        }
        let head = log.head().await?;
        let told = self.once(CATCH_UP, |shown| shown.seq >= head).await;
        let told = told.filter(|shown| shown.has(demanded)).ok_or_else(|| {
            let detail = "the search has not seen the newest change yet; try again in a moment";
            ApiError::new(503, "search-behind", "Search is behind", detail)
        })?;
        let versions = told.versions();
        Ok((self.look(told, question).await?, versions))
    }

    /// The index, once that is true of it; `None` where it is not in time.
    async fn once(&self, patience: Duration, is_so: impl Fn(&Shown) -> bool) -> Option<Shown> {
        let mut shown = self.shown.clone();
        let reached = shown.wait_for(|shown| shown.as_ref().is_some_and(&is_so));
        timeout(patience, reached).await.ok()?.ok()?.clone()
    }

    /// Looks, in turn. An index in a folder in which that fails is made anew, once: until then those may find something whose
    /// question does not touch what is damaged.
    async fn look(&self, shown: Shown, question: Question) -> Result<Found, ApiError> {
        let busy = || ApiError::new(503, "busy", "Too many searches", "try again in a moment");
        let turn = timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned()).await.map_err(|_| busy())?;
        let turn = turn.expect("the turns are never closed");
        let damaged = shown.damaged.clone();
        let done = tokio::task::spawn_blocking(move || {
            let found = shown.find(&question);
            drop(turn);
            found
        });
        let why = match done.await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(error)) => error.to_string(),
            // What was turned over on the disk may be a place past the end of something.
            Err(error) if error.is_panic() => "it panicked".to_owned(),
            Err(_) => return Err(busy()),
        };
        tracing::error!(why, "a search failed; an index in a folder is made anew");
        damaged.cancel();
        Err(ApiError::new(500, "internal", "Internal error", "the search failed; the log says how"))
    }
}

#[cfg(test)]
impl Search {
    /// What a search tells that fails in the index which is shown now.
    pub(crate) fn damaged(&self) -> Option<CancellationToken> {
        self.shown.borrow().as_ref().map(|shown| shown.damaged.clone())
    }
}
