//! Posts, replies and reposts: how they are made, and how they go.

mod beside;
mod new;

pub(crate) use new::{NewPost, Photo};

use serde_json::Value;
use sluice_platform::{ApiError, Caller};
use sluice_storage::rows::sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query};
use sluice_storage::rows::sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter,
};
use sluice_storage::rows::{signed, to_json};
use sluice_storage::{StorageError, Tx, Videos};
use sluice_wire::{EventKind, Tag, Version};

use crate::PostId;
use crate::affinity::{self, Interaction};
use crate::feed::{self, fresh, plus};
use crate::photos;
use crate::rows::{post, profile, repost, work};
use crate::tags;

/// What a post is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Post,
    Reply,
    Repost,
}

impl Kind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Post => "post",
            Self::Reply => "reply",
            Self::Repost => "repost",
        }
    }
}

/// The column of a post that has none.
const NO_PHOTOS: &str = "[]";

/// A post that was made or removed, and the versions of what changed with it.
pub(crate) type Written = (PostId, Vec<(Tag, Version)>);

/// Makes a post or a reply: a row and what counts it, in as many statements as tables change.
pub(crate) async fn create(
    tx: &Tx<'_>,
    videos: &Videos,
    who: &Caller,
    new: &NewPost,
) -> Result<Written, ApiError> {
    let id: PostId = tx.ids().make();
    let mut row = row(id, who, Kind::Post);
    row.text = Set(new.text.clone());
    row.photos = Set(to_json(&photos::attach(tx, who, id, &new.photos).await?)?);
    row.video = Set(new.film(tx, videos).await?);
    let Some(to) = new.reply_to else {
        posted(tx, who).await?;
        post::Entity::insert(row).exec_without_returning(tx.conn()).await?;
        bring(tx, id, who).await?;
        let versions = tx.emit_all(&[changed(tags::user(&who.name))]).await?;
        return Ok((id, versions));
    };
    row.kind = Set(Kind::Reply.as_str().to_owned());
    row.parent = Set(Some(to.as_i64()));
    let parent = beside::insert(tx, row, to, post::Column::Replies).await?;
    let Some(parent) = parent else { return Err(gone(tx.conn(), to).await) };
    if parent.original.is_some() {
        return Err(ApiError::bad_request("this is a repost: answer what it shows"));
    }
    if parent.author != who.account.as_i64() {
        let (reader, now_ms) = (who.account.as_i64(), tx.now_ms());
        affinity::add(tx, reader, parent.author, Interaction::Reply, now_ms).await?;
    }
    let thread = changed(tags::thread(feed::post(parent.root)?));
    let counts = (tags::post(to), EventKind::Changed, tags::live(&parent));
    Ok((id, tx.emit_all(&[counts, thread]).await?))
}

/// Makes a repost; the one that is there, when there is one. What nobody waits for is done where it is brought to followers.
pub(crate) async fn share(tx: &Tx<'_>, who: &Caller, original: PostId) -> Result<Written, ApiError> {
    let id: PostId = tx.ids().make();
    let key = (original.as_i64(), who.account.as_i64());
    let mark = repost::ActiveModel { post: Set(key.0), account: Set(key.1), repost: Set(id.as_i64()) };
    let made = repost::Entity::insert(mark)
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(tx.conn())
        .await?;
    if made == 0 {
        let there = repost::Entity::find_by_id(key).one(tx.conn()).await?;
        let there = there.ok_or_else(|| StorageError::Corrupt("feed_reposts: a mark is not there".into()))?;
        return Ok((feed::post(there.repost)?, vec![]));
    }
    let row = post::ActiveModel { original: Set(Some(original.as_i64())), ..row(id, who, Kind::Repost) };
    let shown = beside::insert(tx, row, original, post::Column::Reposts).await?;
    let Some(of) = shown else { return Err(gone(tx.conn(), original).await) };
    if of.original.is_some() {
        return Err(ApiError::bad_request("this is a repost itself: repost what it shows"));
    }
    bring(tx, id, who).await?;
    let counts = (tags::post(original), EventKind::Changed, tags::live(&of));
    Ok((id, tx.emit_all(&[counts, changed(tags::user(&who.name))]).await?))
}

