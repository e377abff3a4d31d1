//! Deleting a video, and bringing it back.

use super::{Shared, document, id, none};
use crate::origin::State;
use axum::extract::{Path, Query};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use sluice_platform::ApiError;
use sluice_platform::cache::{self, Lifetime};
use sluice_storage::{Restored, StorageError, Tx, VideoState};
use sluice_wire::{EventKind, Tag, Version, VideoId};

/// How a video is deleted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct How {
    /// For good, at once.
    now: bool,
}

/// `DELETE /v1/videos/ID`: gone from lists and players everywhere; it can be restored for a while. With `?now=true` it is
/// removed for good, and a running job notices and ends.
pub(crate) async fn delete(
    axum::extract::State(state): Shared,
    Path(text): Path<String>,
    Query(how): Query<How>,
) -> Result<Response, ApiError> {
    let id = id(&text)?;
    let videos = state.storage.videos();
    let deleted = state.storage.database.write::<_, StorageError, _>(|tx| {
        let videos = &videos;
        Box::pin(async move {
            // What was never complete is nothing to come back to.
            let whole = |state| state != VideoState::Uploading;
            let row = videos.get_in(tx, id).await?;
            let edition_of = row.as_ref().and_then(|row| row.edition_of);
            if let Some(of) = edition_of {
                let shows = videos.get_in(tx, of).await?.and_then(|video| video.edition);
                if shows == Some(id) {
                    return Err(StorageError::Conflict(format!("edition {id} is shown by video {of}")));
                }
                tell(tx, of, EventKind::Changed).await?;
            }
            let keep = !how.now && row.is_some_and(|video| whole(video.state));
            let gone = if keep { videos.put_aside(tx, id).await? } else { videos.delete(tx, id).await? };
            if !gone {
                return Err(StorageError::NotFound(format!("video {id}")));
            }
            Ok((keep, tell(tx, id, EventKind::Deleted).await?))
        })
    });
    let (kept, version) = deleted.await?;
    if !kept {
        // No row names them any more: what fails here is done later.
        if let Err(error) = state.storage.removals().objects_of(id).await {
            tracing::warn!(%error, video = %id, "media of a deleted video stay behind for now");
        }
        if let Err(error) = state.intake.remove_discarded().await {
            tracing::warn!(%error, "sources of deleted videos are removed later");
        }
    }
    let mut answer = StatusCode::NO_CONTENT.into_response();
    cache::version(answer.headers_mut(), &[(Tag::video(id), version)]);
    Ok(answer)
}

/// `POST /v1/videos/ID/restore`: undoes a deletion.
pub(crate) async fn restore(
    axum::extract::State(state): Shared,
    Path(text): Path<String>,
) -> Result<Response, ApiError> {
    let id = id(&text)?;
    if restored(&state, id).await? == Restored::TooLate {
        let detail = "it was deleted too long ago to be restored";
        return Err(ApiError::new(410, "gone", "Gone", detail));
    }
    let mut answer = document(&state, id).await?;
    cache::lifetime(answer.headers_mut(), Lifetime::Never);
    Ok(answer)
}

async fn restored(state: &State, id: VideoId) -> Result<Restored, ApiError> {
    let (videos, within) = (state.storage.videos(), state.config.library.undo_ms);
    let restored = state.storage.database.write::<_, StorageError, _>(|tx| {
        let videos = &videos;
        Box::pin(async move {
            let restored = videos.restore(tx, id, within).await?;
            if restored == Restored::Yes {
                tell(tx, id, EventKind::Changed).await?;
            }
            Ok(restored)
        })
    });
    restored.await.map_err(|error| match error {
        StorageError::NotFound(_) => none(id),
        error => error.into(),
    })
}

/// Says to everybody who keeps something of a video that it is gone, or there again; the version of its document.
pub(crate) async fn tell(tx: &Tx<'_>, id: VideoId, kind: EventKind) -> Result<Version, StorageError> {
    let what = json!({ "video": id });
    tx.emit(&Tag::media(id), kind, what.clone()).await?;
    tx.emit(&Tag::library(), EventKind::Changed, what.clone()).await?;
    tx.emit(&Tag::video(id), kind, what).await
}
