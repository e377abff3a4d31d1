//! The built web pages.

use crate::origin::State;
use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use http::{Method, Request};
use sluice_platform::ApiError;

/// Paths of the page itself.
const PAGES: [&str; 5] = ["/", "/shop", "/chat", "/feed", "/api"];
/// What is below these is shown by the page too.
const BELOW: [&str; 4] = ["/watch/", "/shop/", "/chat/", "/feed/"];

/// Pages run what they are built of, and nobody frames them. Media, and what is live, come from whichever edge steering names; pictures of
/// products may be elsewhere; players work from `blob:`, and their controls bring styles of their own.
const POLICY: &str = "default-src 'self'; script-src 'self'; worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data: blob: http: https:; media-src 'self' data: blob: http: https:; font-src 'self' data:; \
                      connect-src 'self' data: blob: http: https: ws: wss:; object-src 'none'; base-uri 'none'; \
                      form-action 'self'; frame-ancestors 'none'";

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
    let mut answer = sluice_service::page(dir, file, request.headers()).await.ok_or_else(missing)?;
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    Ok(answer)
}
