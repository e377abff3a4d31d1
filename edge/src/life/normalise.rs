//! Normalise: what a request asks for, in its one spelling, and which way it goes from there.

use super::{Ask, Phase, ahead, shed};
use crate::cache::Key;
use crate::edge::Shared;
use crate::floors;
use crate::gate::{self, Target};
use crate::live::Door;
use crate::metrics::Outcome;
use crate::tenant::Tenant;
use crate::{rooms, streams};
use http::Method;
use http::header::{HOST, HeaderValue};
use sluice_service::{HttpRequest, Peer, WebSocket, problem_response};
use sluice_wire::headers::{SLUICE_AT_LEAST, SLUICE_FLOOR, SLUICE_SEEN, SLUICE_TENANT};
use sluice_wire::tag::parse_versions;
use sluice_wire::{MediaPath, Problem, Tier};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long a node waits for its own feed when the asker is further: several times what an event takes to all nodes.
const CATCH_UP: Duration = Duration::from_millis(250);

/// Counts what a client asks for, if it is media, and says who owns it.
pub(super) fn place(edge: &Shared, request: &HttpRequest, target: &Target) -> Option<HeaderValue> {
    if edge.config.tier != Tier::Near || gate::is_from_edge(request.headers()) {
        return None;
    }
    let key = MediaPath::parse(&target.path)?.placement();
    edge.count_popular(key);
    HeaderValue::from_str(&edge.placed(key)?).ok()
}

/// One key for all spellings; what a lower tier says of tenant and floors is heeded, what a client says is not.
pub(super) fn normalise(edge: &Arc<Shared>, request: HttpRequest, target: Target) -> Phase {
    if let Some(door) = Door::of(&target.path).filter(|_| edge.config.tier == Tier::Near) {
        return Phase::Live(door, request, target);
    }
    if let Some(door) = rooms::Door::of(&target.path).filter(|_| edge.config.tier == Tier::Near) {
        return Phase::Room(door, request, target);
    }
    if rooms::concerns(edge, &request) {
        return Phase::Guard(request, target);
    }
    let told = |name: &str| {
        let field = request.headers().get(name).filter(|_| edge.config.tier == Tier::Shield);
        field.and_then(|v| v.to_str().ok())
    };
    // What a sibling has seen is heeded too: it costs a client who says so nothing but its own answer.
    let from_edge = gate::is_from_edge(request.headers());
    let is_client = edge.config.tier == Tier::Near && !from_edge;
    let demanded = request.headers().get(SLUICE_AT_LEAST).filter(|_| is_client).and_then(|v| v.to_str().ok());
    let floors = told(SLUICE_FLOOR).or(demanded).map(parse_versions).unwrap_or_default();
    let heard = is_client.then(|| edge.players.observe(&request, &target)).flatten();
    let seen = request.headers().get(SLUICE_SEEN).filter(|_| from_edge || edge.config.tier == Tier::Shield);
    let seen = seen.and_then(|seen| seen.to_str().ok()?.parse::<u64>().ok());
    let tenant = told(SLUICE_TENANT).and_then(Tenant::told).unwrap_or_else(|| {
        let host = request.headers().get(HOST).and_then(|v| v.to_str().ok()).unwrap_or_default();
        edge.tenants.of(host, request.extensions().get::<Peer>().is_some_and(|peer| peer.secure))
    });
    let websocket = request.extensions().get::<WebSocket>().is_some();
    let live = websocket
        || streams::asks_for_events(request.headers())
        || edge.live().streams.patience(&target.path).is_some();
    let shareable = !live && matches!(*request.method(), Method::GET | Method::HEAD);
    let variant = || edge.images.load().asked(&target.path, target.query.as_deref(), request.headers());
    let image = match shareable.then(variant).flatten().transpose() {
        Ok(image) => image,
        Err(problem) => return Phase::Done(problem_response(problem), Outcome::Refused),
    };
    // A variant is kept beside its image.
    let key = Key::new(&tenant, &if image.is_some() { target.path.clone() } else { target.as_text() });
    let ask = Ask { request, target, tenant, key, floors, tries: 0, missed: false };
    if let Some(next) = heard.filter(|_| shareable) {
        ahead::fetch_ahead(edge, &ask, &next);
    }
    match (image, seen.filter(|seen| floors::is_behind(edge.floors.mark(), *seen))) {
        (Some(asked), _) => Phase::Image(ask, asked),
        (None, _) if websocket => Phase::Tunnel(ask),
        (None, _) if !shareable => Phase::Pass(ask),
        (None, Some(seen)) => Phase::CatchUp(ask, seen),
        (None, None) if edge.is_leaving() && !from_edge => Phase::Leave(ask),
        (None, None) if from_edge => Phase::Lookup(ask),
        (None, None) => shed::given_up(edge, &ask).unwrap_or(Phase::Lookup(ask)),
    }
}

/// The asker has heard of more than this node: what is kept here may be what it must not get again. This node's own feed
/// is a moment behind; when it is longer, an origin is asked for this asker alone.
pub(super) async fn catch_up(edge: &Shared, ask: Ask, seen: u64) -> Phase {
    let caught = edge.liveness.is_live() && timeout(CATCH_UP, edge.floors.reach(seen)).await.is_ok();
    edge.metrics.catch_ups.with_label_values(&[if caught { "caught-up" } else { "bypassed" }]).inc();
    match edge.config.tier {
        _ if caught => Phase::Lookup(ask),
        Tier::Shield => Phase::Alone(ask),
        // Another near edge asks the tier above instead.
        Tier::Near => {
            let behind = Problem::new(503, "behind", "Not so far in the log").detail("ask the tier above");
            Phase::Done(problem_response(behind), Outcome::Refused)
        }
    }
}
