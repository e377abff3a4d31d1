//! tus 1.0: resumable uploads (core, creation, creation-with-upload, checksum, termination, expiration).

use super::error::UploadError;
use super::intake::{Checksum, Keep};
use super::stream;
use crate::origin::{State, preflight};
use axum::extract::{Path, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, head};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use sha2::{Digest, Sha256};
use sluice_platform::ApiError;
use sluice_storage::{Upload, UploadState};
use sluice_wire::UploadId;
use std::time::{Duration, UNIX_EPOCH};

const VERSION: &str = "1.0.0";
const EXTENSIONS: &str = "creation,creation-with-upload,checksum,termination,expiration";
const ALGORITHMS: &str = "sha1,sha256";
const BODY_TYPE: &str = "application/offset+octet-stream";

type Shared = axum::extract::State<State>;

/// The methods of one upload.
pub(crate) fn resource() -> MethodRouter<State> {
    head(status).patch(append).delete(terminate).options(options)
}

/// `OPTIONS`: what this server can do.
pub(crate) async fn options(axum::extract::State(state): Shared) -> Response {
    let mut answer = preflight().await;
    let headers = answer.headers_mut();
    put(headers, "tus-version", VERSION);
    put(headers, "tus-extension", EXTENSIONS);
    put(headers, "tus-checksum-algorithm", ALGORITHMS);
    put(headers, "tus-max-size", &state.intake.config.max_bytes.to_string());
    resumable(answer)
}

/// `POST /v1/uploads`: makes an upload, with its first bytes if they are there.
pub(crate) async fn create(
    axum::extract::State(state): Shared,
    request: Request,
) -> Result<Response, ApiError> {
    let headers = request.headers();
    version(headers)?;
    if headers.contains_key("upload-defer-length") || headers.contains_key("upload-concat") {
        return Err(ApiError::bad_request(
            "deferred lengths and concatenation are not offered; see Tus-Extension",
        ));
    }
    let length = number(headers, "upload-length")?;
    let metadata = metadata(headers)?;
    let of = |key: &str| metadata.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
    let name = of("filename").or_else(|| of("name")).unwrap_or("video");
    let id = state.intake.begin(name, of("title"), Some(length)).await?;
    let mut answer = StatusCode::CREATED.into_response();
    put(answer.headers_mut(), LOCATION.as_str(), &format!("/v1/uploads/{id}"));
    if headers.get(CONTENT_TYPE).is_some_and(|kind| kind == BODY_TYPE) {
        let offset = take(&state, id, 0, request).await?;
        put(answer.headers_mut(), "upload-offset", &offset.to_string());
    }
    expires(&state, id, answer.headers_mut()).await?;
    Ok(resumable(answer))
}

/// `HEAD /v1/uploads/ID`: where to go on.
async fn status(
    axum::extract::State(state): Shared,
    Path(text): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    version(&headers)?;
    let upload = find(&state, &text).await?;
    let mut answer = StatusCode::OK.into_response();
    let headers = answer.headers_mut();
    put(headers, "upload-offset", &upload.offset.to_string());
    if let Some(length) = upload.length {
        put(headers, "upload-length", &length.to_string());
    }
    put(headers, CACHE_CONTROL.as_str(), "no-store");
    Ok(resumable(answer))
}

/// `PATCH /v1/uploads/ID`: more bytes.
async fn append(
    axum::extract::State(state): Shared,
    Path(text): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let headers = request.headers();
    version(headers)?;
    if headers.get(CONTENT_TYPE).is_none_or(|kind| kind != BODY_TYPE) {
        return Err(ApiError::new(
            415,
            "not-an-append",
            "Not an append",
            format!("send Content-Type: {BODY_TYPE}"),
        ));
    }
    let offset = number(headers, "upload-offset")?;
    let upload = find(&state, &text).await?;
    if upload.offset != offset {
        return Err(ApiError::conflict(format!("the upload is at {}, not at {offset}", upload.offset)));
    }
    let reached = take(&state, upload.id, offset, request).await?;
    let mut answer = StatusCode::NO_CONTENT.into_response();
    put(answer.headers_mut(), "upload-offset", &reached.to_string());
    expires(&state, upload.id, answer.headers_mut()).await?;
    Ok(resumable(answer))
}

/// `DELETE /v1/uploads/ID`: forgets an unfinished upload.
async fn terminate(
    axum::extract::State(state): Shared,
    Path(text): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    version(&headers)?;
    let upload = find(&state, &text).await?;
    if upload.state == UploadState::Complete {
        return Err(ApiError::conflict(format!("the upload is complete; delete the video {}", upload.id)));
    }
    state.intake.abandon(upload.id).await;
    Ok(resumable(StatusCode::NO_CONTENT.into_response()))
}

