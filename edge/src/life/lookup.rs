//! Lookup: whether what is kept may be served to a request, as it stands.

use super::sliced::{self, Way};
use super::{Ask, Phase, Wanted, fall_back, is_below, refresh};
use crate::cache::{Directives, Found, Key, Object, Scope, Standing};
use crate::deliver::Served;
use crate::edge::Shared;
use crate::metrics::Outcome;
use crate::parent::{self, NoAnswer};
use http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderMap, PRAGMA};
use sluice_service::problem_response;
use sluice_wire::Problem;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn lookup(edge: &Arc<Shared>, ask: Ask) -> Phase {
    let (key, why, gone) = match edge.store.find(&ask.key, ask.request.headers()) {
        Found::Object(key, object) => return kept(edge, ask, key, object),
        Found::Unshared => return missing(&directives(&ask)).unwrap_or(Phase::Alone(ask)),
        Found::NoVariant(key) => (key, "vary-miss", None),
        Found::Nothing(key, gone) => (key, URI_MISS, gone),
    };
    let wanted = Wanted { key, stale: None, why, gone, slice: None };
    if edge.store.may_recall(&ask.key) { Phase::Recall(ask, wanted) } else { absent(edge, ask, wanted) }
}

/// As RFC 9211 calls that nothing is kept under a target.
const URI_MISS: &str = "uri-miss";

fn directives(ask: &Ask) -> Directives {
    Directives::of(ask.request.headers(), CACHE_CONTROL.as_str())
}

/// What is kept may be served, or news of it must be asked for.
fn kept(edge: &Arc<Shared>, ask: Ask, key: Key, object: Arc<Object>) -> Phase {
    if ask.request.headers().contains_key(AUTHORIZATION) && !object.head.lifetimes.for_authorised {
        return Phase::Alone(ask);
    }
    match stands(edge, &ask, &directives(&ask), &object) {
        Standing::Fresh(ttl) => Phase::Deliver(ask, object, Served::Hit(ttl)),
        Standing::WhileRevalidating => {
            refresh(edge, &ask, &key, &object);
            Phase::Deliver(ask, object, Served::Stale)
        }
        // Nobody waits for parents that are down; they are asked all the same, so that their return is noticed.
        Standing::Stale { .. }
            if edge.parents.are_suspect(&parent::of_miss(edge, &ask.target))
                && fall_back(edge, &ask, Some(Arc::clone(&object)), NoAnswer::Late).is_some() =>
        {
            refresh(edge, &ask, &key, &object);
            Phase::Deliver(ask, object, Served::Stale)
        }
        Standing::Stale { .. } => {
            missed(ask, Wanted { key, stale: Some(object), why: "stale", gone: None, slice: None })
        }
    }
}

/// What memory has not may be on disk.
pub(super) async fn recall(edge: &Arc<Shared>, ask: Ask, wanted: Wanted) -> Phase {
    let found = edge.store.recall(&ask.key, ask.request.headers()).await;
    let Some(object) = found.filter(|object| object.is_selected_by(ask.request.headers())) else {
        return absent(edge, ask, wanted);
    };
    if !edge.floors.is_settled() {
        // What happened while this process was down is still to be heard: a parent is asked, and what is here serves only
        // if none answers.
        let for_all = object.head.lifetimes.for_authorised;
        let may_stand_in = for_all || !ask.request.headers().contains_key(AUTHORIZATION);
        let stale = Some(object).filter(|_| may_stand_in);
        return missed(ask, Wanted { stale, why: "stale", ..wanted });
    }
    edge.store.remember(&ask.key, Arc::clone(&object));
    kept(edge, ask, wanted.key, object)
}

/// Nothing is here: a large object comes in slices.
fn absent(edge: &Arc<Shared>, ask: Ask, mut wanted: Wanted) -> Phase {
    if wanted.why == URI_MISS {
        match sliced::way(edge, &ask) {
            Way::Sliced(sliced) if !directives(&ask).only_if_cached => return Phase::Sliced(ask, sliced),
            Way::First(slice) => wanted.slice = Some(slice),
            Way::Sliced(_) | Way::Whole => {}
        }
    }
    missed(ask, wanted)
}

/// Nothing can be served without asking a parent.
fn missed(ask: Ask, wanted: Wanted) -> Phase {
    if let Some(refused) = missing(&directives(&ask)) {
        return refused;
    }
    // Credentials are for this asker alone, and so may the answer be.
    let authorised = ask.request.headers().contains_key(AUTHORIZATION);
    if authorised && wanted.stale.is_none() { Phase::Alone(ask) } else { Phase::Collapse(ask, wanted) }
}

/// `only-if-cached`: nothing is fetched for this request (RFC 9111 section 5.2.1.7).
fn missing(asked: &Directives) -> Option<Phase> {
    asked.only_if_cached.then(|| {
        let problem = Problem::new(504, "only-if-cached", "Not in the cache")
            .detail("the request asks for what is kept, and this is not");
        Phase::Done(problem_response(problem), Outcome::Refused)
    })
}

fn stands(edge: &Shared, ask: &Ask, asked: &Directives, object: &Object) -> Standing {
    let never = Standing::Stale { if_error: false, if_disconnected: false };
    if is_below(edge, ask, object) {
        return never;
    }
    let standing = object.standing(edge.liveness.is_live());
    if !edge.live().cache.heed_clients {
        return standing;
    }
    heeding(standing, asked, ask.request.headers(), object.age())
}

/// What a client's own wishes make of a standing (RFC 9111 section 5.2.1).
fn heeding(standing: Standing, asked: &Directives, request: &HeaderMap, age: Duration) -> Standing {
    let pragma = !request.contains_key(CACHE_CONTROL)
        && request.get(PRAGMA).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"no-cache"));
    let refused = pragma
        || asked.no_cache != Scope::Absent
        || asked.no_store
        || asked.max_age.is_some_and(|most| age > Duration::from_secs(most));
    let stale = Standing::Stale { if_error: true, if_disconnected: true };
    match standing {
        _ if refused => stale,
        Standing::Fresh(left) if asked.min_fresh.is_some_and(|s| left < Duration::from_secs(s)) => stale,
        standing => standing,
    }
}
