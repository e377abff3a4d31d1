//! `POST /v1/videos/ID/editions`: a video made anew of the source it has, by the policy of now. It is shown as it was until
//! the edition is ready. (An edition of another source is an upload that `replaces` a video.)

use super::{Shared, id, none, view};
use axum::extract::{Path, Query};
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::json;
use sluice_platform::ApiError;
use sluice_platform::cache::{self, Lifetime};
use sluice_storage::{NewVideo, StorageError, VideoState};
use sluice_wire::{EventKind, Tag};

/// How a video is made anew.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct How {
    /// Also if it would be the same.
    force: bool,
}

/// 202 with the document of the edition, which can be watched like any other. One that would be what is shown already fails
/// with that reason as soon as it is planned.
pub(crate) async fn anew(
    axum::extract::State(state): Shared,
    Path(text): Path<String>,
    Query(how): Query<How>,
) -> Result<Response, ApiError> {
    let of = id(&text)?;
    let (videos, uploads) = (&state.storage.videos(), &state.storage.uploads());
    let row = videos.get(of).await?.filter(|row| row.edition_of.is_none() && row.deleted_ms.is_none());
    let row = row.ok_or_else(|| none(of))?;
    if !row.state.is_final() {
        return Err(ApiError::conflict("the video is being made now; once it is, it can be made anew"));
    }
    let source = row.shown().upload();
    let upload = state.storage.ids.upload();
    let edition = &NewVideo {
        id: upload.video(),
        name: row.name,
        title: row.title,
        state: VideoState::Queued,
        bytes: row.bytes,
        sha256: row.sha256,
        edition_of: Some(of),
    };
    let made = state.storage.database.write::<_, StorageError, _>(|tx| {
        let intake = &state.intake;
        Box::pin(async move {
            videos.create(tx, edition).await?;
            uploads.copy(tx, upload, source).await?;
            intake.order_film(tx, upload, how.force).await?;
            tx.emit(&Tag::video(of), EventKind::Changed, json!({ "video": of })).await?;
            tx.emit(&Tag::video(edition.id), EventKind::Created, json!({ "video": edition.id })).await
        })
    });
    made.await?;
    let mut answer = (StatusCode::ACCEPTED, axum::Json(view(&state, edition.id).await?)).into_response();
    let location = HeaderValue::from_str(&format!("/v1/videos/{upload}")).expect("an id is plain characters");
    answer.headers_mut().insert(LOCATION, location);
    cache::lifetime(answer.headers_mut(), Lifetime::Never);
    Ok(answer)
}
