//! The built web pages.

use crate::origin::State;
use axum::body::Body;
use axum::response::Response;
use http::{Method, Request};
use sluice_platform::ApiError;

/// Paths of the page itself.
const PAGES: [&str; 5] = ["/", "/shop", "/chat", "/feed", "/api"];
/// What is below these is shown by the page too.
const BELOW: [&str; 4] = ["/watch/", "/shop/", "/chat/", "/feed/"];

/// Everything that is no resource of the interface: a file of the pages, or the page itself where it has routes.
pub(crate) async fn page(
    axum::extract::State(state): axum::extract::State<State>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let path = request.uri().path();
    let missing = || ApiError::not_found(format!("there is nothing at {path:.200}"));
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Err(missing());
    }
    let dir = state.config.pages.dir.as_ref().ok_or_else(missing)?;
    let is_page = PAGES.contains(&path) || BELOW.iter().any(|below| path.starts_with(below));
    let file = if is_page { "/index.html" } else { path };
    sluice_service::page(dir, file, request.headers()).await.ok_or_else(missing)
}
