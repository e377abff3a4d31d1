//! Entry: by which door a request comes in, and whether its client may.

use super::Phase;
use super::normalise::normalise;
use crate::access::{Dress, Owner, Verdict};
use crate::deliver;
use crate::edge::Shared;
use crate::gate::{self, Target};
use crate::live::{Brought, Door};
use crate::metrics::Outcome;
use crate::{account, cmcd, live as channels, rooms};
use sluice_service::{HttpRequest, Peer, problem_response};
use sluice_wire::headers::SLUICE_OWNER;
use sluice_wire::{Problem, Tier};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

pub(super) fn accept(edge: &Shared, mut request: HttpRequest) -> Phase {
    let refuse = |problem| Phase::Done(problem_response(problem), Outcome::Refused);
    if gate::loops(request.headers(), &edge.config.node) {
        return refuse(
            Problem::new(508, "loop", "Loop detected").detail("this node has passed the request before"),
        );
    }
    match gate::target(&request, &edge.live().methods) {
        Ok(target) if target.path == cmcd::PATH && edge.config.tier == Tier::Near => Phase::Beacon(request),
        Ok(target) if channels::is_inner(&target.path) && edge.config.tier == Tier::Near => {
            refuse(Problem::new(404, "not-found", "Not found").detail("there is nothing here"))
        }
        Ok(target) => {
            if Door::of(&target.path).is_some() {
                let brought = Brought::of(request.headers());
                request.extensions_mut().insert(brought);
            }
            Phase::Authorise(request, target)
        }
        Err(problem) => refuse(problem),
    }
}

/// Live channels end here.
pub(super) async fn listen(edge: &Arc<Shared>, door: Door, request: HttpRequest, target: Target) -> Phase {
    let mut answer = channels::serve(edge, door, request, &target).await;
    let refused = answer.status().is_client_error() || answer.status().is_server_error();
    deliver::label(answer.headers_mut(), &edge.config.node, "detail=live");
    Phase::Done(answer, if refused { Outcome::Refused } else { Outcome::Bypass })
}

/// Tickets of waiting rooms are given here.
pub(super) async fn wait_in_line(
    edge: &Arc<Shared>,
    door: rooms::Door,
    request: HttpRequest,
    target: &Target,
) -> Phase {
    let peer = request.extensions().get::<Peer>();
    let from = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.addr.ip().to_canonical());
    let (parts, _) = request.into_parts();
    let mut answer = rooms::serve(edge, door, &parts.method, from, target).await;
    let refused = answer.status().is_client_error() || answer.status().is_server_error();
    deliver::label(answer.headers_mut(), &edge.config.node, "detail=room");
    Phase::Done(answer, if refused { Outcome::Refused } else { Outcome::Bypass })
}

/// What a waiting room guards takes an admission.
pub(super) async fn guard(edge: &Arc<Shared>, request: HttpRequest, target: Target) -> Phase {
    match rooms::pass(edge, request, &target.path).await {
        Ok(request) => normalise(edge, request, target),
        Err(mut answer) => {
            deliver::label(answer.headers_mut(), &edge.config.node, "detail=room");
            Phase::Done(answer, Outcome::Refused)
        }
    }
}

/// What a player says for its own sake.
pub(super) async fn beacon(edge: &Shared, request: HttpRequest) -> Phase {
    let answer = cmcd::answer(&edge.players, request).await;
    let outcome = if answer.status().is_success() { Outcome::Bypass } else { Outcome::Refused };
    Phase::Done(answer, outcome)
}

/// Whether this client may have it. Its answer is dressed accordingly.
pub(super) fn authorise(
    edge: &Shared,
    mut request: HttpRequest,
    mut target: Target,
    dress: &mut Dress,
) -> Phase {
    if edge.config.tier == Tier::Near
        && target.path.starts_with("/v1/")
        && let Some(answer) = account::refused(edge, &mut request)
    {
        return Phase::Done(answer, Outcome::Refused);
    }
    // A lower tier that has checked says whose it is.
    let told = request.headers().get(SLUICE_OWNER).filter(|_| edge.config.tier == Tier::Shield);
    if let Some(owner) = told.and_then(|owner| owner.to_str().ok()).map(str::to_owned) {
        request.extensions_mut().insert(Owner(owner));
    }
    let above = edge.config.tier == Tier::Shield
        || (gate::is_from_edge(request.headers()) && edge.access.is_peer(&request));
    match edge.access.authorise(&mut request, &mut target, above) {
        Verdict::Passed(with) => {
            *dress = with;
            Phase::Normalise(request, target)
        }
        Verdict::Answered(answer, outcome) => Phase::Done(answer, outcome),
    }
}
