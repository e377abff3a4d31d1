//! Photos, sent and shown.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use http::{HeaderName, StatusCode};
use serde::{Deserialize, Serialize};
use sluice_pictures::{ImageFormat, Picture};
use sluice_platform::cache::{self, Lifetime};
use sluice_platform::once::{self, Answer, Asked};
use sluice_platform::{ApiError, Caller};
use sluice_service::Undone;
use sluice_wire::conditions;
use sluice_wire::headers::SLUICE_OWNER;
use sluice_wire::{ObjectKey, UploadId};
use tokio::time::timeout;
use utoipa::ToSchema;

use super::{shared, versions};
use crate::feed::Feed;
use crate::photos::{self, MAX_SENT, Made, Place, Shown};
use crate::tags;

/// How long a photo may take to come, and to be made.
const LIMITS: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(20));
/// What may be sent.
const KINDS: [(&str, ImageFormat); 4] = [
    ("image/jpeg", ImageFormat::Jpeg),
    ("image/png", ImageFormat::Png),
    ("image/webp", ImageFormat::WebP),
    ("image/gif", ImageFormat::Gif),
];

/// A photo that is kept, for a post to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Kept {
    /// Its path on this host, for `photos` of a post.
    path: String,
    /// Pixels, upright.
    width: u32,
    height: u32,
    /// A BlurHash, which a client paints until it has the photo.
    blur: String,
}

/// A photo that was sent in pieces (tus 1.0).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Uploaded {
    /// A partial upload that is whole: the last part of its address.
    #[schema(value_type = String)]
    upload: UploadId,
}

/// Keeps a photo, sent as it is or uploaded before in pieces (`{"upload": "ID"}`). It is shown upright, and nothing but its pixels
/// is kept of it.
#[utoipa::path(post, path = "/v1/feed/photos",
    request_body(content((Vec<u8> = "image/jpeg"), (Vec<u8> = "image/png"), (Vec<u8> = "image/webp"), (Vec<u8> = "image/gif"),
        (Uploaded = "application/json"))),
    responses((status = 201, body = Kept), (status = 401), (status = 404), (status = 408), (status = 409), (status = 413),
        (status = 415), (status = 422), (status = 503)))]
pub(super) async fn upload(
    State(feed): State<Feed>,
    who: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    let declared = declared(request.headers())?;
    let uploader = request.headers().get(SLUICE_OWNER).and_then(|owner| owner.to_str().ok());
    let uploader = uploader.unwrap_or_default().to_owned();
    let _place = feed.bodies.try_acquire().map_err(|_| busy(&feed))?;
    let asked = timeout(LIMITS.0, Asked::bytes(request, MAX_SENT)).await.map_err(|_| late())??;
    let owner = who.owner();
    if let Some(answer) = feed.once.answered(&asked, &owner).await? {
        return Ok(answer);
    }
    let (bytes, upload) = match declared {
        Some(kind) => (of_kind(asked.body.clone(), kind)?, None),
        None => {
            let Uploaded { upload } = once::document(&asked.body)?;
            (feed.uploaded(upload, &uploader).await?, Some(upload))
        }
    };
    let made = made(&feed, bytes).await?;
    let shown = &Shown::new(feed.storage.ids.make(), &made);
    feed.store_photo(&who, shown, made.bytes).await?;
    let (feed, owner) = (&feed, &owner);
    let once = &feed.once;
    let answer = once
        .write(&asked, owner, &|tx| {
            Box::pin(async move {
                photos::keep(tx, feed, shown, upload).await?;
                let Shown { place, width, height, blur } = shown.clone();
                Ok(Answer::created(Kept { path: place.path(), width, height, blur }))
            })
        })
        .await?;
    feed.metrics.photos.with_label_values(&["kept"]).inc();
    Ok(answer)
}

/// A photo, the same for all and for ever.
#[utoipa::path(get, path = "/v1/feed/photos/{name}",
    params(("name" = String, Path, description = "`ID.jpg` or `ID.png`, as the path said when it was kept")),
    responses((status = 200, body = Vec<u8>, content_type = "image/jpeg"), (status = 304), (status = 404), (status = 410)))]
