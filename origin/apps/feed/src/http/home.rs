//! A reader's home: a small list of fragments, and why each is where it is.

use std::collections::BTreeMap;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use sluice_platform::once::Asked;
use sluice_platform::{ApiError, Caller, Page};
use sluice_wire::headers::SLUICE_ASSEMBLE;
use utoipa::ToSchema;

use super::{after, place, private};
use crate::PostId;
use crate::feed::Feed;
use crate::home::Window;
use crate::marks::Marks;
use crate::rank::{self, Candidate, Scored, Terms, Timings, Why};

/// Posts whose marks are asked for at once.
const MAX_MARKED: usize = 100;

/// What a home page is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wanted {
    after: Option<String>,
    limit: Option<u64>,
    order: Option<String>,
}

/// What to listen with, for as long as an access token is good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Listen {
    channel: String,
    token: String,
}

/// An item of a home page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct HomeItem {
    /// Where its fragment is, relative to the page (RFC 3986 section 4.2); the last part is the post's id.
    f: String,
    /// Why it is here, unless it is from somebody whom the reader follows: `own`.
    #[serde(skip_serializing_if = "Option::is_none")]
    w: Option<String>,
    /// What the reader did with what it shows: `l` for a like, `r` for a repost, `lr` for both.
    #[serde(skip_serializing_if = "Option::is_none")]
    m: Option<String>,
}

/// Posts by their ids.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Named {
    ids: String,
}

/// What a reader did with posts, by their ids; those it did nothing with are not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Marked {
    /// `l` for a like, `r` for a repost, `lr` for both.
    marks: BTreeMap<String, String>,
}

/// A page of a home. It has no content: whoever may read the list may read its fragments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct HomePage {
    items: Vec<HomeItem>,
    /// What `after` is for the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// The newest post that the reader has seen, on any device.
    #[serde(skip_serializing_if = "Option::is_none")]
    seen: Option<String>,
}

/// The newest post that a reader has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seen {
    #[schema(value_type = String)]
    seen: PostId,
}

/// Why a post is where it is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Reason {
    f: String,
    /// `pushed`, `pulled` or `own`.
    why: String,
    terms: Terms,
}

/// A home page with its reasons.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Explained {
    items: Vec<Reason>,
    stages: Timings,
}

/// The reader's home, ranked, or by time alone with `order=latest`.
#[utoipa::path(get, path = "/v1/feed/home",
    params(("after" = Option<String>, Query), ("limit" = Option<u64>, Query), ("order" = Option<String>, Query)),
    responses((status = 200, body = HomePage), (status = 400), (status = 401)))]
pub(super) async fn home(
    State(feed): State<Feed>,
    who: Caller,
    Query(wanted): Query<Wanted>,
) -> Result<Response, ApiError> {
    let latest = match wanted.order.as_deref() {
        None | Some("ranked") => false,
        Some("latest") => true,
        Some(_) => return Err(ApiError::bad_request("order is one of ranked, latest")),
    };
    let window = window(&feed, &who, &wanted).await?;
    let shown: Vec<Candidate> = if latest {
        window.candidates.clone()
    } else {
        ranked(&feed, &window).0.iter().map(|post| post.post.candidate).collect()
    };
    let item = |post: &Candidate| HomeItem {
        f: format!("posts/{}", post.id),
        w: (post.why == Why::Own).then(|| post.why.as_str().to_owned()),
        m: window.marks.get(&post.id).and_then(|marks| marks.text()).map(str::to_owned),
    };
    let text = |id: PostId| id.to_string();
    let body = HomePage {
        items: shown.iter().map(item).collect(),
        next: window.next.map(text),
        seen: window.seen.map(text),
    };
    let mut answer = private(&body, &[]);
    // A near edge puts the posts in, which are everybody's.
    answer.headers_mut().insert(HeaderName::from_static(SLUICE_ASSEMBLE), HeaderValue::from_static("json"));
    Ok(answer)
}

