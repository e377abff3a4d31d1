//! Posts: fragments that all readers share, and what changes them.

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use sluice_platform::once::{Answer, Asked};
use sluice_platform::{ApiError, Caller, Page};
use sluice_storage::StorageError;
use sluice_storage::rows::sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use sluice_storage::rows::{from_json, unsigned};
use sluice_wire::{Tag, Version, VideoId};
use utoipa::ToSchema;

use super::{after, place, post_id, private, public, shared, versions};
use crate::PostId;
use crate::feed::{self, Feed};
use crate::posts::{self, NewPost, Photo};
use crate::rows::post;
use crate::tags;

/// A post as everybody sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Fragment {
    #[schema(value_type = String)]
    id: PostId,
    /// The author's handle.
    author: String,
    /// `post`, `reply` or `repost`.
    kind: String,
    /// When it was posted, in Unix milliseconds.
    at_ms: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    photos: Vec<Photo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    video: Option<VideoId>,
    /// The post that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    reply_to: Option<PostId>,
    /// Where the fragment of what it reposts is.
    #[serde(skip_serializing_if = "Option::is_none")]
    repost_of: Option<String>,
    likes: u64,
    replies: u64,
    reposts: u64,
}

impl Fragment {
    fn new(row: post::Model) -> Result<Self, StorageError> {
        let id = feed::post(row.id)?;
        let video = |number| {
            let number = unsigned("feed_posts.video", number)?;
            VideoId::from_u64(number).map_err(|e| StorageError::Corrupt(e.to_string()))
        };
        Ok(Self {
            id,
            author: row.handle,
            kind: row.kind,
            at_ms: id.unix_ms(),
            text: row.text,
            photos: from_json("feed_posts.photos", &row.photos)?,
            video: row.video.map(video).transpose()?,
            reply_to: row.parent.map(feed::post).transpose()?,
            repost_of: row.original.map(|of| feed::post(of).map(place)).transpose()?,
            likes: unsigned("feed_posts.likes", row.likes)?,
            replies: unsigned("feed_posts.replies", row.replies)?,
            reposts: unsigned("feed_posts.reposts", row.reposts)?,
        })
    }
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Made {
    #[schema(value_type = String)]
    id: PostId,
    /// Where its fragment is.
    fragment: String,
    /// The versions that it made, `tag=version` each, as `Sluice-Version` says them.
    versions: String,
}

impl Made {
    fn new((id, versions): &posts::Written) -> Self {
        Self { id: *id, fragment: place(*id), versions: sluice_wire::tag::render_versions(versions) }
    }
}

/// A post's counts after a like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Liked {
    liked: bool,
    likes: i64,
    replies: i64,
    reposts: i64,
}

/// A reply's place in its conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Answering {
    /// Where its fragment is.
    f: String,
    /// The post that it answers.
    #[schema(value_type = String)]
    p: PostId,
}

/// A page of a conversation, oldest first: replies of replies too, each with what it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ThreadPage {
    /// Where the fragment of the post is that it began with.
    root: String,
    items: Vec<Answering>,
    /// What `after` is for the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Posts, or answers a post.
#[utoipa::path(post, path = "/v1/feed/posts", request_body = NewPost,
    responses((status = 201, body = Made), (status = 400), (status = 401), (status = 410), (status = 422)))]
pub(super) async fn create(
    State(feed): State<Feed>,
    who: Caller,
    asked: Asked<NewPost>,
) -> Result<Response, ApiError> {
    asked.body.check()?;
    let (caller, new, owner) = (&who, &asked.body, &who.owner());
    let (once, videos) = (&feed.once, &feed.storage.videos());
    let answer = once
        .write(&asked, owner, &|tx| {
            Box::pin(
                async move { Ok(Answer::created(Made::new(&posts::create(tx, videos, caller, new).await?))) },
            )
        })
        .await?;
    feed.posted.notify_one();
    Ok(answer)
}

/// A post, the same for all.
#[utoipa::path(get, path = "/v1/feed/posts/{id}", params(("id" = String, Path)),
    responses((status = 200, body = Fragment), (status = 404), (status = 410)))]
pub(super) async fn fragment(State(feed): State<Feed>, Path(id): Path<String>) -> Result<Response, ApiError> {
    let id = post_id(&id)?;
    let mut versions = versions(&feed, tags::post(id)).await?.to_vec();
    match shown(&feed, id).await {
        Ok(row) => {
            if let Some(original) = row.original {
                // What it shows was there a moment ago, so nothing has been said of that yet.
                versions.push((tags::reposts(feed::post(original)?), Version(0)));
            }
            Ok(public(&Fragment::new(row)?, &versions))
        }
        // It stays gone: edges keep that too.
        Err(gone) if gone.0.status == 410 => {
            let mut answer = gone.into_response();
            shared(answer.headers_mut(), &versions);
            Ok(answer)
        }
        Err(error) => Err(error),
    }
}

