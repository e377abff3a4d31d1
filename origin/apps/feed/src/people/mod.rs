//! Profiles and follows. A follow is a row, and both counts change with it: how often it is asked for makes no difference.

mod follows;

use sluice_platform::{ApiError, Caller, Known};
use sluice_storage::rows::sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query};
use sluice_storage::rows::sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter,
};
use sluice_storage::rows::signed;
use sluice_storage::{StorageError, Tx};
use sluice_wire::{AccountId, EventKind, Tag, Version};

use crate::feed::{Feed, fresh};
use crate::rows::{follow, profile};
use crate::tags;

impl Feed {
    /// The profile with a handle, if there is one.
    pub(crate) async fn profile_of(&self, handle: &str) -> Result<Option<profile::Model>, ApiError> {
        let found = profile::Entity::find().filter(profile::Column::Handle.eq(handle));
        Ok(found.one(self.database().reader()).await?)
    }

    /// The account with a handle that has no profile yet, as it would have one.
    ///
    /// # Errors
    /// 404 for nobody's handle.
    pub(crate) async fn newcomer(&self, handle: &str) -> Result<profile::Model, ApiError> {
        let known = self.account_of(handle).await?.ok_or_else(|| nobody(handle))?;
        Ok(fresh(known.account, &known.handle))
    }

    /// The profile with a handle, or what an account has that did nothing yet.
    ///
    /// # Errors
    /// 404 for nobody's handle.
    pub(crate) async fn person(&self, handle: &str) -> Result<profile::Model, ApiError> {
        match self.profile_of(handle).await? {
            Some(found) => Ok(found),
            None => self.newcomer(handle).await,
        }
    }

    async fn account_of(&self, handle: &str) -> Result<Option<Known>, ApiError> {
        match self.accounts.known(&[format!("@{handle}")]).await {
            Ok(known) => Ok(known.into_iter().next()),
            Err(nobody) if nobody.0.status == 422 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Begins following whoever has a handle, account or profile; the versions of what changed, nothing when it was so already.
    pub(crate) async fn follow(
        &self,
        reader: &Caller,
        handle: &str,
    ) -> Result<Vec<(Tag, Version)>, ApiError> {
        let known = &self.account_of(handle).await?;
        if known.as_ref().is_some_and(|known| known.account == reader.account) {
            return Err(itself());
        }
        let tags = &[tags::user(handle), tags::user(&reader.name)];
        let write = self.database().write::<_, ApiError, _>(|tx| {
            Box::pin(async move {
                let begun = match known {
                    Some(known) => begin(tx, reader.account, known.account.as_i64()).await?,
                    None => begin_by_handle(tx, reader.account, handle).await?,
                };
                let Some(author) = begun else { return Ok(None) };
                follows::count(tx, reader, (author, handle)).await?;
                Ok(Some(tx.emit_all(&tags.each_ref().map(changed)).await?))
            })
        });
        match write.await? {
            Some(versions) => Ok(versions),
            None if known.is_some() => Ok(vec![]),
            None => match self.profile_of(handle).await? {
                Some(author) if author.account == reader.account.as_i64() => Err(itself()),
                Some(_) => Ok(vec![]),
                None => Err(nobody(handle)),
            },
        }
    }

    /// Ends following; the versions of what changed, nothing when it was so already.
    pub(crate) async fn unfollow(
        &self,
        reader: &Caller,
        handle: &str,
    ) -> Result<Vec<(Tag, Version)>, ApiError> {
        let author = self.person(handle).await?.account;
        let tags = &[tags::user(handle), tags::user(&reader.name)];
        let write = self.database().write::<_, ApiError, _>(|tx| {
            Box::pin(async move {
                let key = (reader.account.as_i64(), author);
                if follow::Entity::delete_by_id(key).exec(tx.conn()).await?.rows_affected == 0 {
                    return Ok(vec![]);
                }
                follows::uncount(tx, key).await?;
                Ok(tx.emit_all(&tags.each_ref().map(changed)).await?)
            })
        });
        write.await
    }

    /// Whether a reader follows whoever has a handle. One statement.
    pub(crate) async fn follows(&self, reader: AccountId, handle: &str) -> Result<bool, ApiError> {
        let author = Query::select()
            .column(profile::Column::Account)
            .from(profile::Entity)
            .and_where(Expr::col(profile::Column::Handle).eq(handle))
            .to_owned();
        let found = follow::Entity::find()
            .filter(follow::Column::Reader.eq(reader.as_i64()))
            .filter(follow::Column::Author.in_subquery(author));
        Ok(found.one(self.database().reader()).await?.is_some())
    }
}

/// Makes readers of an author, for tests and for who comes from elsewhere with an audience; how many were none before, and what
/// version of the author's tag that made.
pub(crate) async fn import(
    tx: &Tx<'_>,
    author: &profile::Model,
    readers: &[(AccountId, String)],
    active: bool,
) -> Result<(u64, (Tag, Version)), ApiError> {
    let (made, tag) = (follows::insert(tx, author, readers, active).await?, tags::user(&author.handle));
    let version = tx.emit(&tag, EventKind::Changed, serde_json::Value::Null).await?;
    Ok((made, (tag, version)))
}

fn nobody(handle: &str) -> ApiError {
    ApiError::not_found(format!("nobody here is called {handle:?}"))
}

fn itself() -> ApiError {
    ApiError::bad_request("nobody follows itself; a reader's own posts are in its home")
}

fn changed(tag: &Tag) -> (Tag, EventKind, serde_json::Value) {
    (tag.clone(), EventKind::Changed, serde_json::Value::Null)
}

/// Begins a follow of an account; its author, unless it was there.
async fn begin(tx: &Tx<'_>, reader: AccountId, author: i64) -> Result<Option<i64>, StorageError> {
    let row = follow::ActiveModel {
        reader: Set(reader.as_i64()),
        author: Set(author),
        made_ms: Set(signed(tx.now_ms())),
    };
    let made = follow::Entity::insert(row)
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(tx.conn())
        .await?;
    Ok((made == 1).then_some(author))
}

/// Begins a follow of who has a profile and no account, as those who were brought here; nobody follows itself.
async fn begin_by_handle(tx: &Tx<'_>, reader: AccountId, handle: &str) -> Result<Option<i64>, StorageError> {
    let author = Query::select()
        .expr(Expr::value(reader.as_i64()))
        .column(profile::Column::Account)
        .expr(Expr::value(signed(tx.now_ms())))
        .from(profile::Entity)
        .and_where(Expr::col(profile::Column::Handle).eq(handle))
        .and_where(Expr::col(profile::Column::Account).ne(reader.as_i64()))
        .limit(1)
        .to_owned();
    let insert = Query::insert()
        .into_table(follow::Entity)
        .columns([follow::Column::Reader, follow::Column::Author, follow::Column::MadeMs])
        .select_from(author)
        .expect("a select of as many columns")
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .returning_col(follow::Column::Author)
        .to_owned();
    let made = tx.conn().query_one(&insert).await?;
    Ok(made.map(|row| row.try_get("", "author")).transpose()?)
}
