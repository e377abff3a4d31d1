//! Parents: where a miss goes, and how it is asked.

use crate::access::Owner;
use crate::edge::Shared;
use crate::gate::{self, Target};
use crate::health::{Health, SLOW};
use crate::names::Names;
use crate::tenant::Tenant;
use crate::trailers::Checked;
use crate::websocket;
use arc_swap::ArcSwap;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, HeaderMap,
    HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
    ORIGIN, RANGE, TE, VIA,
};
use http::{Method, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use sluice_service::{Body, EarlyData, HttpRequest, HttpResponse, Interim, Peer, TraceContext};
use sluice_wire::headers::{
    ACCESS_CHECKS, CDN_LOOP, SLUICE_ACCESS, SLUICE_ADMISSION, SLUICE_OWNER, SLUICE_TENANT, TRACEPARENT,
};
use sluice_wire::{MediaPath, PlacementKey, Tier};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Time for a connection to a parent.
const CONNECT: Duration = Duration::from_secs(1);
/// Time for a parent's head: an origin may be storing a part before it answers an upload.
const HEAD: Duration = Duration::from_secs(10);
/// Time for the head of an answer to a request with a body.
const UPLOAD_HEAD: Duration = Duration::from_secs(120);
/// Parents remembered; one more, and all are new again. A route table has fewer.
const MAX_PARENTS: usize = 4_096;
/// Rest after which a connection is probed, time between probes, and probes that go unanswered before it is given up.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(5), Duration::from_secs(2), 2);
/// Idle connections kept to a parent, and for how long.
const IDLE: (usize, Duration) = (64, Duration::from_secs(30));

/// The client side of an edge.
#[derive(Debug)]
pub(crate) struct Parents {
    health: Mutex<HashMap<String, Health>>,
    connector: Connector,
    /// Replaced, with all its connections at rest, when a parent falls silent: some may be half open.
    client: ArcSwap<Client<Connector, Body>>,
}

type Connector = HttpsConnector<HttpConnector<Names>>;

/// Why a parent gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// It cannot be reached: nothing was sent to it.
    Unconnected,
    /// It broke off.
    Unreachable,
    /// It took too long.
    Late,
    /// It answered with an error of its own.
    Erred,
    /// The client broke off while its body was passed on: no fault of the parent.
    Cut,
}

