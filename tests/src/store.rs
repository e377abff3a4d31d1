//! A proxy in front of an S3 server, whose faults a story scripts request by request, and that counts what reached the
//! server.
//!
//! It passes requests on as they were signed, so the server takes them for its own client's.

use bytes::Bytes;
use futures::stream;
use http::{HeaderValue, Method, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// What becomes of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is passed on.
    None,
    /// It does not reach the server: the answer is an S3 error of this status and code.
    Refuse(u16, &'static str),
    /// It does not reach the server: the connection is reset.
    ResetBefore,
    /// The server does it, and the connection is reset before anybody is told.
    ResetAfter,
    /// The connection is reset within the answer's body; an answer without one is passed on.
    Short,
    /// It reaches the server this much later.
    Delay(Duration),
}

/// A request as a script sees it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// How often this has been asked, 1 upwards.
    pub attempt: usize,
}

impl Asked {
    /// A number that is the same for the same request and attempt, in a story's every run.
    #[must_use]
    pub fn dice(&self, seed: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        (seed, self.method.as_str(), &self.target, self.attempt).hash(&mut hasher);
        hasher.finish()
    }
}

type Script = Arc<dyn Fn(&Asked) -> Fault + Send + Sync>;
type Body = BoxBody<Bytes, io::Error>;
type Counts = BTreeMap<(Method, String), Count>;

/// How often something was asked, and done by the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Requests.
    pub asked: usize,
    /// Requests that the server did, whatever came back.
    pub done: usize,
}

/// A proxy in front of a store. It ends when dropped.
#[derive(Debug)]
pub struct FaultyStore {
    /// Where it listens.
    pub at: SocketAddr,
    shared: Shared,
    _serving: JoinSet<()>,
}

#[derive(Clone)]
struct Shared {
    to: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    script: Arc<Mutex<Script>>,
    counts: Arc<Mutex<Counts>>,
    faults: Arc<Mutex<usize>>,
}

impl FaultyStore {
    /// Starts one that has no faults.
    pub async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        let script: Script = Arc::new(|_| Fault::None);
        let shared = Shared {
            to,
            client: Client::builder(TokioExecutor::new()).build_http(),
            script: Arc::new(Mutex::new(script)),
            counts: Arc::default(),
            faults: Arc::default(),
        };
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, shared.clone()));
        Self { at, shared, _serving: serving }
    }

    /// From now on requests meet what this says.
    pub fn script(&self, script: impl Fn(&Asked) -> Fault + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap() = Arc::new(script);
    }

    /// Requests that met a fault so far.
    #[must_use]
    pub fn faults(&self) -> usize {
        *self.shared.faults.lock().unwrap()
    }

    /// What was asked by this method of targets that contain this text, each with its counts.
    #[must_use]
    pub fn counts(&self, method: &Method, text: &str) -> Vec<(String, Count)> {
        let counts = self.shared.counts.lock().unwrap();
        let those = counts.iter().filter(|((by, target), _)| by == method && target.contains(text));
        those.map(|((_, target), count)| (target.clone(), *count)).collect()
    }

    /// All requests so far.
    #[must_use]
    pub fn asked_in_all(&self) -> usize {
        self.shared.counts.lock().unwrap().values().map(|count| count.asked).sum()
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("to", &self.to).finish_non_exhaustive()
    }
}

async fn accept(listener: TcpListener, shared: Shared) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((socket, _)) = accepted else { return };
                connections.spawn(serve(socket, shared.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(socket: TcpStream, shared: Shared) {
    // What ends here is reset.
    socket.set_zero_linger().unwrap();
    let service = service_fn(move |request| shared.clone().answer(request));
    drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service).await);
}

impl Shared {
    async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, io::Error> {
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str()).to_owned();
        let method = request.method().clone();
        let attempt = self.count(&method, &target, |count| {
            count.asked += 1;
            count.asked
        });
        let asked = Asked { method, target, attempt };
        let script = Arc::clone(&self.script.lock().unwrap());
        let fault = script(&asked);
        *self.faults.lock().unwrap() += usize::from(fault != Fault::None);
        let (head, body) = request.into_parts();
        // A server has read a request before it refuses it; else the client is still writing when it is told.
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        match fault {
            Fault::Refuse(status, code) => return Ok(refusal(status, code)),
            Fault::ResetBefore => return Err(io::ErrorKind::ConnectionReset.into()),
            Fault::Delay(time) => sleep(time).await,
            Fault::None | Fault::ResetAfter | Fault::Short => {}
        }
        let uri = format!("http://{}{}", self.to, asked.target);
        let mut onward = Request::builder().method(head.method).uri(uri).body(Full::new(body)).unwrap();
        *onward.headers_mut() = head.headers;
        let answer = self.client.request(onward).await.map_err(io::Error::other)?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        if head.status.is_success() {
            self.count(&asked.method, &asked.target, |count| count.done += 1);
        }
        match fault {
            Fault::ResetAfter => Err(io::ErrorKind::ConnectionReset.into()),
            Fault::Short if body.len() > 1 => Ok(Response::from_parts(head, short(&body))),
            _ => Ok(Response::from_parts(head, Full::new(body).map_err(|never| match never {}).boxed())),
        }
    }

    fn count<T>(&self, method: &Method, target: &str, change: impl FnOnce(&mut Count) -> T) -> T {
        change(self.counts.lock().unwrap().entry((method.clone(), target.to_owned())).or_default())
    }
}

fn refusal(status: u16, code: &str) -> Response<Body> {
    let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>a story</Message></Error>");
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed();
    let mut answer = Response::builder().status(status).body(body).unwrap();
    answer.headers_mut().insert("content-type", HeaderValue::from_static("application/xml"));
    answer
}

/// The first half, and a broken connection.
fn short(body: &Bytes) -> Body {
    let half = Frame::data(body.slice(..body.len() / 2));
    StreamBody::new(stream::iter([Ok(half), Err(io::ErrorKind::ConnectionReset.into())])).boxed()
}
