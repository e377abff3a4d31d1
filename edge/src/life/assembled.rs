//! Lists that name fragments: each is asked for as a client would ask for it, and so it is kept, collapsed and below no floor
//! like anything else.

use crate::assemble::{Form, Fragment, Fragments, MAX_FRAGMENT, MAX_LIST};
use crate::edge::Shared;
use crate::gate;
use bytes::Bytes;
use futures::future::join_all;
use http::header::{CONTENT_LENGTH, HOST, HeaderValue};
use http::{Method, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use sluice_service::{Body, HttpRequest, HttpResponse, Peer, problem_response};
use sluice_wire::headers::{SLUICE_ASSEMBLE, SLUICE_AT_LEAST, SLUICE_VERSION, SURROGATE_KEY};
use sluice_wire::{Problem, Tier};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long fragments are waited for; what is not there by then is left open.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a list's own bytes are waited for.
const LIST: Duration = Duration::from_secs(10);

/// Fields about a list's own bytes and versions.
const OF_LIST: [&str; 7] =
    ["etag", "last-modified", "content-digest", "repr-digest", "content-md5", SURROGATE_KEY, SLUICE_VERSION];

/// A request whose answer may be a list.
#[derive(Debug)]
pub(super) struct Asker {
    /// The path that it asks for, which references of the list are relative to.
    path: String,
    host: HeaderValue,
    /// The versions that it demands, of fragments as well.
    at_least: Option<HeaderValue>,
    peer: Option<Peer>,
}

/// Marks what is asked for on behalf of a list: its answer is none.
#[derive(Debug, Clone, Copy)]
struct OfList;

/// True for what is asked for on behalf of a list.
pub(super) fn is_of_list(request: &HttpRequest) -> bool {
    request.extensions().get::<OfList>().is_some()
}

impl Asker {
    /// A client that reads, at a near edge.
    pub(super) fn of(edge: &Shared, request: &HttpRequest) -> Option<Self> {
        let reads = *request.method() == Method::GET && edge.config.tier == Tier::Near;
        if !reads || is_of_list(request) || gate::is_from_edge(request.headers()) {
            return None;
        }
        let host = request.headers().get(HOST)?.clone();
        let path = request.uri().path().to_owned();
        let at_least = request.headers().get(SLUICE_AT_LEAST).cloned();
        Some(Self { path, host, at_least, peer: request.extensions().get::<Peer>().copied() })
    }

    /// The answer with what it names, if it is a list.
    pub(super) async fn assembled(&self, edge: &Arc<Shared>, mut answer: HttpResponse) -> HttpResponse {
        let form = Form::of(answer.headers()).filter(|_| answer.status() == StatusCode::OK);
        answer.headers_mut().remove(SLUICE_ASSEMBLE);
        let Some(form) = form else { return answer };
        let (mut head, body) = answer.into_parts();
        let Ok(Ok(list)) = timeout(LIST, Limited::new(body, MAX_LIST).collect()).await else {
            let detail = format!("a list of fragments came broken, too late or with over {MAX_LIST} bytes");
            return problem_response(Problem::new(502, "no-list", "No list").detail(detail));
        };
        let list = list.to_bytes();
        let whole = match form.read(&self.path, &list) {
            Some(read) => read.assemble(&self.fragments(edge, read.paths()).await),
            None => None,
        };
        let whole = whole.map_or(list, Bytes::from);
        // They were the list's; the whole has no name of its own.
        OF_LIST.iter().for_each(|name| drop(head.headers.remove(*name)));
        head.headers.insert(CONTENT_LENGTH, whole.len().into());
        edge.metrics.bytes_out.inc_by(whole.len() as u64);
        HttpResponse::from_parts(head, Body::from(whole))
    }

    async fn fragments(&self, edge: &Arc<Shared>, paths: Vec<String>) -> Fragments {
        let all = paths.into_iter().map(|path| async {
            let fragment =
                timeout(PATIENCE, self.fragment(edge, &path)).await.unwrap_or(Fragment::Unavailable);
            (path, fragment)
        });
        join_all(all).await.into_iter().collect()
    }

    /// One fragment, asked for as anybody would.
    async fn fragment(&self, edge: &Arc<Shared>, path: &str) -> Fragment {
        let Ok(uri) = path.parse::<Uri>() else { return Fragment::Unavailable };
        let mut request = HttpRequest::new(Body::empty());
        *request.uri_mut() = uri;
        request.headers_mut().insert(HOST, self.host.clone());
        self.at_least
            .iter()
            .for_each(|demand| _ = request.headers_mut().insert(SLUICE_AT_LEAST, demand.clone()));
        request.extensions_mut().insert(OfList);
        if let Some(peer) = &self.peer {
            request.extensions_mut().insert(*peer);
        }
        let answer = Box::pin(super::live(Arc::clone(edge), request)).await;
        match answer.status() {
            StatusCode::OK => match Limited::new(answer.into_body(), MAX_FRAGMENT).collect().await {
                Ok(text) => Fragment::Text(text.to_bytes()),
                Err(_) => Fragment::Unavailable,
            },
            StatusCode::NOT_FOUND | StatusCode::GONE => Fragment::Gone,
            _ => Fragment::Unavailable,
        }
    }
}
