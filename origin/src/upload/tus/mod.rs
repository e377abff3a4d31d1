//! tus 1.0: resumable uploads, in pieces by one client or in parallel.
//!
//! Partial uploads have no video. A final one names them, may do so before they are complete, and becomes a video with the
//! last byte of the last of them.

pub(crate) mod fields;

use super::checksum::{ALGORITHMS, checksum};
use super::error::UploadError;
use super::feed::Keep;
use super::intake::{Role, Wanted};
use super::{Addressed, owner, stream};
use crate::origin::{State, preflight};
use axum::extract::{Path, Request};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, head, post};
use fields::{UPLOADS, VERSION};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use sluice_platform::ApiError;
use sluice_storage::{Upload, UploadKind, UploadState};
use sluice_wire::UploadId;
use std::time::{Duration, UNIX_EPOCH};

const EXTENSIONS: &str = "creation,creation-with-upload,creation-defer-length,checksum,concatenation,\
                          concatenation-unfinished,termination,expiration";
const BODY_TYPE: &str = "application/offset+octet-stream";

type Shared = axum::extract::State<State>;

/// The methods of all uploads.
pub(crate) fn collection() -> MethodRouter<State> {
    post(create).options(options).layer(map_response(speaking))
}

/// The methods of one upload.
pub(crate) fn resource() -> MethodRouter<State> {
    head(status).patch(append).delete(terminate).options(options).layer(map_response(speaking))
}

/// Every answer says which version it speaks; one that refuses another says which there is.
async fn speaking(mut answer: Response) -> Response {
    let refused = answer.status() == StatusCode::PRECONDITION_FAILED;
    put(answer.headers_mut(), "tus-resumable", VERSION);
    if refused {
        put(answer.headers_mut(), "tus-version", VERSION);
    }
    answer
}

/// `OPTIONS`: what this server can do.
async fn options(axum::extract::State(state): Shared) -> Response {
    let mut answer = preflight().await;
    let headers = answer.headers_mut();
    put(headers, "tus-version", VERSION);
    put(headers, "tus-extension", EXTENSIONS);
    put(headers, "tus-checksum-algorithm", ALGORITHMS);
    put(headers, "tus-max-size", &state.intake.config.max_bytes.to_string());
    answer
}

/// `POST /v1/uploads`: makes an upload, with its first bytes if they are there.
async fn create(axum::extract::State(state): Shared, request: Request) -> Result<Response, ApiError> {
    let headers = request.headers();
    fields::version(headers)?;
    let role = fields::role(headers)?;
    let length = fields::length(headers, &role)?;
    let metadata = fields::metadata(headers)?;
    let Addressed { owner, replaces } = Addressed::of(&request)?;
    let with_bytes = headers.get(CONTENT_TYPE).is_some_and(|kind| kind == BODY_TYPE);
    if with_bytes && matches!(role, Role::Final(_)) {
        return Err(ApiError::bad_request("a final upload has the bytes of its parts"));
    }
    let wanted = Wanted {
        name: metadata.name.unwrap_or_else(|| "video".into()),
        title: metadata.title,
        metadata: metadata.sent,
        length,
        role,
        owner,
        replaces,
    };
    let id = state.intake.begin(&wanted).await?;
    let mut answer = StatusCode::CREATED.into_response();
    put(answer.headers_mut(), LOCATION.as_str(), &format!("{UPLOADS}{id}"));
    if with_bytes {
        let offset = take(&state, id, 0, request).await?;
        put(answer.headers_mut(), "upload-offset", &offset.to_string());
    }
    expires(&state, id, answer.headers_mut()).await?;
    Ok(answer)
}

/// `HEAD /v1/uploads/ID`: where to go on.
async fn status(
    axum::extract::State(state): Shared,
    Path(text): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    fields::version(&headers)?;
    let upload = find(&state, &headers, &text).await?;
    let mut answer = StatusCode::OK.into_response();
    let headers = answer.headers_mut();
    // A final upload that is not complete is at no offset.
    if upload.kind != UploadKind::Final || upload.state == UploadState::Complete {
        put(headers, "upload-offset", &upload.offset.to_string());
    }
    match upload.length {
        Some(length) => put(headers, "upload-length", &length.to_string()),
        None => put(headers, "upload-defer-length", "1"),
    }
    match upload.kind {
        UploadKind::Whole | UploadKind::Direct | UploadKind::Fetched => {}
        UploadKind::Partial => put(headers, "upload-concat", "partial"),
        UploadKind::Final => {
            let joined = state.storage.uploads().joined(upload.id).await?;
            put(headers, "upload-concat", &fields::final_of(&joined));
        }
    }
    if let Some(sent) = upload.metadata.get(Wanted::METADATA) {
        put(headers, "upload-metadata", sent);
    }
    put(headers, CACHE_CONTROL.as_str(), "no-store");
    expires(&state, upload.id, headers).await?;
    Ok(answer)
}

