//! An origin of a story's own: a function from request to answer, on a free port of loopback, that counts what it is asked.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What a scripted origin does with a request.
pub type Script = Arc<dyn Fn(Request) -> BoxFuture<'static, Response> + Send + Sync>;

/// A scripted origin. It ends when dropped.
#[derive(Debug)]
pub struct ScriptedOrigin {
    /// Where it listens.
    pub at: SocketAddr,
    asked: Arc<Mutex<BTreeMap<String, usize>>>,
    _serving: JoinSet<()>,
}

impl ScriptedOrigin {
    /// Starts an origin that answers by a script. `/v1/log`, which edges follow, is not for the script: it gets 404, so the
    /// edge's event feed stays down.
    pub async fn start<F, A>(script: F) -> Self
    where
        F: Fn(Request) -> A + Send + Sync + 'static,
        A: Future<Output = Response> + Send + 'static,
    {
        Self::start_at(([127, 0, 0, 1], 0).into(), script).await
    }

    /// The same, at this address.
    pub async fn start_at<F, A>(at: SocketAddr, script: F) -> Self
    where
        F: Fn(Request) -> A + Send + Sync + 'static,
        A: Future<Output = Response> + Send + 'static,
    {
        let script: Script = Arc::new(move |request| Box::pin(script(request)));
        let asked: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
        let counted = Arc::clone(&asked);
        let app = Router::new().fallback(move |request: Request| {
            let (script, counted) = (Arc::clone(&script), Arc::clone(&counted));
            async move {
                if request.uri().path() == "/v1/log" {
                    return answer(404, &[], "");
                }
                let target = request.uri().path_and_query().map_or("", |p| p.as_str()).to_owned();
                *counted.lock().unwrap().entry(target).or_default() += 1;
                script(request).await
            }
        });
        let listener = TcpListener::bind(at).await.unwrap();
        let at = listener.local_addr().unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { at, asked, _serving: serving }
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    /// How often it was asked for a target (path and query).
    #[must_use]
    pub fn asked(&self, target: &str) -> usize {
        self.asked.lock().unwrap().get(target).copied().unwrap_or(0)
    }

    /// How often it was asked in all.
    #[must_use]
    pub fn asked_in_all(&self) -> usize {
        self.asked.lock().unwrap().values().sum()
    }
}

/// An answer with these fields.
#[must_use]
pub fn answer(status: u16, fields: &[(&str, &str)], body: impl Into<Body>) -> Response {
    let mut answer = Response::builder().status(status);
    for (name, value) in fields {
        answer = answer.header(*name, *value);
    }
    answer.body(body.into()).unwrap()
}

/// A body that stops after its first part until the gate is opened.
pub fn gated(first: Vec<u8>, mut gate: watch::Receiver<bool>, rest: Vec<u8>) -> Body {
    let rest = stream::once(async move {
        gate.wait_for(|open| *open).await.map_err(io::Error::other)?;
        Ok(Bytes::from(rest))
    });
    Body::from_stream(stream::iter([Ok::<_, io::Error>(Bytes::from(first))]).chain(rest))
}

/// A body that breaks off, with its connection, after its first part, once the gate is opened.
pub fn broken(first: Vec<u8>, mut gate: watch::Receiver<bool>) -> Body {
    let end = stream::once(async move {
        drop(gate.wait_for(|open| *open).await);
        Err::<Bytes, _>(io::Error::other("broken off"))
    });
    Body::from_stream(stream::iter([Ok::<_, io::Error>(Bytes::from(first))]).chain(end))
}

/// Bytes that differ from place to place: nothing read from elsewhere is taken for right.
#[must_use]
pub fn pattern(count: usize, seed: u32) -> Vec<u8> {
    (0..count as u32).map(|i| (i ^ seed).wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect()
}

/// The part of `whole` that a request's single `Range` asks for, `from` and `to` (exclusive), or all of it.
#[must_use]
pub fn range_of(request: &Request, whole: usize) -> Option<(usize, usize)> {
    let range = request.headers().get("range")?.to_str().ok()?.strip_prefix("bytes=")?;
    let (from, last) = range.split_once('-')?;
    let from: usize = from.parse().ok()?;
    let to = if last.is_empty() { whole } else { last.parse::<usize>().ok()? + 1 };
    Some((from, to.min(whole)))
}