impl Parents {
    /// Parents are asked in plain text or over TLS, as their URLs have it.
    pub(crate) fn new(tls: rustls::ClientConfig, names: Names) -> Self {
        let mut connector = HttpConnector::new_with_resolver(names);
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CONNECT));
        connector.set_nodelay(true);
        // A machine that is gone says nothing: its connections are given up all the same.
        connector.set_keepalive(Some(KEEPALIVE.0));
        connector.set_keepalive_interval(Some(KEEPALIVE.1));
        connector.set_keepalive_retries(Some(KEEPALIVE.2));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = ArcSwap::from_pointee(client(connector.clone()));
        Self { connector, client, health: Mutex::new(HashMap::new()) }
    }

    /// Asks a parent (scheme, host and port) for what the request names.
    pub(crate) async fn ask(
        &self,
        parent: &str,
        request: HttpRequest,
        target: &str,
    ) -> Result<HttpResponse, NoAnswer> {
        self.ask_within(parent, request, target, None).await
    }

    /// As [`ask`](Self::ask); a `patience` takes the place of the usual time for a head.
    pub(crate) async fn ask_within(
        &self,
        parent: &str,
        request: HttpRequest,
        target: &str,
        patience: Option<Duration>,
    ) -> Result<HttpResponse, NoAnswer> {
        let answer = self.exchange(parent, request, target, patience).await?;
        let mut answer = answer.map(|body| Body::new(Checked(body)));
        gate::remove_hop_by_hop(answer.headers_mut());
        Ok(answer)
    }

    /// Asks a parent for a WebSocket under a key: its answer, and with it the connection if it opened one.
    pub(crate) async fn upgrade(
        &self,
        parent: &str,
        request: HttpRequest,
        target: &str,
        key: &HeaderValue,
    ) -> Result<(HttpResponse, Option<OnUpgrade>), NoAnswer> {
        let mut answer = self.exchange(parent, request, target, None).await?;
        let opened = websocket::is_opened(answer.status(), answer.headers(), key);
        let connection = opened.then(|| hyper::upgrade::on(&mut answer));
        let mut answer = answer.map(Body::new);
        gate::remove_hop_by_hop(answer.headers_mut());
        Ok((answer, connection))
    }

    async fn exchange(
        &self,
        parent: &str,
        mut request: HttpRequest,
        target: &str,
        patience: Option<Duration>,
    ) -> Result<http::Response<Incoming>, NoAnswer> {
        let uri = format!("{}{target}", parent.trim_end_matches('/')).parse();
        *request.uri_mut() = uri.map_err(|_| NoAnswer::Unreachable)?;
        *request.version_mut() = http::Version::HTTP_11;
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        let (asked, usual) = (Instant::now(), if is_read { HEAD } else { UPLOAD_HEAD });
        let limit = patience.unwrap_or(usual);
        let limit = self.note(parent, |health| health.head_limit(asked, limit));
        let mut answering = std::pin::pin!(self.client.load().request(request));
        let mut answer = timeout(limit.min(SLOW), answering.as_mut()).await;
        if answer.is_err() && limit > SLOW {
            // What is known to be long in coming says nothing of the parent.
            let tells = is_read && patience.is_none();
            if tells && self.note(parent, |health| health.kept_waiting(asked)) {
                tracing::debug!(parent, "a parent fell silent: connections are made anew");
                self.client.store(Arc::new(client(self.connector.clone())));
            }
            answer = timeout(limit - SLOW, answering).await;
        }
        let failure = match answer {
            Ok(Ok(answer)) => {
                if patience.is_none() {
                    self.note(parent, |health| health.answered(Instant::now(), asked.elapsed()));
                }
                return Ok(answer);
            }
            Err(_) if patience.is_some() => return Err(NoAnswer::Late),
            Ok(Err(error)) if is_clients_fault(&error) => return Err(NoAnswer::Cut),
            Ok(Err(error)) => {
                tracing::debug!(parent, %error, "a parent broke off");
                if error.is_connect() { NoAnswer::Unconnected } else { NoAnswer::Unreachable }
            }
            Err(_) => NoAnswer::Late,
        };
        self.note(parent, |health| health.failed(asked, Instant::now()));
        Err(failure)
    }

    /// A parent failed in what it had begun: the next ones are asked before it.
    pub(crate) fn failed(&self, parent: &str) {
        let now = Instant::now();
        self.note(parent, |health| health.failed(now, now));
    }

    /// Another parent was quicker, though it was asked later.
    pub(crate) fn lost(&self, parent: &str) {
        self.note(parent, |health| health.lost(Instant::now()));
    }

    /// How long after a parent another one may be asked beside it.
    pub(crate) fn hedge_after(&self, parent: &str) -> Duration {
        self.note(parent, |health| health.hedge_after())
    }

    /// True when none of these parents is worth waiting for, for anyone who has something else.
    pub(crate) fn are_suspect(&self, parents: &[String]) -> bool {
        let now = Instant::now();
        parents.iter().all(|parent| self.note(parent, |health| health.is_suspect(now)))
    }

    /// True when any parent is not worth waiting for.
    pub(crate) fn any_is_suspect(&self) -> bool {
        let now = Instant::now();
        let health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.values().any(|health| health.is_suspect(now))
    }

    /// Puts parents that failed a moment ago after the others.
    pub(crate) fn healthy_first(&self, mut parents: Vec<String>) -> Vec<String> {
        let now = Instant::now();
        parents.sort_by_cached_key(|parent| self.note(parent, |health| health.is_shunned(now)));
        parents
    }

    fn note<T>(&self, parent: &str, note: impl FnOnce(&mut Health) -> T) -> T {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = health.get_mut(parent) {
            return note(known);
        }
        if health.len() >= MAX_PARENTS {
            health.clear();
        }
        note(health.entry(parent.to_owned()).or_default())
    }
}

