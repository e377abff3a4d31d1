//! What every request passes before the service sees it, and every answer on its way out.

use super::gate;
use super::paced::paced;
use super::tls::{Asked, Handshakes};
use super::{Peer, Protocol, WebSocket};
use crate::acme::Challenges;
use crate::config::LimitsConfig;
use crate::{Body, Cut, HttpRequest, HttpResponse, Metrics, TraceContext, problem_response};
use http::header::{ALT_SVC, HOST};
use http::{HeaderName, HeaderValue};
use prometheus::{IntCounter, IntCounterVec};
use sluice_wire::Problem;
use sluice_wire::headers::REQUEST_ID;
use std::convert::Infallible;
use std::sync::Arc;
use tower::{Service, ServiceExt};
use tracing::Instrument;

#[derive(Debug, Clone)]
pub(super) struct Front {
    alt_svc: Option<HeaderValue>,
    requests: Option<IntCounterVec>,
    /// The counters of what the shortcut answers, by protocol, found once.
    plain_hits: Option<[IntCounter; 3]>,
    /// Bytes of bodies that were not copied.
    pub(super) uncopied: Option<IntCounter>,
    pub(super) limits: LimitsConfig,
    pub(super) handshakes: Option<Handshakes>,
    /// What the connection's handshake asked for.
    asked: Option<Arc<Asked>>,
    /// What an authority may ask over HTTP.
    challenges: Option<Arc<Challenges>>,
}

impl Front {
    /// `h3` is the UDP port to advertise. The admin listener has neither that nor counters.
    pub(super) fn new(h3: Option<u16>, metrics: Option<&Metrics>, limits: LimitsConfig) -> Self {
        let alt_svc = h3.map(|port| {
            HeaderValue::from_str(&format!("h3=\":{port}\"; ma=86400")).expect("digits and plain characters")
        });
        let requests = metrics.map(|metrics| {
            metrics.counters(
                "sluice_http_requests_total",
                "Requests by protocol and status class",
                &["protocol", "status"],
            )
        });
        let plain_hits = requests.as_ref().map(|requests: &IntCounterVec| {
            Protocol::ALL.map(|protocol| requests.with_label_values(&[protocol.as_str(), "2xx"]))
        });
        let uncopied = metrics.map(|metrics| {
            let help = "Bytes of large bodies that went to clients without being copied";
            metrics.counter("sluice_http_uncopied_bytes_total", help)
        });
        let handshakes = metrics.map(Handshakes::new);
        Self { alt_svc, requests, plain_hits, uncopied, limits, handshakes, asked: None, challenges: None }
    }

    /// With questions of an authority.
    pub(super) fn challenges(self, challenges: Option<Arc<Challenges>>) -> Self {
        Self { challenges, ..self }
    }

    /// The answer to an authority's question.
    fn challenged(&self, request: &HttpRequest) -> Option<HttpResponse> {
        let answer = self.challenges.as_ref()?.over_http(request.uri().path())?;
        Some(http::Response::new(Body::from(answer)))
    }

    /// As it is for a connection whose handshake asked for a name.
    pub(super) fn asked(self, asked: Option<Arc<Asked>>) -> Self {
        Self { asked, ..self }
    }

    /// True when a request for this host came over a connection that is for others.
    pub(super) fn is_misdirected(&self, host: &str) -> bool {
        self.asked.as_ref().is_some_and(|asked| !asked.is_for(host))
    }

    /// What is wrong with where a request came.
    fn misdirected(&self, request: &HttpRequest) -> Result<(), Problem> {
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        if !self.is_misdirected(host) {
            return Ok(());
        }
        let problem = Problem::new(421, "misdirected", "Misdirected request");
        Err(problem
            .detail("the connection's certificate is not for this host; open another connection to it"))
    }

    /// Counts a hit by the shortcut. Gives its `Alt-Svc`.
    pub(super) fn plain_hit(&self, peer: Peer) -> Option<&HeaderValue> {
        if let Some(hits) = &self.plain_hits {
            hits[peer.protocol as usize].inc();
        }
        self.alt_svc(peer)
    }

    /// The other port to tell a client of.
    fn alt_svc(&self, peer: Peer) -> Option<&HeaderValue> {
        self.alt_svc.as_ref().filter(|_| peer.secure && peer.protocol != Protocol::Http3)
    }

    /// Has the service answer a request.
    pub(super) async fn answer<S>(
        self,
        service: S,
        mut request: HttpRequest,
        peer: Peer,
    ) -> Result<HttpResponse, Infallible>
    where
        S: Service<HttpRequest, Response = HttpResponse, Error = Infallible> + Send,
        S::Future: Send,
    {
        let trace = TraceContext::from_headers(request.headers());
        let id = trace.request_id();
        let span = tracing::info_span!("request", id = %id.0, method = %request.method(), path = request.uri().path());
        // Who brings a trace has its id already: each answer between tiers is shorter by it.
        let told = trace.is_fresh().then(|| HeaderValue::from_str(&id.0).expect("hexadecimal digits"));
        let refused = gate::admit(&mut request, peer).and_then(|()| self.misdirected(&request)).err();
        // A WebSocket says what it likes when it likes.
        if request.extensions().get::<WebSocket>().is_none() {
            request = request.map(|body| paced(body, peer.protocol, self.limits));
        }
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(trace);
        request.extensions_mut().insert(id);
        let mut answer = if let Some(answer) = self.challenged(&request) {
            answer
        } else if let Some(problem) = refused {
            problem_response(problem)
        } else {
            let Ok(answer) = service.oneshot(request).instrument(span).await;
            answer
        };
        let headers = answer.headers_mut();
        // One that an answer was kept with is another request's.
        headers.remove(REQUEST_ID);
        if let Some(id) = told {
            headers.insert(HeaderName::from_static(REQUEST_ID), id);
        }
        if let Some(alt_svc) = self.alt_svc(peer) {
            headers.insert(ALT_SVC, alt_svc.clone());
        }
        if let Some(requests) = self.requests {
            requests.with_label_values(&[peer.protocol.as_str(), class(&answer)]).inc();
        }
        Ok(answer)
    }
}

/// An answer's status class in the metrics.
fn class(answer: &HttpResponse) -> &'static str {
    match answer.extensions().get::<Cut>() {
        Some(_) => "cut",
        None => ["1xx", "2xx", "3xx", "4xx", "5xx"][usize::from(answer.status().as_u16() / 100 - 1).min(4)],
    }
}
