//! What players ask: where to go, and where to go on.

use crate::control::State;
use crate::problem::Failure;
use axum::extract::{Path, Query};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, HOST, HeaderMap, HeaderValue, LOCATION};
use sluice_wire::{MediaAsset, MediaPath, NodeId, PlacementKey, Tier, VideoId, steering};

type Shared = axum::extract::State<State>;

/// What a player says of itself when it asks for steering (rfc8216bis section 7.2).
#[derive(Debug, Default, serde::Deserialize)]
pub(crate) struct Session {
    #[serde(rename = "_HLS_pathway")]
    pathway: Option<String>,
}

/// The order of a video's sessions: by the video alone, so that its viewers share edges.
fn key(text: &str) -> Result<(VideoId, PlacementKey), Failure> {
    let id: VideoId =
        text.parse().map_err(|_| Failure::not_found(format!("there is no video {text:.40}")))?;
    Ok((id, MediaPath { video: id, asset: MediaAsset::Master }.placement()))
}

/// `GET /steer/v/ID`: a steering manifest.
pub(crate) async fn manifest(
    axum::extract::State(state): Shared,
    Path(text): Path<String>,
    Query(session): Query<Session>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let (id, key) = key(&text)?;
    let table = state.fleet.table();
    let host = headers.get(HOST).and_then(|h| h.to_str().ok()).unwrap_or("localhost");
    let base = state.config.public_url.clone().unwrap_or_else(|| format!("http://{host}"));
    // Always absolute: a stock player follows a relative one only once.
    let reload = format!("{}/steer/v/{id}", base.trim_end_matches('/'));
    // A pathway that is no node's name is none of ours.
    let pathway = session.pathway.filter(|p| NodeId::new(p.as_str()).is_ok());
    let manifest = steering::manifest(&table, key, pathway.as_deref(), state.config.steering_ttl_s, reload);
    state.metrics.steered.inc();
    let mut answer = axum::Json(manifest).into_response();
    answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

/// `GET /r/ID`: to the best edge's playlist.
pub(crate) async fn redirect(
    axum::extract::State(state): Shared,
    Path(text): Path<String>,
) -> Result<Response, Failure> {
    let (id, key) = key(&text)?;
    let table = state.fleet.table();
    let order = table.order(Tier::Near, key);
    let best = order.first().ok_or_else(|| Failure::unavailable("no edge is ready"))?;
    let path = MediaPath { video: id, asset: MediaAsset::Master };
    let location = format!("{}{path}", best.public_url.trim_end_matches('/'));
    let location = HeaderValue::from_str(&location)
        .map_err(|_| Failure::unavailable("the edge has no usable address"))?;
    state.metrics.redirected.inc();
    let mut answer = StatusCode::FOUND.into_response();
    let headers = answer.headers_mut();
    headers.insert(LOCATION, location);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    Ok(answer)
}
