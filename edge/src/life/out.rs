//! The way out: what is kept or was fetched goes to the client, or the client goes elsewhere.

use super::{Ask, BYPASS, Phase, shed};
use crate::access::Carried;
use crate::cache::Object;
use crate::deliver::{self, Served};
use crate::edge::Shared;
use crate::gate::{self, Target};
use crate::metrics::Outcome;
use crate::parent::NoAnswer;
use crate::{redirect, streams, transform, watchdog};
use http::Method;
use http::header::CONTENT_LENGTH;
use sluice_service::{HttpResponse, problem_response};
use sluice_wire::{MediaPath, Problem, Tier};
use std::sync::Arc;
use std::time::Duration;

pub(super) async fn answer_from(edge: &Arc<Shared>, ask: Ask, object: Arc<Object>, served: Served) -> Phase {
    if let Some(asset) = shed::has_less(edge, &ask, &object)
        && let Some(answer) = shed::capped(edge, &asset, &object).await
    {
        return Phase::Done(answer, Outcome::Hit);
    }
    let Ask { request, key, target, .. } = ask;
    let (asked, _) = request.into_parts();
    let form = transform::select(edge, (&asked.method, &asked.headers), &key, &object).await;
    let answer = deliver::answer(&edge.config.node, &asked.method, &asked.headers, &object, form, served);
    let announced = || answer.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
    let bytes = http_body::Body::size_hint(answer.body()).exact().or_else(announced);
    edge.metrics.bytes_out.inc_by(bytes.unwrap_or(0));
    if asked.method == Method::GET && answer.status().is_success() && !gate::is_from_edge(&asked.headers) {
        edge.served(&object, &target.path, bytes.unwrap_or(0));
    }
    let outcome = match served {
        Served::Hit(_) => Outcome::Hit,
        Served::Stale => Outcome::Stale,
        Served::Fetched { collapsed: true, .. } => Outcome::Collapsed,
        Served::Fetched { why: BYPASS, .. } => Outcome::Bypass,
        Served::Fetched { collapsed: false, .. } => Outcome::Miss,
    };
    Phase::Done(answer, outcome)
}

pub(super) fn not_kept(edge: &Shared, ask: &Ask, answer: HttpResponse, why: &str) -> Phase {
    let mut answer = watched(edge, &ask.target, answer);
    deliver::label(answer.headers_mut(), &edge.config.node, &format!("fwd={why}"));
    Phase::Done(answer, Outcome::Bypass)
}

/// An answer that is passed on as it comes. Media that stands still is cut, since a player waits for it.
pub(super) fn watched(edge: &Shared, target: &Target, answer: HttpResponse) -> HttpResponse {
    let media = MediaPath::parse(&target.path).is_some();
    let limit = match answer.headers() {
        // Nothing may happen for long.
        fields if streams::is_events(fields) => Duration::from_millis(edge.live().streams.idle_ms),
        _ if media => Duration::from_millis(edge.live().watchdog_ms),
        _ => watchdog::QUIET,
    };
    answer.map(|body| watchdog::watched(body, limit))
}

/// A drained edge sends media on, though it has it: whoever plays is elsewhere with the next segment. What nobody else can
/// serve it serves.
pub(super) fn leave(edge: &Shared, ask: Ask) -> Phase {
    redirected(edge, &ask, "detail=drained").unwrap_or(Phase::Lookup(ask))
}

/// To the next edge in a media object's own order, if there is one.
pub(super) fn redirected(edge: &Shared, ask: &Ask, status: &str) -> Option<Phase> {
    let location = redirect::target(&edge.table(), &ask.target, &edge.config.node)?;
    // The next edge asks for a credential too, wherever this one found it.
    let carried = ask.request.extensions().get::<Carried>();
    let location = carried.map_or_else(|| location.clone(), |Carried(query)| format!("{location}&{query}"));
    let mut answer = redirect::answer(&location)?;
    deliver::label(answer.headers_mut(), &edge.config.node, status);
    Some(Phase::Done(answer, Outcome::Redirect))
}

/// What cannot be served here: the next edge may have it; else media is cut, and anything else gets a plain word.
pub(super) fn unserved(edge: &Shared, ask: &Ask, why: NoAnswer) -> Phase {
    // Another edge is told plainly, and asks elsewhere.
    let media = matches!(*ask.request.method(), Method::GET | Method::HEAD)
        && edge.config.tier == Tier::Near
        && !gate::is_from_edge(ask.request.headers());
    if let Some(sent) = media.then(|| redirected(edge, ask, "fwd=miss; detail=redirected")).flatten() {
        return sent;
    }
    if media && MediaPath::parse(&ask.target.path).is_some() {
        let mut answer = redirect::cut();
        deliver::label(answer.headers_mut(), &edge.config.node, "fwd=miss; detail=cut");
        return Phase::Done(answer, Outcome::Cut);
    }
    let nobody = "neither the tier above nor another edge can serve this now";
    let problem = match why {
        NoAnswer::Unconnected | NoAnswer::Unreachable | NoAnswer::Erred => {
            Problem::new(502, "no-parent", "No parent answers").detail(nobody)
        }
        NoAnswer::Late => Problem::new(504, "late-parent", "The parent takes too long").detail(nobody),
        NoAnswer::Cut => {
            Problem::new(400, "cut", "Request cut").detail("the body ended before its declared length")
        }
    };
    let mut answer = problem_response(problem);
    deliver::label(answer.headers_mut(), &edge.config.node, "fwd=miss; detail=no-parent");
    Phase::Done(answer, Outcome::Error)
}
