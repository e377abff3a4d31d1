//! Live channels that end here: clients by the thousand, one subscription a channel to an origin.
//!
//! ```text
//! origin -> upstream -> table -> channel -> ring
//!                                        -> client's queue -> session -> socket | events | poll -> client
//! ```
//!
//! - `upstream`: the one connection to an origin, and the next when it ends; `table`: channels, and what is asked about them
//! - `channel`: who listens to one, from where on; `ring`: its last frames, for who comes back
//! - `client`: what waits for one client, bounded; `session`: what a client has subscribed to, whatever carries it
//! - `socket`, `events` and `poll`: what carries it; the numbers are the same on all. `tongue`: how a socket is spoken over. MQTT would be one more beside them: a
//!   topic is a channel, and what its packets are numbered by are cursors
//! - `cursors`: where a client of a stream is, for when it comes back
//! - `framing` and `strict`: how sockets are framed, timed and ended; `echo`: one that says back what it is told
//! - `token`: who may listen; `call`: requests made over a socket
//!
//! What it leaves to others: what a channel is about and who is in it (origins).

mod call;
mod channel;
mod client;
mod cursors;
mod echo;
mod events;
mod framing;
mod poll;
mod ring;
mod session;
mod socket;
mod strict;
mod table;
mod token;
mod tongue;
mod upstream;

pub(crate) use call::Brought;
pub(crate) use table::Table;
pub(crate) use upstream::follow;

use crate::edge::Shared;
use crate::gate::Target;
use crate::metrics::Transport;
use crate::rooms;
use client::Out;
use cursors::Cursors;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, HeaderMap, HeaderValue, SEC_WEBSOCKET_PROTOCOL,
};
use http::{Method, StatusCode};
use serde_json::json;
use session::Session;
use sluice_service::{Body, HttpRequest, HttpResponse, Peer, Pipe, problem_response};
use sluice_wire::{Problem, Tag, channel as channel_words};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use tongue::Tongue;

/// Where clients come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// `/v1/live`
    Socket,
    /// `/v1/live/echo`
    Echo,
    /// `/v1/live/events`
    Events,
    /// `/v1/live/poll`
    Poll,
}

impl Door {
    /// The door at a path.
    pub(crate) fn of(path: &str) -> Option<Self> {
        match path {
            "/v1/live" => Some(Self::Socket),
            "/v1/live/echo" => Some(Self::Echo),
            "/v1/live/events" => Some(Self::Events),
            "/v1/live/poll" => Some(Self::Poll),
            _ => None,
        }
    }
}

/// True for what origins say to edges alone.
pub(crate) fn is_inner(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    path == "/v1/log"
        || path == channel_words::PATH
        || path == channel_words::REVOCATIONS
        || rooms::is_inner(path)
}

/// What a query asks for.
#[derive(Debug, Default)]
struct Asked {
    channels: Vec<Tag>,
    after: Option<String>,
    wait_s: Option<u64>,
    token: Option<String>,
}

impl Asked {
    fn read(query: Option<&str>) -> Result<Self, Problem> {
        let refuse =
            |detail: String| Problem::new(400, "bad-subscription", "Bad subscription").detail(detail);
        let mut asked = Self::default();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match name.as_ref() {
                "channel" => {
                    let channel = Tag::new(value).map_err(|error| refuse(error.to_string()))?;
                    if !asked.channels.contains(&channel) {
                        asked.channels.push(channel);
                    }
                }
                "after" => asked.after = Some(value.into_owned()),
                "wait" => {
                    let wait = value.parse().map_err(|_| refuse("wait is a number of seconds".into()))?;
                    asked.wait_s = Some(wait);
                }
                "token" => asked.token = Some(value.into_owned()),
                _ => {}
            }
        }
        match asked.channels.len() {
            0 => Err(refuse("name a channel".into())),
            1..=events::MAX_CHANNELS => Ok(asked),
            _ => Err(refuse(format!("at most {} channels", events::MAX_CHANNELS))),
        }
    }
}

/// Answers a client.
pub(crate) async fn serve(
    edge: &Arc<Shared>,
    door: Door,
    request: HttpRequest,
    target: &Target,
) -> HttpResponse {
    let answered = match *request.method() {
        Method::GET => open(edge, door, request, target).await,
        Method::OPTIONS => Ok(preflight()),
        _ => Err(Problem::new(405, "method-not-allowed", "Method not allowed").detail("GET it")),
    };
    let mut answer = answered.unwrap_or_else(problem_response);
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    answer
}

