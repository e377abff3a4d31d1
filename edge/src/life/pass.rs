//! What is passed through: it is neither looked up nor kept.

use super::out::watched;
use super::{Ask, Phase};
use crate::cache::Key;
use crate::deliver;
use crate::edge::Shared;
use crate::floors::Aim;
use crate::lent::Lent;
use crate::metrics::Outcome;
use crate::parent::{self, NoAnswer};
use crate::tenant::Tenant;
use http::Uri;
use http::header::{CONTENT_LOCATION, HOST, HeaderMap, LOCATION};
use sluice_service::{Body, HttpRequest};

/// To an origin, by way of a shield unless that hears of changes anyway, both bodies streaming. What succeeds in changing
/// something makes its copies here unusable.
pub(super) async fn pass(edge: &Shared, ask: Ask) -> Phase {
    let headers = parent::pass_headers(edge, &ask.request, &ask.tenant);
    let (method, target) = (ask.request.method().clone(), ask.target.as_text());
    let parents = parent::of_unsafe(edge, &ask.target);
    let Ask { request, target: asked, tenant, key, floors, tries, missed } = ask;
    let (mut parts, body) = request.into_parts();
    parts.headers = headers;
    let kept = (parts.method.clone(), parts.headers.clone());
    let patience = edge.live().streams.patience(&asked.path);
    let (lent, mut answered) = (Lent::new(body), Err(NoAnswer::Unconnected));
    for parent in &parents {
        let request = HttpRequest::from_parts(parts.clone(), Body::new(lent.clone()));
        answered = edge.parents.ask_within(parent, request, &target, patience).await;
        // Only what was never sent may be sent again.
        if !matches!(answered, Err(NoAnswer::Unconnected)) || lent.has_begun() {
            break;
        }
    }
    match answered {
        Ok(answer) => {
            let mut answer = watched(edge, &asked, answer);
            if !method.is_safe() && answer.status().as_u16() < 400 {
                invalidate(edge, (&tenant, &key), &kept.1, answer.headers());
                edge.searches.key(&tenant, &asked).iter().for_each(|class| forget(edge, class));
            }
            deliver::label(
                answer.headers_mut(),
                &edge.config.node,
                if method.is_safe() { "fwd=bypass" } else { "fwd=method" },
            );
            Phase::Done(answer, Outcome::Bypass)
        }
        Err(why) => {
            let mut request = HttpRequest::new(Body::empty());
            (*request.method_mut(), *request.headers_mut()) = kept;
            Phase::Unserved(Ask { request, target: asked, tenant, key, floors, tries, missed }, why)
        }
    }
}

/// An unsafe method succeeded: its target's copies are unusable, and those of what the answer points at on the same
/// host (RFC 9111 section 4.4).
fn invalidate(edge: &Shared, (tenant, key): (&Tenant, &Key), asked: &HeaderMap, answer: &HeaderMap) {
    forget(edge, key);
    let host = asked.get(HOST).and_then(|v| v.to_str().ok()).unwrap_or_default();
    for name in [LOCATION, CONTENT_LOCATION] {
        let Some(uri) = answer.get(name).and_then(|v| v.to_str().ok()?.parse::<Uri>().ok()) else { continue };
        let here = uri.authority().is_none_or(|authority| authority.as_str().eq_ignore_ascii_case(host));
        if let Some(path) = uri.path_and_query().filter(|_| here) {
            forget(edge, &Key::new(tenant, path.as_str()));
        }
    }
}

/// Forgets what is kept under a key, and what a fill that is under way will bring: it may have been asked for before.
fn forget(edge: &Shared, key: &Key) {
    if edge.fills.are_under_way(key) {
        let own = key.marks().first().copied();
        own.into_iter().for_each(|mark| edge.floors.purge_here(&[Aim::Mark(mark)], false));
    }
    edge.store.invalidate(key);
}
