//! Tickets, for clients.
//!
//! ```text
//! POST /v1/rooms/NAME/tickets          201 {"ticket":"...","state":"waiting","place":17}
//! GET /v1/rooms/NAME/tickets/TICKET    200 {"state":"waiting","place":9}   {"state":"admitted","admission":"...","until_ms":1}
//!                                      409 sold-out   410 ticket-used   404 no-room, unknown-ticket
//! ```
//! `?wait=SECONDS` has the answer wait for as long, unless something becomes of the ticket before.

use super::line::Standing;
use super::{Rooms, unix_ms};
use crate::edge::Shared;
use crate::gate::Target;
use crate::shares::Share;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL,
    CONTENT_TYPE, HeaderValue, RETRY_AFTER,
};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use sluice_service::{Body, HttpResponse, problem_response};
use sluice_wire::Problem;
use sluice_wire::room::{PATH, Ticket};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// The longest that a question waits, in seconds.
const MAX_WAIT_S: u64 = 10;

/// What is asked of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Door {
    /// A ticket.
    Take(String),
    /// Where one is.
    Ask(String, String),
}

impl Door {
    /// The door at a path.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let mut parts = path.strip_prefix(PATH)?.strip_prefix('/')?.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(name), Some("tickets"), None, None) => Some(Self::Take(name.to_owned())),
            (Some(name), Some("tickets"), Some(ticket), None) => {
                Some(Self::Ask(name.to_owned(), ticket.to_owned()))
            }
            _ => None,
        }
    }
}

/// True for what origins say of rooms to edges alone.
pub(crate) fn is_inner(path: &str) -> bool {
    let below = path.strip_prefix(PATH);
    below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) && Door::of(path).is_none()
}

/// Answers a client.
pub(crate) async fn serve(
    edge: &Arc<Shared>,
    door: Door,
    method: &Method,
    from: IpAddr,
    target: &Target,
) -> HttpResponse {
    let (rooms, share) = (&edge.rooms, Share::of(from, edge.live().shares.tickets));
    let answered = match (method, door) {
        (&Method::OPTIONS, _) => Ok(preflight()),
        (&Method::POST, Door::Take(name)) => rooms.give(&name, share),
        (&Method::GET, Door::Ask(name, ticket)) => {
            let stop = edge.drain.token();
            let wait = wait(target.query.as_deref());
            tokio::select! {
                answer = rooms.answer(&name, &ticket, wait, share) => answer,
                () = stop.cancelled() => rooms.answer(&name, &ticket, Duration::ZERO, share).await,
            }
        }
        (_, Door::Take(_)) => {
            Err(Problem::new(405, "method-not-allowed", "Method not allowed").detail("POST it"))
        }
        (_, Door::Ask(..)) => {
            Err(Problem::new(405, "method-not-allowed", "Method not allowed").detail("GET it"))
        }
    };
    let mut answer = answered.unwrap_or_else(refused);
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    answer
}

/// A problem, and when to come again where that may help.
pub(super) fn refused(problem: Problem) -> HttpResponse {
    let again = match problem.status {
        409 => Some("5"),
        429 | 503 => Some("1"),
        _ => None,
    };
    let mut answer = problem_response(problem);
    again.map(|again| answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(again)));
    answer
}

/// There is nothing left; what is not paid in time comes back.
pub(super) fn sold_out() -> Problem {
    Problem::new(409, "sold-out", "Sold out").detail("nothing is left; what others do not pay may come back")
}

impl Rooms {
    /// Gives a ticket.
    fn give(&self, name: &str, share: Share) -> Result<HttpResponse, Problem> {
        let given = self.take_ticket(name, share);
        let result = given.as_ref().map_or_else(|problem| problem.kind.rsplit('/').next(), |_| Some("given"));
        self.counts.tickets.with_label_values(&[result.unwrap_or_default()]).inc();
        let (ticket, place) = given?;
        let body =
            json!({ "ticket": ticket, "state": "waiting", "place": place, "retry_ms": retry_ms(place) });
        let mut answer = json(StatusCode::CREATED, &body);
        if let Ok(at) = HeaderValue::from_str(&format!("{PATH}/{name}/tickets/{ticket}")) {
            answer.headers_mut().insert(http::header::LOCATION, at);
        }
        Ok(answer)
    }