/// What the reader did with posts, at most 100: for pages whose lists are everybody's.
#[utoipa::path(get, path = "/v1/feed/marks", params(("ids" = String, Query, description = "ids, with commas between them")),
    responses((status = 200, body = Marked), (status = 400), (status = 401)))]
pub(super) async fn marks(
    State(feed): State<Feed>,
    who: Caller,
    Query(named): Query<Named>,
) -> Result<Response, ApiError> {
    let wrong = |_| ApiError::bad_request("ids are those of posts, with commas between them");
    let posts = named.ids.split(',').filter(|id| !id.is_empty()).map(|id| id.parse().map_err(wrong));
    let posts: Vec<PostId> = posts.take(MAX_MARKED + 1).collect::<Result<_, _>>()?;
    if posts.len() > MAX_MARKED {
        return Err(ApiError::bad_request(format!("at most {MAX_MARKED} posts at once")));
    }
    let marks = feed.marks(&who, &posts).await?;
    let text = |(id, marks): (PostId, Marks)| Some((id.to_string(), marks.text()?.to_owned()));
    Ok(private(&Marked { marks: marks.into_iter().filter_map(text).collect() }, &[]))
}

/// A token with which the reader hears that there is something new, on the channel `home:ACCOUNT`.
#[utoipa::path(post, path = "/v1/feed/token", responses((status = 200, body = Listen), (status = 401)))]
pub(super) async fn token(State(feed): State<Feed>, who: Caller) -> Response {
    let channel = format!("home:{}", who.account);
    let token = feed.accounts.channels(&who, vec![channel.clone()]);
    private(&Listen { channel, token }, &[])
}

/// Why the reader's home is as it is: what each post's score is made of, and what each stage took.
#[utoipa::path(get, path = "/v1/feed/home/explain",
    params(("after" = Option<String>, Query), ("limit" = Option<u64>, Query)),
    responses((status = 200, body = Explained), (status = 401)))]
pub(super) async fn explain(
    State(feed): State<Feed>,
    who: Caller,
    Query(wanted): Query<Wanted>,
) -> Result<Response, ApiError> {
    let window = window(&feed, &who, &wanted).await?;
    let (shown, stages) = ranked(&feed, &window);
    let reason = |post: &Scored| Reason {
        f: place(post.post.candidate.id),
        why: post.post.candidate.why.as_str().to_owned(),
        terms: post.terms,
    };
    Ok(private(&Explained { items: shown.iter().map(reason).collect(), stages }, &[]))
}

/// Notes what the reader has seen, for all its devices. It never goes back.
#[utoipa::path(put, path = "/v1/feed/home/seen", request_body = Seen,
    responses((status = 200, body = Seen), (status = 401)))]
pub(super) async fn seen(
    State(feed): State<Feed>,
    who: Caller,
    asked: Asked<Seen>,
) -> Result<Response, ApiError> {
    let versions = feed.seen(&who, asked.body.seen).await?;
    Ok(private(&asked.body, &versions))
}

/// Drops every home list; for the role `admin`. Each is rebuilt when its reader comes.
#[utoipa::path(delete, path = "/v1/feed/lists", responses((status = 204), (status = 401), (status = 403)))]
pub(super) async fn lists(State(feed): State<Feed>, who: Caller) -> Result<Response, ApiError> {
    who.needs("admin")?;
    feed.drop_lists().await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn window(feed: &Feed, who: &Caller, wanted: &Wanted) -> Result<Window, ApiError> {
    let page = Page { after: wanted.after.clone(), limit: wanted.limit };
    feed.window(who, after(&page)?, page.size()).await
}

fn ranked(feed: &Feed, window: &Window) -> (Vec<Scored>, Timings) {
    let now_ms = feed.database().now_ms();
    let (shown, timings) = rank::ranked(&window.candidates, &window.facts, &feed.config.rank, now_ms);
    (shown, Timings { candidate_us: window.read_us, ..timings })
}
