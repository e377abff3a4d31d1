//! Who asks, as a handler takes it: an account by its access token, in `Authorization` or in the cookie of a page.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::header::{AUTHORIZATION, COOKIE, HOST, HeaderMap, ORIGIN, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderName, Method};
use sluice_service::Peer;
use sluice_wire::AccountId;

use super::{ACCESS_COOKIE, Accounts, SessionId};
use crate::ApiError;

/// An account that asks. As an argument of a handler it is demanded (401 without); as `Option` it may be absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Its id.
    pub account: AccountId,
    /// The session that it asks in.
    pub session: SessionId,
    /// Its name, as others see it.
    pub name: String,
    /// What it may do beyond what all may.
    pub roles: Vec<String>,
}

impl Caller {
    /// Demands a role.
    ///
    /// # Errors
    /// 403 without it.
    pub fn needs(&self, role: &str) -> Result<(), ApiError> {
        if self.roles.iter().any(|one| one == role) {
            return Ok(());
        }
        Err(ApiError::new(
            403,
            "forbidden",
            "Forbidden",
            format!("this is for accounts with the role {role:?}"),
        ))
    }

    /// Whose its idempotency keys are: its id, as text.
    #[must_use]
    pub fn owner(&self) -> String {
        self.account.to_string()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        caller(parts)?.ok_or_else(|| unauthorised("sign in first: there is no access token"))
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, ApiError> {
        caller(parts)
    }
}

fn caller(parts: &Parts) -> Result<Option<Caller>, ApiError> {
    let accounts = parts.extensions.get::<Accounts>().expect("routes of apps are under their ground");
    let bearer =
        parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if let Some(token) = bearer {
        return accounts.read(token).map(Some);
    }
    let Some(token) = cookie(&parts.headers, ACCESS_COOKIE) else { return Ok(None) };
    if !parts.method.is_safe() {
        same_origin(&parts.method, &parts.headers)?;
    }
    accounts.read(token).map(Some)
}

/// True for a request that brings an access token, good or not.
pub(crate) fn brings_token(headers: &HeaderMap) -> bool {
    headers.contains_key(AUTHORIZATION) || cookie(headers, ACCESS_COOKIE).is_some()
}

/// A cookie of a request.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// How cookies are set for whoever asks. As an argument of a handler it refuses the pages of other sites: they would sign their
/// visitors into an account of theirs. Who is no page says nothing of where it comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cookies {
    /// They go over TLS alone: the client came by it.
    pub(super) secure: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Cookies {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let headers = &parts.headers;
        if headers.contains_key(ORIGIN) || headers.contains_key(SEC_FETCH_SITE) {
            same_origin(&parts.method, headers)?;
        }
        // The client's own edge is the first to say how it came.
        let told = headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok()?.split(',').next());
        let secure = match told {
            Some(told) => told.trim().eq_ignore_ascii_case("https"),
            None => parts.extensions.get::<Peer>().is_some_and(|peer| peer.secure),
        };
        Ok(Self { secure })
    }
}

/// Where a browser says what site a request comes from.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What a cookie lets in is also what another site's page can send: an unsafe request says where it comes from (Fetch
/// standard, `Origin` and `Sec-Fetch-Site`).
pub(super) fn same_origin(method: &Method, headers: &HeaderMap) -> Result<(), ApiError> {
    let field = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let site = field(&SEC_FETCH_SITE);
    let host = field(&HOST).unwrap_or_default();
    let same = match (site, field(&ORIGIN)) {
        (Some(site), None) => matches!(site, "same-origin" | "none"),
        (_, Some(origin)) => origin.split_once("://").is_some_and(|(_, at)| at.eq_ignore_ascii_case(host)),
        (None, None) => false,
    };
    if same {
        return Ok(());
    }
    let detail = format!(
        "a {method} that cookies let in, or that sets them, must come from a page of {host}: Origin says where it is from"
    );
    Err(ApiError::new(403, "cross-site", "From another site", detail))
}

pub(super) fn unauthorised(detail: &str) -> ApiError {
    ApiError::new(401, "unauthorised", "Not signed in", detail)
}

/// How a client is told to bring a token (RFC 6750 section 3).
pub(crate) const CHALLENGE: (HeaderName, &str) = (WWW_AUTHENTICATE, "Bearer");

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        fields.iter().for_each(|(name, value)| _ = headers.append(*name, value.parse().unwrap()));
        headers
    }

    #[test]
    fn another_sites_page_is_refused() {
        let of = |fields: &[(&'static str, &str)]| same_origin(&Method::POST, &headers(fields)).is_ok();
        let host = ("host", "shop.example:8080");
        assert!(of(&[host, ("origin", "http://shop.example:8080")]));
        assert!(of(&[host, ("sec-fetch-site", "same-origin")]));
        assert!(
            !of(&[host])
                && !of(&[host, ("origin", "null")])
                && !of(&[host, ("origin", "http://evil.example")])
        );
        assert!(!of(&[host, ("sec-fetch-site", "cross-site")]));
        assert!(!of(&[host, ("sec-fetch-site", "same-origin"), ("origin", "http://shop.example.evil")]));
    }

    #[test]
    fn one_cookie_of_several_is_found() {
        let headers = headers(&[("cookie", "a=1; sluice_access=x.y"), ("cookie", "b=2")]);
        assert_eq!(
            (cookie(&headers, "sluice_access"), cookie(&headers, "b"), cookie(&headers, "c")),
            (Some("x.y"), Some("2"), None)
        );
    }
}
