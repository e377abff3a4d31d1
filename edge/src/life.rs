//! A request's life: one enum of phases, a function for each.
//!
//! ```text
//! accept -> normalise -> lookup -> deliver
//!                           |-> collapse -> deliver | redirect | refuse
//!                           `-> pass
//! ```

mod fetch;

use crate::cache::{Filled, Key, Object, Standing};
use crate::deliver::{self, Served};
use crate::edge::Shared;
use crate::gate::{self, Target};
use crate::metrics::Outcome;
use crate::parent::{self, NoAnswer};
use crate::redirect;
use http::Method;
use http::header::AUTHORIZATION;
use sluice_service::{Body, HttpRequest, HttpResponse, problem_response};
use sluice_wire::headers::SLUICE_FLOOR;
use sluice_wire::tag::{Tag, Version, parse_versions};
use sluice_wire::{Problem, Tier};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Time until a fill's head must be there, over all its parents.
const FILL_LIMIT: Duration = Duration::from_secs(25);
/// Fills tried for one request when what they bring is below its floors.
const FILL_TRIES: u32 = 2;

/// A request that was let in.
pub(crate) struct Ask {
    pub(crate) request: HttpRequest,
    pub(crate) target: Target,
    pub(crate) key: Key,
    /// Versions that the asker (a lower tier) knows of.
    pub(crate) floors: Vec<(Tag, Version)>,
    tries: u32,
}

/// Where a request is in its life.
enum Phase {
    Accept(HttpRequest),
    Normalise(HttpRequest, Target),
    Lookup(Ask),
    Collapse(Ask, Option<Arc<Object>>),
    Deliver(Ask, Arc<Object>, Served),
    Pass(Ask),
    Unserved(Ask, NoAnswer),
    Done(HttpResponse, Outcome),
}

/// Lives a request's life.
pub(crate) async fn live(edge: Arc<Shared>, request: HttpRequest) -> HttpResponse {
    let active = edge.metrics.active.clone();
    active.inc();
    let _gone = OnDrop(move || active.dec());
    let mut phase = Phase::Accept(request);
    loop {
        phase = match phase {
            Phase::Accept(request) => accept(&edge, request),
            Phase::Normalise(request, target) => normalise(&edge, request, target),
            Phase::Lookup(ask) => lookup(&edge, ask),
            Phase::Collapse(ask, stale) => collapse(&edge, ask, stale).await,
            Phase::Deliver(ask, object, served) => answer_from(&edge, &ask, &object, served),
            Phase::Pass(ask) => pass(&edge, ask).await,
            Phase::Unserved(ask, why) => unserved(&edge, &ask, why),
            Phase::Done(answer, outcome) => {
                edge.metrics.count(outcome);
                return answer;
            }
        };
    }
}

struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn accept(edge: &Shared, request: HttpRequest) -> Phase {
    let refuse = |problem| Phase::Done(problem_response(problem), Outcome::Refused);
    if gate::loops(request.headers(), &edge.config.node) {
        return refuse(
            Problem::new(508, "loop", "Loop detected").detail("this node has passed the request before"),
        );
    }
    match gate::target(&request) {
        Ok(target) => Phase::Normalise(request, target),
        Err(problem) => refuse(problem),
    }
}

/// One key for all spellings; floors of a lower tier are heeded, those of a client are not.
fn normalise(edge: &Shared, request: HttpRequest, target: Target) -> Phase {
    let told = request.headers().get(SLUICE_FLOOR).filter(|_| edge.config.tier == Tier::Shield);
    let floors = told.and_then(|v| v.to_str().ok()).map(parse_versions).unwrap_or_default();
    let key = Key::new(&target.as_text());
    let ask = Ask { request, target, key, floors, tries: 0 };
    let shareable = matches!(*ask.request.method(), Method::GET | Method::HEAD)
        && !ask.request.headers().contains_key(AUTHORIZATION);
    if shareable { Phase::Lookup(ask) } else { Phase::Pass(ask) }
}

fn lookup(edge: &Arc<Shared>, ask: Ask) -> Phase {
    let Some(object) = edge.store.get(&ask.key) else { return Phase::Collapse(ask, None) };
    if edge.floors.is_below(&object) || crate::floors::is_below(&object, &ask.floors) {
        return Phase::Collapse(ask, Some(object));
    }
    match object.standing(edge.liveness.is_live()) {
        Standing::Fresh(ttl) => Phase::Deliver(ask, object, Served::Hit(ttl)),
        Standing::WhileRevalidating => {
            let (_, permit) = edge.fills.join(&ask.key);
            if let Some(permit) = permit {
                fetch::spawn(edge, permit, &ask, Some(Arc::clone(&object)));
            }
            Phase::Deliver(ask, object, Served::Stale)
        }
        Standing::IfError | Standing::Stale => Phase::Collapse(ask, Some(object)),
    }
}

