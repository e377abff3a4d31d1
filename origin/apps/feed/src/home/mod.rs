//! A reader's home: its list, what is pulled from authors whom many follow, and its own posts, newest first.
//!
//! A list that is not there, or was not kept up because the reader did not come, is no reason for an empty page: the page is
//! read from all whom the reader follows, and the list is rebuilt behind it.

mod kept;
mod renew;
mod select;

pub(crate) use kept::{Missed, Told, keep, watch};
pub(crate) use renew::renew;
pub(crate) use select::shows_something;

use std::collections::{BTreeMap, HashMap};
use tokio::time::Instant;

use select::{Entries, NAMES, Row, candidates};
use serde_json::json;
use sluice_platform::{ApiError, Caller};
use sluice_storage::StorageError;
use sluice_storage::rows::sea_orm::sea_query::{Expr, ExprTrait, JoinType, OnConflict, Query};
use sluice_storage::rows::sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use sluice_storage::rows::{signed, unsigned};
use sluice_wire::{EventKind, Tag, Version};

use crate::PostId;
use crate::config::Config;
use crate::feed::{self, Feed};
use crate::marks::Marks;
use crate::rank::{Candidate, Facts, Why};
use crate::rows::{generation, home, profile};
use crate::tags;

/// What may be on a page, newest first.
#[derive(Debug, Default)]
pub(crate) struct Window {
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) facts: HashMap<PostId, Facts>,
    /// What the reader did with them, if anything.
    pub(crate) marks: HashMap<PostId, Marks>,
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
    /// Of kept lists.
    generation: i64,
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
        let rows = self.rows((reader, place.generation), below, size, from_all).await?;
        if from_all && self.renew.try_send(reader).is_err() {
            tracing::debug!(reader, "too many lists are being rebuilt; this one is with the next read");
        }
        let whole = rows.len() as u64 >= size;
        let window = rows.into_iter().rev().take(usize::try_from(size).unwrap_or(usize::MAX));
        let mut page = Window { seen: place.seen()?, ..Window::default() };
        for (id, row) in window {
            page.candidates.push(row.candidate);
            page.facts.insert(id, row.facts);
            page.marks.insert(id, row.marks);
        }
        page.next = page.candidates.last().filter(|_| whole).map(|last| last.id);
        page.read_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        Ok(page)
    }

    async fn place(&self, reader: i64) -> Result<Place, ApiError> {
        let (p, h, g) = (NAMES.0, NAMES.2, "g");
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
            .column((g, generation::Column::Number))
            .from_as(profile::Entity, p)
            .join_as(JoinType::LeftJoin, home::Entity, h, list)
            .join_as(
                JoinType::LeftJoin,
                generation::Entity,
                g,
                Expr::col((g, generation::Column::Id)).eq(kept::ROW),
            )
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
            generation: row.try_get::<Option<i64>>("", "number")?.unwrap_or_default(),
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

    /// What may be on a page: one statement, and one more where so much of a kept list was deleted that it does not fill the page.
    async fn rows(
        &self,
        (reader, generation): (i64, i64),
        below: Option<PostId>,
        size: u64,
        from_all: bool,
    ) -> Result<BTreeMap<PostId, Row>, ApiError> {
        let below = below.map_or(i64::MAX, PostId::as_i64);
        let counted = |from: &str| self.metrics.homes.with_label_values(&[from]).inc();
        if from_all {
            counted("follows");
            return Ok(self.read(reader, below, size, Entries::All).await?.into_iter().collect());
        }
        if let Some(kept) = self.kept((reader, generation), below, size).await {
            let ids: Vec<i64> = kept.ids.iter().map(|id| id.cast_signed()).collect();
            let rows = self.read(reader, below, size, Entries::Ids(&ids)).await?;
            let there = rows.iter().filter(|(_, row)| row.candidate.why == Why::Pushed).count();
            if kept.whole || there as u64 >= size {
                counted("kept");
                return Ok(rows.into_iter().collect());
            }
        }
        counted("rows");
        Ok(self.read(reader, below, size, Entries::List).await?.into_iter().collect())
    }

    async fn read(
        &self,
        reader: i64,
        below: i64,
        size: u64,
        from: Entries<'_>,
    ) -> Result<Vec<(PostId, Row)>, ApiError> {
        let select = candidates(reader, below, size, from);
        let now_ms = self.database().now_ms();
        let rows = self.database().reader().query_all(&select).await?;
        Ok(rows.iter().map(|row| Row::read(row, now_ms)).collect::<Result<_, StorageError>>()?)
    }

    /// Notes the newest post that a reader has seen, and tells its other devices. It never goes back.
    pub(crate) async fn seen(&self, caller: &Caller, id: PostId) -> Result<Vec<(Tag, Version)>, ApiError> {
        let tag = &tags::home(caller.account);
        let write = self.database().write::<_, ApiError, _>(|tx| {
            Box::pin(async move {
                let row = profile::Model { seen: id.as_i64(), ..feed::fresh(caller.account, &caller.name) };
                let older = Expr::col((profile::Entity, profile::Column::Seen)).lt(id.as_i64());
                let moved = profile::Entity::insert(profile::ActiveModel::from(row))
                    .on_conflict(
                        OnConflict::column(profile::Column::Account)
                            .update_column(profile::Column::Seen)
                            .action_and_where(older)
                            .to_owned(),
                    )
                    .exec_without_returning(tx.conn())
                    .await?;
                if moved == 0 {
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
