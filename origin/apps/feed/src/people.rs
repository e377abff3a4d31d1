//! Profiles and follows. A follow is a row, and both counts change with it: how often it is asked for makes no difference.

use sluice_platform::ApiError;
use sluice_storage::rows::sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sluice_storage::rows::sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use sluice_storage::rows::signed;
use sluice_storage::{StorageError, Tx};
use sluice_wire::{AccountId, EventKind, Tag, Version};

use crate::feed::{Feed, fresh, plus};
use crate::rows::{follow, home, profile};
use crate::tags;

/// People that one reader follows: a list is rebuilt from them in one statement.
const MAX_FOLLOWING: i64 = 5_000;

impl Feed {
    /// The profile with a handle.
    pub(crate) async fn person(&self, handle: &str) -> Result<profile::Model, ApiError> {
        let found = profile::Entity::find()
            .filter(profile::Column::Handle.eq(handle))
            .one(self.database().reader())
            .await?;
        found.ok_or_else(|| ApiError::not_found(format!("nobody here is called {handle:?}")))
    }

    /// As [`Feed::person`]; the profile of an account that has not been here is made.
    pub(crate) async fn person_or_newcomer(&self, handle: &str) -> Result<profile::Model, ApiError> {
        match self.person(handle).await {
            Err(none) if none.0.status == 404 => {
                let known = self.accounts.known(&[format!("@{handle}")]).await;
                let known = known.map_err(|error| if error.0.status == 422 { none } else { error })?;
                let Some(account) = known.into_iter().next() else { return self.person(handle).await };
                self.profile_of(account.account, &account.handle).await?;
                Ok(fresh(account.account, &account.handle))
            }
            other => other,
        }
    }

    /// Begins or ends following; the versions of what changed, nothing when it was so already.
    pub(crate) async fn follow(
        &self,
        reader: (AccountId, &str),
        author: &profile::Model,
        wanted: bool,
    ) -> Result<Vec<(Tag, Version)>, ApiError> {
        if reader.0.as_i64() == author.account {
            return Err(ApiError::bad_request("nobody follows itself; a reader's own posts are in its home"));
        }
        let key = (reader.0.as_i64(), author.account);
        let tags = &[tags::user(&author.handle), tags::user(reader.1)];
        let write = self.database().write::<_, ApiError, _>(|tx| {
            Box::pin(async move {
                let changed = if wanted { begin(tx, key).await? } else { end(tx, key).await? };
                if !changed {
                    return Ok(vec![]);
                }
                count(tx, key, if wanted { 1 } else { -1 }).await?;
                let event = |tag: &Tag| (tag.clone(), EventKind::Changed, serde_json::Value::Null);
                Ok(tx.emit_all(&tags.each_ref().map(event)).await?)
            })
        });
        write.await
    }

    /// Makes readers of an author, for tests and for who comes from elsewhere with an audience; how many were none before.
    pub(crate) async fn import(
        &self,
        author: &profile::Model,
        readers: &[(AccountId, String)],
        active: bool,
    ) -> Result<u64, ApiError> {
        let tag = &tags::user(&author.handle);
        let write = self.database().write::<_, ApiError, _>(|tx| {
            Box::pin(async move {
                let made = insert(tx, author.account, readers, active).await?;
                profile::Entity::update_many()
                    .col_expr(profile::Column::Followers, plus(profile::Column::Followers, made))
                    .filter(profile::Column::Account.eq(author.account))
                    .exec(tx.conn())
                    .await?;
                tx.emit(tag, EventKind::Changed, serde_json::Value::Null).await?;
                Ok(made.unsigned_abs())
            })
        });
        write.await
    }
}

async fn begin(tx: &Tx<'_>, (reader, author): (i64, i64)) -> Result<bool, ApiError> {
    let row =
        follow::ActiveModel { reader: Set(reader), author: Set(author), made_ms: Set(signed(tx.now_ms())) };
    let made = follow::Entity::insert(row)
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(tx.conn())
        .await?;
    Ok(made == 1)
}

async fn end(tx: &Tx<'_>, (reader, author): (i64, i64)) -> Result<bool, ApiError> {
    let gone = follow::Entity::delete_by_id((reader, author)).exec(tx.conn()).await?;
    Ok(gone.rows_affected == 1)
}

/// Counts a follow on both sides. The reader's list is rebuilt, with what was posted before, or without the author's posts; until
/// then its pages are read from all whom it follows.
async fn count(tx: &Tx<'_>, (reader, author): (i64, i64), by: i64) -> Result<(), ApiError> {
    use profile::Column::{Account, Followers, Following, Listed};
    let of = |who: i64, column: profile::Column, value: Expr| {
        Expr::case(Expr::col(Account).eq(who), value).finally(Expr::col(column))
    };
    let most = if by > 0 { MAX_FOLLOWING } else { i64::MAX };
    let counted = profile::Entity::update_many()
        .col_expr(Followers, of(author, Followers, plus(Followers, by)).into())
        .col_expr(Following, of(reader, Following, plus(Following, by)).into())
        .col_expr(Listed, of(reader, Listed, Expr::value(false)).into())
        .filter(Account.is_in([reader, author]))
        .filter(Expr::col(Account).ne(reader).or(Expr::col(Following).lt(most)))
        .exec(tx.conn())
        .await?;
    if counted.rows_affected == 2 {
        return Ok(());
    }
    let detail = format!("at most {MAX_FOLLOWING} can be followed");
    Err(ApiError::new(422, "too-many-follows", "Too many follows", detail))
}

/// Readers as they are imported, and their follows; how many of those are new.
async fn insert(
    tx: &Tx<'_>,
    author: i64,
    readers: &[(AccountId, String)],
    active: bool,
) -> Result<i64, StorageError> {
    let nothing = || OnConflict::new().do_nothing().to_owned();
    let (now_ms, read_ms) = (signed(tx.now_ms()), if active { signed(tx.now_ms()) } else { 0 });
    let profiles = readers.iter().map(|(id, handle)| {
        let row = profile::Model { listed: active, read_ms, ..fresh(*id, handle) };
        profile::ActiveModel::from(row)
    });
    let fresh =
        profile::Entity::insert_many(profiles).on_conflict(nothing()).exec_with_returning(tx.conn()).await?;
    let lists = fresh.iter().filter(|row| row.listed);
    let lists: Vec<_> = lists
        .map(|row| home::ActiveModel { reader: Set(row.account), post: Set(0), author: Set(0) })
        .collect();
    if !lists.is_empty() {
        home::Entity::insert_many(lists).on_conflict(nothing()).exec_without_returning(tx.conn()).await?;
    }
    let follows = readers.iter().map(|(id, _)| follow::ActiveModel {
        reader: Set(id.as_i64()),
        author: Set(author),
        made_ms: Set(now_ms),
    });
    let made =
        follow::Entity::insert_many(follows).on_conflict(nothing()).exec_with_returning(tx.conn()).await?;
    let (new, old) = (made.iter().map(|row| row.reader), fresh.iter().map(|row| row.account));
    // Who was here before has its list rebuilt, with what the author posted before.
    let kept = Expr::case(Expr::col(profile::Column::Account).is_in(old), Expr::col(profile::Column::Listed));
    profile::Entity::update_many()
        .col_expr(profile::Column::Following, plus(profile::Column::Following, 1))
        .col_expr(profile::Column::Listed, kept.finally(Expr::value(false)).into())
        .filter(profile::Column::Account.is_in(new))
        .exec(tx.conn())
        .await?;
    Ok(signed(made.len() as u64))
}
