//! Calls over a socket: each becomes one short request, which lives as any other does here.

use crate::edge::Shared;
use crate::{gate, life};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN,
};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde_json::{Value, json};
use sluice_service::{Body, HttpRequest, HttpResponse, Peer};
use sluice_wire::Problem;
use sluice_wire::headers::{SLUICE_ADMISSION, SLUICE_AT_LEAST, SLUICE_VERSION};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Time for a call.
const LIMIT: Duration = Duration::from_secs(10);
/// Bytes of an answer: a page of messages.
const MAX_ANSWER: usize = 256 << 10;
/// Bytes of a call's name, and of its idempotency key.
const MAX_NAME: usize = 255;

/// A call, as a client makes it.
#[derive(Debug, Deserialize)]
pub(super) struct Call {
    /// What its answer is to be called.
    pub(super) call: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) body: Option<Value>,
    pub(super) key: Option<String>,
    /// What lets it into where a waiting room is.
    pub(super) admission: Option<String>,
    /// Versions that the answer is to show at least.
    pub(super) at_least: Option<String>,
}

/// The answer to a call.
#[derive(Debug)]
pub(super) struct Answered {
    /// What the client called it.
    pub(super) name: String,
    pub(super) status: u16,
    /// JSON, or the text of another body.
    pub(super) body: Value,
    /// The versions that it shows, if it says so.
    pub(super) versions: Option<String>,
}

/// What a client brought with its request: an extension of the request, for what is taken out of it on the way.
#[derive(Debug, Clone)]
pub(crate) struct Brought {
    host: Option<HeaderValue>,
    pub(super) authorization: Option<HeaderValue>,
    cookie: Option<HeaderValue>,
}

impl Brought {
    /// Of a request's fields. Cookies count where the page is of this host: any page can open a socket anywhere, and the
    /// browser gives it the cookies.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let one = |name| headers.get(name).cloned();
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let from = headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
        let same = from.is_none_or(|origin| {
            origin.split_once("://").is_some_and(|(_, from)| from.eq_ignore_ascii_case(host))
        });
        Self { host: one(HOST), authorization: one(AUTHORIZATION), cookie: one(COOKIE).filter(|_| same) }
    }
}