pub(super) async fn photo(
    State(feed): State<Feed>,
    Path(name): Path<String>,
    asked: HeaderMap,
) -> Result<Response, ApiError> {
    let none = |()| ApiError::not_found(format!("there is no photo {name:.40?}"));
    let place: Place = name.parse().map_err(none)?;
    let versions = versions(&feed, tags::photo(place.id)).await?;
    match feed.photo(place).await {
        Ok(_) => {}
        // It stays gone: edges keep that for a while.
        Err(gone) if gone.0.status == 410 => {
            let mut answer = gone.into_response();
            shared(answer.headers_mut(), &versions);
            return Ok(answer);
        }
        Err(error) => return Err(error),
    }
    let tag = format!("\"{}\"", place.id);
    let known = asked.get(IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    let mut answer = if known.is_some_and(|known| conditions::none_match(known, &tag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let object = feed.storage.objects.get(&ObjectKey::Photo(place.id)).await?;
        let length = object.meta.size;
        let mut answer = Body::from_stream(object.stream).into_response();
        answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
        answer
    };
    let headers = answer.headers_mut();
    cache::lifetime(headers, Lifetime::Immutable);
    cache::version(headers, &versions);
    cache::any_origin(headers);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(place.kind.content_type()));
    headers.insert(ETAG, HeaderValue::from_str(&tag).expect("an id is plain characters"));
    let name = HeaderName::from_static("x-content-type-options");
    headers.insert(name, HeaderValue::from_static("nosniff"));
    Ok(answer)
}

/// What is said to be sent: a kind of picture, or `None` for one that was uploaded before.
fn declared(headers: &HeaderMap) -> Result<Option<ImageFormat>, ApiError> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind == "application/json" {
        return Ok(None);
    }
    let found = KINDS.iter().find(|(name, _)| *name == kind).map(|(_, format)| Some(*format));
    found.ok_or_else(|| {
        let kinds = KINDS.map(|(name, _)| name).join(", ");
        let detail =
            format!("Content-Type is one of {kinds}, or application/json for what was uploaded before");
        ApiError::new(415, "image-kind", "Not an image that is read here", detail)
    })
}

/// Bytes that begin as what they are said to be.
fn of_kind(bytes: Bytes, kind: ImageFormat) -> Result<Bytes, ApiError> {
    if Picture::kind(&bytes) == Some(kind) {
        return Ok(bytes);
    }
    let detail = "the bytes are not of the kind that Content-Type says";
    Err(ApiError::new(415, "image-kind", "Not an image that is read here", detail))
}

/// Makes the photo, within bounds of memory and time.
async fn made(feed: &Feed, bytes: Bytes) -> Result<Made, ApiError> {
    let making = feed.painters.run(move || photos::make(&bytes));
    match timeout(LIMITS.1, making).await {
        Ok(Ok(Ok(made))) => Ok(made),
        Ok(Ok(Err(refusal))) => {
            feed.metrics.photos.with_label_values(&["refused"]).inc();
            Err(ApiError(refusal.problem()))
        }
        Ok(Err(Undone::Broken)) => {
            feed.metrics.photos.with_label_values(&["refused"]).inc();
            Err(ApiError(sluice_pictures::Refusal::Broken.problem()))
        }
        // What was begun is done to its end, and counts until then.
        Ok(Err(Undone::Full)) | Err(_) => Err(busy(feed)),
    }
}

fn busy(feed: &Feed) -> ApiError {
    feed.metrics.photos.with_label_values(&["busy"]).inc();
    ApiError::new(503, "busy", "Busy", "as many photos are under way as may be; try again")
}

fn late() -> ApiError {
    let detail = "the photo did not come in a minute; upload it in pieces, which goes on where it was cut";
    ApiError::new(408, "timeout", "Too slow", detail)
}
