//! What operators ask: why somebody is where they are, who asked lately, and whom another configuration would move.

use super::client::Said;
use super::{Asked, ask};
use crate::answer::fresh;
use crate::configuration::{Json, judged};
use crate::control::State;
use crate::operators::{Caller, Role};
use crate::problem::Failure;
use axum::extract::{Path, Query};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use sluice_wire::FleetConfig;
use sluice_wire::steering::{Session, Steer};
use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

type Shared = axum::extract::State<State>;

/// Answers of a list unless told otherwise, and at most.
const LIST: (usize, usize) = (50, 1_000);
/// Sessions that a dry run tells one by one.
const MAX_SAMPLES: usize = 20;

/// Whose answer is to be explained.
#[derive(Debug, Deserialize)]
pub(crate) struct Question {
    video: String,
    /// The client's address.
    client: Option<IpAddr>,
    /// When; now, if absent (Unix milliseconds).
    now: Option<u64>,
    /// In which view; the one in force, if absent.
    view: Option<u64>,
}

/// `GET /v1/steering/explain?video=ID&client=ADDRESS`: an answer, made again, with everything that was weighed.
pub(crate) async fn explain(
    axum::extract::State(state): Shared,
    caller: Caller,
    Query(question): Query<Question>,
    Query(said): Query<Said>,
) -> Result<Response, Failure> {
    caller.may(Role::Viewer)?;
    let (_, key) = ask::key(&question.video)?;
    let now = question.now.unwrap_or_else(|| state.storage.clock.now_ms());
    let session = said.session(key, 0, now);
    let session = match question.client {
        Some(address) => state.steering.atlas().locate(session, address),
        None => session,
    };
    let steer = match question.view {
        None => state.steering.now(),
        Some(version) => (state.steering.at(version))
            .ok_or_else(|| Failure::not_found(format!("view {version} is not known any more")))?,
    };
    Ok(fresh(axum::Json(told(&steer, &session, now))))
}

/// An answer with everything that was weighed.
pub(super) fn told(steer: &Steer, session: &Session, now: u64) -> Value {
    let (view, all) = (steer.view(), steer.explain(session, now));
    let name = |place: usize| view.places[place].name.as_str();
    let ranked: Vec<Value> = (all.ranked.iter())
        .map(|ranked| json!({ "place": name(ranked.place), "cost": ranked.terms.cost(), "terms": ranked.terms, "room": ranked.room, "drawn": ranked.drawn }))
        .collect();
    let excluded: Vec<Value> =
        all.excluded.iter().map(|(place, why)| json!({ "place": name(*place), "why": why })).collect();
    json!({
        "view": { "version": view.version, "table": view.table, "made_ms": view.made_ms },
        "at_ms": now,
        "session": session,
        "decision": all.decision,
        "ranked": ranked,
        "excluded": excluded,
    })
}

#[derive(Debug, Deserialize)]
pub(crate) struct List {
    limit: Option<usize>,
}

/// `GET /v1/steering/decisions?limit=N`: the newest answers and their reasons.
pub(crate) async fn decisions(
    axum::extract::State(state): Shared,
    caller: Caller,
    Query(List { limit }): Query<List>,
) -> Result<Response, Failure> {
    caller.may(Role::Viewer)?;
    let asked = state.steering.asked(limit.unwrap_or(LIST.0).clamp(1, LIST.1));
    let line = |asked: &Asked| json!({ "at_ms": asked.at_ms, "view": asked.view, "session": asked.session, "decision": asked.decision });
    let view = state.steering.now().view().version;
    Ok(fresh(axum::Json(json!({ "view": view, "decisions": asked.iter().map(line).collect::<Vec<_>>() }))))
}

/// `GET /v1/steering/decisions/SESSION/UNIX_MS`: an answer that was given, made again, with everything that was weighed.
pub(crate) async fn decision(
    axum::extract::State(state): Shared,
    caller: Caller,
    Path((session, at_ms)): Path<(String, u64)>,
) -> Result<Response, Failure> {
    caller.may(Role::Viewer)?;
    let forgotten = || Failure::not_found("this answer was never given, or is not known any more");
    let id = u64::from_str_radix(&session, 16).map_err(|_| forgotten())?;
    let asked = state.steering.answer(id, at_ms).ok_or_else(forgotten)?;
    let steer = state.steering.at(asked.view).ok_or_else(forgotten)?;
    Ok(fresh(axum::Json(told(&steer, &asked.session, asked.at_ms))))
}

/// `GET /v1/steering/view`: everything that decisions are made of.
pub(crate) async fn whole(axum::extract::State(state): Shared, caller: Caller) -> Result<Response, Failure> {
    caller.may(Role::Viewer)?;
    Ok(fresh(axum::Json(json!(state.steering.now().view()))))
}

/// `POST /v1/steering/dry-run` with a configuration: which of the sessions that asked lately would go elsewhere, and why.
pub(crate) async fn dry_run(
    axum::extract::State(state): Shared,
    caller: Caller,
    body: Json<FleetConfig>,
) -> Result<Response, Failure> {
    caller.may(Role::Viewer)?;
    let config = judged(body)?;
    let now = state.storage.clock.now_ms();
    let would = state.steering.made(&state.fleet.table(), &config, &state.traffic.used(), now);
    let (was, would) = (state.steering.now(), Steer::new(would));
    Ok(fresh(axum::Json(compared(&state.steering.asked(usize::MAX), &was, &would, now))))
}

/// Where each session would begin, as it is and as it would be.
fn compared(asked: &[Asked], was: &Steer, would: &Steer, now: u64) -> Value {
    let mut seen = HashSet::new();
    let mut moves: BTreeMap<(String, String), usize> = BTreeMap::new();
    let (mut sessions, mut moved, mut samples) = (0usize, 0usize, vec![]);
    for asked in asked.iter().filter(|asked| seen.insert(asked.session.id)) {
        let session = Session { pathway: None, moved_ms: None, ..asked.session.clone() };
        let place = |steer: &Steer| {
            let first = steer.decide(&session, now).choices.into_iter().next();
            first.map_or_else(|| "nothing".to_owned(), |choice| choice.place)
        };
        let (from, to) = (place(was), place(would));
        sessions += 1;
        if from == to {
            continue;
        }
        moved += 1;
        if samples.len() < MAX_SAMPLES {
            samples.push(json!({
                "session": session, "from": from, "to": to,
                "was": told(was, &session, now)["ranked"], "would": told(would, &session, now),
            }));
        }
        *moves.entry((from, to)).or_default() += 1;
    }
    let moves: Vec<Value> = moves
        .into_iter()
        .map(|((from, to), count)| json!({ "from": from, "to": to, "sessions": count }))
        .collect();
    json!({ "sessions": sessions, "moved": moved, "moves": moves, "samples": samples })
}