/// Takes a request's bytes; ends the upload when it has all of them.
async fn take(state: &State, id: UploadId, offset: u64, request: Request) -> Result<u64, ApiError> {
    let checksum = checksum(request.headers())?;
    let keep = if checksum.is_some() { Keep::WhenChecked } else { Keep::AsItComes };
    let taken = state.intake.feed(id, offset, keep, checksum, stream(request.into_body())).await;
    if let Err(error) = &taken {
        let outcome = if matches!(error, UploadError::Cut(_)) { "cut" } else { "refused" };
        state.metrics.uploads.with_label_values(&["tus", outcome]).inc();
    }
    let reached = taken?;
    let upload = state.storage.uploads().get(id).await?;
    if let Some(length) = upload.and_then(|u| u.length).filter(|length| *length == reached) {
        state.intake.finish(id, length).await?;
        state.metrics.uploads.with_label_values(&["tus", "complete"]).inc();
    }
    Ok(reached)
}

async fn find(state: &State, text: &str) -> Result<Upload, ApiError> {
    let missing = || ApiError::not_found(format!("there is no upload {text:.40}"));
    let id = text.parse().map_err(|_| missing())?;
    state.storage.uploads().get(id).await?.ok_or_else(missing)
}

fn version(headers: &HeaderMap) -> Result<(), ApiError> {
    if headers.contains_key("x-http-method-override") {
        return Err(ApiError::bad_request("send the method itself; X-HTTP-Method-Override is not taken"));
    }
    if headers.get("tus-resumable").is_some_and(|v| v == VERSION) {
        Ok(())
    } else {
        Err(ApiError::new(
            412,
            "tus-version",
            "Unknown tus version",
            format!("send Tus-Resumable: {VERSION}"),
        ))
    }
}

fn number(headers: &HeaderMap, name: &str) -> Result<u64, ApiError> {
    let text = headers.get(name).and_then(|v| v.to_str().ok());
    let text = text.ok_or_else(|| ApiError::bad_request(format!("{name} is missing")))?;
    let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    // A database column is signed: what does not fit it does not fit any disk either.
    let value = text.parse::<u64>().ok().filter(|n| digits && *n < 1 << 63);
    value.ok_or_else(|| ApiError::bad_request(format!("{name} is no whole number below 2^63")))
}

/// Reads `Upload-Metadata`: pairs of a key and a value in Base64, separated by commas.
fn metadata(headers: &HeaderMap) -> Result<Vec<(String, String)>, ApiError> {
    let Some(text) = headers.get("upload-metadata") else { return Ok(vec![]) };
    let bad = || ApiError::bad_request("Upload-Metadata is a list of keys and Base64 values");
    let text = text.to_str().map_err(|_| bad())?;
    text.split(',')
        .filter(|pair| !pair.trim().is_empty())
        .map(|pair| {
            let (key, value) = pair.trim().split_once(' ').unwrap_or_else(|| (pair.trim(), ""));
            let value = STANDARD.decode(value.trim()).map_err(|_| bad())?;
            Ok((key.to_owned(), String::from_utf8(value).map_err(|_| bad())?))
        })
        .collect()
}

/// Reads `Upload-Checksum`: an algorithm and a digest in Base64.
fn checksum(headers: &HeaderMap) -> Result<Option<Checksum>, ApiError> {
    let Some(text) = headers.get("upload-checksum") else { return Ok(None) };
    let bad =
        || ApiError::bad_request(format!("Upload-Checksum is one of {ALGORITHMS}, and a digest in Base64"));
    let (algorithm, digest) = text.to_str().ok().and_then(|t| t.split_once(' ')).ok_or_else(bad)?;
    let digest = STANDARD.decode(digest.trim()).map_err(|_| bad())?;
    match algorithm {
        "sha1" => {
            let wanted = digest.try_into().map_err(|_| bad())?;
            Ok(Some(Checksum::Sha1(wanted, Box::new(Digest::new()))))
        }
        "sha256" => {
            Ok(Some(Checksum::Sha256(digest.try_into().map_err(|_| bad())?, Box::new(Sha256::new()))))
        }
        _ => Err(bad()),
    }
}

async fn expires(state: &State, id: UploadId, headers: &mut HeaderMap) -> Result<(), ApiError> {
    if let Some(upload) = state.storage.uploads().get(id).await?.filter(|u| u.state == UploadState::Open) {
        let when = UNIX_EPOCH + Duration::from_millis(upload.expires_ms);
        put(headers, "upload-expires", &httpdate::fmt_http_date(when));
    }
    Ok(())
}

fn resumable(mut answer: Response) -> Response {
    put(answer.headers_mut(), "tus-resumable", VERSION);
    answer
}

fn put(headers: &mut HeaderMap, name: &str, value: &str) {
    let name = HeaderName::from_bytes(name.as_bytes());
    if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}
