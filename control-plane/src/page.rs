//! The operations page, as it is built in player-demo/web.

use crate::control::State;
use crate::problem::Failure;
use axum::extract::Path;
use axum::response::Response;
use http::header::{
    CONTENT_SECURITY_POLICY, HeaderMap, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};

type Shared = axum::extract::State<State>;

/// The page's file.
pub(crate) const PAGE: &str = "operations.html";
/// It runs what it is built of and asks where it comes from; nobody frames a page that holds an operator's token.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /`.
pub(crate) async fn operations(
    axum::extract::State(state): Shared,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    file(&state, &format!("/{PAGE}"), &headers).await
}

/// `GET /assets/FILE`: what the page is made of.
pub(crate) async fn asset(
    axum::extract::State(state): Shared,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    file(&state, &format!("/assets/{name}"), &headers).await
}

async fn file(state: &State, path: &str, headers: &HeaderMap) -> Result<Response, Failure> {
    let dir = state.config.pages_dir.as_ref().ok_or_else(|| {
        Failure::not_found(
            "no pages here: `pages_dir` names their folder; /openapi.json says what else there is",
        )
    })?;
    let missing = || Failure::not_found(format!("there is nothing at {path:.200}"));
    let mut answer = sluice_service::page(dir, path, headers).await.ok_or_else(missing)?;
    let told = answer.headers_mut();
    told.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    told.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    told.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(answer)
}