async fn collapse(edge: &Arc<Shared>, mut ask: Ask, stale: Option<Arc<Object>>) -> Phase {
    ask.tries += 1;
    let (fill, permit) = edge.fills.join(&ask.key);
    let collapsed = permit.is_none();
    if let Some(permit) = permit {
        fetch::spawn(edge, permit, &ask, stale.clone());
    }
    match timeout(FILL_LIMIT, fill.outcome()).await {
        Ok(Filled::Object(object)) => {
            let below = edge.floors.is_below(&object) || crate::floors::is_below(&object, &ask.floors);
            if !below {
                return Phase::Deliver(
                    ask,
                    object,
                    Served::Fetched { collapsed, was_stale: stale.is_some() },
                );
            }
            edge.metrics.floor_refusals.inc();
            if ask.tries < FILL_TRIES { Phase::Collapse(ask, Some(object)) } else { Phase::Pass(ask) }
        }
        Ok(Filled::NotShared) => match fill.take() {
            // What is not shared is asked for as it was: a HEAD may be answered where a GET is not.
            Some(mut answer) if *ask.request.method() == Method::GET => {
                deliver::label(answer.headers_mut(), &edge.config.node, "fwd=bypass");
                Phase::Done(answer, Outcome::Bypass)
            }
            _ => Phase::Pass(ask),
        },
        Ok(Filled::Failed) => fall_back(edge, ask, stale, NoAnswer::Unreachable),
        Err(_) => fall_back(edge, ask, stale, NoAnswer::Late),
    }
}

/// No parent answered: what is kept may do, if it says so and no floor forbids it.
fn fall_back(edge: &Shared, ask: Ask, stale: Option<Arc<Object>>, why: NoAnswer) -> Phase {
    let allowed = |object: &Arc<Object>| {
        !edge.floors.is_below(object)
            && object.body.is_whole()
            && !matches!(object.standing(edge.liveness.is_live()), Standing::Stale)
    };
    match stale.filter(allowed) {
        Some(object) => Phase::Deliver(ask, object, Served::Stale),
        None => Phase::Unserved(ask, why),
    }
}

fn answer_from(edge: &Shared, ask: &Ask, object: &Arc<Object>, served: Served) -> Phase {
    let answer =
        deliver::answer(&edge.config.node, ask.request.method(), ask.request.headers(), object, served);
    edge.metrics
        .bytes_out
        .inc_by(http_body::Body::size_hint(answer.body()).exact().unwrap_or_else(|| object.body.length()));
    let outcome = match served {
        Served::Hit(_) => Outcome::Hit,
        Served::Stale => Outcome::Stale,
        Served::Fetched { collapsed: true, .. } => Outcome::Collapsed,
        Served::Fetched { collapsed: false, .. } => Outcome::Miss,
    };
    Phase::Done(answer, outcome)
}

/// Straight to an origin, both bodies streaming. What succeeds in changing something makes its copies here unusable.
async fn pass(edge: &Shared, ask: Ask) -> Phase {
    let headers = parent::pass_headers(edge, &ask.request);
    let (method, target) = (ask.request.method().clone(), ask.target.as_text());
    let safe = matches!(method, Method::GET | Method::HEAD | Method::OPTIONS);
    let parents = parent::of_pass(edge);
    let Some(origin) = parents.first().cloned() else { return Phase::Unserved(ask, NoAnswer::Unreachable) };
    let Ask { request, target: asked, key, floors, tries } = ask;
    let (mut parts, body) = request.into_parts();
    parts.headers = headers;
    let kept = (parts.method.clone(), parts.headers.clone());
    match edge.parents.ask(&origin, HttpRequest::from_parts(parts, body), &target).await {
        Ok(mut answer) => {
            if !safe && answer.status().as_u16() < 400 {
                edge.store.invalidate(&key);
            }
            let member = if safe { "fwd=bypass" } else { "fwd=method" };
            deliver::label(answer.headers_mut(), &edge.config.node, member);
            Phase::Done(answer, Outcome::Bypass)
        }
        Err(why) => {
            let mut request = HttpRequest::new(Body::empty());
            (*request.method_mut(), *request.headers_mut()) = kept;
            Phase::Unserved(Ask { request, target: asked, key, floors, tries }, why)
        }
    }
}

/// What cannot be served here: the next edge may have it; else the client is told plainly.
fn unserved(edge: &Shared, ask: &Ask, why: NoAnswer) -> Phase {
    let media = matches!(*ask.request.method(), Method::GET | Method::HEAD) && edge.config.tier == Tier::Near;
    let location = media.then(|| redirect::target(&edge.table(), &ask.target, &edge.config.node)).flatten();
    if let Some(mut answer) = location.and_then(|location| redirect::answer(&location)) {
        deliver::label(answer.headers_mut(), &edge.config.node, "fwd=miss; detail=redirected");
        return Phase::Done(answer, Outcome::Redirect);
    }
    let nobody = "neither the tier above nor another edge can serve this now";
    let problem = match why {
        NoAnswer::Unreachable => Problem::new(502, "no-parent", "No parent answers").detail(nobody),
        NoAnswer::Late => Problem::new(504, "late-parent", "The parent takes too long").detail(nobody),
        NoAnswer::Cut => {
            Problem::new(400, "cut", "Request cut").detail("the body ended before its declared length")
        }
    };
    let mut answer = problem_response(problem);
    deliver::label(answer.headers_mut(), &edge.config.node, "fwd=miss; detail=no-parent");
    Phase::Done(answer, Outcome::Error)
}
