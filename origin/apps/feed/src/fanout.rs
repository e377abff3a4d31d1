//! Brings posts to the home lists of followers.
//!
//! What is to be done is a row that the post's transaction wrote. A process takes it for some seconds, brings the post to so
//! many followers in one transaction, and notes in that transaction how far it came. Whoever goes on after a crash goes on
//! from there; and an entry's key is (reader, post), so none is there twice.
//!
//! An author with too many followers costs one row of work and no entries: its post is marked as one to pull. Readers that
//! do not come are passed over, as are those whose list is not there: a list that is rebuilt has the post by itself.

use std::time::Duration;

use serde_json::json;
use sluice_storage::rows::sea_orm::sea_query::{Expr, ExprTrait, JoinType, OnConflict, Order, Query};
use sluice_storage::rows::sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QueryResult,
    QuerySelect,
};
use sluice_storage::rows::signed;
use sluice_storage::{Database, StorageError, Tx};
use sluice_wire::{EventKind, Tag};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::feed::{self, Feed};
use crate::home::Told;
use crate::rows::{follow, home, post, profile, work};
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
        let told = &ahead(feed, held).await?;
        let step = feed.database().write::<_, StorageError, _>(|tx| {
            Box::pin(async move {
                let more = chunk(tx, &feed.config, held).await?;
                if let Some(told) = told {
                    feed.confirm(tx, told).await?;
                }
                Ok(more)
            })
        });
        let step = step.await;
        if let Some(told) = told {
            feed.settled(told).await;
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
/// database. Whoever comes to have a list in between has none that is kept.
async fn ahead(feed: &Feed, held: &Held) -> Result<Option<Told>, StorageError> {
    if !feed.storage.lists.are_kept() {
        return Ok(None);
    }
    let database = feed.database();
    let found = work::Entity::find_by_id(held.post).one(database.reader()).await?;
    let after = found.map_or(0, |row| row.after);
    let readers = readers(database.reader(), database.now_ms(), &feed.config, held, after).await?;
    let readers: Vec<i64> = readers.iter().map(|reader| reader.account).collect();
    feed.tell(&readers, held.post).await.map(Some)
}

/// One transaction of followers. True while some are left.
async fn chunk(tx: &Tx<'_>, config: &Config, held: &Held) -> Result<bool, StorageError> {
    let found = work::Entity::find_by_id(held.post).one(tx.conn()).await?;
    let Some(ours) = found.filter(|row| row.holder == held.holder) else { return Err(StorageError::Fenced) };
    let there = post::Entity::find_by_id(held.post).one(tx.conn()).await?;
    if there.is_none_or(|post| post.deleted_ms.is_some()) {
        return end(tx, held).await;
    }
    if ours.after == 0 && pulled(tx, config, held).await? {
        return end(tx, held).await;
    }
    let readers = readers(tx.conn(), tx.now_ms(), config, held, ours.after).await?;
    let Some(last) = readers.last().map(|reader| reader.account) else { return end(tx, held).await };
    let entries = readers.iter().map(|reader| home::ActiveModel {
        reader: Set(reader.account),
        post: Set(held.post),
        author: Set(held.author),
    });
    home::Entity::insert_many(entries)
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(tx.conn())
        .await?;
    badge(tx, config, &readers).await?;
    for reader in readers.iter().filter(|reader| (reader.account ^ held.post) % CUT_EVERY == 0) {
        cut(tx, reader.account, config.list).await?;
    }
    if (readers.len() as u64) < config.chunk {
        return end(tx, held).await;
    }
    let moved = work::Entity::update_many()
        .col_expr(work::Column::After, Expr::value(last))
        .col_expr(work::Column::UntilMs, Expr::value(until(tx)))
        .filter(work::Column::Post.eq(held.post))
        .filter(work::Column::Holder.eq(&held.holder))
        .exec(tx.conn())
        .await?;
    if moved.rows_affected == 1 { Ok(true) } else { Err(StorageError::Fenced) }
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

/// A follower that is brought something.
#[derive(Debug)]
struct Reader {
    account: i64,
    badged: bool,
    read_ms: i64,
}

/// The next followers that come often enough and have a list.
async fn readers(
    db: &impl ConnectionTrait,
    now_ms: u64,
    config: &Config,
    held: &Held,
    after: i64,
) -> Result<Vec<Reader>, StorageError> {
    let awake = signed(now_ms.saturating_sub(config.idle_ms));
    let (f, p, h) = ("f", "p", "h");
    let mut select = Query::select();
    select
        .column((f, follow::Column::Reader))
        .columns([(p, profile::Column::Badged), (p, profile::Column::ReadMs)])
        .from_as(follow::Entity, f)
        .join_as(
            JoinType::InnerJoin,
            profile::Entity,
            p,
            Expr::col((p, profile::Column::Account)).equals((f, follow::Column::Reader)),
        )
        .join_as(
            JoinType::InnerJoin,
            home::Entity,
            h,
            Expr::col((h, home::Column::Reader))
                .equals((f, follow::Column::Reader))
                .and(Expr::col((h, home::Column::Post)).eq(0)),
        )
        .and_where(Expr::col((f, follow::Column::Author)).eq(held.author))
        .and_where(Expr::col((f, follow::Column::Reader)).gt(after))
        .and_where(Expr::col((p, profile::Column::Listed)).eq(true))
        .and_where(Expr::col((p, profile::Column::ReadMs)).gte(awake))
        .order_by((f, follow::Column::Reader), Order::Asc)
        .limit(config.chunk);
    let rows = db.query_all(&select).await?;
    let reader = |row: QueryResult| {
        Ok(Reader {
            account: row.try_get("", "reader")?,
            badged: row.try_get("", "badged")?,
            read_ms: row.try_get("", "read_ms")?,
        })
    };
    rows.into_iter().map(reader).collect()
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