fn client(connector: Connector) -> Client<Connector, Body> {
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(IDLE.0)
        .pool_idle_timeout(IDLE.1)
        .build(connector)
}

/// Has a parent's interim answers passed on as they come (RFC 9110 section 15.2); they are never kept.
pub(crate) fn pass_interim(request: &mut HttpRequest, interim: Interim) {
    hyper::ext::on_informational(request, move |answer| {
        if answer.status() != StatusCode::CONTINUE {
            let mut headers = answer.headers().clone();
            gate::remove_hop_by_hop(&mut headers);
            interim.send(answer.status(), headers);
        }
    });
}

/// True when it was the request's own body that failed.
fn is_clients_fault(error: &hyper_util::client::legacy::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<hyper::Error>());
    cause.is_some_and(hyper::Error::is_user)
}

/// Parents of a miss, in order: for a near edge the shields in the object's own order, then the origins.
pub(crate) fn of_miss(edge: &Shared, target: &Target) -> Vec<String> {
    edge.parents.healthy_first(above(edge, target))
}

/// Parents of a fill, in order: siblings that own what is asked for, then those of any miss.
pub(crate) fn of_fill(edge: &Shared, target: &Target, siblings: &[String]) -> Vec<String> {
    let mut parents = siblings.to_vec();
    parents.extend(above(edge, target));
    edge.parents.healthy_first(parents)
}

fn above(edge: &Shared, target: &Target) -> Vec<String> {
    let mut parents = vec![];
    if edge.config.tier == Tier::Near {
        let placement = edge.placement();
        let order = placement.shields(PlacementKey::of_path(&target.path));
        let shields = order.iter().filter_map(|at| placement.node(*at));
        parents.extend(shields.map(|shield| shield.peer_url.clone()));
    }
    parents.extend(edge.origins_of(&target.path));
    parents
}

/// Parents of a request with an unsafe method. Where changes are pushed, shields hear of them by the log. Elsewhere they
/// must see the request: what it changes is kept there too (RFC 9111 section 4.4).
pub(crate) fn of_unsafe(edge: &Shared, target: &Target) -> Vec<String> {
    if edge.liveness.is_live() { of_pass(edge, target) } else { of_miss(edge, target) }
}

/// Parents of what is passed through: the origins.
pub(crate) fn of_pass(edge: &Shared, target: &Target) -> Vec<String> {
    edge.parents.healthy_first(edge.origins_of(&target.path))
}

/// What a fill leaves out: it asks for the whole, plain representation, for everybody.
const NOT_IN_FILLS: [HeaderName; 10] = [
    RANGE,
    IF_RANGE,
    IF_MATCH,
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    IF_UNMODIFIED_SINCE,
    ACCEPT_ENCODING,
    ORIGIN,
    AUTHORIZATION,
    TE,
];

/// Fields about a body, which a fetch has none of: whoever is told of one waits for it, or takes what comes next for it.
const OF_BODY: [HeaderName; 4] = [CONTENT_LENGTH, CONTENT_TYPE, CONTENT_ENCODING, EXPECT];

/// Fields by which some origins choose what they answer, though no cache keeps answers apart by them.
const NOT_KEYED: [&str; 12] = [
    "forwarded",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-host",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
];

/// Fields of a fill, out of the request that began it.
pub(crate) fn fill_headers(edge: &Shared, request: &HttpRequest, tenant: &Tenant) -> HeaderMap {
    let mut headers = alone_headers(edge, request, tenant);
    NOT_IN_FILLS.iter().for_each(|name| drop(headers.remove(name)));
    if MediaPath::parse(request.uri().path()).is_some() {
        headers.remove(http::header::COOKIE);
    }
    headers
}

