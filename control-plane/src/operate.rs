//! What operators do to nodes: drain them; and who asks.

use crate::answer::fresh;
use crate::control::State;
use crate::operators::{Caller, Role};
use crate::problem::Failure;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use sluice_wire::NodeId;

type Shared = axum::extract::State<State>;

/// `GET /v1/me`: who asks, and what they may.
pub(crate) async fn me(caller: Caller) -> Result<Response, Failure> {
    let (who, local) = (caller.may(Role::Viewer)?, caller.is_local());
    let answer = json!({ "name": who.name, "role": who.role, "local": local });
    Ok(fresh(axum::Json(answer)))
}

/// `POST /v1/nodes/ID/drain`: the node gets nothing new, and finishes what it has.
pub(crate) async fn drain(
    axum::extract::State(state): Shared,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    set(&state, &caller, &id, true).await
}

/// `DELETE /v1/nodes/ID/drain`: the node takes part again.
pub(crate) async fn undrain(
    axum::extract::State(state): Shared,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    set(&state, &caller, &id, false).await
}

async fn set(state: &State, caller: &Caller, id: &str, draining: bool) -> Result<Response, Failure> {
    let who = caller.may(Role::Operator)?;
    let missing = || Failure::not_found(format!("there is no node {id:.80}"));
    let node = NodeId::new(id).map_err(|_| missing())?;
    if !state.storage.fleet().set_draining(&node, draining, who).await? {
        return Err(missing());
    }
    tracing::info!(%node, draining, who = who.name, "operator");
    state.renew().await?;
    Ok(axum::Json(
        json!({ "node": node, "draining": draining, "table_version": state.fleet.table().version }),
    )
    .into_response())
}
