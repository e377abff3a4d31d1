//! The admin listener: metrics, health and the reload of the configuration.

use crate::reload::Reload;
use crate::{Body, Health, HttpRequest, HttpResponse, Metrics, Peer, problem_response};
use axum::Router;
use axum::extract::Extension;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use futures::future::BoxFuture;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde_json::json;
use sluice_wire::{Problem, problem};
use std::sync::{Arc, OnceLock};

type Handler = Box<dyn Fn(HttpRequest) -> BoxFuture<'static, HttpResponse> + Send + Sync>;

/// What a server answers itself on its admin listener: whatever is not metrics or health.
#[derive(Clone, Default)]
pub struct Admin(Arc<OnceLock<Handler>>);

impl Admin {
    /// Takes the server's handler. The first one stays.
    pub fn serve<H>(&self, handler: H)
    where
        H: Fn(HttpRequest) -> BoxFuture<'static, HttpResponse> + Send + Sync + 'static,
    {
        drop(self.0.set(Box::new(handler)));
    }
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Admin").field(&self.0.get().is_some()).finish()
    }
}

/// `/metrics`, `/healthz`, `/readyz`, `/reload`, and what the server itself answers.
pub(crate) fn router(metrics: Metrics, health: Health, reload: Reload, own: Admin) -> Router {
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
        .fallback(move |request: HttpRequest| async move {
            match own.0.get() {
                Some(own) => own(request).await,
                None => problem_response(
                    Problem::new(404, "not-found", "Not found")
                        .detail("/metrics, /healthz, /readyz or /reload"),
                ),
            }
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
