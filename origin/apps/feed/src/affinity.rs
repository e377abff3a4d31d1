//! How much a reader has to do with an author: what it did with that author's posts, each worth half every thirty days.
//!
//! A sum that decays is kept as one that does not: what is done at `t` counts `2^(t / half-life)`, and reading divides by
//! that of now. So an interaction is one addition, in any order, on any engine.

use sluice_storage::rows::sea_orm::sea_query::{Alias, Expr, ExprTrait, OnConflict, Query};
use sluice_storage::rows::sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use sluice_storage::{StorageError, Tx};
use sluice_wire::id::EPOCH_MS;

use crate::feed;
use crate::rows::{affinity, post, work};

/// Milliseconds after which an interaction counts half. A century of them stays far inside a float.
const HALF_LIFE_MS: f64 = 30.0 * 24.0 * 3_600_000.0;

/// What a reader did with a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interaction {
    Like,
    Repost,
    Reply,
}

impl Interaction {
    const fn worth(self) -> f64 {
        match self {
            Self::Like => 1.0,
            Self::Repost => 2.0,
            Self::Reply => 4.0,
        }
    }
}

fn growth(now_ms: u64) -> f64 {
    (now_ms.saturating_sub(EPOCH_MS) as f64 / HALF_LIFE_MS).exp2()
}

/// What a kept sum is worth now, in interactions.
pub(crate) fn worth(kept: f64, now_ms: u64) -> f64 {
    kept.max(0.0) / growth(now_ms)
}

/// Adds an interaction of a time, in Unix milliseconds: one statement.
pub(crate) async fn add(
    tx: &Tx<'_>,
    reader: i64,
    author: i64,
    what: Interaction,
    at_ms: u64,
) -> Result<(), StorageError> {
    let row = affinity::ActiveModel {
        reader: Set(reader),
        author: Set(author),
        score: Set(what.worth() * growth(at_ms)),
    };
    let old = Expr::col((affinity::Entity, affinity::Column::Score));
    let sum = old.add(Expr::col((Alias::new("excluded"), affinity::Column::Score)));
    affinity::Entity::insert(row)
        .on_conflict(
            OnConflict::columns([affinity::Column::Reader, affinity::Column::Author])
                .value(affinity::Column::Score, sum)
                .to_owned(),
        )
        .exec_without_returning(tx.conn())
        .await?;
    Ok(())
}

/// Takes a like of then back: one statement.
pub(crate) async fn unlike(tx: &Tx<'_>, reader: i64, author: i64, at_ms: u64) -> Result<(), StorageError> {
    let of = affinity::Column::Reader.eq(reader).and(affinity::Column::Author.eq(author));
    take_back(tx, of, Interaction::Like, at_ms).await
}

/// Takes a repost back, if it was added: that is done where somebody begins to bring it to followers. One statement.
pub(crate) async fn unshare(tx: &Tx<'_>, row: &post::Model, original: i64) -> Result<(), StorageError> {
    let author = Query::select()
        .column(post::Column::Author)
        .from(post::Entity)
        .and_where(post::Column::Id.eq(original))
        .to_owned();
    let not_begun = Query::select()
        .column(work::Column::Post)
        .from(work::Entity)
        .and_where(work::Column::Post.eq(row.id))
        .and_where(work::Column::After.eq(0))
        .to_owned();
    let of = affinity::Column::Reader
        .eq(row.author)
        .and(affinity::Column::Author.in_subquery(author))
        .and(Expr::exists(not_begun).not());
    take_back(tx, of, Interaction::Repost, feed::post(row.id)?.unix_ms()).await
}

/// What an interaction added then is there no more; below nothing there is nothing.
async fn take_back(tx: &Tx<'_>, of: Expr, what: Interaction, at_ms: u64) -> Result<(), StorageError> {
    let added = what.worth() * growth(at_ms);
    let score = || Expr::col(affinity::Column::Score);
    let less = Expr::case(score().gt(Expr::value(added)), score().sub(Expr::value(added)));
    affinity::Entity::update_many()
        .col_expr(affinity::Column::Score, less.finally(Expr::value(0.0_f64)).into())
        .filter(of)
        .exec(tx.conn())
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_long_ago_counts_less_and_nothing_overflows() {
        let (day, now) = (24 * 3_600_000, EPOCH_MS + 70 * 365 * 24 * 3_600_000);
        let kept = growth(now) + 2.0 * growth(now - 30 * day);
        assert!((worth(kept, now) - 2.0).abs() < 1e-9);
        assert!(worth(kept, now + 30 * day) < 1.0 + 1e-9);
    }
}
