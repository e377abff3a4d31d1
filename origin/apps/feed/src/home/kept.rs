//! Home lists that are kept in front of their rows, where there is an engine for it (`sluice_storage::Lists`).
//!
//! Names of kept lists have a generation. It is a row, read with the reader's place and raised in a transaction that changes lists
//! and could not tell the engine so, or once the engine has an older state of itself: then no list is believed that was kept before,
//! and each is filled again from its rows.

use std::time::Duration;

use sluice_storage::rows::sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sluice_storage::rows::sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use sluice_storage::{Newest, StorageError, Tx};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::feed::Feed;
use crate::rows::{generation, home};

/// The row of the generation.
pub(crate) const ROW: i64 = 0;
/// How often it is looked whether the engine is what it was: an engine that was away is not believed before, and one that went back
/// in silence is believed until then.
const LOOK: Duration = Duration::from_millis(500);
/// The longest pause before the next look at an engine that is another each time.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// Entries that are asked for beyond a page: as many posts of one may have been deleted.
const SPARE: u64 = 32;

/// Kept lists that were told of a change before its transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Their generation; `None` where they could not be told.
    generation: Option<i64>,
    names: Vec<String>,
}

impl Told {
    fn of(told: Result<(), StorageError>, generation: i64, names: Vec<String>) -> Self {
        if let Err(error) = &told {
            tracing::debug!(%error, "kept lists are not believed any more");
        }
        Self { generation: told.is_ok().then_some(generation), names }
    }
}

/// A list that was read from its rows, for want of a kept one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Missed {
    reader: i64,
    generation: i64,
}

fn name(generation: i64, reader: i64) -> String {
    format!("home.{generation}.{reader}")
}

impl Feed {
    /// The newest of a reader's kept list; one that is missed is filled behind the page.
    pub(super) async fn kept(
        &self,
        (reader, generation): (i64, i64),
        below: i64,
        size: u64,
    ) -> Option<Newest> {
        if !self.storage.lists.are_kept() {
            return None;
        }
        let count = usize::try_from(size + SPARE).unwrap_or(usize::MAX);
        let found = self.storage.lists.newest(&name(generation, reader), below.unsigned_abs(), count).await;
        if found.is_none() && self.fill.try_send(Missed { reader, generation }).is_err() {
            tracing::debug!(reader, "too many lists are being kept; this one is with the next read");
        }
        found
    }

    /// Tells the kept lists of some readers of a post that is about to be theirs. The transaction may bring it to fewer, not to others.
    pub(crate) async fn tell(&self, readers: &[i64], post: i64) -> Result<Told, StorageError> {
        let Some((generation, names)) = self.names(readers).await? else { return Ok(Told::default()) };
        let told = self.storage.lists.push(&names, post.unsigned_abs(), self.config.list).await;
        Ok(Told::of(told, generation, names))
    }

    /// Has a reader's kept list dropped, which is about to change.
    pub(crate) async fn untold(&self, reader: i64) -> Result<Told, StorageError> {
        let Some((generation, names)) = self.names(&[reader]).await? else { return Ok(Told::default()) };
        let told = self.storage.lists.forget(&names).await;
        Ok(Told::of(told, generation, names))
    }

    /// The names of readers' kept lists, if any list is ever kept.
    async fn names(&self, readers: &[i64]) -> Result<Option<(i64, Vec<String>)>, StorageError> {
        if !self.storage.lists.are_kept() {
            return Ok(None);
        }
        let generation = self.generation().await?;
        Ok(Some((generation, readers.iter().map(|reader| name(generation, *reader)).collect())))
    }

    /// The transaction is over, however it ended.
    pub(crate) async fn settled(&self, told: &Told) {
        if told.generation.is_some() && !told.names.is_empty() {
            self.storage.lists.settled(&told.names).await;
        }
    }

    async fn generation(&self) -> Result<i64, StorageError> {
        let row = generation::Entity::find_by_id(ROW).one(self.database().reader()).await?;
        Ok(row.map_or(0, |row| row.number))
    }

