//! Brings posts to the home lists of followers.
//!
//! What is to be done is a row that the post's transaction wrote. A process takes it for some seconds, brings the post to so
//! many followers in one transaction, and notes in that transaction how far it came. Whoever goes on after a crash goes on
//! from there; and an entry's key is (reader, post), so none is there twice.
//!
//! What a repost brings about beside that, and nobody waits for, is done with the first step.
//!
//! An author with too many followers costs one row of work and no entries: its post is marked as one to pull. Readers that
//! do not come are passed over, as are those whose list is not there: a list that is rebuilt has the post by itself.

mod readers;
#[cfg(test)]
mod tests;

use std::time::Duration;

use readers::{Reader, Step, readers};
use serde_json::json;
use sluice_storage::rows::sea_orm::sea_query::{Expr, OnConflict};
use sluice_storage::rows::sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use sluice_storage::rows::signed;
use sluice_storage::{Database, StorageError, Tx};
use sluice_wire::{EventKind, Tag};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::affinity::{self, Interaction};
use crate::config::Config;
use crate::feed::{self, Feed};
use crate::home::Told;
use crate::rows::{home, post, profile, work};
use crate::tags;

/// How long a process may be silent before another goes on with its work.
const LEASE: Duration = Duration::from_secs(3);
/// How often a process looks without having been told: others may have left something.
const POLL: Duration = Duration::from_millis(200);
/// Pause after a failure.
const TROUBLE: Duration = Duration::from_millis(500);
/// Of so many posts, each reader's list is cut once: a list has some entries too many between two cuts.
const CUT_EVERY: i64 = 64;

/// A piece of work that is ours.
#[derive(Debug, Clone)]
struct Held {
    post: i64,
    author: i64,
    holder: String,
}

/// Readers whose kept lists were told of a post before the step that brings it to them.
#[derive(Debug)]
struct Ahead {
    /// Lowest first.
    readers: Vec<i64>,
    told: Told,
}

/// Brings posts until the process ends.
pub(crate) async fn run(feed: Feed, stop: CancellationToken) {
    let holder = format!("{}-{}", std::process::id(), feed.storage.ids.job());
    while !stop.is_cancelled() {
        let taken = take(feed.database(), &holder).await;
        let done = match taken {
            Ok(Some(held)) => finish(&feed, &held, &stop).await,
            Ok(None) => {
                // Nothing to do. Whether the time is over or somebody posted makes no difference.
                drop(timeout(POLL, feed.posted.notified()).await);
                Ok(())
            }
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            tracing::warn!(%error, "posts are not brought to followers now, trying again");
            sleep(TROUBLE).await;
        }
    }
}

/// Takes the oldest work that nobody has.
async fn take(database: &Database, holder: &str) -> Result<Option<Held>, StorageError> {
    let free = work::Column::UntilMs.lt(signed(database.now_ms()));
    let found = work::Entity::find()
        .filter(free)
        .order_by_asc(work::Column::Post)
        .limit(1)
        .one(database.reader())
        .await?;
    let Some(found) = found else { return Ok(None) };
    let write = database.write::<_, StorageError, _>(|tx| {
        Box::pin(async move {
            let taken = work::Entity::update_many()
                .col_expr(work::Column::Holder, Expr::value(holder))
                .col_expr(work::Column::UntilMs, Expr::value(until(tx)))
                .filter(work::Column::Post.eq(found.post))
                .filter(work::Column::UntilMs.lt(signed(tx.now_ms())))
                .exec(tx.conn())
                .await?;
            Ok(taken.rows_affected == 1)
        })
    });
    let held = Held { post: found.post, author: found.author, holder: holder.to_owned() };
    Ok(write.await?.then_some(held))
}

