//! What edges ask: to be in the fleet, and for the route table.

use crate::control::State;
use crate::issue::Sent;
use crate::membership;
use crate::problem::Failure;
use crate::reports::{self, Refused};
use axum::extract::{Path, Query};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use prometheus::IntGauge;
use serde_json::json;
use sluice_wire::published::{CHANGES, FORMAT};
use sluice_wire::reports::Signed;
use sluice_wire::routes::Seat;
use sluice_wire::{NodeId, NodeReport, NodeState, ReportAnswer, RouteNode, RouteTable};
use std::time::Duration;

type Shared = axum::extract::State<State>;

/// How long an edge may wait for a newer table.
const PATIENCE: Duration = Duration::from_secs(25);
/// Edges waiting at a time.
const MAX_WAITING: i64 = 4_096;
/// Bytes of a site's name.
const MAX_SITE: usize = 64;

/// `POST /v1/nodes/ID/report`: registers a node, or renews its lease.
pub(crate) async fn report(
    axum::extract::State(state): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let report = believed(&state, &id, &headers, &body).map_err(|refused| {
        state.metrics.reports_refused.with_label_values(&[refused.as_str()]).inc();
        tracing::debug!(node = id, %refused, "a report is refused");
        Failure::new(refused.status(), "bad-report", "Bad report", refused.to_string())
    })?;
    if !state.steering.players().take(&report, state.storage.clock.now_ms()) {
        state.metrics.refused.with_label_values(&["quality"]).inc();
    }
    state.steering.rates().take(&report, state.storage.clock.now_ms());
    state.fleet.has_applied(&report.node, report.log_seq);
    let record = state.storage.fleet().report(&report, state.fleet.lease()).await?;
    state.metrics.reports.inc();
    let now = membership::state(&record, state.storage.clock.now_ms());
    let table = state.fleet.table();
    if table.node(&report.node).is_none_or(|known| !agrees(known, &report, now)) {
        state.fleet.nudge();
    }
    let plan = state.ahead.version(&report);
    let answer = ReportAnswer { lease_ms: lease_ms(&state), state: now, table_version: table.version, plan };
    Ok(axum::Json(answer).into_response())
}

fn lease_ms(state: &State) -> u64 {
    u64::try_from(state.fleet.lease().as_millis()).unwrap_or(u64::MAX)
}

/// A report that may be kept: of the node it says, now, with figures that can be.
fn believed(state: &State, id: &str, headers: &HeaderMap, body: &[u8]) -> Result<NodeReport, Refused> {
    let keys = &state.config.report_keys;
    let node = NodeId::new(id).map_err(|error| Refused::Malformed(error.to_string()))?;
    reports::is_of(keys, Signed::Report, headers, body, &node)?;
    let report = axum::Json::<NodeReport>::from_bytes(body);
    let axum::Json(report) = report.map_err(|error| Refused::Malformed(error.body_text()))?;
    check(&node, &report)?;
    let records = state.fleet.records();
    let known = records.iter().find(|record| record.report.node == node);
    reports::judge(&report, known, state.storage.clock.now_ms(), lease_ms(state), !keys.is_empty())?;
    Ok(report)
}

fn agrees(known: &RouteNode, report: &NodeReport, state: NodeState) -> bool {
    known.state == state && known.peer_url == report.peer_url && known.public_url == report.public_url
}

/// A report must make a table that edges will take.
fn check(id: &NodeId, report: &NodeReport) -> Result<(), Refused> {
    let bad = |detail: String| Err(Refused::Malformed(detail));
    if report.node != *id {
        return bad(format!("the report is of {}, the address of {id}", report.node));
    }
    if report.site.len() > MAX_SITE || report.site.chars().any(char::is_control) {
        return bad(format!("a site is named by at most {MAX_SITE} plain characters"));
    }
    let node = RouteNode {
        node: report.node.clone(),
        tier: report.tier,
        site: report.site.clone(),
        state: NodeState::Ready,
        weight: report.weight,
        peer_url: report.peer_url.clone(),
        public_url: report.public_url.clone(),
        seat: Seat { rack: report.rack.clone(), ..Seat::default() },
    };
    let alone = RouteTable { version: 1, nodes: vec![node], ..RouteTable::default() };
    alone.check().or_else(|error| bad(error.to_string()))
}

/// `GET /v1/nodes`: the fleet, with the newest report of each.
pub(crate) async fn nodes(axum::extract::State(state): Shared) -> Response {
    let (now, seen) = (state.storage.clock.now_ms(), state.fleet.seen());
    let nodes: Vec<_> = state
        .fleet
        .records()
        .iter()
        .map(|r| json!({ "state": membership::state(r, now), "draining": r.draining, "health": seen.get(&r.report.node), "lease_until_ms": r.lease_until_ms, "report": r.report }))
        .collect();
    axum::Json(json!({ "table_version": state.fleet.table().version, "nodes": nodes })).into_response()
}

/// `GET /v1/routes/key`: the public key that signs the table, as edges take it.
pub(crate) async fn key(axum::extract::State(state): Shared) -> Response {
    axum::Json(json!({ "format": FORMAT, "key": state.fleet.key() })).into_response()
}

#[derive(Debug, serde::Deserialize)]
pub(crate) struct After {
    #[serde(default)]
    after: u64,
}

/// A place among those who wait, given back when dropped.
struct Waiting(IntGauge);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// `GET /v1/routes?after=VERSION`: the table once it is newer, signed; what changed since that version, where `Accept` says
/// that changes are understood and the version is not long ago. 304 when it is not newer in time.
pub(crate) async fn table(
    axum::extract::State(state): Shared,
    Query(After { after }): Query<After>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    state.metrics.waiting.inc();
    let _place = Waiting(state.metrics.waiting.clone());
    if state.metrics.waiting.get() > MAX_WAITING {
        return Err(Failure::unavailable("too many are waiting for the table"));
    }
    let stop = state.drain.token();
    let newer = tokio::select! {
        newer = state.fleet.newer(after, PATIENCE) => newer,
        () = stop.cancelled() => None,
    };
    if newer.is_none() {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|field| field.to_str().ok());
    let from = accepted.into_iter().any(|field| field.contains(CHANGES)).then_some(after);
    let (form, kind, body) = match state.fleet.sent(from) {
        Some(Sent::Whole(body)) => ("whole", "application/json", body),
        Some(Sent::Changes(body)) => ("changes", CHANGES, body),
        None => return Ok(StatusCode::NOT_MODIFIED.into_response()),
    };
    state.metrics.tables.with_label_values(&[form]).inc();
    Ok(([(CONTENT_TYPE, kind)], body).into_response())
}
