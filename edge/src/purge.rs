//! Purges, as this edge understands them: what an event of the log is aimed at, and purges at this edge alone.

use crate::edge::Shared;
use crate::floors::{Aim, Severity, marks};
use crate::searches::More;
use crate::tenant::{Tenant, Tenants};
use crate::{feed, gate};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use sluice_service::{Body, HttpRequest, HttpResponse, Peer, problem_response};
use sluice_wire::purge::{self, PurgeData, PurgeRequest};
use sluice_wire::{Event, EventKind, Problem, Tag};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// Bytes of a purge at the admin listener: as many URLs as one may name.
const MAX_BODY: usize = 256 << 10;
/// Time for such a request's body.
const BODY_LIMIT: Duration = Duration::from_secs(5);

/// What an event is aimed at, and how bad it is for copies older than it.
/// `more` is what to aim at beside a URL in its one spelling.
pub(crate) fn of_event(tenants: &Tenants, event: &Event, more: &More<'_>) -> (Vec<Aim>, Severity) {
    match event.kind {
        EventKind::Purged => {
            let data = PurgeData::read(&event.data);
            let severity = if data.soft { Severity::Soft } else { Severity::Hard };
            (aims(tenants, &event.tag, &data, more), severity)
        }
        EventKind::Deleted => (aims(tenants, &event.tag, &PurgeData::default(), more), Severity::Hard),
        _ => (aims(tenants, &event.tag, &PurgeData::default(), more), Severity::Changed),
    }
}

fn aims(tenants: &Tenants, tag: &Tag, data: &PurgeData, more: &More<'_>) -> Vec<Aim> {
    let text = data.url.as_ref().or(data.prefix.as_ref());
    let Some((text, target)) = text.and_then(|text| Some((text, purge::target(text)?))) else {
        let aim = if *tag == Tag::everything() { Aim::Everything } else { Aim::Tag(tag.clone()) };
        return vec![aim];
    };
    let of = match purge::host(text) {
        Some((secure, host)) => tenants.all_of(host, secure),
        None => vec![Tenant::own()],
    };
    let spelled = gate::spelled(target).unwrap_or_else(|| target.to_owned());
    let mark = |tenant: &Tenant| match data.url {
        Some(_) => marks::of_url(tenant, &spelled),
        None => marks::of_prefix(tenant, &spelled),
    };
    let mut aims: Vec<Aim> = of.iter().map(|tenant| Aim::Mark(mark(tenant))).collect();
    if data.url.is_some() {
        aims.extend(of.iter().filter_map(|tenant| more(tenant, &spelled)));
    }
    aims
}

/// `POST /purge` at the admin listener: as the control plane's, at this edge alone. For edges without a control plane;
/// purge the upper tier first, or this one fills from what it still holds.
pub(crate) fn admin(edge: Arc<Shared>) -> impl Fn(HttpRequest) -> BoxFuture<'static, HttpResponse> {
    move |request| {
        let edge = Arc::clone(&edge);
        async move { purge_here(&edge, request).await.unwrap_or_else(problem_response) }.boxed()
    }
}

async fn purge_here(edge: &Shared, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let refuse = |status, detail: &str| Problem::new(status, "bad-purge", "Bad purge").detail(detail);
    if request.uri().path() != "/purge" {
        return Err(
            Problem::new(404, "not-found", "Not found").detail("/metrics, /healthz, /readyz or /purge")
        );
    }
    if *request.method() != Method::POST {
        return Err(refuse(405, "POST what is to be forgotten"));
    }
    let local =
        request.extensions().get::<Peer>().is_some_and(|peer| peer.addr.ip().to_canonical().is_loopback());
    if !local {
        return Err(refuse(403, "a purge of one edge is asked for on the machine itself"));
    }
    // No page of another origin can send this type without asking first.
    let kind = request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/json") {
        return Err(refuse(415, "the body is application/json"));
    }
    let body = timeout(BODY_LIMIT, Limited::new(request.into_body(), MAX_BODY).collect()).await;
    let body = body.map_err(|_| refuse(408, "the body takes too long"))?;
    let body = body.map_err(|error| refuse(413, &error.to_string()))?.to_bytes();
    let asked: PurgeRequest =
        serde_json::from_slice(&body).map_err(|error| refuse(400, &error.to_string()))?;
    let purges = asked.check().map_err(|error| refuse(400, &error.to_string()))?;
    edge.searches.aimed(|more| {
        let aims = purges.iter().flat_map(|p| aims(&edge.tenants, &p.tag, &p.data, more));
        edge.floors.purge_here(&aims.collect::<Vec<_>>(), asked.soft);
    });
    edge.metrics.purged(if asked.soft { Severity::Soft } else { Severity::Hard });
    let state_dir = edge.config.state_dir.clone();
    let noted = spawn_blocking(move || feed::distrust(&state_dir)).await;
    noted.map_err(std::io::Error::other).flatten().map_err(|error| {
        Problem::new(500, "purge-not-noted", "Purged until a restart").detail(format!(
            "after a restart the disk may bring it back: state_dir cannot be written: {error}"
        ))
    })?;
    let purged: Vec<_> = purges.iter().map(|p| serde_json::json!({ "tag": p.tag })).collect();
    let mut answer = HttpResponse::new(Body::from(serde_json::json!({ "purged": purged }).to_string()));
    *answer.status_mut() = StatusCode::OK;
    answer.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    Ok(answer)
}
