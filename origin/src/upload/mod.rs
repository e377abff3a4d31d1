//! Uploads: one intake behind five ways in.
//!
//! A body becomes parts of bounded size. A part is stored durably, then appended by a conditional update of the upload's
//! offset: of two writers one wins, and an acknowledged offset is on stable storage. `put` and `form` are one request and
//! leave nothing behind when it is cut; `tus` is many, and keeps what arrived; `fetch` is this origin's own request; `direct`
//! parts are stored by the client. `settle` is what follows once all is here.

mod checksum;
pub(crate) mod direct;
mod error;
mod feed;
mod fetch;
mod hash;
mod intake;
mod name;
mod settle;
pub(crate) mod tus;

pub(crate) use fetch::fetch;
pub(crate) use intake::{Intake, sweep};
pub(crate) use settle::settle;

use crate::origin::State;
use crate::videos;
use axum::body::{Body, BodyDataStream};
use axum::extract::{Path, Request};
use axum::response::{IntoResponse, Response};
use error::UploadError;
use feed::Keep;
use futures::{Stream, StreamExt, TryStreamExt};
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use intake::Wanted;
use multer::Multipart;
use sluice_platform::ApiError;
use sluice_platform::cache::{self, Lifetime};
use sluice_wire::headers::SLUICE_OWNER;
use sluice_wire::{Tag, UploadId, Version, VideoId};

/// Bytes of a title sent as a form field.
const MAX_FIELD: usize = 4 << 10;

/// Bytes of a JSON body that orders a fetch: a URL, a title, and room.
const MAX_ORDER: usize = 16 << 10;

/// `PUT /v1/videos/NAME`.
pub(crate) async fn put(
    axum::extract::State(state): axum::extract::State<State>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (length, to) = (length(request.headers())?, Addressed::of(&request)?);
    let body = request.into_body().into_data_stream();
    let counted = state.metrics.uploads.clone();
    let result =
        whole(&state, &to, &name, None, length, body.map_err(|e| UploadError::Cut(e.to_string()))).await;
    count(&counted, "put", &result);
    created(&state, result?).await
}

/// `POST /v1/videos`: a form with the field `file`, and `title` before it if wanted; or JSON with the URL of a source.
pub(crate) async fn post(
    axum::extract::State(state): axum::extract::State<State>,
    request: Request,
) -> Result<Response, ApiError> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
        return by_url(&state, request).await;
    }
    let boundary = multer::parse_boundary(kind).map_err(|_| {
        let detail = "send multipart/form-data with a field named file, application/json with a url, or PUT the bytes to \
                      /v1/videos/NAME";
        ApiError::new(415, "not-a-form", "Not a form", detail)
    })?;
    let (counted, to) = (state.metrics.uploads.clone(), Addressed::of(&request)?);
    let result =
        from_form(&state, &to, Multipart::new(request.into_body().into_data_stream(), boundary)).await;
    count(&counted, "form", &result);
    created(&state, result?).await
}

/// A source that this origin is to fetch.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ByUrl {
    url: String,
    title: Option<String>,
}

/// 202: the video is there, its source is not yet.
async fn by_url(state: &State, request: Request) -> Result<Response, ApiError> {
    let to = Addressed::of(&request)?;
    let bytes = axum::body::to_bytes(request.into_body(), MAX_ORDER).await;
    let bytes =
        bytes.map_err(|_| ApiError::bad_request(format!("the body has at most {MAX_ORDER} bytes")))?;
    let wanted: ByUrl = serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::bad_request(format!("send {{\"url\": ..., \"title\": ...}}: {error}")))?;
    let id = state.intake.order(&state.outbound, &wanted.url, wanted.title, &to).await?;
    let mut answer = created(state, id).await?;
    *answer.status_mut() = StatusCode::ACCEPTED;
    Ok(answer)
}

