//! What a follow changes in profiles: a row for each side, which is made where it is the first that is known of an account.

use std::collections::HashMap;

use sluice_platform::{ApiError, Caller};
use sluice_storage::rows::sea_orm::sea_query::{Alias, Expr, ExprTrait, OnConflict};
use sluice_storage::rows::sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use sluice_storage::rows::signed;
use sluice_storage::{StorageError, Tx};
use sluice_wire::AccountId;

use crate::feed::{account, fresh, plus};
use crate::rows::{follow, home, profile};

/// People that one reader follows: a list is rebuilt from them in one statement.
const MAX_FOLLOWING: i64 = 5_000;

/// What becomes of a profile that is there when one is inserted: counts are added, and the list of who follows more from now on is
/// rebuilt, with what was posted before; until then its pages are read from all whom it follows.
fn counted() -> OnConflict {
    use profile::Column::{Account, Followers, Following, Listed};
    let old = |column| Expr::col((profile::Entity, column));
    let new = |column| Expr::col((Alias::new("excluded"), column));
    let listed = Expr::case(new(Following).gt(0), Expr::value(false)).finally(old(Listed));
    OnConflict::column(Account)
        .value(Followers, old(Followers).add(new(Followers)))
        .value(Following, old(Following).add(new(Following)))
        .value(Listed, listed)
        .to_owned()
}

/// Counts a follow on both sides: one statement.
///
/// # Errors
/// 422 for who follows as many as one can.
pub(super) async fn count(
    tx: &Tx<'_>,
    reader: &Caller,
    (author, handle): (i64, &str),
) -> Result<(), ApiError> {
    use profile::Column::Following;
    let of_reader = profile::Model { following: 1, ..fresh(reader.account, &reader.name) };
    let of_author = profile::Model { followers: 1, ..fresh(account(author)?, handle) };
    let room =
        Expr::col((Alias::new("excluded"), Following))
            .eq(0)
            .or(Expr::col((profile::Entity, Following)).lt(MAX_FOLLOWING));
    let rows = [of_reader, of_author].map(profile::ActiveModel::from);
    let both = profile::Entity::insert_many(rows)
        .on_conflict(counted().action_and_where(room).to_owned())
        .exec_without_returning(tx.conn())
        .await?;
    if both == 2 {
        return Ok(());
    }
    let detail = format!("at most {MAX_FOLLOWING} can be followed");
    Err(ApiError::new(422, "too-many-follows", "Too many follows", detail))
}

/// Counts the end of a follow on both sides, and has the reader's list rebuilt without the author's posts: one statement.
pub(super) async fn uncount(tx: &Tx<'_>, (reader, author): (i64, i64)) -> Result<(), StorageError> {
    use profile::Column::{Account, Followers, Following, Listed};
    let of = |who: i64, column: profile::Column, value: Expr| {
        Expr::case(Expr::col(Account).eq(who), value).finally(Expr::col(column))
    };
    profile::Entity::update_many()
        .col_expr(Followers, of(author, Followers, plus(Followers, -1)).into())
        .col_expr(Following, of(reader, Following, plus(Following, -1)).into())
        .col_expr(Listed, of(reader, Listed, Expr::value(false)).into())
        .filter(Account.is_in([reader, author]))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Readers as they are imported, and their follows; how many of those are new. Three statements, however many they are.
pub(super) async fn insert(
    tx: &Tx<'_>,
    author: &profile::Model,
    readers: &[(AccountId, String)],
    active: bool,
) -> Result<u64, StorageError> {
    let nothing = || OnConflict::new().do_nothing().to_owned();
    let (now_ms, read_ms) = (signed(tx.now_ms()), if active { signed(tx.now_ms()) } else { 0 });
    let others: HashMap<i64, &str> = readers
        .iter()
        .map(|(id, handle)| (id.as_i64(), handle.as_str()))
        .filter(|(id, _)| *id != author.account)
        .collect();
    if others.is_empty() {
        return Ok(0);
    }
    let follows = others.keys().map(|id| follow::ActiveModel {
        reader: Set(*id),
        author: Set(author.account),
        made_ms: Set(now_ms),
    });
    let made =
        follow::Entity::insert_many(follows).on_conflict(nothing()).exec_with_returning(tx.conn()).await?;
    let count = made.len() as u64;
    let mut rows =
        vec![profile::Model { followers: signed(count), ..fresh(account(author.account)?, &author.handle) }];
    for follow in made {
        let handle = others.get(&follow.reader).copied().unwrap_or_default();
        let new = fresh(account(follow.reader)?, handle);
        rows.push(profile::Model { following: 1, listed: active, read_ms, ..new });
    }
    let profiles = rows.into_iter().map(profile::ActiveModel::from);
    let profiles = profile::Entity::insert_many(profiles).on_conflict(counted());
    let profiles = profiles.exec_with_returning(tx.conn()).await?;
    // Who was here before is not listed now.
    let fresh = profiles.iter().filter(|row| row.listed && row.account != author.account);
    let lists: Vec<_> = fresh
        .map(|row| home::ActiveModel { reader: Set(row.account), post: Set(0), author: Set(0) })
        .collect();
    if !lists.is_empty() {
        home::Entity::insert_many(lists).on_conflict(nothing()).exec_without_returning(tx.conn()).await?;
    }
    Ok(count)
}
