//! The failure contract: media that an edge cannot serve it sends to the next one in that object's own order; when none is
//! left it cuts the body. Stock players go on elsewhere at once after either; they wait out an error status or a silence.

use crate::gate::Target;
use http::StatusCode;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, HeaderMap, HeaderValue,
    LOCATION,
};
use sluice_service::{Body, HttpResponse, cut_response};
use sluice_wire::headers::TRIED_PARAM;
use sluice_wire::limits::MAX_TRIED;
use sluice_wire::{MediaPath, NodeId, PlacementKey, RouteTable};

/// Where a client goes on with a media object that `this` cannot serve. `None` for anything else, and when every edge
/// has been tried.
pub(crate) fn target(table: &RouteTable, target: &Target, this: &NodeId) -> Option<String> {
    MediaPath::parse(&target.path)?;
    if target.tried.len() + 1 > MAX_TRIED {
        return None;
    }
    let next = table.next_near(PlacementKey::of_path(&target.path), this, &target.tried)?;
    let tried: Vec<&str> = target.tried.iter().chain([this]).map(NodeId::as_str).collect();
    let join = if target.query.is_some() { '&' } else { '?' };
    let base = next.public_url.trim_end_matches('/');
    Some(format!("{base}{}{join}{TRIED_PARAM}={}", target.as_text(), tried.join(".")))
}

/// A temporary redirect that a player of any origin may follow, and nobody may keep.
pub(crate) fn answer(location: &str) -> Option<HttpResponse> {
    let mut answer = HttpResponse::new(Body::empty());
    *answer.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    answer.headers_mut().insert(LOCATION, HeaderValue::from_str(location).ok()?);
    open(answer.headers_mut());
    Some(answer)
}

/// What a client is given when no edge is left to send it to: a body that is cut.
pub(crate) fn cut() -> HttpResponse {
    let mut answer = cut_response();
    open(answer.headers_mut());
    answer
}

/// For a player of any origin, and for nobody to keep.
fn open(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("location, sluice-node, cache-status"),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_wire::routes::Seat;
    use sluice_wire::{NodeState, RouteNode, Tier, VideoId};

    #[test]
    fn a_chain_of_redirects_visits_each_edge_once_and_ends() {
        let node = |name: &str| RouteNode {
            node: NodeId::new(name).unwrap(),
            tier: Tier::Near,
            site: "local".into(),
            state: NodeState::Ready,
            weight: 1.0,
            peer_url: format!("http://{name}"),
            public_url: format!("http://{name}"),
            seat: Seat::default(),
        };
        let table =
            RouteTable { version: 1, nodes: vec![node("a"), node("b"), node("c")], ..RouteTable::default() };
        let path = format!(
            "/v/{}/v240/0-00112233445566778899aabbccddeeff.m4s",
            VideoId::from_parts(1_800_000_000_000, 3)
        );
        let mut asked = Target { path, query: None, tried: vec![] };
        let mut at = NodeId::new("a").unwrap();
        let mut visited = vec![at.clone()];
        while let Some(location) = target(&table, &asked, &at) {
            let (base, tried) = location.split_once("?sluice-tried=").unwrap();
            at = NodeId::new(base.trim_start_matches("http://").split('/').next().unwrap()).unwrap();
            asked.tried = tried.split('.').map(|n| NodeId::new(n).unwrap()).collect();
            assert!(!visited.contains(&at), "{location}");
            visited.push(at.clone());
        }
        assert_eq!(visited.len(), 3);
        assert_eq!(target(&table, &Target { path: "/v1/videos".into(), ..asked }, &at), None, "media alone");
    }
}
