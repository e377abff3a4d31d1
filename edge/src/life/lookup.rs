//! Lookup: whether what is kept may be served to a request, as it stands.

use super::collapse::{fall_back, refresh};
use super::sliced::{self, Way};
use super::{Ask, Phase, Wanted};
use crate::cache::{Directives, Found, Gone, Key, Object, Scope, Standing};
use crate::deliver::Served;
use crate::edge::Shared;
use crate::floors::{self, marks};
use crate::metrics::Outcome;
use crate::parent::{self, NoAnswer};
use http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderMap, PRAGMA};
use sluice_service::problem_response;
use sluice_wire::Problem;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn lookup(edge: &Arc<Shared>, mut ask: Ask) -> Phase {
    let (key, why, gone) = match find(edge, &mut ask) {
        Found::Object(key, object) => return kept(edge, ask, key, object),
        Found::Unshared => return missing(&directives(&ask)).unwrap_or(Phase::Alone(ask)),
        Found::NoVariant(key) => (key, "vary-miss", None),
        Found::Nothing(key, gone) => (key, URI_MISS, gone),
    };
    let wanted = Wanted { key, stale: None, why, gone, slice: None };
    let on_disk = edge.store.may_recall(&ask.key) || edge.store.may_recall_slices(&ask.key);
    if on_disk { Phase::Recall(ask, wanted) } else { absent(edge, ask, wanted) }
}

/// What is kept for a request: for all queries of its class, where answers of its path have said which these are, or for
/// its own spelling. What it is, or is to be, kept under is its key from now on.
fn find(edge: &Shared, ask: &mut Ask) -> Found {
    let look = |key: &Key| edge.store.find(key, ask.request.headers());
    let own = || Key::new(&ask.tenant, &ask.target.as_text());
    let Some(class) = edge.searches.key(&ask.tenant, &ask.target) else {
        if ask.tries > 0 {
            ask.key = own();
        }
        return match edge.store.find(&ask.key, ask.request.headers()) {
            Found::Object(key, object) if !edge.searches.holds(&ask.tenant, &ask.target.path, &object) => {
                Found::Nothing(key, None)
            }
            found => found,
        };
    };
    let found = match look(&class) {
        Found::Object(key, object) if !edge.searches.serves(&ask.tenant, &ask.target, &class, &object) => {
            Found::Nothing(key, None)
        }
        found => found,
    };
    let alone = matches!(found, Found::Nothing(..)).then(own);
    let kept = alone.map(|own| (look(&own), own));
    if let Some((Found::Object(key, object), own)) = kept
        && object.variance.is_none()
    {
        ask.key = own;
        return Found::Object(key, object);
    }
    ask.key = class;
    found
}

/// What another fill has brought since nothing was found that does, where it may be served as it is: whoever gets a permit
/// looks again, since no other fill of the key ends while it has that. Fresh for so long.
pub(super) fn brought(edge: &Shared, ask: &mut Ask, wanted: &Wanted) -> Option<(Arc<Object>, Duration)> {
    if !edge.store.holds_other(&wanted.key, wanted.stale.as_ref()) {
        return None;
    }
    let asked_as = ask.key.clone();
    let brought = fresh(edge, ask);
    if brought.is_none() {
        // The permit is for what it was asked as.
        ask.key = asked_as;
    }
    brought
}

/// What is kept for a request and may be served as it is.
fn fresh(edge: &Shared, ask: &mut Ask) -> Option<(Arc<Object>, Duration)> {
    let Found::Object(_, object) = find(edge, ask) else { return None };
    if ask.request.headers().contains_key(AUTHORIZATION) && !object.head.lifetimes.for_authorised {
        return None;
    }
    match stands(edge, ask, &directives(ask), &object)? {
        Standing::Fresh(ttl) => Some((object, ttl)),
        Standing::WhileRevalidating | Standing::Stale { .. } => None,
    }
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
        None => purged(edge, ask, key),
        Some(Standing::Fresh(ttl)) => Phase::Deliver(ask, object, Served::Hit(ttl)),
        Some(Standing::WhileRevalidating) => {
            refresh(edge, &ask, &key, &object);
            Phase::Deliver(ask, object, Served::Stale)
        }
        // Nobody waits for parents that are down; they are asked all the same, so that their return is noticed.
        Some(Standing::Stale { .. })
            if !object.is_aside()
                && edge.parents.are_suspect(&parent::of_miss(edge, &ask.target))
                && fall_back(edge, &ask, Some(Arc::clone(&object)), NoAnswer::Late).is_some() =>
        {
            refresh(edge, &ask, &key, &object);
            Phase::Deliver(ask, object, Served::Stale)
        }
        Some(Standing::Stale { .. }) => {
            missed(ask, Wanted { key, stale: Some(object), why: "stale", gone: None, slice: None })
        }
    }
}

