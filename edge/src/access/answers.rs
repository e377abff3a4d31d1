//! Answers about access: refusals, preflights, and what is added to an answer that was let through.

use super::credentials::{CAT_FIELD, Credential};
use super::rate::{Left, Rate};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, CACHE_CONTROL,
    HeaderMap, HeaderValue, ORIGIN, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE,
};
use http::{Method, StatusCode};
use sluice_service::{Body, HttpResponse, problem_response};
use sluice_wire::Problem;
use sluice_wire::headers::{ACCESS_LIST, SLUICE_ACCESS};
use sluice_wire::token::Refusal;
use std::time::Duration;

/// Fields of a refusal that pages of any origin may read.
const EXPOSED: &str = "www-authenticate, retry-after, ratelimit, ratelimit-policy, sluice-node, x-request-id";

/// A refusal: problem+json, the challenge of RFC 6750 section 3, readable for players of any origin.
pub(crate) fn refusal(why: Refusal) -> HttpResponse {
    let title = match why.status() {
        400 => "Bad credentials",
        403 => "Not allowed",
        429 => "Too many requests",
        _ => "Not authorised",
    };
    let problem = Problem::new(why.status(), &format!("access-{}", why.as_str()), title);
    let mut answer = problem_response(problem.detail(why.detail()));
    let headers = answer.headers_mut();
    let error = why.error().map_or_else(String::new, |error| {
        format!(", error=\"{error}\", error_description=\"{}\"", why.detail())
    });
    if why.status() != 429
        && let Ok(challenge) = HeaderValue::from_str(&format!("Bearer realm=\"sluice\"{error}"))
    {
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    answer
}

/// Too many requests (RFC 6585), and when there is room again (RFC 9110 section 10.2.3).
pub(crate) fn too_many(rate: Rate, wait: Duration) -> HttpResponse {
    let mut answer = refusal(Refusal::Rate);
    let headers = answer.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds(wait)));
    rate_fields(headers, rate, 0, wait);
    answer
}

/// `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers).
fn rate_fields(headers: &mut HeaderMap, rate: Rate, left: u64, reset: Duration) {
    let policy = format!("\"requests\";q={};w={}", rate.requests, rate.seconds);
    let now = format!("\"requests\";r={left};t={}", seconds(reset));
    for (name, value) in [("ratelimit-policy", policy), ("ratelimit", now)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
}

/// Whole seconds, rounded up: who comes back then finds room.
const fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + (wait.subsec_nanos() > 0) as u64
}

/// The method a preflight asks for. It carries no credentials, and asks for nothing but leave to bring them.
pub(crate) fn preflight<'a>(method: &Method, headers: &'a HeaderMap) -> Option<&'a str> {
    let wanted = headers.get(ACCESS_CONTROL_REQUEST_METHOD)?.to_str().ok()?;
    (*method == Method::OPTIONS && headers.contains_key(ORIGIN)).then_some(wanted)
}

/// Leave to bring a credential in a field: a parent that knows nothing of them would not give it.
pub(crate) fn preflight_answer(wanted: &str) -> HttpResponse {
    let mut answer = HttpResponse::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    let asked = format!("authorization, {CAT_FIELD}, range, content-type, if-none-match, if-modified-since");
    for (name, value) in
        [(ACCESS_CONTROL_ALLOW_HEADERS, asked.as_str()), (ACCESS_CONTROL_ALLOW_METHODS, wanted)]
    {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// The cookie that carries on what came in a query: what a playlist names has no query of its own.
pub(crate) fn cookie(name: &str, credential: &Credential, scope: &str, seconds: u64, secure: bool) -> String {
    // A player's page may be of another site; only over TLS may a cookie go there.
    let site = if secure { "SameSite=None; Secure" } else { "SameSite=Lax" };
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"/-._~".contains(&c);
    let path = if scope.bytes().all(plain) { scope } else { "/" };
    format!("{name}={}; Path={path}; Max-Age={seconds}; HttpOnly; {site}", credential.cookie)
}

/// What an asker may have of what is guarded: answers that say themselves that they need a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// It has shown a token for this path.
    Shown,
    /// It is an edge that asks its own clients.
    Edge,
    /// It is a list, whose origin has said what its reader may see.
    List,
    /// It has not, for this reason.
    Not(Refusal),
}

impl Default for Proof {
    fn default() -> Self {
        Self::Not(Refusal::Missing)
    }
}

impl Proof {
    /// Why a guarded answer may not be had; `None` when it may. A token does not open what is for lists, and a list not what is
    /// for who has a token.
    fn lacks(self, headers: &HeaderMap) -> Option<Refusal> {
        let for_lists =
            headers.get(SLUICE_ACCESS).is_some_and(|says| says.as_bytes() == ACCESS_LIST.as_bytes());
        match self {
            Self::Edge => None,
            Self::Shown if !for_lists => None,
            Self::List if for_lists => None,
            Self::Shown | Self::List => Some(Refusal::Path),
            Self::Not(why) => Some(why),
        }
    }
}

/// What an answer gets that was let through by a credential.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dress {
    /// Whether it may be had if it is guarded.
    pub(crate) proof: Proof,
    /// It is for this client alone: caches beyond this fleet do not ask for credentials.
    pub(crate) private: bool,
    /// The cookie to set, when all went well.
    pub(crate) cookie: Option<String>,
    /// What is left of the client's rate.
    pub(crate) rate: Option<(Rate, Left)>,
}

