//! The library: `list` and one video here, `edit` what people say of it, `editions` made anew, `remove` it and bring it back, `playback` of
//! private ones, `texts` beside it, `usage` of the store.

mod edit;
mod editions;
mod list;
mod playback;
mod remove;
pub(crate) mod texts;
mod usage;

pub(crate) use edit::edit;
pub(crate) use editions::anew;
pub(crate) use list::list;
pub(crate) use playback::playback;
pub(crate) use remove::{delete, restore, tell};
pub(crate) use usage::usage;

use crate::origin::State;
use crate::view::VideoView;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{ETAG, HeaderMap};
use sluice_platform::ApiError;
use sluice_platform::cache::{self, Lifetime};
use sluice_wire::{Tag, Version, VideoId};

type Shared = axum::extract::State<State>;

/// Reads an id out of a path.
pub(crate) fn id(text: &str) -> Result<VideoId, ApiError> {
    text.parse().map_err(|_| ApiError::not_found(format!("there is no video {text:.40}")))
}

fn none(id: VideoId) -> ApiError {
    ApiError::not_found(format!("there is no video {id}"))
}

/// A video's document as it is now. A deleted one has none.
pub(crate) async fn view(state: &State, id: VideoId) -> Result<VideoView, ApiError> {
    let (video, media) = state.storage.videos().show(id).await?.ok_or_else(|| none(id))?;
    // An edition that failed or was shown before is looked at until it is removed.
    if video.deleted_ms.is_some() && video.edition_of.is_none() {
        return Err(ApiError::not_found(format!("video {id} is deleted; it may still be restored")));
    }
    Ok(VideoView::new(video, &media))
}

/// `GET /v1/videos/ID`.
pub(crate) async fn one(
    axum::extract::State(state): Shared,
    Path(text): Path<String>,
) -> Result<Response, ApiError> {
    let id = id(&text)?;
    let mut answer = document(&state, id).await?;
    cache::lifetime(answer.headers_mut(), Lifetime::PushedOnly);
    Ok(answer)
}

/// A video's document, with its version as its tag.
async fn document(state: &State, id: VideoId) -> Result<Response, ApiError> {
    let view = view(state, id).await?;
    let version = Version(view.version);
    let mut answer = axum::Json(&view).into_response();
    named(answer.headers_mut(), id, version);
    Ok(answer)
}

/// Says which version of a video an answer shows.
fn named(headers: &mut HeaderMap, id: VideoId, version: Version) {
    let etag = HeaderValue::from_str(&format!("\"{version}\"")).expect("digits in quotes");
    headers.insert(ETAG, etag);
    cache::version(headers, &[(Tag::video(id), version)]);
}
