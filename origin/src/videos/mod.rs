//! The catalogue: list, show, delete.

use crate::origin::State;
use crate::view::VideoView;
use axum::extract::{Path, Query};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;
use sluice_platform::cache::{self, Lifetime};
use sluice_platform::{ApiError, Page};
use sluice_storage::{StorageError, Video, VideoState};
use sluice_wire::{EventKind, ObjectKey, Tag, VideoId};

type Shared = axum::extract::State<State>;

/// Reads an id out of a path.
pub(crate) fn id(text: &str) -> Result<VideoId, ApiError> {
    text.parse().map_err(|_| ApiError::not_found(format!("there is no video {text:.40}")))
}

/// A video's document as it is now.
pub(crate) async fn view(state: &State, id: VideoId) -> Result<VideoView, ApiError> {
    let videos = state.storage.videos();
    let video =
        videos.get(id).await?.ok_or_else(|| ApiError::not_found(format!("there is no video {id}")))?;
    Ok(VideoView::new(video, &videos.media(id).await?))
}

/// `GET /v1/videos/ID`.
pub(crate) async fn one(
    axum::extract::State(state): Shared,
    Path(text): Path<String>,
) -> Result<Response, ApiError> {
    let id = id(&text)?;
    let version = (Tag::video(id), state.storage.log().version_of(&Tag::video(id)).await?);
    let view = view(&state, id).await?;
    let mut answer = axum::Json(&view).into_response();
    cache::lifetime(answer.headers_mut(), Lifetime::PushedOnly);
    cache::version(answer.headers_mut(), &[version]);
    Ok(answer)
}

/// `GET /v1/videos`: newest first. Uploads under way are not in it.
pub(crate) async fn list(
    axum::extract::State(state): Shared,
    Query(page): Query<Page>,
) -> Result<Response, ApiError> {
    let after = page.after.as_deref().map(id).transpose()?;
    let version = (Tag::library(), state.storage.log().version_of(&Tag::library()).await?);
    let videos = state.storage.videos();
    let rows = videos.list(after, page.size()).await?;
    let next = (rows.len() as u64 == page.size()).then(|| rows.last().map(|v| v.id)).flatten();
    let shown: Vec<_> = rows.into_iter().filter(|v| v.state != VideoState::Uploading).collect();
    let mut media = videos.media_of(&shown.iter().map(|v| v.id).collect::<Vec<_>>()).await?;
    let view = |video: Video| {
        let media = media.remove(&video.id).unwrap_or_default();
        VideoView::new(video, &media)
    };
    let views: Vec<VideoView> = shown.into_iter().map(view).collect();
    let mut answer = axum::Json(json!({ "videos": views, "next": next })).into_response();
    // Progress of what is being transcoded is in it, which raises the tags of videos, not of the list: clients ask anew.
    cache::lifetime(answer.headers_mut(), Lifetime::Never);
    cache::version(answer.headers_mut(), &[version]);
    Ok(answer)
}

/// `DELETE /v1/videos/ID`. A running job notices and ends.
pub(crate) async fn delete(
    axum::extract::State(state): Shared,
    Path(text): Path<String>,
) -> Result<Response, ApiError> {
    let id = id(&text)?;
    let videos = state.storage.videos();
    let version = state
        .storage
        .database
        .write::<_, StorageError, _>(|tx| {
            let videos = &videos;
            Box::pin(async move {
                if !videos.delete(tx, id).await? {
                    return Err(StorageError::NotFound(format!("video {id}")));
                }
                let gone = json!({ "video": id });
                tx.emit(&Tag::media(id), EventKind::Deleted, gone.clone()).await?;
                tx.emit(&Tag::library(), EventKind::Changed, gone.clone()).await?;
                tx.emit(&Tag::video(id), EventKind::Deleted, gone).await
            })
        })
        .await?;
    let prefix = ObjectKey::media_prefix(id);
    if let Err(error) = state.storage.objects.delete_prefix(&prefix).await {
        // No row names them any more; they cost room, not truth.
        tracing::warn!(%error, prefix, "objects of a deleted video stay behind");
    }
    if let Err(error) = state.intake.remove_discarded().await {
        tracing::warn!(%error, "sources of deleted videos are removed later");
    }
    let mut answer = StatusCode::NO_CONTENT.into_response();
    cache::version(answer.headers_mut(), &[(Tag::video(id), version)]);
    Ok(answer)
}