impl Call {
    /// The request that a call becomes.
    fn request(self, brought: &Brought, peer: Option<Peer>) -> Result<HttpRequest, Problem> {
        let refuse = |detail: &str| Problem::new(400, "bad-call", "Bad call").detail(detail);
        let path =
            gate::spelled(&self.path).ok_or_else(|| refuse("the path has another meaning than it shows"))?;
        let plain = path.split('?').next().unwrap_or_default();
        if !plain.starts_with("/v1/") || super::Door::of(plain).is_some() || super::is_inner(plain) {
            return Err(refuse("only what is under /v1/ is called, and nothing that is live itself"));
        }
        if self.key.as_ref().is_some_and(|key| key.is_empty() || key.len() > MAX_NAME) {
            return Err(refuse("a key has 1 to 255 bytes"));
        }
        let mut request = HttpRequest::new(Body::empty());
        *request.method_mut() = self.method.parse().map_err(|_| refuse("the method is none"))?;
        *request.uri_mut() = path.parse().map_err(|_| refuse("the path is none"))?;
        if let Some(body) = self.body {
            *request.body_mut() = Body::from(body.to_string());
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let field = |text: Option<String>, what: &str| {
            let field = text.map(|text| HeaderValue::from_str(&text)).transpose();
            field.map_err(|_| refuse(&format!("{what} cannot stand in a field")))
        };
        let fields = [
            (HOST, brought.host.clone()),
            (AUTHORIZATION, brought.authorization.clone()),
            (COOKIE, brought.cookie.clone()),
            (HeaderName::from_static("idempotency-key"), field(self.key, "the key")?),
            (HeaderName::from_static(SLUICE_ADMISSION), field(self.admission, "the admission")?),
            (HeaderName::from_static(SLUICE_AT_LEAST), field(self.at_least, "what is wanted at least")?),
            (ACCEPT, Some(HeaderValue::from_static("application/json"))),
        ];
        for (name, value) in fields {
            value.map(|value| request.headers_mut().insert(name, value));
        }
        peer.map(|peer| request.extensions_mut().insert(peer));
        Ok(request)
    }

    /// Makes the call: the answer to it.
    pub(super) async fn make(self, edge: Arc<Shared>, brought: Brought, peer: Option<Peer>) -> Answered {
        let name: String = self.call.chars().take(MAX_NAME).collect();
        let answered = match self.request(&brought, peer) {
            Ok(request) => timeout(LIMIT, answer(edge, request)).await.unwrap_or_else(|_| {
                Err(Problem::new(504, "late", "The answer takes too long")
                    .detail("call again with the same key"))
            }),
            Err(problem) => Err(problem),
        };
        match answered {
            Ok((status, body, versions)) => Answered { name, status, body, versions },
            Err(problem) => Answered::refused(name, &problem),
        }
    }
}

impl Answered {
    /// The answer to a call that is not made.
    pub(super) fn refused(name: String, problem: &Problem) -> Self {
        Self { name, status: problem.status, body: json!(problem), versions: None }
    }
}

async fn answer(edge: Arc<Shared>, request: HttpRequest) -> Result<(u16, Value, Option<String>), Problem> {
    let answer = live_on(edge, request).await;
    let status = answer.status().as_u16();
    let versions = text_of(&answer, SLUICE_VERSION).map(str::to_owned);
    let kind = text_of(&answer, CONTENT_TYPE.as_str()).unwrap_or_default();
    let is_json = kind.split(';').next().is_some_and(|kind| kind.trim().ends_with("json"));
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await.map_err(|_| {
        Problem::new(502, "bad-answer", "No whole answer").detail("it was cut, or is too long for a socket")
    })?;
    let text = body.to_bytes();
    let read = || serde_json::from_slice(&text).ok().filter(|_| is_json);
    let body = match text.is_empty() {
        true => Value::Null,
        false => read().unwrap_or_else(|| Value::String(String::from_utf8_lossy(&text).into_owned())),
    };
    Ok((status, body, versions))
}

fn text_of<'a>(answer: &'a HttpResponse, field: &str) -> Option<&'a str> {
    answer.headers().get(field).and_then(|value| value.to_str().ok())
}

/// A request's life within that of another: boxed, or its type would hold itself.
fn live_on(edge: Arc<Shared>, request: HttpRequest) -> BoxFuture<'static, HttpResponse> {
    life::live(edge, request).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(path: &str) -> Result<String, u16> {
        let said = json!({ "call": "c", "method": "POST", "path": path });
        let call: Call = serde_json::from_value(said).unwrap();
        let brought = Brought::of(&HeaderMap::new());
        call.request(&brought, None).map(|request| request.uri().to_string()).map_err(|p| p.status)
    }

    #[test]
    fn only_what_is_short_and_public_is_called() {
        assert_eq!(called("/v1/chat/rooms/1?x=1").unwrap(), "/v1/chat/rooms/1?x=1");
        for bad in
            ["/v1/log", "/v1/%6cog?after=1", "/v1/channels", "/v1/live", "/v1/live/poll", "/v/x", "/", "x"]
        {
            assert_eq!(called(bad), Err(400), "{bad}");
        }
        assert_eq!(called("/v1/../v/x"), Err(400));
    }

    #[test]
    fn cookies_of_another_page_do_not_count() {
        let of = |origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("a.example:8080"));
            headers.insert(COOKIE, HeaderValue::from_static("s=1"));
            origin.map(|origin| headers.insert(ORIGIN, origin.parse().unwrap()));
            Brought::of(&headers).cookie.is_some()
        };
        assert!(of(None) && of(Some("https://a.example:8080")) && of(Some("http://A.example:8080")));
        assert!(!of(Some("https://b.example")) && !of(Some("null")) && !of(Some("https://a.example")));
    }
}
