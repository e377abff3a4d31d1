//! Lookup: whether what is kept may be served to a request, as it stands.

use super::sliced::{self, Way};
use super::{Ask, Phase, Wanted, fall_back, is_below, refresh};
use crate::cache::{Directives, Found, Object, Scope, Standing};
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
    let asked = Directives::of(ask.request.headers(), CACHE_CONTROL.as_str());
    let authorised = ask.request.headers().contains_key(AUTHORIZATION);
    let wanted = match edge.store.find(&ask.key, ask.request.headers()) {
        Found::Object(_, object) if authorised && !object.head.lifetimes.for_authorised => {
            return Phase::Alone(ask);
        }
        Found::Object(key, object) => match stands(edge, &ask, &asked, &object) {
            Standing::Fresh(ttl) => return Phase::Deliver(ask, object, Served::Hit(ttl)),
            Standing::WhileRevalidating => {
                refresh(edge, &ask, &key, &object);
                return Phase::Deliver(ask, object, Served::Stale);
            }
            // Nobody waits for parents that are down; they are asked all the same, so that their return is noticed.
            Standing::Stale { .. }
                if edge.parents.are_suspect(&parent::of_miss(edge, &ask.target))
                    && fall_back(edge, &ask, Some(Arc::clone(&object)), NoAnswer::Late).is_some() =>
            {
                refresh(edge, &ask, &key, &object);
                return Phase::Deliver(ask, object, Served::Stale);
            }
            Standing::Stale { .. } => {
                Wanted { key, stale: Some(object), why: "stale", gone: None, slice: None }
            }
        },
        Found::Unshared => return missing(&asked).unwrap_or(Phase::Alone(ask)),
        Found::NoVariant(key) => Wanted { key, stale: None, why: "vary-miss", gone: None, slice: None },
        Found::Nothing(key, gone) => {
            let slice = match sliced::way(edge, &ask) {
                Way::Sliced(sliced) if !asked.only_if_cached => return Phase::Sliced(ask, sliced),
                Way::First(slice) => Some(slice),
                Way::Sliced(_) | Way::Whole => None,
            };
            Wanted { key, stale: None, why: "uri-miss", gone, slice }
        }
    };
    if let Some(refused) = missing(&asked) {
        return refused;
    }
    // Credentials are for this asker alone, and so may the answer be.
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
