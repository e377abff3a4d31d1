//! The admin listener: metrics and health.

use crate::problem_response;
use crate::{Health, HttpResponse, Metrics};
use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::json;
use sluice_wire::Problem;

/// `/metrics`, `/healthz`, `/readyz`.
pub(crate) fn router(metrics: Metrics, health: Health) -> Router {
    Router::new()
        .route(
            "/metrics",
            get(move || async move { ([(CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render()) }),
        )
        .route("/healthz", get(|| async { axum::Json(json!({ "status": "alive" })) }))
        .route("/readyz", get(move || async move { ready(&health) }))
        .fallback(|| async {
            problem_response(
                Problem::new(404, "not-found", "Not found").detail("/metrics, /healthz or /readyz"),
            )
        })
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
