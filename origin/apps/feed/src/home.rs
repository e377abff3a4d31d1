//! A reader's home: its list, what is pulled from authors whom many follow, and its own posts, newest first.
//!
//! A list that is not there, or was not kept up because the reader did not come, is no reason for an empty page: the page is
//! read from all whom the reader follows, and the list is rebuilt behind it.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use serde_json::json;
use sluice_platform::{ApiError, Caller};
use sluice_storage::rows::sea_orm::sea_query::{
    Asterisk, Expr, ExprTrait, JoinType, OnConflict, Order, Query, SelectStatement, UnionType,
};
use sluice_storage::rows::sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryResult,
};
use sluice_storage::rows::{signed, unsigned};
use sluice_storage::{StorageError, Tx};
use sluice_wire::{EventKind, Tag, Version};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::PostId;
use crate::affinity::worth;
use crate::config::Config;
use crate::feed::{self, Feed};
use crate::posts::Kind;
use crate::rank::{Candidate, Facts, Why};
use crate::rows::{affinity, follow, home, post, profile};
use crate::tags;

/// Names of tables within statements: the post, who is followed, the list, how near its author is.
const NAMES: (&str, &str, &str, &str) = ("p", "f", "h", "x");

/// What may be on a page, newest first.
#[derive(Debug, Default)]
pub(crate) struct Window {
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) facts: HashMap<PostId, Facts>,
    /// Where the next page goes on; `None` at the end.
    pub(crate) next: Option<PostId>,
    /// The newest post that the reader has seen on any device.
    pub(crate) seen: Option<PostId>,
    /// Microseconds that it took to read.
    pub(crate) read_us: u64,
}

/// Where a reader is.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    here: bool,
    listed: bool,
    badged: bool,
    read_ms: u64,
    seen: i64,
}

impl Feed {
    /// The newest `size` posts of a reader's home below one, with at most three statements.
    pub(crate) async fn window(
        &self,
        caller: &Caller,
        below: Option<PostId>,
        size: u64,
    ) -> Result<Window, ApiError> {
        let (begun, reader) = (Instant::now(), caller.account.as_i64());
        let now_ms = self.database().now_ms();
        let place = self.place(reader).await?;
        let from_all = !place.good(&self.config, now_ms);
        if !place.here {
            self.profile(caller).await?;
        } else if below.is_none() && !from_all && place.wants_note(&self.config, now_ms) {
            self.looked(reader).await?;
        }
        let rows = self.rows(reader, below, size, from_all).await?;
        if from_all && self.renew.try_send(reader).is_err() {
            tracing::debug!(reader, "too many lists are being rebuilt; this one is with the next read");
        }
        let whole = rows.len() as u64 >= size;
        let window = rows.into_iter().rev().take(usize::try_from(size).unwrap_or(usize::MAX));
        let mut page = Window { seen: place.seen()?, ..Window::default() };
        for (id, row) in window {
            page.candidates.push(row.candidate);
            page.facts.insert(id, row.facts);
        }
        page.next = page.candidates.last().filter(|_| whole).map(|last| last.id);
        page.read_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        Ok(page)
    }

    async fn place(&self, reader: i64) -> Result<Place, ApiError> {
        let (p, h) = (NAMES.0, NAMES.2);
        let list = Expr::col((h, home::Column::Reader))
            .equals((p, profile::Column::Account))
            .and(Expr::col((h, home::Column::Post)).eq(0));
        let mut select = Query::select();
        select
            .columns([
                (p, profile::Column::Listed),
                (p, profile::Column::Badged),
                (p, profile::Column::ReadMs),
                (p, profile::Column::Seen),
            ])
            .column((h, home::Column::Post))
            .from_as(profile::Entity, p)
            .join_as(JoinType::LeftJoin, home::Entity, h, list)
            .and_where(Expr::col((p, profile::Column::Account)).eq(reader));
        let Some(row) = self.database().reader().query_one(&select).await? else {
            return Ok(Place::default());
        };
        let there: Option<i64> = row.try_get("", "post")?;
        Ok(Place {
            here: true,
            listed: there.is_some() && row.try_get("", "listed")?,
            badged: row.try_get("", "badged")?,
            read_ms: unsigned("feed_profiles.read_ms", row.try_get("", "read_ms")?)?,
            seen: row.try_get("", "seen")?,
        })
    }

    /// Notes that a reader looks, before it is shown anything: what is new from now on is told again.
    async fn looked(&self, reader: i64) -> Result<(), ApiError> {
        let write = self.database().write::<_, ApiError, _>(|tx| {
            Box::pin(async move {
                profile::Entity::update_many()
                    .col_expr(profile::Column::Badged, Expr::value(false))
                    .col_expr(profile::Column::ReadMs, Expr::value(signed(tx.now_ms())))
                    .filter(profile::Column::Account.eq(reader))
                    .exec(tx.conn())
                    .await?;
                Ok(())
            })
        });
        write.await
    }

