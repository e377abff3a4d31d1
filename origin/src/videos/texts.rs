//! Text tracks of a video: listed, put and deleted. They are kept as WebVTT, whatever was sent.

use super::{Shared, id, none};
use crate::origin::State;
use axum::body::Body;
use axum::extract::{Path, Query};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Digest as _;
use sluice_platform::ApiError;
use sluice_platform::cache::{self, Lifetime};
use sluice_storage::{StorageError, TextTrack, Tx};
use sluice_wire::limits::{MAX_NAME_LEN, MAX_TEXT_BYTES};
use sluice_wire::text::Track;
use sluice_wire::{
    Digest, EventKind, Language, MediaAsset, MediaPath, ObjectKey, Tag, TextKind, TextName, Version, VideoId,
};

/// What is said beside a track.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Said {
    /// What people choose it by; its language unless told otherwise.
    label: Option<String>,
}

/// `GET /v1/videos/ID/text`.
pub(crate) async fn list(
    axum::extract::State(state): Shared,
    Path(text): Path<String>,
) -> Result<Response, ApiError> {
    let id = id(&text)?;
    // Before the rows: a version may be older than what is served, never newer.
    let versions = state.storage.log().versions_of(&[Tag::video(id)]).await?;
    let videos = state.storage.videos();
    videos.standing(id).await?.filter(|standing| !standing.deleted).ok_or_else(|| none(id))?;
    let tracks: Vec<Value> = videos.texts(id).await?.iter().map(view).collect();
    let storyboard = videos.storyboard(id).await?;
    let storyboard = storyboard.map(|_| MediaPath { video: id, asset: MediaAsset::Storyboard }.to_string());
    let mut answer = axum::Json(json!({ "text": tracks, "storyboard": storyboard })).into_response();
    cache::lifetime(answer.headers_mut(), Lifetime::PushedOnly);
    cache::version(answer.headers_mut(), &versions);
    Ok(answer)
}

/// `PUT /v1/videos/ID/text/KIND/LANG`: SubRip or WebVTT becomes the track of this kind and language.
pub(crate) async fn put(
    axum::extract::State(state): Shared,
    Path((text, kind, language)): Path<(String, String, String)>,
    Query(said): Query<Said>,
    body: Body,
) -> Result<Response, ApiError> {
    let (id, name) = (id(&text)?, name(&kind, &language)?);
    let label = label(said.label, &name)?;
    let sent = axum::body::to_bytes(body, MAX_TEXT_BYTES).await.map_err(|_| too_large())?;
    let track = Track::parse(&sent)
        .map_err(|error| ApiError::new(422, "text", "This text cannot be read", error.to_string()))?;
    let (replaced, version) = keep(&state, id, name.clone(), label, &track, false).await?;
    let row = state.storage.videos().text(id, &name).await?.ok_or_else(|| none(id))?;
    let status = if replaced { StatusCode::OK } else { StatusCode::CREATED };
    let mut answer = (status, axum::Json(view(&row))).into_response();
    cache::lifetime(answer.headers_mut(), Lifetime::Never);
    cache::version(answer.headers_mut(), &[(Tag::video(id), version)]);
    Ok(answer)
}

/// `DELETE /v1/videos/ID/text/KIND/LANG`.
pub(crate) async fn delete(
    axum::extract::State(state): Shared,
    Path((text, kind, language)): Path<(String, String, String)>,
) -> Result<Response, ApiError> {
    let (id, name) = (id(&text)?, name(&kind, &language)?);
    let videos = state.storage.videos();
    let deleted = state.storage.database.write::<_, StorageError, _>(|tx| {
        let (videos, name) = (&videos, &name);
        Box::pin(async move {
            let gone = videos.delete_text(tx, id, name).await?;
            let gone = gone.ok_or_else(|| StorageError::NotFound(format!("{name} of video {id}")))?;
            Ok((gone, tell(tx, id, true).await?))
        })
    });
    let (gone, version) = deleted.await?;
    forget(&state, &gone).await;
    let mut answer = StatusCode::NO_CONTENT.into_response();
    cache::version(answer.headers_mut(), &[(Tag::video(id), version)]);
    Ok(answer)
}

