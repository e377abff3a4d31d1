//! Who may listen: channel tokens, checked offline.

use super::channel::Listener;
use crate::edge::Shared;
use http::header::HeaderValue;
use sluice_wire::token::Refusal;
use sluice_wire::{Problem, Tag, channel};
use std::net::IpAddr;
use std::sync::Arc;

/// Whom a token lets listen to a channel, from an address.
///
/// # Errors
/// Why it does not.
pub(super) fn check(
    edge: &Shared,
    token: &str,
    channel: &Tag,
    from: IpAddr,
) -> Result<Arc<Listener>, Problem> {
    let refuse = |why: Refusal| {
        edge.metrics.access(why.as_str());
        let kind = format!("access-{}", why.as_str());
        Problem::new(why.status(), &kind, "Not authorised").detail(why.detail())
    };
    let grant = edge.access.bearer(token, from).map_err(refuse)?;
    if !channel::covers(&grant.channels, channel) {
        return Err(Problem::new(403, "channel-not-named", "Not allowed")
            .detail("the token does not name this channel"));
    }
    let seen = grant.seen(channel.as_str());
    let subject = grant.subject.ok_or_else(|| refuse(Refusal::Malformed))?;
    // One that does not say when it was minted may have been before any revocation.
    let minted_ms = grant.minted_ms.unwrap_or(0);
    let until_s = grant.expires.unwrap_or(0);
    Ok(Arc::new(Listener { subject, session: grant.session, minted_ms, seen, until_s }))
}

/// A token that was good once.
pub(super) fn revoked() -> Problem {
    Problem::new(403, "token-revoked", "Not allowed any more")
        .detail("what the token stood for has been withdrawn")
}

/// The end of a token.
pub(super) fn expired() -> Problem {
    Problem::new(401, "access-expired", "Not authorised")
        .detail("the token has expired: subscribe with another")
}

/// The token in `Authorization: Bearer`.
pub(super) fn of(authorization: &HeaderValue) -> Option<&str> {
    let (scheme, token) = authorization.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
