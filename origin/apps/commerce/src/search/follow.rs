//! Keeps the index up: made of the rows where there is none that is sound, and followed by the log from then on.
//!
//! Events say which products to read again; what is put into the index are their rows as they are by then, so that an event which
//! comes twice, or late, does no harm. What came within a moment is committed together ([`Batch`]). While the store is away, what
//! is to be read waits for it, and the index is what it was. Where the log does not go on as it should, since its database was put
//! in another's place, or the index itself is damaged, it is made anew.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use prometheus::{IntCounter, IntCounterVec};
use sluice_service::Metrics;
use sluice_storage::{Storage, StorageError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::batch::Batch;
use super::fields::Fields;
use super::load::{self, PAGE};
use super::trouble::{Pauses, Trouble};
use super::writer::{Mark, Writer};
use super::{Shown, tags};
use crate::config::Config;
use crate::ids::ProductId;

/// Events of others that are read before how far that is gets written down.
const NOTE_EVERY: u64 = 10_000;
/// Events that an index may be behind at the start: reading more of them takes longer than making it anew.
const MAX_BEHIND: u64 = 1_000_000;
/// Pauses before the index is made anew, which reads all products.
const ANEW: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// How long an index lasts whose trouble is not that of the one before.
const STEADY: Duration = Duration::from_secs(600);
/// Pauses before what the store did not answer is read again: it is to be found soon after it is there again.
const READ_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What keeps the index up.
#[derive(Debug)]
pub(crate) struct Following {
    storage: Storage,
    dir: Option<PathBuf>,
    fields: Arc<Fields>,
    told: watch::Sender<Option<Shown>>,
    built: IntCounter,
    troubles: IntCounterVec,
}

impl Following {
    pub(super) fn new(
        storage: Storage,
        config: &Arc<Config>,
        metrics: &Metrics,
        told: watch::Sender<Option<Shown>>,
    ) -> Self {
        let help = "Times that the search's index was made of the rows";
        let built = metrics.counter("sluice_shop_search_built_total", help);
        let help = "Times that the search's index could not go on: storage is read again, for all else it is made anew";
        let troubles = metrics.counters("sluice_shop_search_troubles_total", help, &["why"]);
        let (dir, fields) = (config.search.dir.clone(), Arc::new(Fields::new(&config.markets)));
        Self { storage, dir, fields, told, built, troubles }
    }

    /// Until the process ends.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let (mut anew, mut pauses) = (false, Pauses::of(ANEW));
        loop {
            let begun = Instant::now();
            let trouble = match self.session(anew, &stop).await {
                Ok(()) | Err(Trouble::Stopping) => return,
                Err(trouble) => trouble,
            };
            tracing::warn!(error = %trouble, "the search's index is made anew");
            self.troubles.with_label_values(&[trouble.as_str()]).inc();
            if matches!(trouble, Trouble::Gap { .. }) {
                // What is shown is another log's: its versions say nothing of this one's.
                self.told.send_replace(None);
            }
            if begun.elapsed() >= STEADY {
                pauses = Pauses::of(ANEW);
            }
            anew = true;
            if stop.run_until_cancelled(sleep(pauses.take(rand::random()))).await.is_none() {
                return;
            }
        }
    }

    /// Opens the index and follows the log, until the process ends.
    async fn session(&self, anew: bool, stop: &CancellationToken) -> Result<(), Trouble> {
        let (mut writer, mut mark) = self.open(anew, stop).await?;
        let damaged = writer.damaged();
        self.told.send_replace(Some(writer.shown(&mark)));
        let mut noted = mark.seq;
        let mut tail = pin!(self.storage.log().tail(mark.seq));
        loop {
            let batch = tokio::select! {
                () = stop.cancelled() => break,
                // What is in memory is as it was made: a question that fails there fails in the next one, too.
                () = damaged.cancelled(), if self.dir.is_some() => return Err(Trouble::Damaged),
                batch = Batch::next(&mut tail, &mark) => batch?,
            };
            if batch.is_of_others() && batch.mark.seq < noted + NOTE_EVERY {
                // Nothing of ours, or what was told before.
                mark = batch.mark;
                self.told.send_replace(Some(writer.shown(&mark)));
                continue;
            }
            writer = self.apply(writer, &batch, stop).await?;
            mark = batch.mark;
            noted = mark.seq;
            self.told.send_replace(Some(writer.shown(&mark)));
        }
        if mark.seq > noted {
            commit(writer, &mark).await?;
        }
        Ok(())
    }

    /// The index as it was left where that is sound and the log goes on from it; or else made of the rows.
    async fn open(&self, anew: bool, stop: &CancellationToken) -> Result<(Writer, Mark), Trouble> {
        let (dir, fields) = (self.dir.clone(), Arc::clone(&self.fields));
        let (writer, mark) = blocking(move || match anew {
            true => Ok((Writer::anew(dir.as_deref(), fields)?, None)),
            false => Writer::open(dir.as_deref(), fields),
        })
        .await?;
        let sound = match mark {
            Some(mark) => self.goes_on_from(&mark, stop).await?.then_some(mark),
            None => None,
        };
        match sound {
            Some(mark) => Ok((writer, mark)),
            None => self.build(writer, stop).await,
        }
    }

    /// Reads from the store, again and again while it does not answer.
    async fn read<T, R>(&self, stop: &CancellationToken, read: impl Fn() -> R) -> Result<T, Trouble>
    where
        R: Future<Output = Result<T, StorageError>>,
    {
        let mut pauses = Pauses::of(READ_AGAIN);
        loop {
            let error = match stop.run_until_cancelled(read()).await {
                Some(Ok(read)) => return Ok(read),
                Some(Err(error)) => error,
                None => return Err(Trouble::Stopping),
            };
            tracing::warn!(%error, "the search cannot read what is sold; again in a moment");
            self.troubles.with_label_values(&["storage"]).inc();
            let pause = sleep(pauses.take(rand::random()));
            stop.run_until_cancelled(pause).await.ok_or(Trouble::Stopping)?;
        }
    }

    /// Whether the log goes on from where an index has come to.
    async fn goes_on_from(&self, mark: &Mark, stop: &CancellationToken) -> Result<bool, Trouble> {
        let log = self.storage.log();
        let head = self.read(stop, || log.head()).await?;
        let near = (mark.seq..=mark.seq.saturating_add(MAX_BEHIND)).contains(&head);
        if mark.seq == 0 || !near {
            return Ok(near);
        }
        let there = self.read(stop, || log.since(mark.seq - 1, 1)).await?;
        Ok(there.first().is_some_and(|event| {
            event.seq == mark.seq && event.at_ms == mark.at_ms && event.tag.as_str() == mark.tag
        }))
    }

    /// Makes the index of the rows.
    async fn build(&self, mut writer: Writer, stop: &CancellationToken) -> Result<(Writer, Mark), Trouble> {
        let mark = self.read(stop, || self.now()).await?;
        writer.clear()?;
        let mut after = 0;
        loop {
            let page = self.read(stop, || load::page(&self.storage.database, after)).await?;
            let Some(last) = page.last() else { break };
            after = last.id.as_i64();
            writer = blocking(move || {
                page.iter().try_for_each(|entry| writer.add(entry))?;
                Ok(writer)
            })
            .await?;
        }
        let writer = commit(writer, &mark).await?;
        self.built.inc();
        Ok((writer, mark))
    }

    /// The end of the log and the versions: read before the rows, so that nothing which comes meanwhile is missed.
    async fn now(&self) -> Result<Mark, StorageError> {
        let log = self.storage.log();
        let seq = log.head().await?;
        let last = log.since(seq.saturating_sub(1), 1).await?;
        let [products, availability] = tags();
        let mut mark = Mark {
            seq,
            products: log.version_of(&products).await?.0,
            availability: log.version_of(&availability).await?.0,
            ..Mark::default()
        };
        if let Some(event) = last.first().filter(|event| event.seq == seq) {
            (mark.tag, mark.at_ms) = (event.tag.as_str().to_owned(), event.at_ms);
        }
        Ok(mark)
    }

    /// Reads products again, and commits them as they are now.
    async fn apply(
        &self,
        mut writer: Writer,
        batch: &Batch,
        stop: &CancellationToken,
    ) -> Result<Writer, Trouble> {
        let database = &self.storage.database;
        let mut products = self.read(stop, || load::products_of(database, &batch.variants)).await?;
        products.extend(&batch.products);
        let products: Vec<ProductId> = products.into_iter().collect();
        for some in products.chunks(PAGE) {
            let (entries, some) = (self.read(stop, || load::some(database, some)).await?, some.to_vec());
            writer = blocking(move || {
                for id in some {
                    writer.put(id, entries.iter().find(|entry| entry.id == id))?;
                }
                Ok(writer)
            })
            .await?;
        }
        commit(writer, &batch.mark).await
    }
}

async fn commit(mut writer: Writer, mark: &Mark) -> Result<Writer, Trouble> {
    let mark = mark.clone();
    blocking(move || {
        writer.commit(&mark)?;
        Ok(writer)
    })
    .await
}

/// Does on a thread of its own what blocks.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Trouble> + Send + 'static,
) -> Result<T, Trouble> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(Trouble::Ended))
}
