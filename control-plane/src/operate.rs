//! What operators do: drain a node, purge copies.

use crate::control::State;
use crate::problem::Failure;
use axum::extract::Path;
use axum::extract::rejection::JsonRejection;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use sluice_storage::StorageError;
use sluice_wire::limits::MAX_TAGS;
use sluice_wire::{EventKind, MediaPath, NodeId, Tag, Version};

type Shared = axum::extract::State<State>;

/// `POST /v1/nodes/ID/drain`: the node gets nothing new, and finishes what it has.
pub(crate) async fn drain(
    axum::extract::State(state): Shared,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    set(&state, &id, true).await
}

/// `DELETE /v1/nodes/ID/drain`: the node takes part again.
pub(crate) async fn undrain(
    axum::extract::State(state): Shared,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    set(&state, &id, false).await
}

async fn set(state: &State, id: &str, draining: bool) -> Result<Response, Failure> {
    let missing = || Failure::not_found(format!("there is no node {id:.80}"));
    let node = NodeId::new(id).map_err(|_| missing())?;
    if !state.storage.fleet().set_draining(&node, draining).await? {
        return Err(missing());
    }
    tracing::info!(%node, draining, "operator");
    state.fleet.renew().await?;
    Ok(axum::Json(
        json!({ "node": node, "draining": draining, "table_version": state.fleet.table().version }),
    )
    .into_response())
}

/// What is to be forgotten.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Purge {
    tags: Vec<String>,
    paths: Vec<String>,
    everything: bool,
}

/// `POST /v1/purge`: every copy with these tags, of these media paths, or at all, is stale from now on, in every tier.
pub(crate) async fn purge(
    axum::extract::State(state): Shared,
    body: Result<axum::Json<Purge>, JsonRejection>,
) -> Result<Response, Failure> {
    let axum::Json(purge) =
        body.map_err(|e| Failure::new(e.status().as_u16(), "bad-purge", "Bad purge", e.body_text()))?;
    let tags = tags(&purge)?;
    let versions = state
        .storage
        .database
        .write::<Vec<(Tag, Version)>, StorageError, _>(|tx| {
            let tags = &tags;
            Box::pin(async move {
                let mut versions = vec![];
                for tag in tags {
                    versions.push((tag.clone(), tx.emit(tag, EventKind::Purged, json!({})).await?));
                }
                Ok(versions)
            })
        })
        .await?;
    tracing::info!(tags = versions.len(), "purge");
    let purged: Vec<_> =
        versions.iter().map(|(tag, version)| json!({ "tag": tag, "version": version })).collect();
    Ok((StatusCode::ACCEPTED, axum::Json(json!({ "purged": purged }))).into_response())
}

fn tags(purge: &Purge) -> Result<Vec<Tag>, Failure> {
    let mut tags = vec![];
    for text in &purge.tags {
        tags.push(Tag::new(text.as_str()).map_err(|e| Failure::bad_request(format!("{text:.100}: {e}")))?);
    }
    for path in &purge.paths {
        let media = MediaPath::parse(path);
        let media = media
            .ok_or_else(|| Failure::bad_request(format!("{path:.100} is no media path; purge its tag")))?;
        tags.extend(media.tags());
    }
    if purge.everything {
        tags.push(Tag::everything());
    }
    tags.sort();
    tags.dedup();
    if tags.is_empty() || tags.len() > MAX_TAGS {
        return Err(Failure::bad_request(format!("name 1 to {MAX_TAGS} tags or paths, or everything")));
    }
    Ok(tags)
}