/// Deletes a post of the caller's own: everywhere, at once. What was deleted before stays so. Reposts of it are there no more
/// for whoever reads lists, and edges hear that their fragments go (`tags::reposts`); their rows stay.
pub(crate) async fn delete(tx: &Tx<'_>, who: &Caller, id: PostId) -> Result<Written, ApiError> {
    if let Some(row) = withdraw(tx, who, post::Column::Id.eq(id.as_i64())).await? {
        return Ok((id, undo(tx, who, &row).await?));
    }
    match post::Entity::find_by_id(id.as_i64()).one(tx.conn()).await? {
        Some(row) if row.author == who.account.as_i64() => Ok((id, vec![])),
        Some(_) => Err(ApiError::new(403, "forbidden", "Forbidden", "a post is deleted by its author")),
        None => Err(unknown(id)),
    }
}

/// Takes the caller's repost of a post back, if there is one.
pub(crate) async fn unshare(tx: &Tx<'_>, who: &Caller, of: PostId) -> Result<Vec<(Tag, Version)>, ApiError> {
    let mark = Query::select()
        .column(repost::Column::Repost)
        .from(repost::Entity)
        .and_where(Expr::col(repost::Column::Post).eq(of.as_i64()))
        .and_where(Expr::col(repost::Column::Account).eq(who.account.as_i64()))
        .to_owned();
    match withdraw(tx, who, post::Column::Id.in_subquery(mark)).await? {
        Some(row) => undo(tx, who, &row).await,
        None => Ok(vec![]),
    }
}

/// Makes a tombstone of the caller's post that a condition is true for, if it is there; as it was, but for what it said.
async fn withdraw(tx: &Tx<'_>, who: &Caller, which: Expr) -> Result<Option<post::Model>, StorageError> {
    let rows = post::Entity::update_many()
        .col_expr(post::Column::DeletedMs, Expr::value(signed(tx.now_ms())))
        .col_expr(post::Column::Text, Expr::value(""))
        .col_expr(post::Column::Photos, Expr::value(NO_PHOTOS))
        .filter(which)
        .filter(post::Column::Author.eq(who.account.as_i64()))
        .filter(post::Column::DeletedMs.is_null())
        .exec_with_returning(tx.conn())
        .await?;
    Ok(rows.into_iter().next())
}

/// Undoes what a deleted post brought about.
async fn undo(tx: &Tx<'_>, who: &Caller, row: &post::Model) -> Result<Vec<(Tag, Version)>, ApiError> {
    let id = feed::post(row.id)?;
    let mut events = vec![(tags::post(id), EventKind::Deleted, Value::Null)];
    if let Some(original) = row.original {
        repost::Entity::delete_by_id((original, row.author)).exec(tx.conn()).await?;
        affinity::unshare(tx, row, original).await?;
        counted(tx, &mut events, original, post::Column::Reposts).await?;
        events.push(changed(tags::user(&who.name)));
        return Ok(tx.emit_all(&events).await?);
    }
    if row.reposts > 0 {
        events.push((tags::reposts(id), EventKind::Deleted, Value::Null));
    }
    let gone = photos::release(tx, id).await?;
    events.extend(gone.into_iter().map(|photo| (tags::photo(photo), EventKind::Deleted, Value::Null)));
    if let Some(parent) = row.parent {
        counted(tx, &mut events, parent, post::Column::Replies).await?;
        events.push(changed(tags::thread(feed::post(row.root)?)));
    } else {
        unposted(tx, who).await?;
        events.extend([changed(tags::user(&who.name)), changed(tags::thread(id))]);
    }
    Ok(tx.emit_all(&events).await?)
}