async fn from_form(state: &State, to: &Addressed, mut form: Multipart<'_>) -> Result<UploadId, UploadError> {
    let cut = |error: multer::Error| UploadError::Cut(error.to_string());
    let mut title = None;
    while let Some(mut field) = form.next_field().await.map_err(cut)? {
        match field.name() {
            Some("file") => {
                let name = field.file_name().unwrap_or("video").to_owned();
                return whole(state, to, &name, title, None, field.map_err(cut)).await;
            }
            Some("title") => {
                let mut text = Vec::new();
                while let Some(piece) = field.chunk().await.map_err(cut)? {
                    text.extend_from_slice(&piece);
                    if text.len() > MAX_FIELD {
                        return Err(UploadError::Name("the title is too long".into()));
                    }
                }
                title = Some(String::from_utf8_lossy(&text).into_owned());
            }
            _ => while field.chunk().await.map_err(cut)?.is_some() {},
        }
    }
    Err(UploadError::NoFile)
}

/// Takes a whole source in one request: all of it is kept, or nothing.
async fn whole(
    state: &State,
    to: &Addressed,
    name: &str,
    title: Option<String>,
    length: Option<u64>,
    body: impl Stream<Item = Result<bytes::Bytes, UploadError>> + Send,
) -> Result<UploadId, UploadError> {
    let intake = &state.intake;
    let Addressed { owner, replaces } = to.clone();
    let wanted = Wanted { name: name.to_owned(), title, length, owner, replaces, ..Wanted::default() };
    let id = intake.begin(&wanted).await?;
    // A request that is dropped (its client gone) leaves an upload that the sweeper removes.
    let taken = intake.feed(id, 0, Keep::AsItComes, None, body).await;
    let finished = match taken {
        Ok(0) => Err(UploadError::Empty),
        Ok(received) if length.is_some_and(|length| length != received) => {
            Err(UploadError::Cut(format!("{received} bytes came, not as many as declared")))
        }
        Ok(_) if length.is_some() => Ok(()),
        Ok(received) => intake.finish(id, received).await,
        Err(error) => Err(error),
    };
    if let Err(error) = finished {
        intake.abandon(id).await;
        return Err(error);
    }
    Ok(id)
}

fn length(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let Some(text) = headers.get(CONTENT_LENGTH) else { return Ok(None) };
    let length = text.to_str().ok().and_then(|t| t.parse().ok());
    length.map(Some).ok_or_else(|| ApiError::bad_request("Content-Length is no number"))
}

fn count(uploads: &prometheus::IntCounterVec, way: &str, result: &Result<UploadId, UploadError>) {
    let outcome = match result {
        Ok(_) => "complete",
        Err(UploadError::Cut(_)) => "cut",
        Err(_) => "refused",
    };
    uploads.with_label_values(&[way, outcome]).inc();
}

/// 201 with the video's document.
async fn created(state: &State, id: UploadId) -> Result<Response, ApiError> {
    let view = videos::view(state, id.video()).await?;
    let version = (Tag::video(id.video()), Version(view.version));
    let mut answer = (StatusCode::CREATED, axum::Json(view)).into_response();
    let headers = answer.headers_mut();
    let location = HeaderValue::from_str(&format!("/v1/videos/{id}")).expect("an id is plain characters");
    headers.insert(LOCATION, location);
    cache::lifetime(headers, Lifetime::Never);
    cache::version(headers, &[version]);
    Ok(answer)
}

/// Whose a new upload is, and what it is to replace: `?replaces=ID`, whichever way it comes.
#[derive(Debug, Clone)]
struct Addressed {
    owner: String,
    replaces: Option<VideoId>,
}

impl Addressed {
    fn of(request: &Request) -> Result<Self, ApiError> {
        let query = request.uri().query().unwrap_or_default();
        let named = query.split('&').find_map(|pair| pair.strip_prefix("replaces="));
        let replaces = named.map(videos::id).transpose()?;
        Ok(Self { owner: owner(request.headers()), replaces })
    }
}

/// Whose a request is: whom an edge named after it checked a token. An edge takes from clients no such field.
fn owner(headers: &HeaderMap) -> String {
    headers.get(SLUICE_OWNER).and_then(|owner| owner.to_str().ok()).unwrap_or_default().to_owned()
}

/// A body as the intake takes it.
fn stream(body: Body) -> impl Stream<Item = Result<bytes::Bytes, UploadError>> + Send {
    let body: BodyDataStream = body.into_data_stream();
    body.map(|piece| piece.map_err(|e| UploadError::Cut(e.to_string())))
}