    async fn rows(
        &self,
        reader: i64,
        below: Option<PostId>,
        size: u64,
        from_all: bool,
    ) -> Result<BTreeMap<PostId, Row>, ApiError> {
        let below = below.map_or(i64::MAX, PostId::as_i64);
        let select = candidates(reader, below, size, from_all);
        let now_ms = self.database().now_ms();
        let rows = self.database().reader().query_all(&select).await?;
        Ok(rows.iter().map(|row| Row::read(row, now_ms)).collect::<Result<_, StorageError>>()?)
    }

    /// Notes the newest post that a reader has seen, and tells its other devices. It never goes back.
    pub(crate) async fn seen(&self, caller: &Caller, id: PostId) -> Result<Vec<(Tag, Version)>, ApiError> {
        let (reader, tag) = (caller.account.as_i64(), &tags::home(caller.account));
        let write = self.database().write::<_, ApiError, _>(|tx| {
            Box::pin(async move {
                let moved = profile::Entity::update_many()
                    .col_expr(profile::Column::Seen, Expr::value(id.as_i64()))
                    .filter(profile::Column::Account.eq(reader))
                    .filter(profile::Column::Seen.lt(id.as_i64()))
                    .exec(tx.conn())
                    .await?;
                if moved.rows_affected == 0 {
                    return Ok(vec![]);
                }
                let data = json!({ "live": { "seen": id } });
                Ok(tx.emit_all(&[(tag.clone(), EventKind::Changed, data)]).await?)
            })
        });
        write.await
    }

    /// Drops every home list.
    pub(crate) async fn drop_lists(&self) -> Result<(), ApiError> {
        let write = self.database().write::<_, ApiError, _>(|tx| {
            Box::pin(async move {
                home::Entity::delete_many().exec(tx.conn()).await?;
                Ok(())
            })
        });
        write.await
    }
}

impl Place {
    /// Whether the list holds all it should. Who counts as idle here does so a while before it does where posts are
    /// brought, whose clock may be another's.
    fn good(&self, config: &Config, now_ms: u64) -> bool {
        let idle_ms = config.idle_ms - config.idle_ms / 8;
        self.listed && self.read_ms.saturating_add(idle_ms) > now_ms
    }

    fn wants_note(&self, config: &Config, now_ms: u64) -> bool {
        let old_ms = Ord::min(config.badge_ms / 2, config.idle_ms / 8);
        self.badged || self.read_ms.saturating_add(old_ms) < now_ms
    }

    fn seen(&self) -> Result<Option<PostId>, StorageError> {
        Ok(if self.seen == 0 { None } else { Some(feed::post(self.seen)?) })
    }
}

/// A row of a window.
#[derive(Debug)]
struct Row {
    candidate: Candidate,
    facts: Facts,
}

impl Row {
    fn read(row: &QueryResult, now_ms: u64) -> Result<(PostId, Self), StorageError> {
        let count = |column: &'static str| unsigned(column, row.try_get("", column)?);
        let id = feed::post(row.try_get("", "id")?)?;
        let (original, score): (Option<i64>, Option<f64>) =
            (row.try_get("", "original")?, row.try_get("", "score")?);
        let why: String = row.try_get("", "why")?;
        let why = [Why::Pushed, Why::Pulled, Why::Own].into_iter().find(|one| one.as_str() == why);
        let facts = Facts {
            likes: count("likes")?,
            replies: count("replies")?,
            reposts: count("reposts")?,
            affinity: worth(score.unwrap_or_default(), now_ms),
            original: original.map(feed::post).transpose()?,
        };
        let author = row.try_get("", "author")?;
        Ok((id, Self { candidate: Candidate { id, author, why: why.unwrap_or(Why::Pulled) }, facts }))
    }
}

