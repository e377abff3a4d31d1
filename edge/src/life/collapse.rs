//! Collapse: one fetch for all who ask for the same, and what becomes of those who wait for it; and fetches of one's own.

use super::lookup::{self, is_below};
use super::out::{not_kept, redirected};
use super::{Ask, BYPASS, Phase, Wanted, fetch};
use crate::cache::{Fill, Filled, Gone, Key, Object, Standing};
use crate::deliver::Served;
use crate::edge::Shared;
use crate::metrics::{Miss, Outcome};
use crate::parent::NoAnswer;
use crate::{floors, gate, redirect};
use http::Method;
use http::header::{AUTHORIZATION, COOKIE};
use sluice_service::problem_response;
use sluice_wire::{Problem, Tier};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Time until a fill's head must be there, over all its parents.
pub(super) const FILL_LIMIT: Duration = Duration::from_secs(14);
/// How long a player waits for media before it is sent to another edge, while a parent here is silent: less than it waits for a
/// first byte (2 s, as docs/control.md recommends).
const ELSEWHERE: Duration = Duration::from_millis(1_500);
/// How long one who has a stale copy that may stand in waits for news.
const PATIENCE: Duration = Duration::from_secs(1);
/// Fills tried for one request when what they bring is below its floors, or of another form.
pub(super) const FILL_TRIES: u32 = 3;

pub(super) async fn collapse(edge: &Arc<Shared>, mut ask: Ask, wanted: Wanted) -> Phase {
    if edge.cuts.lately(&ask.target.path, Instant::now())
        && is_first_asked(edge, &ask)
        && let Some(elsewhere) = redirected(edge, &ask, "detail=cut")
    {
        return elsewhere;
    }
    ask.tries += 1;
    let (fill, permit) = edge.fills.join(&wanted.key);
    let collapsed = permit.is_none();
    let stale = wanted.stale.clone();
    if let Some(permit) = permit {
        if let Some((object, ttl)) = lookup::brought(edge, &mut ask, &wanted) {
            permit.fill.settle(Filled::Again);
            return Phase::Deliver(ask, object, Served::Hit(ttl));
        }
        if !std::mem::replace(&mut ask.missed, true) {
            edge.metrics.missed(miss_class(edge, &ask, &wanted));
        }
        fetch::spawn(edge, permit, &ask, wanted.stale, wanted.slice);
    }
    // Its request had the cookies of whoever began it, and nobody's credentials: what is for one alone is for that one.
    let is_own = !collapsed && !ask.request.headers().contains_key(AUTHORIZATION);
    let own = || if is_own { fill.take() } else { None };
    let stands_in = fall_back(edge, &ask, stale.clone(), NoAnswer::Late);
    let patience = match &stands_in {
        Some(object) if fill.is_late() => {
            refresh(edge, &ask, &wanted.key, object);
            Duration::ZERO
        }
        Some(_) => PATIENCE,
        None => FILL_LIMIT,
    };
    let early = ELSEWHERE.min(patience);
    let filled = match timeout(early, fill.outcome()).await {
        Err(_) if !(edge.parents.any_is_suspect() && is_first_asked(edge, &ask)) => {
            timeout(patience - early, fill.outcome()).await
        }
        filled => filled,
    };
    let why = match filled {
        Ok(Filled::Object(object)) => {
            let served = Served::Fetched { why: wanted.why, collapsed, stored: true };
            return given(edge, ask, &fill, object, served);
        }
        // What is not shared is asked for as it was: a HEAD may be answered where a GET is not.
        Ok(Filled::NotShared) => {
            return match own().filter(|_| *ask.request.method() == Method::GET) {
                Some(answer) => not_kept(edge, &ask, answer, wanted.why),
                None => Phase::Alone(ask),
            };
        }
        Ok(Filled::Again) => return again(ask),
        Ok(Filled::Failed(why)) => why,
        Err(_) => {
            fill.mark_late();
            NoAnswer::Late
        }
    };
    match (fall_back(edge, &ask, stale, why), own()) {
        (Some(object), _) => Phase::Deliver(ask, object, Served::Stale),
        (None, Some(answer)) => not_kept(edge, &ask, answer, wanted.why),
        (None, None) => Phase::Unserved(ask, why),
    }
}