/// Brings a post to all that are left; gives it back when the process ends.
async fn finish(feed: &Feed, held: &Held, stop: &CancellationToken) -> Result<(), StorageError> {
    loop {
        let ahead = &ahead(feed, held).await?;
        let step = feed.database().write::<_, StorageError, _>(|tx| {
            Box::pin(async move {
                let told = ahead.as_ref().map(|ahead| ahead.readers.as_slice());
                let more = chunk(tx, &feed.config, held, told).await?;
                if let Some(ahead) = ahead {
                    feed.confirm(tx, &ahead.told).await?;
                }
                Ok(more)
            })
        });
        let step = step.await;
        if let Some(ahead) = ahead {
            feed.settled(&ahead.told).await;
        }
        match step {
            Ok(true) => {}
            // Another has it: it was silent for too long.
            Ok(false) | Err(StorageError::Fenced) => return Ok(()),
            Err(error) => return Err(error),
        }
        if stop.is_cancelled() {
            return feed.database().write(|tx| Box::pin(give_back(tx, held))).await;
        }
        if feed.config.rest_ms > 0 {
            sleep(Duration::from_millis(feed.config.rest_ms)).await;
        }
    }
}

/// Tells the kept lists of those whom the next step brings the post to, before it does: a transaction waits for nothing but the
/// database. The step brings it to nobody else: who comes to be among them in between is told by a later one.
async fn ahead(feed: &Feed, held: &Held) -> Result<Option<Ahead>, StorageError> {
    if !feed.storage.lists.are_kept() {
        return Ok(None);
    }
    let readers = next(feed, held).await?;
    let told = feed.tell(&readers, held.post).await?;
    Ok(Some(Ahead { readers, told }))
}

/// Whom the next step would bring the post to as things are, lowest first; nobody, where readers pull it.
async fn next(feed: &Feed, held: &Held) -> Result<Vec<i64>, StorageError> {
    let (database, config) = (feed.database(), &feed.config);
    let found = work::Entity::find_by_id(held.post).one(database.reader()).await?;
    let after = found.map_or(0, |row| row.after);
    if after == 0 {
        let author = profile::Entity::find_by_id(held.author).one(database.reader()).await?;
        if author.is_some_and(|author| author.followers >= signed(config.push_below)) {
            return Ok(vec![]);
        }
    }
    let readers = readers(database.reader(), database.now_ms(), config, held, after).await?;
    Ok(readers.iter().map(|reader| reader.account).collect())
}

/// One transaction of followers; of those that were told, if any had to be. True while some are left.
async fn chunk(
    tx: &Tx<'_>,
    config: &Config,
    held: &Held,
    told: Option<&[i64]>,
) -> Result<bool, StorageError> {
    let found = work::Entity::find_by_id(held.post).one(tx.conn()).await?;
    let Some(ours) = found.filter(|row| row.holder == held.holder) else { return Err(StorageError::Fenced) };
    let there = post::Entity::find_by_id(held.post).one(tx.conn()).await?;
    let Some(there) = there.filter(|post| post.deleted_ms.is_none()) else { return end(tx, held).await };
    if ours.after == 0 {
        begin(tx, &there).await?;
    }
    if ours.after == 0 && pulled(tx, config, held).await? {
        return end(tx, held).await;
    }
    let found = readers(tx.conn(), tx.now_ms(), config, held, ours.after).await?;
    let step = Step::of(found, config.chunk, told);
    bring(tx, config, held, &step.readers).await?;
    let Some(after) = step.after else { return end(tx, held).await };
    let moved = work::Entity::update_many()
        .col_expr(work::Column::After, Expr::value(after))
        .col_expr(work::Column::UntilMs, Expr::value(until(tx)))
        .filter(work::Column::Post.eq(held.post))
        .filter(work::Column::Holder.eq(&held.holder))
        .exec(tx.conn())
        .await?;
    if moved.rows_affected == 1 { Ok(true) } else { Err(StorageError::Fenced) }
}

/// Brings the post to some readers.
async fn bring(tx: &Tx<'_>, config: &Config, held: &Held, readers: &[Reader]) -> Result<(), StorageError> {
    if readers.is_empty() {
        return Ok(());
    }
    let entries = readers.iter().map(|reader| home::ActiveModel {
        reader: Set(reader.account),
        post: Set(held.post),
        author: Set(held.author),
    });
    home::Entity::insert_many(entries)
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(tx.conn())
        .await?;
    badge(tx, config, readers).await?;
    for reader in readers.iter().filter(|reader| (reader.account ^ held.post) % CUT_EVERY == 0) {
        cut(tx, reader.account, config.list).await?;
    }
    Ok(())
}

