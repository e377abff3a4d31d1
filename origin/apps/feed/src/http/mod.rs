//! `/v1/feed`.

mod home;
mod people;
mod photos;
mod posts;

pub(crate) use home::{__path_explain, __path_home, __path_lists, __path_marks, __path_seen, __path_token};
pub(crate) use people::{
    __path_follow, __path_following, __path_import, __path_list, __path_show, __path_unfollow,
};
pub(crate) use photos::{__path_photo, __path_upload};
pub(crate) use posts::{
    __path_create, __path_delete, __path_fragment, __path_like, __path_repost, __path_thread, __path_unlike,
    __path_unrepost,
};

use axum::Router;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use serde::Serialize;
use sluice_platform::cache::{self, Lifetime};
use sluice_platform::{ApiError, Page};
use sluice_wire::{Tag, Version};
use utoipa::ToSchema;

use crate::PostId;
use crate::feed::Feed;
use crate::openapi;

/// The app's routes.
pub(crate) fn routes(feed: Feed) -> Router {
    Router::new()
        .route("/v1/feed/posts", post(posts::create))
        .route("/v1/feed/posts/{id}", get(posts::fragment).delete(posts::delete))
        .route("/v1/feed/posts/{id}/thread", get(posts::thread))
        .route("/v1/feed/posts/{id}/like", put(posts::like).delete(posts::unlike))
        .route("/v1/feed/posts/{id}/repost", put(posts::repost).delete(posts::unrepost))
        .route("/v1/feed/photos", post(photos::upload))
        .route("/v1/feed/photos/{name}", get(photos::photo))
        .route("/v1/feed/users/{handle}", get(people::show))
        .route("/v1/feed/users/{handle}/posts", get(people::list))
        .route(
            "/v1/feed/users/{handle}/follow",
            get(people::following).put(people::follow).delete(people::unfollow),
        )
        .route("/v1/feed/home", get(home::home))
        .route("/v1/feed/home/explain", get(home::explain))
        .route("/v1/feed/home/seen", put(home::seen))
        .route("/v1/feed/marks", get(home::marks))
        .route("/v1/feed/token", post(home::token))
        .route("/v1/feed/import", post(people::import))
        .route("/v1/feed/lists", delete(home::lists))
        .route("/v1/feed/openapi.json", get(openapi::document))
        .with_state(feed)
}

/// Where the fragment of a post is.
pub(crate) fn place(id: PostId) -> String {
    format!("/v1/feed/posts/{id}")
}

/// An item of a public list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Item {
    /// Where its fragment is; the last part of the path is the post's id.
    f: String,
}

/// A page of a public list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ListPage {
    items: Vec<Item>,
    /// What `after` is for the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A public answer: the same for all, kept until an event says otherwise.
fn public(body: &impl Serialize, versions: &[(Tag, Version)]) -> Response {
    let mut answer = axum::Json(body).into_response();
    shared(answer.headers_mut(), versions);
    answer
}

fn shared(headers: &mut HeaderMap, versions: &[(Tag, Version)]) {
    cache::lifetime(headers, Lifetime::Pushed);
    cache::version(headers, versions);
    cache::any_origin(headers);
}

/// A private answer, with the versions of what it changed.
fn private(body: &impl Serialize, versions: &[(Tag, Version)]) -> Response {
    let mut answer = axum::Json(body).into_response();
    cache::lifetime(answer.headers_mut(), Lifetime::Never);
    if !versions.is_empty() {
        cache::version(answer.headers_mut(), versions);
    }
    answer
}

/// The version of what an answer shows, read before it.
async fn versions(feed: &Feed, tag: Tag) -> Result<[(Tag, Version); 1], ApiError> {
    let version = feed.log.version_of(&tag).await?;
    Ok([(tag, version)])
}

/// A post's id in a path: what is none names no post.
fn post_id(text: &str) -> Result<PostId, ApiError> {
    text.parse().map_err(|_| ApiError::not_found(format!("there is no post {text:?}")))
}

/// Where a page goes on.
fn after(page: &Page) -> Result<Option<PostId>, ApiError> {
    let wrong = |_| ApiError::bad_request("after is what `next` of the page before said");
    page.after.as_deref().map(|text| text.parse().map_err(wrong)).transpose()
}