/// Changes a counter of a post that is there; the post after it.
pub(crate) async fn count(
    tx: &Tx<'_>,
    id: PostId,
    column: post::Column,
    by: i64,
) -> Result<Option<post::Model>, StorageError> {
    let rows = post::Entity::update_many()
        .col_expr(column, plus(column, by))
        .filter(post::Column::Id.eq(id.as_i64()))
        .filter(post::Column::DeletedMs.is_null())
        .exec_with_returning(tx.conn())
        .await?;
    Ok(rows.into_iter().next())
}

/// A post that is there.
///
/// # Errors
/// 410 once it is deleted, 404 when it never was.
pub(crate) async fn present(db: &impl ConnectionTrait, id: PostId) -> Result<post::Model, ApiError> {
    match post::Entity::find_by_id(id.as_i64()).one(db).await? {
        Some(row) if row.deleted_ms.is_none() => Ok(row),
        Some(_) => Err(deleted(id)),
        None => Err(unknown(id)),
    }
}

/// Why a post cannot be changed.
pub(crate) async fn gone(db: &impl ConnectionTrait, id: PostId) -> ApiError {
    present(db, id).await.err().unwrap_or_else(|| ApiError::conflict("the post changed meanwhile; try again"))
}

fn deleted(id: PostId) -> ApiError {
    ApiError::new(410, "gone", "Gone", format!("the post {id} was deleted"))
}

fn unknown(id: PostId) -> ApiError {
    ApiError::not_found(format!("there is no post {id}"))
}

fn row(id: PostId, who: &Caller, kind: Kind) -> post::ActiveModel {
    post::ActiveModel {
        id: Set(id.as_i64()),
        author: Set(who.account.as_i64()),
        handle: Set(who.name.clone()),
        kind: Set(kind.as_str().to_owned()),
        text: Set(String::new()),
        photos: Set(NO_PHOTOS.into()),
        video: Set(None),
        parent: Set(None),
        root: Set(id.as_i64()),
        original: Set(None),
        likes: Set(0),
        replies: Set(0),
        reposts: Set(0),
        pulled: Set(false),
        deleted_ms: Set(None),
    }
}

fn changed(tag: Tag) -> (Tag, EventKind, Value) {
    (tag, EventKind::Changed, Value::Null)
}

/// Counts a post of an author, whose profile is made if this is what it does first.
async fn posted(tx: &Tx<'_>, who: &Caller) -> Result<(), StorageError> {
    let row = profile::Model { posts: 1, ..fresh(who.account, &who.name) };
    let more = Expr::col((profile::Entity, profile::Column::Posts)).add(1);
    profile::Entity::insert(profile::ActiveModel::from(row))
        .on_conflict(
            OnConflict::column(profile::Column::Account).value(profile::Column::Posts, more).to_owned(),
        )
        .exec_without_returning(tx.conn())
        .await?;
    Ok(())
}

async fn unposted(tx: &Tx<'_>, who: &Caller) -> Result<(), StorageError> {
    profile::Entity::update_many()
        .col_expr(profile::Column::Posts, plus(profile::Column::Posts, -1))
        .filter(profile::Column::Account.eq(who.account.as_i64()))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Has a post brought to followers once the transaction is committed.
async fn bring(tx: &Tx<'_>, id: PostId, who: &Caller) -> Result<(), StorageError> {
    let row = work::ActiveModel {
        post: Set(id.as_i64()),
        author: Set(who.account.as_i64()),
        after: Set(0),
        holder: Set(String::new()),
        until_ms: Set(0),
    };
    work::Entity::insert(row).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// One fewer, at a post that may be gone itself.
async fn counted(
    tx: &Tx<'_>,
    events: &mut Vec<(Tag, EventKind, Value)>,
    of: i64,
    column: post::Column,
) -> Result<(), StorageError> {
    let id = feed::post(of)?;
    if let Some(row) = count(tx, id, column, -1).await? {
        events.push((tags::post(id), EventKind::Changed, tags::live(&row)));
    }
    Ok(())
}
