//! Access tokens of accounts, looked at before an origin is asked: they are good without asking anybody, until they end or
//! their session does. What an edge cannot tell is the origin's to judge: it knows what was revoked before this edge began, too, and
//! nothing that is one account's is answered here without it.

use crate::edge::Shared;
use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use sluice_service::{HttpRequest, HttpResponse, Peer, problem_response};
use sluice_wire::Problem;
use sluice_wire::token::{Grant, Refusal};
use std::net::{IpAddr, Ipv4Addr};

/// The cookie that a page's access token is in; apps set it.
const ACCESS_COOKIE: &str = "sluice_access";

/// Refuses a request whose access token has ended. A cookie that has is taken out of it instead: what it asks for may be
/// everybody's, and where it is not, the origin says so.
pub(crate) fn refused(edge: &Shared, request: &mut HttpRequest) -> Option<HttpResponse> {
    let peer = request.extensions().get::<Peer>();
    let from = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.addr.ip().to_canonical());
    let bearer =
        request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if let Some(why) = bearer.and_then(|token| ended(edge, token, from)) {
        edge.metrics.access(why.as_str());
        let detail = "the access token has expired, or its session has ended: renew it or sign in again";
        let mut answer = problem_response(Problem::new(401, "unauthorised", "Not signed in").detail(detail));
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return Some(answer);
    }
    let of_page = |token: &str| ended(edge, token, from).is_some();
    without_cookie(request.headers_mut(), of_page);
    None
}

/// Why a token is an account's that has ended; `None` for one that is good, and for what is none of an account's.
fn ended(edge: &Shared, token: &str, from: IpAddr) -> Option<Refusal> {
    if !token.contains('.') {
        return None;
    }
    match edge.access.bearer(token, from) {
        Ok(grant) if edge_knows_better(edge, &grant) => Some(Refusal::Expired),
        Err(Refusal::Expired) => Some(Refusal::Expired),
        Ok(_) | Err(_) => None,
    }
}

/// True when an account's session has ended since the token was minted.
fn edge_knows_better(edge: &Shared, grant: &Grant) -> bool {
    let minted_ms = grant.minted_ms.unwrap_or(0);
    let session = grant.session.as_deref();
    let names = [session, grant.subject.as_deref().filter(|_| session.is_some())];
    names.into_iter().flatten().any(|name| edge.revoked.is_revoked(name, None, minted_ms))
}

/// Takes an access token out of the cookies where it is to go.
fn without_cookie(headers: &mut HeaderMap, goes: impl Fn(&str) -> bool) {
    let Some(line) = headers.get(COOKIE).and_then(|line| line.to_str().ok()) else { return };
    let is_ended = |pair: &str| {
        let named = pair.trim().split_once('=').filter(|(name, _)| *name == ACCESS_COOKIE);
        named.is_some_and(|(_, token)| goes(token))
    };
    let rest: Vec<&str> = line.split(';').filter(|pair| !is_ended(pair)).map(str::trim).collect();
    if rest.len() == line.split(';').count() {
        return;
    }
    match HeaderValue::from_str(&rest.join("; ")) {
        Ok(rest) if !rest.is_empty() => drop(headers.insert(COOKIE, rest)),
        _ => drop(headers.remove(COOKIE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_tokens_cookie_goes_and_the_others_stay() {
        let of = |line: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, line.parse().unwrap());
            without_cookie(&mut headers, |token| token == "old");
            headers.get(COOKIE).map(|line| line.to_str().unwrap().to_owned())
        };
        assert_eq!(of("a=1; sluice_access=old; b=2").as_deref(), Some("a=1; b=2"));
        assert_eq!(of("sluice_access=old"), None);
        assert_eq!(of("a=old;sluice_access=new").as_deref(), Some("a=old;sluice_access=new"));
    }
}