/// Fields of a fetch of just what was asked, whose answer may turn out to be for others too.
pub(crate) fn alone_headers(edge: &Shared, request: &HttpRequest, tenant: &Tenant) -> HeaderMap {
    let mut headers = pass_headers(edge, request, tenant);
    NOT_KEYED.iter().for_each(|name| drop(headers.remove(*name)));
    OF_BODY.iter().for_each(|name| drop(headers.remove(name)));
    // How a client came is what this edge has seen: others may be given the answer.
    let peer = request.extensions().get::<Peer>().filter(|_| !gate::is_from_edge(request.headers()));
    if let Some(peer) = peer.filter(|_| edge.config.tier == Tier::Near) {
        headers.insert("x-forwarded-proto", HeaderValue::from_static(scheme(*peer)));
    }
    // What is kept for all names of a tenant is asked for under one. A shield has been asked so already.
    if edge.config.tier == Tier::Near
        && let Some(host) = edge.tenants.host_of(tenant, &edge.public_url)
        && let Ok(host) = HeaderValue::from_str(&host)
    {
        headers.insert(HOST, host);
    }
    headers
}

/// Fields of a request to a parent: without what ends here, with where it has been.
pub(crate) fn pass_headers(edge: &Shared, request: &HttpRequest, tenant: &Tenant) -> HeaderMap {
    let mut headers = request.headers().clone();
    let trailers = gate::takes_trailers(&headers);
    gate::remove_hop_by_hop(&mut headers);
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    // An admission is the client's own, and the origin's to judge.
    let is_internal = |name: &&HeaderName| name.as_str().starts_with("sluice-") && *name != SLUICE_ADMISSION;
    let internal: Vec<HeaderName> = headers.keys().filter(is_internal).cloned().collect();
    internal.iter().for_each(|name| drop(headers.remove(name)));
    if let Ok(tenant) = HeaderValue::from_str(tenant.as_str()) {
        headers.insert(HeaderName::from_static(SLUICE_TENANT), tenant);
    }
    // What is guarded is guarded here too: it may be given to this edge.
    headers.insert(HeaderName::from_static(SLUICE_ACCESS), HeaderValue::from_static(ACCESS_CHECKS));
    let owner = request.extensions().get::<Owner>().and_then(|owner| HeaderValue::from_str(&owner.0).ok());
    if let Some(owner) = owner {
        headers.insert(HeaderName::from_static(SLUICE_OWNER), owner);
    }
    let node = &edge.config.node;
    append(&mut headers, VIA, &format!("1.1 {node}"));
    append(&mut headers, HeaderName::from_static(CDN_LOOP), &gate::loop_name(node));
    if let Some(peer) = request.extensions().get::<Peer>() {
        append(&mut headers, HeaderName::from_static("x-forwarded-for"), &peer.addr.ip().to_string());
        if !headers.contains_key("x-forwarded-proto") {
            headers.insert("x-forwarded-proto", HeaderValue::from_static(scheme(*peer)));
        }
    }
    // What came so early may be a replay; the parent decides whether it minds (RFC 8470 section 5.1).
    if request.extensions().get::<EarlyData>().is_some() {
        headers.insert("early-data", HeaderValue::from_static("1"));
    }
    if let Some(trace) = request.extensions().get::<TraceContext>() {
        headers.insert(TRACEPARENT, trace.child_header());
    }
    headers
}

const fn scheme(peer: Peer) -> &'static str {
    if peer.secure { "https" } else { "http" }
}

/// Adds a member to a list field.
pub(crate) fn append(headers: &mut HeaderMap, name: HeaderName, member: &str) {
    let list = headers
        .get_all(&name)
        .iter()
        .filter_map(|v| v.to_str().ok())
        // An empty line says nothing, and makes no member of the list.
        .filter(|line| !line.trim().is_empty())
        .chain([member])
        .collect::<Vec<_>>()
        .join(", ");
    if let Ok(value) = HeaderValue::from_str(&list) {
        headers.insert(name, value);
    }
}
