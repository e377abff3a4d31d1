//! Bodies that players send for their own sake: `POST /cmcd`, records in lines (`application/cmcd`) or one in JSON.

use super::Players;
use crate::access::{By, Rate, client};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER,
};
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use sluice_service::{Body, HttpRequest, HttpResponse, Peer, problem_response};
use sluice_wire::Problem;
use sluice_wire::cmcd::{CmcdError, Record};
use std::time::Duration;
use tokio::time::timeout;

/// Where they are sent.
pub(crate) const PATH: &str = "/cmcd";
/// Bytes of a body, and time for it.
const MAX_BODY: usize = 64 << 10;
const BODY_LIMIT: Duration = Duration::from_secs(5);
/// Bodies of one client: a player sends one for each request at most, and no sooner than it can play.
const RATE: Rate = Rate { requests: 60, seconds: 10, by: By::Client };

/// Answers a body: 204 once its records are taken, else what is wrong with it.
pub(crate) async fn answer(players: &Players, request: HttpRequest) -> HttpResponse {
    let mut answer = match *request.method() {
        Method::OPTIONS => empty(),
        Method::POST => match taken(players, request).await {
            Ok(()) => empty(),
            Err(problem) => problem_response(problem),
        },
        _ => problem_response(
            Problem::new(405, "method-not-allowed", "Method not allowed").detail("POST records here"),
        ),
    };
    let refused = answer.status() == StatusCode::TOO_MANY_REQUESTS;
    let headers = answer.headers_mut();
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (ACCESS_CONTROL_ALLOW_METHODS, "POST"),
        (ACCESS_CONTROL_ALLOW_HEADERS, "content-type"),
        (ACCESS_CONTROL_MAX_AGE, "86400"),
        (CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if refused {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("10"));
    }
    answer
}

fn empty() -> HttpResponse {
    let mut answer = HttpResponse::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

async fn taken(players: &Players, request: HttpRequest) -> Result<(), Problem> {
    let Some(peer) = request.extensions().get::<Peer>().copied() else { return Ok(()) };
    let address = peer.addr.ip();
    if players.rates.take(RATE, PATH, &client(address)).is_err() {
        players.metrics.cmcd.with_label_values(&["event", "flood"]).inc();
        return Err(
            Problem::new(429, "too-many", "Too many reports").detail("60 bodies in 10 seconds at most")
        );
    }
    let json = request
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let body = timeout(BODY_LIMIT, Limited::new(request.into_body(), MAX_BODY).collect()).await;
    let Ok(Ok(body)) = body else {
        return Err(Problem::new(413, "too-long", "Too long, or too slow").detail("64 KiB within 5 seconds"));
    };
    let body = body.to_bytes();
    let text = || std::str::from_utf8(&body).map_err(|_| CmcdError::Malformed);
    let read = if json {
        Record::parse_json(&body).map(|one| vec![one])
    } else {
        text().and_then(Record::parse_lines)
    };
    let records = read.map_err(|error| {
        players.refuse("event", error);
        Problem::new(400, "bad-record", "Not a record of CTA-5004").detail(error.to_string())
    })?;
    records.iter().for_each(|record| players.hear(record, address));
    Ok(())
}