/// Stores a track, then its row. True when there was one of the name before; the video's version.
async fn keep(
    state: &State,
    id: VideoId,
    name: TextName,
    label: String,
    track: &Track,
    embedded: bool,
) -> Result<(bool, Version), ApiError> {
    let text = track.render();
    let digest = Digest::of_sha256(sha2::Sha256::digest(&text).into());
    let row = TextTrack {
        video: id,
        name,
        label,
        digest,
        bytes: text.len() as u64,
        cues: track.cues().len() as u64,
        end_ms: track.end_ms(),
        embedded,
    };
    let videos = state.storage.videos();
    videos.standing(id).await?.filter(|standing| !standing.deleted).ok_or_else(|| none(id))?;
    let key = ObjectKey::Text(id, row.name.clone(), digest);
    state.storage.objects.put(&key, text.into()).await?;
    let made = state.storage.database.write::<_, StorageError, _>(|tx| {
        let (videos, row) = (&videos, &row);
        Box::pin(async move {
            let there = videos.get_in(tx, id).await?.filter(|video| video.deleted_ms.is_none());
            there.ok_or_else(|| StorageError::NotFound(format!("video {id}")))?;
            let before = videos.put_text(tx, row).await?;
            let other = before.as_ref().is_some_and(|before| before.digest != row.digest);
            Ok((before, tell(tx, id, other).await?))
        })
    });
    let (before, version) = made.await?;
    if let Some(before) = before.as_ref().filter(|before| before.digest != digest) {
        forget(state, before).await;
    }
    Ok((before.is_some(), version))
}

/// Says that a video's text is another; with `gone` that copies of some of it must not be served again.
async fn tell(tx: &Tx<'_>, id: VideoId, gone: bool) -> Result<Version, StorageError> {
    let what = json!({ "video": id });
    if gone {
        tx.emit(&Tag::text(id), EventKind::Purged, what.clone()).await?;
    }
    tx.emit(&Tag::video(id), EventKind::Changed, what).await
}

/// Removes what no row names. What stays behind goes with the video.
async fn forget(state: &State, gone: &TextTrack) {
    let key = ObjectKey::Text(gone.video, gone.name.clone(), gone.digest);
    if let Err(error) = state.storage.objects.delete(&key).await {
        tracing::warn!(%error, %key, "text that nobody names stays behind");
    }
}

fn view(track: &TextTrack) -> Value {
    let asset = MediaAsset::Text(track.name.clone(), track.digest);
    json!({
        "kind": track.name.kind.as_str(),
        "language": track.name.language.to_string(),
        "label": track.label,
        "cues": track.cues,
        "bytes": track.bytes,
        "embedded": track.embedded,
        "url": MediaPath { video: track.video, asset }.to_string(),
    })
}

fn name(kind: &str, language: &str) -> Result<TextName, ApiError> {
    let kind = TextKind::parse(kind).ok_or_else(|| {
        ApiError::not_found("text is of one of the kinds subtitles, captions, forced, chapters")
    })?;
    let language = language.parse::<Language>().map_err(|error| ApiError::bad_request(error.to_string()))?;
    Ok(TextName { kind, language })
}

fn label(said: Option<String>, name: &TextName) -> Result<String, ApiError> {
    let label = said.map_or_else(|| name.language.to_string(), |label| label.trim().to_owned());
    if label.is_empty() || label.len() > MAX_NAME_LEN || label.chars().any(|c| c.is_control() || c == '"') {
        return Err(ApiError::bad_request(
            "a label has 1 to 255 bytes, on one line, without quotation marks",
        ));
    }
    Ok(label)
}

fn too_large() -> ApiError {
    let detail = format!("a text track has at most {MAX_TEXT_BYTES} bytes");
    ApiError::new(413, "too-large", "Too large", detail)
}
