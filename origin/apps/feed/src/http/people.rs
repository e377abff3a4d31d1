//! Profiles, their posts, and follows.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use sluice_platform::once::{Answer, Asked};
use sluice_platform::{ApiError, Caller, Page};
use sluice_storage::StorageError;
use sluice_storage::rows::sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use sluice_storage::rows::unsigned;
use sluice_wire::AccountId;
use sluice_wire::tag::render_versions;
use utoipa::ToSchema;

use super::{Item, ListPage, after, place, private, public};
use crate::PostId;
use crate::feed::{self, Feed};
use crate::home::shows_something;
use crate::posts::Kind;
use crate::rows::post;
use crate::tags;

/// Readers of one import: what a statement can bind, and a document hold.
const MAX_READERS: usize = 2_000;
/// Characters of a handle.
const MAX_HANDLE: usize = 32;

/// Somebody, as everybody sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Person {
    handle: String,
    followers: u64,
    following: u64,
    posts: u64,
}

/// Whether somebody is followed now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Following {
    following: bool,
}

/// An audience that an author brings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Import {
    /// The author's handle.
    author: String,
    /// Ids and handles of its readers, at most 2,000.
    #[schema(value_type = Vec<Vec<String>>)]
    readers: Vec<(AccountId, String)>,
    /// Whether those that are new here count as having read just now, and are pushed to.
    #[serde(default)]
    active: bool,
}

/// Somebody's profile.
#[utoipa::path(get, path = "/v1/feed/users/{handle}", params(("handle" = String, Path)),
    responses((status = 200, body = Person), (status = 404)))]
pub(super) async fn show(State(feed): State<Feed>, Path(handle): Path<String>) -> Result<Response, ApiError> {
    known(&handle)?;
    let tag = tags::user(&handle);
    let version = feed.log.version_of(&tag).await?;
    let row = feed.person(&handle).await?;
    let body = Person {
        followers: unsigned("feed_profiles.followers", row.followers)?,
        following: unsigned("feed_profiles.following", row.following)?,
        posts: unsigned("feed_profiles.posts", row.posts)?,
        handle,
    };
    Ok(public(&body, &[(tag, version)]))
}

/// Somebody's posts and reposts, newest first.
#[utoipa::path(get, path = "/v1/feed/users/{handle}/posts",
    params(("handle" = String, Path), ("after" = Option<String>, Query), ("limit" = Option<u64>, Query)),
    responses((status = 200, body = ListPage), (status = 404)))]
pub(super) async fn list(
    State(feed): State<Feed>,
    Path(handle): Path<String>,
    Query(page): Query<Page>,
) -> Result<Response, ApiError> {
    known(&handle)?;
    let (below, size) = (after(&page)?, page.size());
    let tag = tags::user(&handle);
    let version = feed.log.version_of(&tag).await?;
    let Some(author) = feed.profile_of(&handle).await? else {
        feed.newcomer(&handle).await?;
        return Ok(public(&ListPage { items: vec![], next: None }, &[(tag, version)]));
    };
    let ids: Vec<i64> = post::Entity::find()
        .select_only()
        .column(post::Column::Id)
        .filter(post::Column::Author.eq(author.account))
        .filter(post::Column::Id.lt(below.map_or(i64::MAX, PostId::as_i64)))
        .filter(post::Column::Kind.ne(Kind::Reply.as_str()))
        .filter(post::Column::DeletedMs.is_null())
        .filter(shows_something(post::Entity))
        .order_by_desc(post::Column::Id)
        .limit(size)
        .into_tuple()
        .all(feed.database().reader())
        .await?;
    let ids: Vec<PostId> = ids.into_iter().map(feed::post).collect::<Result<_, StorageError>>()?;
    let next = ids.last().filter(|_| ids.len() as u64 == size).map(PostId::to_string);
    let items = ids.into_iter().map(|id| Item { f: place(id) }).collect();
    Ok(public(&ListPage { items, next }, &[(tag, version)]))
}

/// Whether one follows somebody.
#[utoipa::path(get, path = "/v1/feed/users/{handle}/follow", params(("handle" = String, Path)),
    responses((status = 200, body = Following), (status = 401), (status = 404)))]
pub(super) async fn following(
    State(feed): State<Feed>,
    who: Caller,
    Path(handle): Path<String>,
) -> Result<Response, ApiError> {
    known(&handle)?;
    Ok(private(&Following { following: feed.follows(who.account, &handle).await? }, &[]))
}

/// Follows somebody.
#[utoipa::path(put, path = "/v1/feed/users/{handle}/follow", params(("handle" = String, Path)),
    responses((status = 200, body = Following), (status = 401), (status = 404)))]
pub(super) async fn follow(
    State(feed): State<Feed>,
    who: Caller,
    Path(handle): Path<String>,
) -> Result<Response, ApiError> {
    known(&handle)?;
    let versions = feed.follow(&who, &handle).await?;
    Ok(private(&Following { following: true }, &versions))
}

/// Follows somebody no longer.
#[utoipa::path(delete, path = "/v1/feed/users/{handle}/follow", params(("handle" = String, Path)),
    responses((status = 200, body = Following), (status = 401), (status = 404)))]
pub(super) async fn unfollow(
    State(feed): State<Feed>,
    who: Caller,
    Path(handle): Path<String>,
) -> Result<Response, ApiError> {
    known(&handle)?;
    let versions = feed.unfollow(&who, &handle).await?;
    Ok(private(&Following { following: false }, &versions))
}

/// Brings an audience; for the role `admin`.
#[utoipa::path(post, path = "/v1/feed/import", request_body = Import,
    responses((status = 200), (status = 401), (status = 403), (status = 404), (status = 422)))]
pub(super) async fn import(
    State(feed): State<Feed>,
    who: Caller,
    asked: Asked<Import>,
) -> Result<Response, ApiError> {
    who.needs("admin")?;
    let Import { author, readers, active } = &asked.body;
    if !(1..=MAX_READERS).contains(&readers.len()) || readers.iter().any(|(_, handle)| !is_handle(handle)) {
        let detail = "readers: 1 to 2,000, each with a handle of 2 to 32 of a-z, 0-9 and _";
        return Err(ApiError::new(422, "invalid", "Not an import", detail));
    }
    let (author, owner) = (&feed.person(author).await?, who.owner());
    let once = &feed.once;
    once.write(&asked, &owner, &move |tx| {
        Box::pin(async move {
            let (new, version) = crate::people::import(tx, author, readers, *active).await?;
            Ok(Answer::ok(serde_json::json!({ "new": new, "versions": render_versions(&[version]) })))
        })
    })
    .await
}

/// What cannot be a handle is nobody's.
fn known(handle: &str) -> Result<(), ApiError> {
    if is_handle(handle) {
        return Ok(());
    }
    Err(ApiError::not_found("nobody here is called that"))
}

fn is_handle(text: &str) -> bool {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
    (2..=MAX_HANDLE).contains(&text.len()) && text.bytes().all(plain)
}
