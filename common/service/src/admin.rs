//! The admin listener: metrics, health and the reload of the configuration.

use crate::reload::Reload;
use crate::{Body, Health, HttpResponse, Metrics, Peer, problem_response};
use axum::Router;
use axum::extract::Extension;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde_json::json;
use sluice_wire::{Problem, problem};

/// `/metrics`, `/healthz`, `/readyz`, `/reload`.
pub(crate) fn router(metrics: Metrics, health: Health, reload: Reload) -> Router {
    Router::new()
        .route(
            "/metrics",
            get(move || async move { ([(CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render()) }),
        )
        .route("/healthz", get(|| async { axum::Json(json!({ "status": "alive" })) }))
        .route("/readyz", get(move || async move { ready(&health) }))
        .route(
            "/reload",
            post(move |Extension(peer): Extension<Peer>| async move { reloaded(&reload, peer) }),
        )
        .fallback(|| async {
            problem_response(
                Problem::new(404, "not-found", "Not found").detail("/metrics, /healthz, /readyz or /reload"),
            )
        })
}

/// Reads the configuration anew, for somebody on this machine.
fn reloaded(reload: &Reload, peer: Peer) -> HttpResponse {
    if !peer.addr.ip().to_canonical().is_loopback() {
        return problem_response(
            Problem::new(403, "not-local", "Not from here")
                .detail("a reload is asked for on the machine itself"),
        );
    }
    match reload.run() {
        Ok(changed) => axum::Json(json!({ "changed": changed })).into_response(),
        Err(faults) => {
            let problem = Problem::new(422, "configuration", "The configuration has faults")
                .detail("the one in force is kept; mend each of these, then reload again");
            let mut document = serde_json::to_value(&problem).unwrap_or_default();
            document["faults"] = faults.lines().into();
            let mut answer = HttpResponse::new(Body::from(document.to_string()));
            *answer.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(problem::CONTENT_TYPE));
            answer
        }
    }
}

fn ready(health: &Health) -> HttpResponse {
    let components: Vec<_> = health
        .report()
        .into_iter()
        .map(|(name, ready, reason)| json!({ "component": name, "ready": ready, "reason": reason }))
        .collect();
    let ready = health.is_ready();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(json!({ "ready": ready, "components": components }))).into_response()
}