/// A post that is there, and what it shows if it is a repost.
async fn shown(feed: &Feed, id: PostId) -> Result<post::Model, ApiError> {
    let reader = feed.database().reader();
    let row = posts::present(reader, id).await?;
    if let Some(original) = row.original {
        posts::present(reader, feed::post(original)?).await?;
    }
    Ok(row)
}

/// Deletes a post of one's own.
#[utoipa::path(delete, path = "/v1/feed/posts/{id}", params(("id" = String, Path)),
    responses((status = 204), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn delete(
    State(feed): State<Feed>,
    who: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let (id, who) = (post_id(&id)?, &who);
    let write = feed.database().write(|tx| Box::pin(posts::delete(tx, who, id)));
    Ok(removed(&feed, &write.await?.1))
}

/// A conversation in the order in which it was held.
#[utoipa::path(get, path = "/v1/feed/posts/{id}/thread",
    params(("id" = String, Path), ("after" = Option<String>, Query), ("limit" = Option<u64>, Query)),
    responses((status = 200, body = ThreadPage), (status = 404), (status = 410)))]
pub(super) async fn thread(
    State(feed): State<Feed>,
    Path(id): Path<String>,
    Query(page): Query<Page>,
) -> Result<Response, ApiError> {
    let (below, size) = (after(&page)?, page.size());
    let asked = posts::present(feed.database().reader(), post_id(&id)?).await?;
    let root = feed::post(asked.root)?;
    let versions = versions(&feed, tags::thread(root)).await?;
    let rows = post::Entity::find()
        .filter(post::Column::Root.eq(root.as_i64()))
        .filter(post::Column::Id.gt(below.map_or(0, PostId::as_i64)))
        .filter(post::Column::Parent.is_not_null())
        .filter(post::Column::DeletedMs.is_null())
        .order_by_asc(post::Column::Id)
        .limit(size)
        .all(feed.database().reader())
        .await?;
    let item = |row: &post::Model| {
        Ok(Answering { f: place(feed::post(row.id)?), p: feed::post(row.parent.unwrap_or(row.root))? })
    };
    let items: Vec<_> = rows.iter().map(item).collect::<Result<_, StorageError>>()?;
    let last = rows.last().filter(|_| rows.len() as u64 == size).map(|row| feed::post(row.id)).transpose()?;
    let body = ThreadPage { root: place(root), items, next: last.map(|id| id.to_string()) };
    Ok(public(&body, &versions))
}

/// Likes a post.
#[utoipa::path(put, path = "/v1/feed/posts/{id}/like", params(("id" = String, Path)),
    responses((status = 200, body = Liked), (status = 400), (status = 401), (status = 404), (status = 410)))]
pub(super) async fn like(
    State(feed): State<Feed>,
    who: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    liked(&feed, &who, &id, true).await
}

/// Likes a post no longer.
#[utoipa::path(delete, path = "/v1/feed/posts/{id}/like", params(("id" = String, Path)),
    responses((status = 200, body = Liked), (status = 401), (status = 404), (status = 410)))]
pub(super) async fn unlike(
    State(feed): State<Feed>,
    who: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    liked(&feed, &who, &id, false).await
}

/// Reposts a post, once.
#[utoipa::path(put, path = "/v1/feed/posts/{id}/repost", params(("id" = String, Path)),
    responses((status = 200, body = Made), (status = 401), (status = 404), (status = 410)))]
pub(super) async fn repost(
    State(feed): State<Feed>,
    who: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let original = post_id(&id)?;
    let caller = &who;
    let write = feed.database().write(|tx| Box::pin(posts::share(tx, caller, original)));
    let made = write.await?;
    feed.posted.notify_one();
    Ok(private(&Made::new(&made), &made.1))
}

/// Takes a repost back.
#[utoipa::path(delete, path = "/v1/feed/posts/{id}/repost", params(("id" = String, Path)),
    responses((status = 204), (status = 401)))]
pub(super) async fn unrepost(
    State(feed): State<Feed>,
    who: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let (of, who) = (post_id(&id)?, &who);
    let write = feed.database().write(|tx| Box::pin(posts::unshare(tx, who, of)));
    Ok(removed(&feed, &write.await?))
}

async fn liked(feed: &Feed, who: &Caller, id: &str, wanted: bool) -> Result<Response, ApiError> {
    let (row, versions) = feed.like(who.account, post_id(id)?, wanted).await?;
    let body = Liked { liked: wanted, likes: row.likes, replies: row.replies, reposts: row.reposts };
    Ok(private(&body, &versions))
}

fn removed(feed: &Feed, versions: &[(Tag, Version)]) -> Response {
    feed.released.notify_one();
    let mut answer = StatusCode::NO_CONTENT.into_response();
    if !versions.is_empty() {
        sluice_platform::cache::version(answer.headers_mut(), versions);
    }
    answer
}