impl Dress {
    /// Dresses an answer; a guarded one for an asker who may not have it becomes a refusal, whose reason this is. It is
    /// the last that happens to every answer, so that nothing guarded leaves by another way: not out of the cache, not
    /// confirmed, not in part.
    pub(crate) fn put_on(mut self, answer: &mut HttpResponse) -> Option<Refusal> {
        let guarded = is_guarded(answer.headers());
        if guarded && let Some(why) = self.proof.lacks(answer.headers()) {
            *answer = refusal(why);
            return Some(why);
        }
        match self.proof {
            Proof::Edge if guarded => return None,
            Proof::Shown | Proof::List if guarded => {
                self.private = true;
                answer.headers_mut().remove(SLUICE_ACCESS);
            }
            _ => self.cookie = self.cookie.filter(|_| self.private),
        }
        let good = answer.status().is_success();
        let headers = answer.headers_mut();
        if let Some((rate, left)) = self.rate {
            rate_fields(headers, rate, left.requests, left.full_in);
        }
        if self.private {
            let said = headers.get(CACHE_CONTROL).and_then(|v| v.to_str().ok()).unwrap_or_default();
            if let Ok(value) = HeaderValue::from_str(&private(said)) {
                headers.insert(CACHE_CONTROL, value);
            }
        }
        let cookie = self.cookie.filter(|_| good).and_then(|text| HeaderValue::from_str(&text).ok());
        if let Some(cookie) = cookie {
            headers.append(SET_COOKIE, cookie);
        }
        None
    }
}

/// True for an answer that is for those alone who show a token. What is said and not understood counts as that, too.
pub(crate) fn is_guarded(headers: &HeaderMap) -> bool {
    headers.contains_key(SLUICE_ACCESS)
}

/// Directives for one client's own cache (RFC 9111 section 5.2.2.7).
fn private(said: &str) -> String {
    let shared = |one: &&str| {
        let name = one.split('=').next().unwrap_or_default().trim().to_ascii_lowercase();
        !matches!(name.as_str(), "" | "public" | "private" | "s-maxage")
    };
    let kept = said.split(',').map(str::trim).filter(shared);
    std::iter::once("private").chain(kept).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::credentials::Kind;

    #[test]
    fn a_refusal_is_a_challenge_that_pages_can_read() {
        let answer = refusal(Refusal::Expired);
        let field = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(answer.status(), 401);
        assert!(field("www-authenticate").starts_with("Bearer realm=\"sluice\", error=\"invalid_token\""));
        assert_eq!(
            (field("access-control-allow-origin"), field("cache-control")),
            ("*".into(), "no-store".into())
        );
        assert_eq!(refusal(Refusal::Missing).headers()["www-authenticate"], "Bearer realm=\"sluice\"");
        assert_eq!(
            (refusal(Refusal::Path).status(), refusal(Refusal::Several).status()),
            (StatusCode::FORBIDDEN, StatusCode::BAD_REQUEST)
        );
    }

    #[test]
    fn a_protected_answer_is_for_its_client_alone() {
        assert_eq!(private("public, max-age=60, s-maxage=9, immutable"), "private, max-age=60, immutable");
        assert_eq!((private(""), private("no-store")), ("private".into(), "private, no-store".into()));
    }

    #[test]
    fn what_is_for_lists_is_in_lists_alone_and_what_is_for_a_token_in_none() {
        let of = |says: &'static str, proof: Proof| {
            let mut headers = HeaderMap::new();
            headers.insert(SLUICE_ACCESS, HeaderValue::from_static(says));
            proof.lacks(&headers)
        };
        assert_eq!((of("list", Proof::List), of("token", Proof::List)), (None, Some(Refusal::Path)));
        assert_eq!((of("list", Proof::Shown), of("token", Proof::Shown)), (Some(Refusal::Path), None));
        assert_eq!((of("list", Proof::Edge), of("x", Proof::List)), (None, Some(Refusal::Path)));
        assert_eq!(of("list", Proof::default()), Some(Refusal::Missing));
    }

    #[test]
    fn a_cookie_is_no_wider_than_its_rule() {
        let credential = Credential {
            kind: Kind::Token("t".into()),
            in_query: true,
            query: "q=t".into(),
            cookie: "t".into(),
        };
        let of = |scope, secure| cookie("c", &credential, scope, 9, secure);
        assert_eq!(of("/v/", true), "c=t; Path=/v/; Max-Age=9; HttpOnly; SameSite=None; Secure");
        assert_eq!(of("/;Domain=x", false), "c=t; Path=/; Max-Age=9; HttpOnly; SameSite=Lax");
    }
}
