//! Nobody passes without an admission while a room is open: checked here, offline.

use super::serve::{refused, sold_out};
use super::{Hall, Rooms};
use crate::edge::Shared;
use http::Method;
use http_body_util::{BodyExt, Limited};
use serde_json::Value;
use sluice_service::{Body, HttpRequest, HttpResponse, Peer};
use sluice_wire::headers::SLUICE_ADMISSION;
use sluice_wire::room::{Ticket, brought};
use sluice_wire::token::Refusal;
use sluice_wire::{Problem, Tier};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Bytes of a document that is looked at: as many as apps take.
const MAX_BODY: usize = 256 << 10;
/// Time for it to come.
const TAKEN: Duration = Duration::from_secs(10);
/// Seconds after its end for which an admission may bring a request that is asked again.
const LATE_S: u64 = 3_600;

/// A request that was looked at: an extension of it.
#[derive(Debug, Clone, Copy)]
struct Passed;

/// Lets a request pass, or answers it. What no open room guards is not looked at.
///
/// # Errors
/// The answer of one that may not pass.
pub(crate) async fn pass(
    edge: &Shared,
    request: HttpRequest,
    path: &str,
) -> Result<HttpRequest, HttpResponse> {
    let guards = edge.rooms.guards(path);
    let (parts, body) = request.into_parts();
    if guards.is_empty() {
        return Ok(looked_at(HttpRequest::from_parts(parts, body)));
    }
    let read = timeout(TAKEN, Limited::new(body, MAX_BODY).collect()).await;
    let bytes = match read {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => {
            let long = Problem::new(413, "too-large", "Too large");
            return Err(refused(
                long.detail(format!("a document has at most {MAX_BODY} bytes, and all of them")),
            ));
        }
        Err(_) => return Err(refused(Problem::new(408, "late-body", "The body takes too long"))),
    };
    // What is no JSON is the origin's to refuse.
    let document: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let request = looked_at(HttpRequest::from_parts(parts, Body::from(bytes)));
    for (name, word) in guards {
        if !says(&document, &word) {
            continue;
        }
        let checked = check(edge, &request, &name);
        let result =
            checked.as_ref().map_or_else(|problem| problem.kind.rsplit('/').next(), |()| Some("passed"));
        edge.rooms.counts.guarded.with_label_values(&[result.unwrap_or_default()]).inc();
        checked.map_err(refused)?;
    }
    Ok(request)
}

/// True for a request that [`pass`] is to look at.
pub(crate) fn concerns(edge: &Shared, request: &HttpRequest) -> bool {
    edge.config.tier == Tier::Near
        && *request.method() == Method::POST
        && edge.rooms.any.load(Ordering::Acquire)
        && request.extensions().get::<Passed>().is_none()
}

fn looked_at(mut request: HttpRequest) -> HttpRequest {
    request.extensions_mut().insert(Passed);
    request
}

/// Whether a text is among a document's strings.
fn says(document: &Value, word: &str) -> bool {
    match document {
        Value::String(text) => text == word,
        Value::Array(all) => all.iter().any(|one| says(one, word)),
        Value::Object(all) => all.values().any(|one| says(one, word)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether a request brings an admission to a room. One whose time is over may have been used in time, by a request whose answer
/// was lost: asked again under the same key, the origin has the answer. It refuses what is new, and is asked no more than so often.
fn check(edge: &Shared, request: &HttpRequest, room: &str) -> Result<(), Problem> {
    let peer = request.extensions().get::<Peer>();
    let from = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.addr.ip().to_canonical());
    let fields = request.headers().get_all(SLUICE_ADMISSION).iter();
    let tokens = brought(fields.filter_map(|field| field.to_str().ok()));
    let (mut why, mut late, named) = (None, None, format!("room:{room}"));
    for token in tokens {
        match edge.access.late_bearer(token, from, LATE_S) {
            Ok((grant, is_late)) if grant.channels == [named.as_str()] => {
                let ticket = grant.subject.and_then(|ticket| Ticket::try_from(ticket).ok());
                let ticket = ticket.ok_or_else(|| not_good(Refusal::Malformed))?;
                if !is_late {
                    return edge.rooms.try_in(room, |hall| hall.may_try(ticket, Instant::now()));
                }
                (why, late) = (Some(Refusal::Expired), Some(ticket));
            }
            Ok((_, true)) => why = Some(Refusal::Expired),
            Ok((_, false)) => {}
            Err(refusal) => why = Some(refusal),
        }
    }
    if let Some(ticket) = late.filter(|_| request.headers().contains_key("idempotency-key")) {
        return edge.rooms.try_in(room, |hall| hall.may_try_late(ticket, Instant::now()));
    }
    match why {
        Some(Refusal::Expired) => Err(Problem::new(403, "admission-expired", "Wait in line")
            .detail("the admission's time is over: its ticket has its place in line again")),
        Some(why) => Err(not_good(why)),
        None if edge.rooms.is_sold_out(room) => Err(sold_out()),
        None => Err(Problem::new(403, "admission-needed", "Wait in line").detail(format!(
            "take a ticket at /v1/rooms/{room}/tickets, and bring what it is given for in Sluice-Admission"
        ))),
    }
}

fn not_good(why: Refusal) -> Problem {
    Problem::new(403, "admission-refused", "Wait in line")
        .detail(format!("the admission is not good: {}", why.as_str()))
}

impl Rooms {
    /// The open rooms that guard a path, and the text by which each knows what it guards.
    fn guards(&self, path: &str) -> Vec<(String, String)> {
        let inner = self.lock();
        let open = inner.halls.iter().filter(|(_, hall)| hall.is_open() && hall.said.guard.path == path);
        open.map(|(name, hall)| (name.clone(), hall.said.guard.word.clone())).collect()
    }

    fn is_sold_out(&self, room: &str) -> bool {
        self.lock().halls.get(room).is_some_and(Hall::is_sold_out)
    }

    fn try_in(&self, room: &str, may: impl FnOnce(&mut Hall) -> bool) -> Result<(), Problem> {
        if self.lock().halls.get_mut(room).is_none_or(may) {
            return Ok(());
        }
        Err(Problem::new(429, "too-many-tries", "Too many tries")
            .detail("this admission was tried a moment ago"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_word_is_found_wherever_it_stands_and_however_it_is_written() {
        let order: Value =
            serde_json::from_str(r#"{"lines":[{"variant":"\u0061b","n":1}],"x":null}"#).unwrap();
        assert!(says(&order, "ab") && !says(&order, "a") && !says(&order, "variant"));
        assert!(!says(&json!(null), "ab") && says(&json!("ab"), "ab"));
    }
}