    fn take_ticket(&self, name: &str, share: Share) -> Result<(String, usize), Problem> {
        let mut inner = self.lock();
        let full = inner.full(share);
        let ticket = inner.ticket(self.giver);
        let hall = inner.halls.get_mut(name).filter(|hall| hall.is_open()).ok_or_else(|| self.no_room())?;
        let Some(secret) = hall.secret.clone() else { return Err(not_yet()) };
        if hall.is_sold_out() {
            return Err(sold_out());
        }
        if let Some(problem) = full {
            return Err(problem);
        }
        let Standing::Waiting(place) = hall.ask(ticket, Duration::ZERO, Instant::now(), unix_ms()) else {
            return Err(not_yet());
        };
        hall.line.count(ticket, share.client);
        self.count(&inner);
        Ok((ticket.sign(&secret, name), place))
    }

    /// Says where a ticket is, as soon as that is in front of the door, or when the wait is over.
    async fn answer(
        &self,
        name: &str,
        shown: &str,
        wait: Duration,
        share: Share,
    ) -> Result<HttpResponse, Problem> {
        let until = Instant::now() + wait;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let (standing, wake) = self.stands(name, shown, left, share)?;
            let place = match standing {
                Standing::Admitted(admission) => {
                    let body = json!({
                        "state": "admitted", "admission": admission.token, "until_ms": admission.until_ms,
                    });
                    return Ok(json(StatusCode::OK, &body));
                }
                Standing::Used => {
                    let problem = Problem::new(410, "ticket-used", "Used before");
                    return Err(problem.detail("the ticket was let in, and what it was for has been done"));
                }
                Standing::Waiting(place) => place,
            };
            let Some(wake) = wake else { return Ok(waiting(place)) };
            let mut woken = pin!(wake.notified());
            woken.as_mut().enable();
            // Looked at again once it is listened for: what became of it in between is not missed.
            if matches!(self.stands(name, shown, left, share)?, (Standing::Waiting(_), _)) {
                drop(timeout_at(until, woken).await);
            }
        }
    }

    fn stands(
        &self,
        name: &str,
        shown: &str,
        wait: Duration,
        share: Share,
    ) -> Result<(Standing, Option<Arc<Notify>>), Problem> {
        let mut inner = self.lock();
        let full = inner.full(share);
        let hall = inner.halls.get_mut(name).filter(|hall| hall.is_open()).ok_or_else(|| self.no_room())?;
        let Some(secret) = &hall.secret else { return Err(not_yet()) };
        let ticket = Ticket::verify(shown, secret, name).map_err(|error| {
            Problem::new(404, "unknown-ticket", "Unknown ticket").detail(format!("{error}: take another"))
        })?;
        if let Some(problem) = full.filter(|_| !hall.line.has(ticket)) {
            return Err(problem);
        }
        let standing = hall.ask(ticket, wait, Instant::now(), unix_ms());
        hall.line.count(ticket, share.client);
        let waits = matches!(standing, Standing::Waiting(_));
        if waits && hall.is_sold_out() {
            self.counts.tickets.with_label_values(&["sold-out"]).inc();
            return Err(sold_out());
        }
        let wake = (waits && !wait.is_zero()).then(|| hall.line.wake(ticket)).flatten();
        Ok((standing, wake))
    }

    fn no_room(&self) -> Problem {
        if self.is_listed() {
            return Problem::new(404, "no-room", "No waiting room").detail("no room of this name is open");
        }
        not_yet()
    }
}

fn not_yet() -> Problem {
    Problem::new(503, "room-unknown", "Not known yet").detail("this edge has just heard of the room")
}

/// When to ask again: the first in line often, so that their turn does not pass.
const fn retry_ms(place: usize) -> u64 {
    match place {
        0..100 => 500,
        100..1_000 => 2_000,
        _ => 5_000,
    }
}

