//! `GET /v1/videos`: pages of the library, searched and filtered.

use super::{Shared, id};
use crate::view::VideoView;
use axum::extract::Query;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use sluice_platform::cache::{self, Lifetime};
use sluice_platform::{ApiError, Page};
use sluice_storage::{Listing, Order, VideoState, Visibility, Which};
use sluice_wire::Tag;

/// Bytes of a question.
const MAX_QUESTION: usize = 200;

/// What a list is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    /// Words, each the beginning of one.
    q: String,
    /// Tags, separated by commas; all of them.
    tag: String,
    /// `public` unless told otherwise; `unlisted`, `private`, `all`.
    visibility: String,
    /// A state, or `deleted`; all that are complete unless told otherwise.
    state: String,
    /// `newest` unless told otherwise; `oldest`.
    sort: String,
    after: Option<String>,
    limit: Option<u64>,
}

/// `GET /v1/videos`: newest first. Uploads under way are not in it unless they are asked for.
pub(crate) async fn list(
    axum::extract::State(state): Shared,
    Query(asked): Query<Asked>,
) -> Result<Response, ApiError> {
    let size = Page { after: None, limit: asked.limit }.size();
    let mut page = state.storage.videos().page(&asked.listing(size)?).await?;
    let more = page.videos.len() as u64 > size;
    page.videos.truncate(usize::try_from(size).unwrap_or(usize::MAX));
    let next = more.then(|| page.videos.last().map(|video| video.id)).flatten();
    let mut views = vec![];
    for video in page.videos {
        let media = page.media.remove(&video.id).unwrap_or_default();
        views.push(VideoView::new(video, &media));
    }
    let mut answer = axum::Json(json!({ "videos": views, "next": next })).into_response();
    // Progress of what is being transcoded is in it, which raises the tags of videos, not of the list: clients ask anew.
    cache::lifetime(answer.headers_mut(), Lifetime::Never);
    cache::version(answer.headers_mut(), &[(Tag::library(), page.version)]);
    Ok(answer)
}

impl Asked {
    /// The same for the store: one video more than a page has, to know of the next page.
    fn listing(self, size: u64) -> Result<Listing, ApiError> {
        let wrong = |what: &str, may: &str| ApiError::bad_request(format!("{what} is one of {may}"));
        if self.q.len() > MAX_QUESTION || self.tag.len() > MAX_QUESTION {
            return Err(ApiError::bad_request(format!("q and tag have at most {MAX_QUESTION} bytes")));
        }
        let visibility = match self.visibility.as_str() {
            "" => Some(Visibility::Public),
            "all" => None,
            name => Some(
                Visibility::parse(name)
                    .ok_or_else(|| wrong("visibility", "public, unlisted, private, all"))?,
            ),
        };
        let which = match self.state.as_str() {
            "" => Which::There,
            "deleted" => Which::Deleted,
            name => Which::In(
                VideoState::parse(name)
                    .ok_or_else(|| wrong("state", "uploading, queued, processing, ready, failed, deleted"))?,
            ),
        };
        let order = match self.sort.as_str() {
            "" | "newest" => Order::Newest,
            "oldest" => Order::Oldest,
            _ => return Err(wrong("sort", "newest, oldest")),
        };
        let tags = self.tag.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned);
        let (tags, after) = (tags.collect(), self.after.as_deref().map(id).transpose()?);
        Ok(Listing { words: self.q, tags, visibility, which, order, after, limit: size + 1 })
    }
}