    /// Begins a new generation of kept lists, unless those of the present one were told. For the transaction that changes lists:
    /// one statement, another where one is begun, and none where no list is ever kept.
    pub(crate) async fn confirm(&self, tx: &Tx<'_>, told: &Told) -> Result<(), StorageError> {
        if !self.storage.lists.are_kept() {
            return Ok(());
        }
        if let Some(generation) = told.generation {
            // Whoever begins another meanwhile waits for this, or has it done again: else lists of that one were filled without it.
            let row = generation::Entity::find_by_id(ROW).lock_shared().one(tx.conn()).await?;
            if row.is_some_and(|row| row.number == generation) {
                return Ok(());
            }
        }
        let next = Expr::col((generation::Entity, generation::Column::Number)).add(1);
        let conflict =
            OnConflict::column(generation::Column::Id).value(generation::Column::Number, next).to_owned();
        let first = generation::ActiveModel { id: Set(ROW), number: Set(1) };
        generation::Entity::insert(first).on_conflict(conflict).exec_without_returning(tx.conn()).await?;
        self.metrics.generations.inc();
        Ok(())
    }

    /// Has a first generation of kept lists, if any list is ever kept: what is not there cannot be held on to.
    pub(crate) async fn first_generation(&self) -> Result<(), StorageError> {
        if !self.storage.lists.are_kept() {
            return Ok(());
        }
        let first = generation::ActiveModel { id: Set(ROW), number: Set(1) };
        let first = &first;
        let insert = self.database().write::<_, StorageError, _>(move |tx| {
            Box::pin(async move {
                generation::Entity::insert(first.clone())
                    .on_conflict(OnConflict::column(generation::Column::Id).do_nothing().to_owned())
                    .exec_without_returning(tx.conn())
                    .await?;
                Ok(())
            })
        });
        insert.await
    }

    /// Has no list believed that is kept.
    async fn renounce(&self) -> Result<(), StorageError> {
        let told = &Told::default();
        self.database().write(|tx| Box::pin(self.confirm(tx, told))).await
    }

    async fn fill_one(&self, missed: Missed) -> Result<bool, StorageError> {
        let begun = self.storage.lists.begin(&name(missed.generation, missed.reader)).await?;
        let Some(filling) = begun else { return Ok(false) };
        let posts: Vec<i64> = home::Entity::find()
            .select_only()
            .column(home::Column::Post)
            .filter(home::Column::Reader.eq(missed.reader))
            .filter(home::Column::Post.gt(0))
            .order_by_desc(home::Column::Post)
            .limit(self.config.list)
            .into_tuple()
            .all(self.database().reader())
            .await?;
        let ids: Vec<u64> = posts.into_iter().map(i64::unsigned_abs).collect();
        self.storage.lists.fill(&filling, &ids).await
    }
}

/// Looks whether the engine of kept lists is what it was, until the process ends.
pub(crate) async fn watch(feed: Feed, stop: CancellationToken) {
    if !feed.storage.lists.are_kept() {
        return;
    }
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pause = Duration::ZERO;
    while stop.run_until_cancelled(looks.tick()).await.is_some() {
        match feed.storage.lists.went_back().await {
            Ok(false) => {
                pause = Duration::ZERO;
                continue;
            }
            Ok(true) => tracing::warn!("kept home lists are older than they were, or gone: none is believed"),
            Err(error) => {
                tracing::debug!(%error, "kept home lists are not looked at");
                continue;
            }
        }
        while let Err(error) = feed.renounce().await {
            tracing::warn!(%error, "no generation of kept home lists is begun");
            if stop.run_until_cancelled(sleep(LOOK)).await.is_none() {
                return;
            }
        }
        // They are believed again from the next look on. An engine that is another each time it is asked is asked less and less.
        looks.reset_after(pause);
        pause = (pause * 2).clamp(LOOK, MAX_PAUSE);
    }
}

/// Fills lists that were missed, until the process ends.
pub(crate) async fn keep(feed: Feed, mut missed: mpsc::Receiver<Missed>, stop: CancellationToken) {
    while let Some(Some(one)) = stop.run_until_cancelled(missed.recv()).await {
        match feed.fill_one(one).await {
            Ok(filled) => {
                let result = if filled { "filled" } else { "barred" };
                feed.metrics.fills.with_label_values(&[result]).inc();
            }
            Err(error) => {
                feed.metrics.fills.with_label_values(&["failed"]).inc();
                tracing::debug!(reader = one.reader, %error, "a home list is not kept; it is read from its rows");
            }
        }
    }
}