fn waiting(place: usize) -> HttpResponse {
    let body = json!({ "state": "waiting", "place": place, "retry_ms": retry_ms(place) });
    let mut answer = json(StatusCode::OK, &body);
    let seconds = HeaderValue::from(retry_ms(place).div_ceil(1_000));
    answer.headers_mut().insert(RETRY_AFTER, seconds);
    answer
}

fn wait(query: Option<&str>) -> Duration {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let wait = pairs.into_iter().find(|(name, _)| name == "wait").and_then(|(_, value)| value.parse().ok());
    Duration::from_secs(wait.unwrap_or(0_u64).min(MAX_WAIT_S))
}

fn json(status: StatusCode, body: &Value) -> HttpResponse {
    let mut answer = HttpResponse::new(Body::from(body.to_string()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// Leave for pages of any origin to take tickets (Fetch standard, 3.2.2).
fn preflight() -> HttpResponse {
    let mut answer = HttpResponse::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use sluice_wire::Version;
    use sluice_wire::room::{Guard, Room, Said};

    /// An edge with one room.
    fn rooms() -> Rooms {
        let rooms = Rooms::new(Metrics::new(&sluice_service::Metrics::default()).rooms);
        let guard = Guard { path: "/p".into(), word: "w".into() };
        let said = Said { open: true, opened_ms: 1, left: 9, guard };
        let room = Room { name: "a".into(), version: Version(1), said, secret: "s".into() };
        rooms.list(vec![room], Instant::now());
        rooms
    }

    #[test]
    fn who_has_its_share_of_places_takes_none_of_others() {
        let (rooms, share) = (rooms(), |address: [u8; 4]| Share::of(address.into(), 2));
        let (greedy, other) = ([192, 0, 2, 1], [192, 0, 2, 2]);
        let take = |from| rooms.take_ticket("a", share(from)).map(|(ticket, _)| ticket);
        let ask = |ticket: &str, from| {
            let told = rooms.stands("a", ticket, Duration::ZERO, share(from));
            told.map(|_| ()).map_err(|problem| problem.status)
        };
        let (first, _second) = (take(greedy).unwrap(), take(greedy).unwrap());
        assert_eq!(take(greedy).unwrap_err().status, 429);
        let theirs = take(other).unwrap();
        assert_eq!((ask(&first, greedy), ask(&theirs, other)), (Ok(()), Ok(())));

        // What was forgotten comes back into a share like any other.
        let later = Instant::now() + Duration::from_secs(3_600);
        rooms.lock().halls.get_mut("a").unwrap().sweep(later, 0);
        let (_third, _fourth) = (take(greedy).unwrap(), take(greedy).unwrap());
        assert_eq!((ask(&first, greedy), ask(&theirs, other)), (Err(429), Ok(())));
    }

    #[test]
    fn doors_are_where_they_are_and_what_is_for_edges_is_nowhere() {
        assert_eq!(Door::of("/v1/rooms/a/tickets"), Some(Door::Take("a".into())));
        assert_eq!(Door::of("/v1/rooms/a/tickets/t"), Some(Door::Ask("a".into(), "t".into())));
        for inner in
            ["/v1/rooms", "/v1/rooms/", "/v1/rooms/a/admissions", "/v1/rooms/a/tickets/t/x", "/v1/rooms/a"]
        {
            assert!(is_inner(inner) && Door::of(inner).is_none(), "{inner}");
        }
        assert!(!is_inner("/v1/roomsx") && !is_inner("/v1/chat/rooms") && !is_inner("/v1/rooms/a/tickets"));
    }

    #[test]
    fn a_wait_is_bounded() {
        assert_eq!(
            (wait(None), wait(Some("wait=x")), wait(Some("a=1&wait=3"))),
            (Duration::ZERO, Duration::ZERO, Duration::from_secs(3))
        );
        assert_eq!(wait(Some("wait=900")), Duration::from_secs(MAX_WAIT_S));
    }
}
