//! The key that signs tokens for private videos, and its public half for edges.

use crate::config::PlaybackConfig;
use crate::origin::State;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use sluice_platform::cache::{self, Lifetime};
use sluice_service::ProcessError;
use sluice_wire::token::mint::SigningKey;

/// Reads the key, if there is to be one.
pub(crate) fn read(config: &PlaybackConfig) -> Result<Option<SigningKey>, ProcessError> {
    let Some(file) = &config.key_file else { return Ok(None) };
    let named = |why: String| format!("playback.key_file {}: {why}", file.display());
    let pem = std::fs::read(file).map_err(|error| named(error.to_string()))?;
    let key = SigningKey::from_pem(&pem, &config.key_id).map_err(|error| named(error.to_string()))?;
    Ok(Some(key))
}

/// `GET /v1/keys`: public keys (JWKS, RFC 7517), for the `access.keys_url` of edges.
pub(crate) async fn public(axum::extract::State(state): axum::extract::State<State>) -> Response {
    let keys = state.signer.as_ref().map_or_else(|| json!({ "keys": [] }), |signer| signer.jwks());
    let mut answer = axum::Json(keys).into_response();
    cache::lifetime(answer.headers_mut(), Lifetime::Never);
    answer
}