/// `PATCH /v1/uploads/ID`: more bytes, and the length if it was not known before.
async fn append(
    axum::extract::State(state): Shared,
    Path(text): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let headers = request.headers();
    fields::version(headers)?;
    if headers.get(CONTENT_TYPE).is_none_or(|kind| kind != BODY_TYPE) {
        let detail = format!("send Content-Type: {BODY_TYPE}");
        return Err(ApiError::new(415, "not-an-append", "Not an append", detail));
    }
    let offset = fields::number(headers, "upload-offset")?;
    let offset = offset.ok_or_else(|| ApiError::bad_request("Upload-Offset is missing"))?;
    let length = fields::number(headers, "upload-length")?;
    let upload = find(&state, headers, &text).await?;
    if upload.kind == UploadKind::Final {
        let detail = "a final upload takes no bytes: append to its parts";
        return Err(ApiError::new(403, "final-upload", "Final upload", detail));
    }
    if upload.offset != offset {
        return Err(ApiError::conflict(format!("the upload is at {}, not at {offset}", upload.offset)));
    }
    if let Some(length) = length {
        state.intake.fix_length(upload.id, length).await?;
    }
    let reached = take(&state, upload.id, offset, request).await?;
    let mut answer = StatusCode::NO_CONTENT.into_response();
    put(answer.headers_mut(), "upload-offset", &reached.to_string());
    expires(&state, upload.id, answer.headers_mut()).await?;
    Ok(answer)
}

/// `DELETE /v1/uploads/ID`: forgets an unfinished upload, a final one with its parts.
async fn terminate(
    axum::extract::State(state): Shared,
    Path(text): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    fields::version(&headers)?;
    let upload = find(&state, &headers, &text).await?;
    if let Some(whole) = upload.whole {
        return Err(ApiError::conflict(format!("the upload is part of {whole}; delete that one")));
    }
    if upload.state == UploadState::Complete && upload.kind != UploadKind::Partial {
        return Err(ApiError::conflict(format!("the upload is complete; delete the video {}", upload.id)));
    }
    state.intake.abandon(upload.id).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Takes a request's bytes, which complete the upload when they are its last.
async fn take(state: &State, id: UploadId, offset: u64, request: Request) -> Result<u64, ApiError> {
    let checksum = checksum(request.headers())?;
    let keep = if checksum.is_some() { Keep::WhenChecked } else { Keep::AsItComes };
    let taken = state.intake.feed(id, offset, keep, checksum, stream(request.into_body())).await;
    let counted = |outcome| state.metrics.uploads.with_label_values(&["tus", outcome]).inc();
    match &taken {
        Err(UploadError::Cut(_)) => counted("cut"),
        Err(_) => counted("refused"),
        Ok(_) if state.intake.is_complete(id).await? => counted("complete"),
        Ok(_) => {}
    }
    Ok(taken?)
}

/// An upload of this owner; another's is as good as none.
async fn find(state: &State, headers: &HeaderMap, text: &str) -> Result<Upload, ApiError> {
    let missing = || ApiError::not_found(format!("there is no upload {text:.40}"));
    let id = text.parse().map_err(|_| missing())?;
    let upload = state.storage.uploads().get(id).await?;
    // What is fetched takes nothing from clients, and what they store by themselves takes nothing here.
    let owner = owner(headers);
    let is_tus = |upload: &Upload| !matches!(upload.kind, UploadKind::Fetched | UploadKind::Direct);
    upload.filter(|upload| is_tus(upload) && upload.owner == owner).ok_or_else(missing)
}

async fn expires(state: &State, id: UploadId, headers: &mut HeaderMap) -> Result<(), ApiError> {
    if let Some(upload) = state.storage.uploads().get(id).await?.filter(|u| u.state == UploadState::Open) {
        let when = UNIX_EPOCH + Duration::from_millis(upload.expires_ms);
        put(headers, "upload-expires", &httpdate::fmt_http_date(when));
    }
    Ok(())
}

fn put(headers: &mut HeaderMap, name: &str, value: &str) {
    let name = HeaderName::from_bytes(name.as_bytes());
    if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}
