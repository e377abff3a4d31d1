//! Lists that are not there are rebuilt, behind the pages that missed them.

use sluice_storage::rows::sea_orm::sea_query::{Expr, ExprTrait, JoinType, OnConflict, Order, Query};
use sluice_storage::rows::sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter,
};
use sluice_storage::rows::signed;
use sluice_storage::{StorageError, Tx};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::select::{NAMES, shown};
use crate::feed::Feed;
use crate::rows::{follow, home, post, profile};

/// Rebuilds lists that were found missing, until the process ends.
pub(crate) async fn renew(feed: Feed, mut wanted: mpsc::Receiver<i64>, stop: CancellationToken) {
    while let Some(Some(reader)) = stop.run_until_cancelled(wanted.recv()).await {
        if let Err(error) = renew_one(&feed, reader).await {
            tracing::warn!(reader, %error, "a home list was not rebuilt; it is with the next read");
        }
    }
}

async fn renew_one(feed: &Feed, reader: i64) -> Result<(), StorageError> {
    let told = &feed.untold(reader).await?;
    let rebuilt = feed.database().write::<_, StorageError, _>(|tx| {
        Box::pin(async move {
            rebuild(tx, reader, feed.config.list).await?;
            feed.confirm(tx, told).await
        })
    });
    let rebuilt = rebuilt.await;
    feed.settled(told).await;
    rebuilt
}

/// Rebuilds a list from whom the reader follows, and takes out whom it does no longer: four statements.
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
    let followed = Query::select()
        .column(follow::Column::Author)
        .from(follow::Entity)
        .and_where(Expr::col(follow::Column::Reader).eq(reader))
        .to_owned();
    home::Entity::delete_many()
        .filter(home::Column::Reader.eq(reader))
        .filter(home::Column::Post.gt(0))
        .filter(home::Column::Author.not_in_subquery(followed))
        .exec(tx.conn())
        .await?;
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
