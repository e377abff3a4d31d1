//! A post that stands beside another: a reply, or a repost.

use sluice_storage::rows::sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query, UnionType};
use sluice_storage::rows::sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, FromQueryResult, Iterable,
};
use sluice_storage::{StorageError, Tx};

use crate::PostId;
use crate::rows::post;

/// Inserts a post and counts it at the one that it answers or shows, in one statement; that one as it is then. Nothing is
/// inserted beside a post that is not there. A reply is of its parent's conversation.
///
/// Both rows are of one table: the other is "inserted" once more, and what is done instead of that counts.
pub(super) async fn insert(
    tx: &Tx<'_>,
    row: post::ActiveModel,
    of: PostId,
    counter: post::Column,
) -> Result<Option<post::Model>, StorageError> {
    let there = || {
        let mut select = Query::select();
        select
            .from(post::Entity)
            .and_where(post::Column::Id.eq(of.as_i64()))
            .and_where(post::Column::DeletedMs.is_null());
        select
    };
    let (mut both, mut again) = (there(), there());
    for column in post::Column::iter() {
        let takes_root = matches!((column, counter), (post::Column::Root, post::Column::Replies));
        let value = row.get(column).into_value().filter(|_| !takes_root);
        both.expr(value.map_or_else(|| Expr::col(column), Expr::value));
        again.column(column);
    }
    both.union(UnionType::All, again);
    let more = Expr::col((post::Entity, counter)).add(1);
    let counted = OnConflict::column(post::Column::Id).value(counter, more).to_owned();
    let insert = Query::insert()
        .into_table(post::Entity)
        .columns(post::Column::iter())
        .select_from(both)
        .expect("a select of as many columns")
        .on_conflict(counted)
        .returning_all()
        .to_owned();
    for row in tx.conn().query_all(&insert).await? {
        let row = post::Model::from_query_result(&row, "")?;
        if row.id == of.as_i64() {
            return Ok(Some(row));
        }
    }
    Ok(None)
}