/// What a repost brings about that its author does not wait for, once: a profile, if this is what the author does first here, and
/// how near it is to whose post it shows.
async fn begin(tx: &Tx<'_>, row: &post::Model) -> Result<(), StorageError> {
    let Some(original) = row.original else { return Ok(()) };
    let newcomer = profile::ActiveModel::from(feed::fresh(feed::account(row.author)?, &row.handle));
    let made = profile::Entity::insert(newcomer)
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(tx.conn())
        .await?;
    if made > 0 {
        tx.emit(&tags::user(&row.handle), EventKind::Changed, serde_json::Value::Null).await?;
    }
    match post::Entity::find_by_id(original).one(tx.conn()).await? {
        Some(of) if of.author != row.author => {
            let at_ms = feed::post(row.id)?.unix_ms();
            affinity::add(tx, row.author, of.author, Interaction::Repost, at_ms).await
        }
        _ => Ok(()),
    }
}

/// Whether the author has too many followers. Then the post is one to pull, and there is nothing to bring.
async fn pulled(tx: &Tx<'_>, config: &Config, held: &Held) -> Result<bool, StorageError> {
    let many = profile::Entity::update_many()
        .col_expr(profile::Column::Pulled, Expr::value(true))
        .filter(profile::Column::Account.eq(held.author))
        .filter(profile::Column::Followers.gte(signed(config.push_below)))
        .exec(tx.conn())
        .await?;
    if many.rows_affected == 0 {
        return Ok(false);
    }
    post::Entity::update_many()
        .col_expr(post::Column::Pulled, Expr::value(true))
        .filter(post::Column::Id.eq(held.post))
        .exec(tx.conn())
        .await?;
    Ok(true)
}

/// Tells readers who look at their home these minutes that there is something new: each once until it looks again.
async fn badge(tx: &Tx<'_>, config: &Config, readers: &[Reader]) -> Result<(), StorageError> {
    let lately = signed(tx.now_ms().saturating_sub(config.badge_ms));
    let told: Vec<i64> = readers
        .iter()
        .filter(|reader| !reader.badged && reader.read_ms >= lately)
        .map(|reader| reader.account)
        .collect();
    if told.is_empty() {
        return Ok(());
    }
    profile::Entity::update_many()
        .col_expr(profile::Column::Badged, Expr::value(true))
        .filter(profile::Column::Account.is_in(told.iter().copied()))
        .exec(tx.conn())
        .await?;
    let event = |account: i64| {
        let tag: Tag = tags::home(feed::account(account)?);
        Ok((tag, EventKind::Changed, json!({ "live": { "new": 1 } })))
    };
    let events: Vec<_> = told.into_iter().map(event).collect::<Result<_, StorageError>>()?;
    tx.emit_all(&events).await?;
    Ok(())
}

/// Cuts a list to its newest entries.
async fn cut(tx: &Tx<'_>, reader: i64, list: u64) -> Result<(), StorageError> {
    let first_too_many = home::Entity::find()
        .filter(home::Column::Reader.eq(reader))
        .filter(home::Column::Post.gt(0))
        .order_by_desc(home::Column::Post)
        .offset(list)
        .limit(1)
        .one(tx.conn())
        .await?;
    if let Some(first) = first_too_many {
        home::Entity::delete_many()
            .filter(home::Column::Reader.eq(reader))
            .filter(home::Column::Post.gt(0))
            .filter(home::Column::Post.lte(first.post))
            .exec(tx.conn())
            .await?;
    }
    Ok(())
}

/// The work is done.
async fn end(tx: &Tx<'_>, held: &Held) -> Result<bool, StorageError> {
    let gone = work::Entity::delete_many()
        .filter(work::Column::Post.eq(held.post))
        .filter(work::Column::Holder.eq(&held.holder))
        .exec(tx.conn())
        .await?;
    if gone.rows_affected == 1 { Ok(false) } else { Err(StorageError::Fenced) }
}

async fn give_back(tx: &Tx<'_>, held: &Held) -> Result<(), StorageError> {
    work::Entity::update_many()
        .col_expr(work::Column::UntilMs, Expr::value(0))
        .filter(work::Column::Post.eq(held.post))
        .filter(work::Column::Holder.eq(&held.holder))
        .exec(tx.conn())
        .await?;
    Ok(())
}

fn until(tx: &Tx<'_>) -> i64 {
    signed(tx.now_ms() + u64::try_from(LEASE.as_millis()).unwrap_or(u64::MAX))
}