/// The newest of a list, of what is pulled and of the reader's own, each cut by itself, in one statement.
fn candidates(reader: i64, below: i64, size: u64, from_all: bool) -> SelectStatement {
    let (p, f, h, _) = NAMES;
    let mut own = posts(reader, below, Why::Own);
    own.and_where(Expr::col((p, post::Column::Author)).eq(reader));
    let follows = Expr::col((f, follow::Column::Author))
        .equals((p, post::Column::Author))
        .and(Expr::col((f, follow::Column::Reader)).eq(reader));
    let mut pulled = posts(reader, below, Why::Pulled);
    pulled.join_as(JoinType::InnerJoin, follow::Entity, f, follows);
    let mut parts = vec![];
    if !from_all {
        let many = Expr::col(("a", profile::Column::Account))
            .equals((f, follow::Column::Author))
            .and(Expr::col(("a", profile::Column::Pulled)).eq(true));
        pulled
            .join_as(JoinType::InnerJoin, profile::Entity, "a", many)
            .and_where(Expr::col((p, post::Column::Pulled)).eq(true));
        let entry = Expr::col((h, home::Column::Post))
            .equals((p, post::Column::Id))
            .and(Expr::col((h, home::Column::Reader)).eq(reader));
        let mut list = posts(reader, below, Why::Pushed);
        list.join_as(JoinType::InnerJoin, home::Entity, h, entry);
        parts.push(("b1", list));
    }
    parts.extend([("b2", pulled), ("b3", own)]);
    let mut all = parts.into_iter().map(|(name, mut part)| {
        part.order_by((p, post::Column::Id), Order::Desc).limit(size);
        Query::select().expr(Expr::col(Asterisk)).from_subquery(part, name).to_owned()
    });
    let mut first = all.next().expect("there are two parts or three");
    all.for_each(|part| _ = first.union(UnionType::All, part));
    first
}

/// Posts and reposts that are there, below one, with what ranks them.
fn posts(reader: i64, below: i64, why: Why) -> SelectStatement {
    let (p, _, _, x) = NAMES;
    let near = Expr::col((x, affinity::Column::Author))
        .equals((p, post::Column::Author))
        .and(Expr::col((x, affinity::Column::Reader)).eq(reader));
    let mut select = shown();
    select
        .columns([
            (p, post::Column::Id),
            (p, post::Column::Author),
            (p, post::Column::Likes),
            (p, post::Column::Replies),
            (p, post::Column::Reposts),
            (p, post::Column::Original),
        ])
        .column((x, affinity::Column::Score))
        .expr_as(Expr::cust(format!("'{}'", why.as_str())), "why")
        .join_as(JoinType::LeftJoin, affinity::Entity, x, near)
        .and_where(Expr::col((p, post::Column::Id)).lt(below));
    select
}

fn shown() -> SelectStatement {
    let p = NAMES.0;
    let mut select = Query::select();
    select
        .from_as(post::Entity, p)
        .and_where(Expr::col((p, post::Column::Kind)).ne(Kind::Reply.as_str()))
        .and_where(Expr::col((p, post::Column::DeletedMs)).is_null());
    select
}

/// Rebuilds lists that were found missing, until the process ends.
pub(crate) async fn renew(feed: Feed, mut wanted: mpsc::Receiver<i64>, stop: CancellationToken) {
    while let Some(Some(reader)) = stop.run_until_cancelled(wanted.recv()).await {
        let list = feed.config.list;
        let done = feed.database().write::<_, StorageError, _>(|tx| Box::pin(rebuild(tx, reader, list)));
        if let Err(error) = done.await {
            tracing::warn!(reader, %error, "a home list was not rebuilt; it is with the next read");
        }
    }
}

/// Rebuilds a list from whom the reader follows: three statements.
async fn rebuild(tx: &Tx<'_>, reader: i64, list: u64) -> Result<(), StorageError> {
    let (p, f, ..) = NAMES;
    let follows = Expr::col((f, follow::Column::Author))
        .equals((p, post::Column::Author))
        .and(Expr::col((f, follow::Column::Reader)).eq(reader));
    let mut select = shown();
    select
        .column((f, follow::Column::Reader))
        .columns([(p, post::Column::Id), (p, post::Column::Author)])
        .join_as(JoinType::InnerJoin, follow::Entity, f, follows)
        .and_where(Expr::col((p, post::Column::Pulled)).eq(false))
        .order_by((p, post::Column::Id), Order::Desc)
        .limit(list);
    let columns = [home::Column::Reader, home::Column::Post, home::Column::Author];
    let nothing = || OnConflict::new().do_nothing().to_owned();
    let insert = Query::insert()
        .into_table(home::Entity)
        .columns(columns)
        .select_from(select)
        .expect("a select of as many columns")
        .on_conflict(nothing())
        .to_owned();
    tx.conn().execute(&insert).await?;
    let there = home::ActiveModel { reader: Set(reader), post: Set(0), author: Set(0) };
    home::Entity::insert(there).on_conflict(nothing()).exec_without_returning(tx.conn()).await?;
    profile::Entity::update_many()
        .col_expr(profile::Column::Listed, Expr::value(true))
        .col_expr(profile::Column::Badged, Expr::value(false))
        .col_expr(profile::Column::ReadMs, Expr::value(signed(tx.now_ms())))
        .filter(profile::Column::Account.eq(reader))
        .exec(tx.conn())
        .await?;
    Ok(())
}
