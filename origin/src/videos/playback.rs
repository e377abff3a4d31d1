//! `POST /v1/videos/ID/playback`: what a player needs for a video, a token if it is private or sealed.

use super::{Shared, id, none};
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use sluice_platform::ApiError;
use sluice_platform::cache::{self, Lifetime};
use sluice_storage::Visibility;
use sluice_wire::token::jwt::Claims;
use sluice_wire::{MediaAsset, MediaPath, Protection};

/// Query parameter of edges that carries a token (`access.param`, as it is unless changed).
const PARAM: &str = "sluice-token";

/// Mints a token for a private or sealed video, good for what is below its path: for reading it, and for asking for content
/// keys where that is done by POST.
pub(crate) async fn playback(
    axum::extract::State(state): Shared,
    Path(text): Path<String>,
) -> Result<Response, ApiError> {
    let id = id(&text)?;
    let standing =
        state.storage.videos().standing(id).await?.filter(|s| !s.deleted).ok_or_else(|| none(id))?;
    let master = MediaPath { video: id, asset: MediaAsset::Master }.to_string();
    let (private, sealed) = (standing.visibility == Visibility::Private, standing.protection);
    let asset = MediaAsset::Licence;
    let licence = (sealed == Protection::Cbcs).then(|| MediaPath { video: id, asset }.to_string());
    let body = if private || sealed != Protection::None {
        let signer = state.signer.as_ref().ok_or_else(|| {
            let detail = "this origin has no key (playback.key_file): mint a token elsewhere";
            ApiError::new(409, "no-key", "No key", detail)
        })?;
        let methods: &[&str] = if licence.is_some() { &["GET", "POST"] } else { &["GET"] };
        let now_s = state.storage.clock.now_ms() / 1_000;
        let expires_s = now_s.saturating_add(state.config.playback.ttl_s);
        let claims = Claims {
            exp: Some(expires_s.into()),
            iat: Some(now_s.into()),
            paths: Some(vec![format!("/v/{id}")]),
            methods: Some(methods.iter().map(|method| (*method).to_owned()).collect()),
            ..Claims::default()
        };
        let token = signer.token(&claims);
        let url = format!("{master}?{PARAM}={token}");
        json!({
            "url": url, "param": PARAM, "token": token, "key": signer.id(), "expires_ms": expires_s * 1_000,
            "protection": sealed.as_str(), "licence": licence,
        })
    } else {
        json!({
            "url": master, "param": PARAM, "token": null, "key": null, "expires_ms": null,
            "protection": sealed.as_str(), "licence": null,
        })
    };
    let mut answer = axum::Json(body).into_response();
    cache::lifetime(answer.headers_mut(), Lifetime::Never);
    Ok(answer)
}
