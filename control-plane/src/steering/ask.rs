//! What players ask: where to go, and where to go on.

use super::client::Said;
use super::{Asked, explain};
use crate::control::State;
use crate::problem::Failure;
use axum::Extension;
use axum::extract::{Path, Query};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, HOST, HeaderMap, HeaderValue, LOCATION};
use sluice_service::Peer;
use sluice_wire::steering::{Decision, Form, Session, SteeringManifest};
use sluice_wire::{MediaAsset, MediaPath, PlacementKey, VideoId};

type Shared = axum::extract::State<State>;

/// The order of a video's sessions: by the video alone, so that its viewers share edges.
pub(super) fn key(text: &str) -> Result<(VideoId, PlacementKey), Failure> {
    let id: VideoId =
        text.parse().map_err(|_| Failure::not_found(format!("there is no video {text:.40}")))?;
    Ok((id, MediaPath { video: id, asset: MediaAsset::Master }.placement()))
}

/// `GET /steer/v/ID`: a steering manifest, for HLS (rfc8216bis section 7.2) and for DASH (ETSI TS 103 998).
pub(crate) async fn manifest(
    axum::extract::State(state): Shared,
    Path(text): Path<String>,
    Query(said): Query<Said>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let (id, key) = key(&text)?;
    let form = said.form();
    let (session, decision, now) = decide(&state, key, said, peer);
    let host = headers.get(HOST).and_then(|h| h.to_str().ok()).unwrap_or("localhost");
    let base = state.config.public_url.clone().unwrap_or_else(|| format!("http://{host}"));
    // Always absolute: a stock player follows a relative one only once.
    let mut query = told(&session, &decision, now).query();
    if form == Form::Dash {
        query += "&f=dash";
    }
    let reload = format!("{}/steer/v/{id}?{query}", base.trim_end_matches('/'));
    let mut answer = axum::Json(SteeringManifest::of(&decision, reload, form)).into_response();
    open(answer.headers_mut());
    Ok(answer)
}

/// `GET /steer/v/ID/why`: why whoever asks is where they are.
pub(crate) async fn why(
    axum::extract::State(state): Shared,
    Path(text): Path<String>,
    Query(said): Query<Said>,
    Extension(peer): Extension<Peer>,
) -> Result<Response, Failure> {
    let (_, key) = key(&text)?;
    let now = state.storage.clock.now_ms();
    let session = said.session(key, rand::random(), now);
    let session = state.steering.atlas().locate(session, peer.addr.ip());
    let mut answer = axum::Json(explain::told(&state.steering.now(), &session, now)).into_response();
    open(answer.headers_mut());
    Ok(answer)
}

/// `GET /r/ID`: to the best edge's playlist.
pub(crate) async fn redirect(
    axum::extract::State(state): Shared,
    Path(text): Path<String>,
    Extension(peer): Extension<Peer>,
) -> Result<Response, Failure> {
    let (id, key) = key(&text)?;
    let (_, decision, _) = decide(&state, key, Said::default(), peer);
    let best = decision.choices.first().ok_or_else(|| Failure::unavailable("no edge is ready"))?;
    let path = MediaPath { video: id, asset: MediaAsset::Master };
    let location = format!("{}{path}", best.url.trim_end_matches('/'));
    let location = HeaderValue::from_str(&location)
        .map_err(|_| Failure::unavailable("the edge has no usable address"))?;
    state.metrics.redirected.inc();
    let mut answer = StatusCode::FOUND.into_response();
    answer.headers_mut().insert(LOCATION, location);
    open(answer.headers_mut());
    Ok(answer)
}

/// For a player of any page, and for nobody to keep.
fn open(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
}

/// Decides, counts and remembers.
fn decide(state: &State, key: PlacementKey, said: Said, peer: Peer) -> (Session, Decision, u64) {
    let now = state.storage.clock.now_ms();
    let session = said.session(key, rand::random(), now);
    let session = state.steering.atlas().locate(session, peer.addr.ip());
    let decision = state.steering.now().decide(&session, now);
    state.metrics.steered.with_label_values(&[decision.reason.as_str()]).inc();
    let (asked, view) = (session.clone(), decision.view);
    state.steering.remember(Asked { view, session: asked, at_ms: now, decision: decision.clone() });
    (session, decision, now)
}

/// The session as it is once it has been told.
fn told(session: &Session, decision: &Decision, now: u64) -> Session {
    let pathway = decision.choices.first().map(|choice| choice.pathway.clone());
    let moved_ms = if decision.reason.is_move() { Some(now) } else { session.moved_ms };
    Session { pathway, moved_ms, ..session.clone() }
}
