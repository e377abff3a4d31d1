//! The fleet's configuration over HTTP: read, changed against a version, rolled back; and what was done.

use crate::answer::fresh;
use crate::control::State;
use crate::operators::{Caller, Role};
use crate::problem::Failure;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query};
use axum::response::Response;
use http::HeaderMap;
use http::header::{ETAG, HeaderValue, IF_MATCH};
use serde_json::json;
use sluice_storage::{ConfigVersion, StorageError};
use sluice_wire::{FleetConfig, JobId};

type Shared = axum::extract::State<State>;
pub(crate) type Json<T> = Result<axum::Json<T>, JsonRejection>;

/// Entries of a page unless told otherwise, and at most.
const PAGE: (u64, u64) = (50, 500);
/// Bytes of a note.
const MAX_NOTE: usize = 500;

/// `GET /v1/config`: the configuration in force.
pub(crate) async fn show(axum::extract::State(state): Shared, caller: Caller) -> Result<Response, Failure> {
    caller.may(Role::Viewer)?;
    let newest = state.storage.settings().newest().await?;
    let version = state.storage.settings().version(newest).await?;
    Ok(document(&version.map(|version| version.config).unwrap_or_default()))
}

/// Why a configuration is changed.
#[derive(Debug, Default, serde::Deserialize)]
pub(crate) struct Note {
    #[serde(default)]
    note: String,
}

/// `PUT /v1/config` with `If-Match`: another configuration comes into force, everywhere or nowhere.
pub(crate) async fn put(
    axum::extract::State(state): Shared,
    caller: Caller,
    Query(Note { note }): Query<Note>,
    headers: HeaderMap,
    body: Json<FleetConfig>,
) -> Result<Response, Failure> {
    let who = caller.may(Role::Admin)?;
    let from = from(&headers)?;
    if note.len() > MAX_NOTE || note.chars().any(char::is_control) {
        return Err(Failure::bad_request(format!("a note is at most {MAX_NOTE} plain characters")));
    }
    let config = judged(body).inspect_err(|_| state.metrics.refused.with_label_values(&["config"]).inc())?;
    let put = state.storage.settings().put(who, from, &config, &note).await;
    let put = put.map_err(|error| match error {
        StorageError::Conflict(now) => Failure::new(
            412,
            "config-moved",
            "Another configuration is in force",
            format!("{now}; read it, and make your change of that"),
        ),
        other => other.into(),
    })?;
    in_force(&state, &put).await
}

/// A configuration that somebody sent, if nothing is wrong with it.
pub(crate) fn judged(body: Json<FleetConfig>) -> Result<FleetConfig, Failure> {
    let refused =
        |status: u16, detail: String| Failure::new(status, "bad-config", "Bad configuration", detail);
    let axum::Json(config) = body.map_err(|e| refused(e.status().as_u16(), e.body_text()))?;
    let faults: Vec<String> = config.faults().iter().map(ToString::to_string).collect();
    if faults.is_empty() { Ok(config) } else { Err(refused(422, faults.join("\n"))) }
}

/// Which version is to be put back.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Back {
    version: u64,
}

/// `POST /v1/config/rollback`: what was in force once is again, as a new version.
pub(crate) async fn roll_back(
    axum::extract::State(state): Shared,
    caller: Caller,
    body: Json<Back>,
) -> Result<Response, Failure> {
    let who = caller.may(Role::Admin)?;
    let axum::Json(Back { version }) =
        body.map_err(|e| Failure::new(e.status().as_u16(), "bad-request", "Bad request", e.body_text()))?;
    let put = state.storage.settings().roll_back(who, version).await.map_err(|error| match error {
        StorageError::NotFound(_) => missing(version),
        other => other.into(),
    })?;
    in_force(&state, &put).await
}

/// `GET /v1/config/versions/VERSION`: a configuration of before.
pub(crate) async fn version(
    axum::extract::State(state): Shared,
    caller: Caller,
    Path(version): Path<u64>,
) -> Result<Response, Failure> {
    caller.may(Role::Viewer)?;
    let found = state.storage.settings().version(version).await?;
    found.map(|found| document(&found.config)).ok_or_else(|| missing(version))
}

/// Where a page begins, and how long it is.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Page<T> {
    before: Option<T>,
    limit: Option<u64>,
}

impl<T> Page<T> {
    fn limit(&self) -> u64 {
        self.limit.unwrap_or(PAGE.0).clamp(1, PAGE.1)
    }
}

/// `GET /v1/config/versions?before=VERSION`: who changed it when, the newest first.
pub(crate) async fn versions(
    axum::extract::State(state): Shared,
    caller: Caller,
    Query(page): Query<Page<u64>>,
) -> Result<Response, Failure> {
    caller.may(Role::Viewer)?;
    let found = state.storage.settings().versions(page.before, page.limit()).await?;
    let next = full(&found, page.limit()).map(|last| last.config.version);
    let line = |v: &ConfigVersion| json!({ "version": v.config.version, "at_ms": v.at_ms, "who": v.who, "note": v.note });
    let versions: Vec<_> = found.iter().map(line).collect();
    Ok(fresh(axum::Json(json!({ "versions": versions, "next": next }))))
}

/// `GET /v1/audit?before=ID`: what operators did, the newest first.
pub(crate) async fn audit(
    axum::extract::State(state): Shared,
    caller: Caller,
    Query(page): Query<Page<JobId>>,
) -> Result<Response, Failure> {
    caller.may(Role::Viewer)?;
    let entries = state.storage.audit().list(page.before, page.limit()).await?;
    let next = full(&entries, page.limit()).map(|last| last.id);
    Ok(fresh(axum::Json(json!({ "entries": entries, "next": next }))))
}

/// The last of a page behind which there may be another.
fn full<T>(page: &[T], limit: u64) -> Option<&T> {
    page.last().filter(|_| page.len() as u64 == limit)
}

fn missing(version: u64) -> Failure {
    Failure::not_found(format!("there is no version {version} of the configuration, or no more"))
}

/// The version that a change was made from; `None` for whichever is in force.
fn from(headers: &HeaderMap) -> Result<Option<u64>, Failure> {
    let Some(field) = headers.get(IF_MATCH) else {
        let detail = "say which version you changed: If-Match: \"VERSION\", or * for whichever is in force";
        return Err(Failure::new(428, "which-version", "Which version was changed?", detail));
    };
    let text = field.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let number = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let number = number.and_then(|number| number.parse().ok());
    number.map(Some).ok_or_else(|| Failure::bad_request("If-Match is \"VERSION\" or *"))
}

/// Answers once this control plane steers by it.
async fn in_force(state: &State, config: &FleetConfig) -> Result<Response, Failure> {
    tracing::info!(version = config.version, "configuration");
    state.renew().await?;
    Ok(document(config))
}

fn document(config: &FleetConfig) -> Response {
    let mut answer = fresh(axum::Json(config));
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", config.version)) {
        answer.headers_mut().insert(ETAG, tag);
    }
    answer
}
