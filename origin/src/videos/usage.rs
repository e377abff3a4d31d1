//! `GET /v1/storage`: what the videos take up.

use super::Shared;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use sluice_platform::ApiError;
use sluice_platform::cache::{self, Lifetime};

/// Bytes of sources, of renditions by rung, of all else; and of sources by state.
pub(crate) async fn usage(axum::extract::State(state): Shared) -> Result<Response, ApiError> {
    let usage = state.storage.videos().usage().await?;
    let sources: u64 = usage.states.iter().map(|s| s.source_bytes).sum();
    let posters: u64 = usage.states.iter().map(|s| s.poster_bytes).sum();
    let rungs: u64 = usage.rungs.iter().map(|rung| rung.bytes).sum();
    let states: Vec<Value> = usage
        .states
        .iter()
        .map(|s| {
            json!({
                "state": s.state.as_str(), "deleted": s.deleted, "videos": s.videos,
                "source_bytes": s.source_bytes, "poster_bytes": s.poster_bytes,
            })
        })
        .collect();
    let by_rung: Vec<Value> = usage
        .rungs
        .iter()
        .map(|rung| json!({ "rung": rung.rung, "videos": rung.videos, "bytes": rung.bytes }))
        .collect();
    let (beside, other) = (usage.beside_bytes, usage.other_bytes);
    let mut answer = axum::Json(json!({
        "bytes": sources + posters + rungs + beside + other,
        "sources": sources, "renditions": rungs, "posters": posters, "beside": beside, "other": other,
        "rungs": by_rung, "states": states,
    }))
    .into_response();
    cache::lifetime(answer.headers_mut(), Lifetime::Never);
    Ok(answer)
}
