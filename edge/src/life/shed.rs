//! What is given up when there is more to send than this edge can: what nobody waits for, then the highest rung of those who
//! begin, then those who begin. Who plays goes on.

use super::{Ask, Phase, redirected};
use crate::cache::Object;
use crate::deliver;
use crate::edge::Shared;
use crate::metrics::Outcome;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, ETAG, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Method, StatusCode};
use sluice_service::{Body, HttpResponse, problem_response};
use sluice_wire::overload::{Stage, without_highest};
use sluice_wire::{MediaAsset, MediaPath, Problem};

/// Seconds after which whoever was refused may ask again: downloads, and players.
const LATER: HeaderValue = HeaderValue::from_static("30");
const SOON: HeaderValue = HeaderValue::from_static("5");

/// What a request is answered that is given up now; `None` for one that is served.
pub(super) fn given_up(edge: &Shared, ask: &Ask) -> Option<Phase> {
    let stage = edge.overload.stage();
    if stage < Stage::Spare {
        return None;
    }
    match MediaPath::parse(&ask.target.path)?.asset {
        MediaAsset::Download(_) => Some(refused(edge, "downloads wait while others play", LATER)),
        MediaAsset::Master | MediaAsset::Manifest if stage == Stage::Full => {
            let elsewhere = redirected(edge, ask, "detail=full");
            Some(elsewhere.unwrap_or_else(|| refused(edge, "this edge and all others are full", SOON)))
        }
        _ => None,
    }
}

fn refused(edge: &Shared, why: &str, later: HeaderValue) -> Phase {
    edge.metrics.shed.with_label_values(&["refused"]).inc();
    let mut answer =
        problem_response(Problem::new(503, "overloaded", "More is asked than can be sent").detail(why));
    answer.headers_mut().insert(RETRY_AFTER, later);
    deliver::label(answer.headers_mut(), &edge.config.node, "detail=overloaded");
    Phase::Done(answer, Outcome::Refused)
}

/// A multivariant playlist for one who begins now: without its highest rung, and for nobody to keep. `None` where it is served
/// as it is.
pub(super) fn capped(edge: &Shared, ask: &Ask, object: &Object) -> Option<HttpResponse> {
    if edge.overload.stage() < Stage::Brown || object.head.status != StatusCode::OK {
        return None;
    }
    let get = *ask.request.method() == Method::GET;
    if !get || MediaPath::parse(&ask.target.path)?.asset != MediaAsset::Master {
        return None;
    }
    let text = without_highest(std::str::from_utf8(&object.body.joined()?).ok()?)?;
    edge.metrics.shed.with_label_values(&["capped"]).inc();
    let mut headers: HeaderMap = object.head.headers.clone();
    headers.remove(ETAG);
    headers.remove(CONTENT_LENGTH);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let mut answer = HttpResponse::new(Body::from(text));
    *answer.headers_mut() = headers;
    deliver::label(answer.headers_mut(), &edge.config.node, "hit; detail=capped");
    Some(answer)
}