async fn open(
    edge: &Arc<Shared>,
    door: Door,
    request: HttpRequest,
    target: &Target,
) -> Result<HttpResponse, Problem> {
    let peer = request.extensions().get::<Peer>().copied();
    let from = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.addr.ip().to_canonical());
    let brought = request.extensions().get::<Brought>().cloned();
    let brought = brought.unwrap_or_else(|| Brought::of(&HeaderMap::new()));
    if matches!(door, Door::Socket | Door::Echo) {
        let session = Session::new(edge, Transport::Socket, from)?;
        let (tongue, named) = Tongue::offered(request.headers());
        let (mut answer, pipe) = Pipe::open(request)?;
        let (edge, tasks) = (Arc::clone(edge), edge.drain.tasks());
        if door == Door::Echo {
            tasks.spawn(echo::converse(edge, session, pipe));
            return Ok(answer);
        }
        if let Some(name) = named {
            answer.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(name));
        }
        tasks.spawn(socket::converse(edge, session, (pipe, tongue), brought, peer));
        return Ok(answer);
    }
    let asked = Asked::read(target.query.as_deref())?;
    let token = asked.token.or_else(|| token::of(brought.authorization.as_ref()?).map(str::to_owned));
    if door == Door::Events {
        let cursors = Cursors::of_request(&asked.channels, request.headers(), asked.after.as_deref());
        let session = Session::new(edge, Transport::Events, from)?;
        return events::answer(session, &asked.channels, cursors, token.as_deref(), &edge.drain).await;
    }
    let refuse = |detail: &str| Problem::new(400, "bad-subscription", "Bad subscription").detail(detail);
    let [channel] = &asked.channels[..] else { return Err(refuse("one channel is polled at a time")) };
    let after =
        asked.after.map(|after| after.parse()).transpose().map_err(|_| refuse("after is a number"))?;
    let wait = Duration::from_secs(asked.wait_s.unwrap_or(0).min(poll::MAX_WAIT_S));
    let session = Session::new(edge, Transport::Poll, from)?;
    poll::answer(session, channel.clone(), after, token, wait, &edge.drain).await
}

/// Leave for pages of any origin to say where they are, and who they are (Fetch standard, 3.2.2).
fn preflight() -> HttpResponse {
    let mut answer = HttpResponse::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization, last-event-id"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    answer
}

/// What a client is told, in JSON.
fn words(out: &Out) -> String {
    match out {
        Out::Subscribed(channel, seq) => json!({ "subscribed": channel, "seq": seq }).to_string(),
        Out::Frame(_, frame) => frame.text.as_str().to_owned(),
        Out::Gap(channel, gap) => json!({ "channel": channel, "gap": gap }).to_string(),
        Out::Aside(_, aside) => aside.text.as_str().to_owned(),
        Out::Refused(channel, problem) => json!({ "refused": channel, "problem": problem }).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_wire::tag::parse_versions;

    #[test]
    fn a_query_names_channels_and_little_else() {
        let of = |query| Asked::read(Some(query)).map_err(|problem| problem.status);
        let asked = of("channel=chat:1&channel=chat%3A2&channel=chat:1&after=chat:1%3D3&wait=9&x=y").unwrap();
        assert_eq!((asked.channels.len(), asked.wait_s), (2, Some(9)));
        assert_eq!(parse_versions(&asked.after.unwrap()).len(), 1);
        for bad in ["", "channel=", "channel=a%20b", "channel=a&wait=x"] {
            assert_eq!(of(bad).map(|_| ()), Err(400), "{bad}");
        }
        let many: Vec<String> = (0..=events::MAX_CHANNELS).map(|n| format!("channel=c{n}")).collect();
        assert_eq!(of(&many.join("&")).map(|_| ()), Err(400));
    }

    #[test]
    fn doors_are_where_they_are_and_what_is_for_edges_is_nowhere() {
        assert_eq!(Door::of("/v1/live"), Some(Door::Socket));
        assert_eq!((Door::of("/v1/live/"), Door::of("/v1/live/x")), (None, None));
        assert!(is_inner("/v1/log") && is_inner("/v1/log/") && is_inner("/v1/channels"));
        assert!(is_inner("/v1/rooms/") && !is_inner("/v1/rooms/a/tickets"));
        assert!(!is_inner("/v1/logs") && !is_inner("/v1/live"));
    }
}