/// What a fill brought goes to who waited for it, if it is for that one.
fn given(edge: &Shared, mut ask: Ask, fill: &Fill, object: Arc<Object>, served: Served) -> Phase {
    let collapsed = matches!(served, Served::Fetched { collapsed: true, .. });
    let personal = fill.is_personal() || ask.request.headers().contains_key(COOKIE);
    if collapsed && personal && !may_be_reused(edge, &object) {
        return Phase::Alone(ask);
    }
    if is_below(edge, &ask, &object) {
        edge.metrics.floor_refusals.inc();
        return again(ask);
    }
    let for_all = || edge.searches.is_for_all(&ask.tenant, &ask.target.path, &object);
    let is_for_this = fill.is_of(&ask.target.as_text()) || for_all();
    if !object.is_selected_by(ask.request.headers()) || !is_for_this {
        // It turned out that answers vary, and this is another form.
        return again(ask);
    }
    if object.variance.is_some() {
        ask.key = edge.searches.key(&ask.tenant, &ask.target).unwrap_or(ask.key);
    }
    Phase::Deliver(ask, object, served)
}

/// True for what may answer other requests as it is. What must be validated first may be another's (RFC 9111 section 4).
fn may_be_reused(edge: &Shared, object: &Object) -> bool {
    matches!(object.standing(edge.liveness.is_live()), Standing::Fresh(_) | Standing::WhileRevalidating)
}

/// Looks again, or, where that was done often enough, asks for this asker alone.
pub(super) fn again(ask: Ask) -> Phase {
    if ask.tries < FILL_TRIES { Phase::Lookup(ask) } else { Phase::Alone(ask) }
}

/// True for a player's media that no other edge was asked for, and that another can be asked for.
fn is_first_asked(edge: &Shared, ask: &Ask) -> bool {
    edge.config.tier == Tier::Near
        && ask.target.tried.is_empty()
        && !gate::is_from_edge(ask.request.headers())
        && redirect::target(&edge.table(), &ask.target, &edge.config.node).is_some()
}

/// Asks for news of a stale copy in the background, also when what was asked before is late.
pub(super) fn refresh(edge: &Arc<Shared>, ask: &Ask, key: &Key, stale: &Arc<Object>) {
    let (fill, permit) = edge.fills.join(key);
    if let Some(permit) = permit.or_else(|| edge.fills.follow(key, &fill)) {
        fetch::spawn(edge, permit, ask, Some(Arc::clone(stale)), None);
    }
}

/// Each miss has exactly one class.
fn miss_class(edge: &Shared, ask: &Ask, wanted: &Wanted) -> Miss {
    match (&wanted.stale, wanted.gone) {
        (Some(stale), _) if is_below(edge, ask, stale) => Miss::Purged,
        (Some(_), _) => Miss::Expired,
        (None, Some(Gone::Purged)) => Miss::Purged,
        (None, Some(Gone::Evicted)) => Miss::Evicted,
        (None, None) if !ask.target.tried.is_empty() => Miss::Health,
        (None, None) if edge.has_moved_here(&ask.target) => Miss::RingMoved,
        (None, None) => Miss::FirstEver,
    }
}

/// No parent answered as it should: what is kept may do, if it says so and no floor forbids it.
pub(super) fn fall_back(
    edge: &Shared,
    ask: &Ask,
    stale: Option<Arc<Object>>,
    why: NoAnswer,
) -> Option<Arc<Object>> {
    stale.filter(|object| match lookup::standing(edge, ask, object) {
        Some(Standing::Fresh(_) | Standing::WhileRevalidating) => true,
        Some(Standing::Stale { if_error, .. }) if why == NoAnswer::Erred => if_error,
        Some(Standing::Stale { if_disconnected, .. }) => if_disconnected,
        None => false,
    })
}

/// As it was asked, for this asker alone: nobody waits for it, and it waits for nobody. What may be shared after all is
/// kept.
pub(super) async fn alone(edge: &Arc<Shared>, ask: Ask) -> Phase {
    let permit = edge.fills.alone(&ask.key);
    let fill = Arc::clone(&permit.fill);
    fetch::spawn_alone(edge, permit, &ask);
    match timeout(FILL_LIMIT, fill.outcome()).await {
        Ok(Filled::Object(object)) if is_client_ahead(edge, &ask, &object) => {
            let detail = "no origin has the version that Sluice-At-Least names";
            let problem = Problem::new(412, "version-unknown", "Version unknown").detail(detail);
            Phase::Done(problem_response(problem), Outcome::Refused)
        }
        Ok(Filled::Object(object)) => {
            let served = Served::Fetched { why: BYPASS, collapsed: false, stored: true };
            Phase::Deliver(ask, object, served)
        }
        Ok(outcome) => match (fill.take(), outcome) {
            (Some(answer), _) => not_kept(edge, &ask, answer, BYPASS),
            (None, Filled::Failed(why)) => Phase::Unserved(ask, why),
            (None, _) => Phase::Unserved(ask, NoAnswer::Unreachable),
        },
        Err(_) => Phase::Unserved(ask, NoAnswer::Late),
    }
}

/// True when a client demands more than an origin has just answered.
fn is_client_ahead(edge: &Shared, ask: &Ask, object: &Object) -> bool {
    edge.config.tier == Tier::Near && floors::is_below(object, &ask.floors)
}
