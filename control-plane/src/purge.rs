//! Purges: committed, and followed until every edge has applied them.

use crate::control::State;
use crate::operators::{Caller, Role};
use crate::problem::Failure;
use axum::extract::Query;
use axum::extract::rejection::JsonRejection;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use http::StatusCode;
use serde_json::{Value, json};
use sluice_storage::{Act, StorageError, Who};
use sluice_wire::purge::Purge;
use sluice_wire::purge::PurgeRequest;
use sluice_wire::{EventKind, NodeId, Tag, Version};
use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

type Shared = axum::extract::State<State>;

/// How long a purge is followed: an edge that needs longer has lost its feed, and trusts short lifetimes only.
const FOLLOWED: Duration = Duration::from_secs(10);
/// Between two looks at the table while nobody reports: an edge may have left.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Purges followed at a time; those beyond are committed all the same.
pub(crate) const MAX_FOLLOWED: usize = 256;

/// How long a client waits for its purge to be applied everywhere, in milliseconds.
#[derive(Debug, Default, serde::Deserialize)]
pub(crate) struct Wait {
    #[serde(default)]
    wait: u64,
}

/// `POST /v1/purge?wait=MS`: what it names is no longer served from any tier, or only after validation. 202 once that is
/// committed; 200 when every ready edge has applied it within the time given.
pub(crate) async fn purge(
    axum::extract::State(state): Shared,
    caller: Caller,
    Query(Wait { wait }): Query<Wait>,
    body: Result<axum::Json<PurgeRequest>, JsonRejection>,
) -> Result<Response, Failure> {
    let who = caller.may(Role::Operator)?;
    let axum::Json(request) =
        body.map_err(|e| Failure::new(e.status().as_u16(), "bad-purge", "Bad purge", e.body_text()))?;
    let purges = request.check().map_err(|error| Failure::bad_request(error.to_string()))?;
    let before = state.storage.log().head().await?;
    let versions = commit(&state, who, &request, &purges).await?;
    let committed = Instant::now();
    tracing::info!(tags = versions.len(), soft = request.soft, who = who.name, "purge");
    let purged: Vec<Value> =
        versions.iter().map(|(tag, version)| json!({ "tag": tag, "version": version })).collect();
    let mut answer = json!({ "purged": purged });
    let mut status = StatusCode::ACCEPTED;
    if let Ok(place) = std::sync::Arc::clone(&state.followed).try_acquire_owned() {
        let tasks = state.drain.clone();
        let following = tasks.tasks().spawn(async move {
            let _place = place;
            let stop = state.drain.token();
            tokio::select! {
                applied = timeout(FOLLOWED, follow(&state, before, versions, committed)) => applied.ok(),
                () = stop.cancelled() => None,
            }
        });
        let waited = timeout(Duration::from_millis(wait).min(FOLLOWED), following);
        if wait > 0
            && let Ok(Ok(Some(applied))) = waited.await
        {
            let after_ms = applied.after.as_secs_f64() * 1_000.0;
            answer["applied"] = json!({ "seq": applied.seq, "nodes": applied.nodes, "after_ms": after_ms, "took_ms": applied.took });
            status = StatusCode::OK;
        }
    }
    Ok((status, axum::Json(answer)).into_response())
}

/// Emits the events, and writes down who asked for them.
async fn commit(
    state: &State,
    who: &Who,
    request: &PurgeRequest,
    purges: &[Purge],
) -> Result<Vec<(Tag, Version)>, StorageError> {
    let audit = &state.storage.audit();
    let act = &Act {
        action: "purge",
        subject: format!("{} tags", purges.len()),
        before: None,
        after: serde_json::to_value(request).ok(),
    };
    let write = state.storage.database.write(|tx| {
        Box::pin(async move {
            let mut versions = vec![];
            for purge in purges {
                let version = tx.emit(&purge.tag, EventKind::Purged, json!(purge.data)).await?;
                versions.push((purge.tag.clone(), version));
            }
            audit.record(tx, who, act).await?;
            Ok(versions)
        })
    });
    write.await
}

/// A purge that every edge has applied.
struct Applied {
    seq: u64,
    nodes: Vec<NodeId>,
    after: Duration,
    /// Milliseconds until each had told so.
    took: BTreeMap<NodeId, f64>,
}

/// Waits until every ready edge has applied what was committed after `before`.
async fn follow(
    state: &State,
    before: u64,
    mut versions: Vec<(Tag, Version)>,
    committed: Instant,
) -> Applied {
    let mut seq = before;
    let mut events = pin!(state.storage.log().tail(before));
    while !versions.is_empty() {
        let Some(event) = events.next().await else { break };
        seq = event.seq;
        versions.retain(|(tag, version)| *tag != event.tag || event.version < *version);
    }
    let mut reported = state.fleet.applied();
    let mut took = BTreeMap::new();
    loop {
        let table = state.fleet.table();
        let ready = || table.nodes.iter().filter(|node| node.state == sluice_wire::NodeState::Ready);
        let all = {
            let applied = reported.borrow_and_update();
            let has = |node: &NodeId| applied.get(node).is_some_and(|has| *has >= seq);
            for node in ready().filter(|node| has(&node.node)) {
                took.entry(node.node.clone()).or_insert_with(|| committed.elapsed().as_secs_f64() * 1_000.0);
            }
            ready().all(|node| has(&node.node))
        };
        if all {
            let after = committed.elapsed();
            state.metrics.purge_delay.with_label_values::<&str>(&[]).observe(after.as_secs_f64());
            return Applied { seq, nodes: ready().map(|node| node.node.clone()).collect(), after, took };
        }
        drop(timeout_at(Instant::now() + LOOK_EVERY, reported.changed()).await);
    }
}