/// What was kept is never to be served again, nor validated: it is as if nothing had been kept.
fn purged(edge: &Arc<Shared>, ask: Ask, key: Key) -> Phase {
    edge.store.invalidate(&key);
    absent(edge, ask, Wanted { key, stale: None, why: URI_MISS, gone: Some(Gone::Purged), slice: None })
}

/// What memory has not may be on disk.
pub(super) async fn recall(edge: &Arc<Shared>, ask: Ask, wanted: Wanted) -> Phase {
    let found = if edge.store.may_recall(&ask.key) {
        edge.store.recall(&ask.key, ask.request.headers()).await
    } else {
        None
    };
    let Some(object) = found.filter(|object| serves(edge, &ask, object)) else {
        return slices(edge, ask, wanted).await;
    };
    if standing(edge, &ask, &object).is_none() {
        edge.store.invalidate(&ask.key);
        return purged(edge, ask, wanted.key);
    }
    if !edge.floors.is_settled() {
        // What happened while this process was down is still to be heard: a parent is asked, and what is here serves only
        // if none answers.
        let for_all = object.head.lifetimes.for_authorised;
        let may_stand_in = for_all || !ask.request.headers().contains_key(AUTHORIZATION);
        let stale = Some(object).filter(|_| may_stand_in);
        return missed(ask, Wanted { stale, why: "stale", ..wanted });
    }
    edge.store.remember(&ask.key, Arc::clone(&object));
    // While the disk was read, another fill may have brought a newer one, or may be bringing it.
    let place = object.place(&ask.key);
    if edge.fills.brought(&place).is_some_and(|coming| coming.is_newer_than(&object)) {
        return missed(ask, Wanted { stale: Some(object), why: "stale", ..wanted });
    }
    let newer = edge.store.peek(&place).filter(|now| now.is_newer_than(&object) && serves(edge, &ask, now));
    kept(edge, ask, wanted.key, newer.unwrap_or(object))
}

/// True when what is kept under a request's key is of the form and for the query that it asks for.
fn serves(edge: &Shared, ask: &Ask, object: &Object) -> bool {
    object.is_selected_by(ask.request.headers())
        && edge.searches.serves(&ask.tenant, &ask.target, &ask.key, object)
}

/// Slices may be on disk, of a generation that an earlier process has begun.
async fn slices(edge: &Arc<Shared>, ask: Ask, wanted: Wanted) -> Phase {
    if edge.store.may_recall_slices(&ask.key) {
        if !edge.floors.is_settled() {
            // Whether they may be served is still to be heard. Until then they stay as they are, and nothing is learned.
            return missing(&directives(&ask)).unwrap_or(Phase::Pass(ask));
        }
        edge.store.recall_slices(&ask.key).await;
    }
    absent(edge, ask, wanted)
}

/// Nothing is here: a large object comes in slices.
fn absent(edge: &Arc<Shared>, ask: Ask, mut wanted: Wanted) -> Phase {
    if wanted.why == URI_MISS {
        match sliced::way(edge, &ask) {
            Way::Sliced(sliced) if !directives(&ask).only_if_cached => return Phase::Sliced(ask, sliced),
            Way::Alone if !directives(&ask).only_if_cached => return Phase::Alone(ask),
            Way::First(slice) => wanted.slice = Some(slice),
            Way::Sliced(_) | Way::Whole | Way::Alone => {}
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

/// True when an object is older than what this edge or the asker has heard of.
pub(super) fn is_below(edge: &Shared, ask: &Ask, object: &Object) -> bool {
    verdict(edge, ask, object) != floors::Verdict::Above
}

/// How an object stands to what this edge or the asker has heard of.
fn verdict(edge: &Shared, ask: &Ask, object: &Object) -> floors::Verdict {
    edge.floors.stand(object, &ask.floors, || marks::all(&ask.tenant, &ask.target.as_text()))
}

/// How an object stands by floors and time. `None` when it is never to be served again.
pub(super) fn standing(edge: &Shared, ask: &Ask, object: &Object) -> Option<Standing> {
    verdict(edge, ask, object).standing(object, edge.liveness.is_live())
}

fn stands(edge: &Shared, ask: &Ask, asked: &Directives, object: &Object) -> Option<Standing> {
    let standing = standing(edge, ask, object)?;
    let below = is_below(edge, ask, object);
    if below || !edge.live().cache.heed_clients {
        return Some(standing);
    }
    Some(heeding(standing, asked, ask.request.headers(), object.age()))
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
