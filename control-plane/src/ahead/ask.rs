//! What edges say of demand and ask of plans, and what operators ask of both.

use super::opening;
use super::site::{Filled, Verdict, viewers};
use crate::answer::fresh;
use crate::control::State;
use crate::operators::{Caller, Role};
use crate::problem::Failure;
use crate::reports::{self, Refused};
use axum::extract::{Path, Query};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use sluice_wire::forecast::Forecast;
use sluice_wire::plan::message::Asked;
use sluice_wire::plan::{FillWindow, chance};
use sluice_wire::reports::{KEY, SIGNATURE, Signed};
use sluice_wire::{MediaGroup, NodeId, NodeReport, Placement};
use std::collections::BTreeSet;
use std::sync::PoisonError;

type Shared = axum::extract::State<State>;

/// Forecasts told of a site, and the most.
const TOLD: (usize, usize) = (50, 500);

/// `POST /v1/nodes/ID/asked`: what a node's clients asked it for since its last message.
pub(crate) async fn asked(
    axum::extract::State(state): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    take(&state, &id, &headers, &body).map_err(|refused| {
        state.metrics.reports_refused.with_label_values(&[refused.as_str()]).inc();
        tracing::debug!(node = id, %refused, "what a node was asked for is refused");
        Failure::new(refused.status(), "bad-report", "Bad report", refused.to_string())
    })?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn take(state: &State, id: &str, headers: &HeaderMap, body: &[u8]) -> Result<(), Refused> {
    let node = NodeId::new(id).map_err(|error| Refused::Malformed(error.to_string()))?;
    reports::is_of(&state.config.report_keys, Signed::Asked, headers, body, &node)?;
    let asked = axum::Json::<Asked>::from_bytes(body);
    let axum::Json(asked) = asked.map_err(|error| Refused::Malformed(error.body_text()))?;
    let (now, lease_ms) = (state.storage.clock.now_ms(), state.fleet.lease().as_millis());
    let apart = asked.at_ms.abs_diff(now);
    if u128::from(apart) > lease_ms {
        return Err(Refused::Clock(apart));
    }
    let known = known(state, &node).ok_or_else(|| Refused::Malformed(format!("{node} has not reported")))?;
    state.ahead.take(&known, asked, now)
}

fn known(state: &State, node: &NodeId) -> Option<NodeReport> {
    state
        .fleet
        .records()
        .iter()
        .find(|record| record.report.node == *node)
        .map(|record| record.report.clone())
}

/// `GET /v1/nodes/ID/plan`: what a node is to fetch ahead of demand, signed as tables are.
pub(crate) async fn plan(
    axum::extract::State(state): Shared,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let node = NodeId::new(&*id).map_err(|error| Failure::bad_request(error.to_string()))?;
    let plan = known(&state, &node).and_then(|node| state.ahead.plan(&node));
    let plan =
        plan.ok_or_else(|| Failure::not_found(format!("{node} is to fetch nothing ahead of demand")))?;
    let body = serde_json::to_vec(&plan).map_err(|error| Failure::unavailable(error.to_string()))?;
    let (key, signature) = state.fleet.sign(Signed::Plan, &body);
    let fields = [
        (CACHE_CONTROL.as_str(), "no-store".to_owned()),
        (CONTENT_TYPE.as_str(), "application/json".into()),
        (KEY, key),
        (SIGNATURE, signature),
    ];
    Ok((fields, body).into_response())
}

/// Which site, and how many forecasts.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Of {
    site: Option<String>,
    limit: Option<usize>,
}

/// `GET /v1/prefetch?site=NAME&limit=N`: what is expected where, what is fetched ahead of it, and why the rest is not.
pub(crate) async fn prefetch(
    axum::extract::State(state): Shared,
    caller: Caller,
    Query(Of { site, limit }): Query<Of>,
) -> Result<Response, Failure> {
    caller.may(Role::Viewer)?;
    let limit = limit.unwrap_or(TOLD.0).min(TOLD.1);
    let (config, table) = (state.fleet.config(), state.fleet.table());
    let filling = config.sites.iter().filter(|(_, said)| said.fill.is_some()).map(|(name, _)| name.clone());
    let standing = table.nodes.iter().map(|node| node.site.clone());
    let all: BTreeSet<String> = filling.chain(standing).collect();
    let wanted = all.iter().filter(|name| site.as_ref().is_none_or(|site| site == *name));
    let sites: Vec<Value> = wanted.map(|name| of_site(&state, name, limit)).collect();
    if sites.is_empty() && site.is_some() {
        return Err(Failure::not_found("no edge stands at this site, and it has no fill window"));
    }
    Ok(fresh(axum::Json(json!({ "sites": sites }))))
}

fn of_site(state: &State, name: &str, limit: usize) -> Value {
    let (config, now) = (state.fleet.config(), state.storage.clock.now_ms());
    let window = config.sites.get(name).and_then(|site| site.fill);
    let opening = opening(&config, name, now);
    let mut forecasts = state.ahead.forecasts(name, now);
    forecasts.sort_by(|a, b| b.requests.total_cmp(&a.requests).then_with(|| a.key.cmp(&b.key)));
    forecasts.truncate(limit);
    let placement = Placement::new(state.fleet.table(), name);
    let filled = state.ahead.0.filled.lock().unwrap_or_else(PoisonError::into_inner);
    let filled = filled.get(name);
    let told = |forecast: &Forecast<MediaGroup>| {
        let node = placement.owner(forecast.key.placement()).map(|owner| owner.node.clone());
        told(forecast, node.as_ref(), filled, window.as_ref(), now)
    };
    json!({
        "site": name,
        "fill": window,
        "opened_ms": opening.map(|opening| opening.from_ms),
        "until_ms": opening.map(|opening| opening.until_ms),
        "version": filled.map(|filled| filled.version),
        "planned_bytes": filled.map_or(0, Filled::bytes),
        "steps": filled.map(|filled| &filled.granted),
        "forecast": forecasts.iter().map(told).collect::<Vec<_>>(),
    })
}

fn told(
    forecast: &Forecast<MediaGroup>,
    node: Option<&NodeId>,
    filled: Option<&Filled>,
    window: Option<&FillWindow>,
    now_ms: u64,
) -> Value {
    let verdict = match (node, filled, window) {
        (Some(node), Some(filled), Some(window)) => filled.verdict(forecast, node, window, now_ms),
        _ => Verdict::Closed,
    };
    json!({
        "group": forecast.key,
        "owner": node,
        "requests": forecast.requests,
        "own": forecast.own,
        "fleet": forecast.fleet,
        "chance": chance(viewers(forecast.requests)),
        "bytes": super::site::bytes(forecast.bytes),
        "last_ms": forecast.last_ms,
        "verdict": verdict,
    })
}
