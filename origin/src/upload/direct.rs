//! Direct uploads: a client stores the parts of a source by itself, at URLs that this origin signs, and says which of them
//! it has stored. They are pieces of the upload once this origin has looked at each of them.
//!
//! ```text
//! POST /v1/direct -> POST .../parts: numbers and signed URLs -> PUT each to the store -> POST .../complete: numbers, in order
//! ```
//!
//! A part is put under its key once and never again, also by who still has its URL, so that what was acknowledged stays.
//! What is stored and never completed is removed when its promise has been over for a while.

use super::error::UploadError;
use super::hash::Running;
use super::intake::{Intake, Role, Wanted};
use super::{Addressed, owner};
use crate::origin::State;
use axum::extract::{Path, Request};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, TryStreamExt};
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue, LOCATION};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sluice_platform::ApiError;
use sluice_service::crash;
use sluice_storage::{Part, Promise, StorageError, Upload, UploadKind, UploadState};
use sluice_wire::{ObjectKey, UploadId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Parts in one request, and the bytes of its body: numbers, sizes and hashes of as many.
const MAX_PARTS: usize = 100;
const MAX_BODY: usize = 16 << 10;
/// Bytes of the largest part: whoever reads one has half a minute for it.
const LARGEST: u64 = 64 << 20;
/// How long a URL is good, and how long its part may be completed.
const URL_LIFE: Duration = Duration::from_secs(3_600);
const PROMISE_LIFE: Duration = Duration::from_secs(6 * 3_600);
/// How long after its end a promise is looked after: clocks differ.
const MARGIN: Duration = Duration::from_secs(300);
/// Parts looked at at a time.
const PARALLEL: usize = 8;

type Shared = axum::extract::State<State>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    name: String,
    title: Option<String>,
    bytes: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    parts: Vec<AskedPart>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedPart {
    bytes: u64,
    sha256: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Completed {
    parts: Vec<u32>,
}

/// An upload as its client sees it.
#[derive(Debug, Serialize)]
struct View {
    id: UploadId,
    bytes: Option<u64>,
    /// Bytes that are acknowledged.
    offset: u64,
    complete: bool,
    /// Parts that were asked for and are not completed, by number.
    parts: Vec<PartView>,
}

#[derive(Debug, Serialize)]
struct PartView {
    number: u32,
    bytes: u64,
    method: &'static str,
    url: String,
    headers: BTreeMap<&'static str, String>,
    /// From when on the URL is none any more, in Unix milliseconds.
    until_ms: u64,
}

/// `POST /v1/direct`.
pub(crate) async fn create(
    axum::extract::State(state): Shared,
    request: Request,
) -> Result<Response, ApiError> {
    if !state.storage.objects.can_sign() {
        let detail = "the store of this Sluice takes no parts from clients; use PUT, a form or tus";
        return Err(ApiError::new(501, "no-direct-uploads", "No direct uploads", detail));
    }
    let Addressed { owner, replaces } = Addressed::of(&request)?;
    let New { name, title, bytes } = json(request).await?;
    let (length, role) = (Some(bytes), Role::Direct);
    let wanted = Wanted { name, title, length, owner, role, replaces, ..Wanted::default() };
    let id = state.intake.begin(&wanted).await?;
    let mut answer = shown(&state, id).await?;
    *answer.status_mut() = StatusCode::CREATED;
    let location = HeaderValue::from_str(&format!("/v1/direct/{id}")).expect("an id is plain characters");
    answer.headers_mut().insert(LOCATION, location);
    Ok(answer)
}

/// `GET /v1/direct/ID`: where to go on, with new URLs for what was asked for and is not completed.
pub(crate) async fn show(
    axum::extract::State(state): Shared,
    Path(text): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let upload = find(&state, &headers, &text).await?;
    shown(&state, upload.id).await
}

/// `DELETE /v1/direct/ID`: forgets an unfinished upload.
pub(crate) async fn forget(
    axum::extract::State(state): Shared,
    Path(text): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let upload = find(&state, &headers, &text).await?;
    if upload.state == UploadState::Complete {
        return Err(ApiError::conflict(format!("the upload is complete; delete the video {}", upload.id)));
    }
    state.intake.abandon(upload.id).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /v1/direct/ID/parts`: URLs for more parts.
pub(crate) async fn parts(
    axum::extract::State(state): Shared,
    Path(text): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let upload = open(find(&state, request.headers(), &text).await?)?;
    let Asked { parts } = json(request).await?;
    if !(1..=MAX_PARTS).contains(&parts.len()) || parts.iter().any(|part| !part.is_sound()) {
        let detail = format!(
            "ask for 1 to {MAX_PARTS} parts of 1 to {LARGEST} bytes each; sha256 is 64 digits of lower-case hex"
        );
        return Err(ApiError::bad_request(detail));
    }
    let wanted: Vec<_> = parts.into_iter().map(|part| (part.bytes, part.sha256)).collect();
    let (uploads, wanted) = (&state.storage.uploads(), &wanted);
    let until = state.storage.clock.now_ms() + millis(PROMISE_LIFE);
    let promised = state.storage.database.write::<_, StorageError, _>(|tx| {
        Box::pin(async move { uploads.promise(tx, upload.id, wanted, until).await })
    });
    let parts = signed(&state, upload.id, &promised.await?).await?;
    Ok(unkept(axum::Json(serde_json::json!({ "parts": parts })).into_response()))
}

/// `POST /v1/direct/ID/complete`: these parts are stored, and follow what is here in this order. Said again, it changes
/// nothing.
pub(crate) async fn complete(
    axum::extract::State(state): Shared,
    Path(text): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let upload = find(&state, request.headers(), &text).await?;
    let Completed { parts: numbers } = json(request).await?;
    let distinct: BTreeSet<u32> = numbers.iter().copied().collect();
    if !(1..=MAX_PARTS).contains(&numbers.len()) || distinct.len() < numbers.len() {
        return Err(ApiError::bad_request(format!("name 1 to {MAX_PARTS} parts, each once")));
    }
    let promises: BTreeMap<u32, Promise> = state
        .storage
        .uploads()
        .promises_of(upload.id, &distinct)
        .await?
        .into_iter()
        .map(|p| (p.index, p))
        .collect();
    if promises.len() == numbers.len() && promises.values().all(|promise| promise.used) {
        return shown(&state, upload.id).await;
    }
    let upload = open(upload)?;
    let mut named = vec![];
    for number in &numbers {
        let promise = promises.get(number).filter(|promise| !promise.used);
        let missing =
            || ApiError::conflict(format!("part {number} was not asked for, is completed, or is too old"));
        named.push(promise.ok_or_else(missing)?);
    }
    let checks: Vec<_> = named.iter().map(|promise| check(&state, upload.id, promise)).collect();
    futures::stream::iter(checks).buffer_unordered(PARALLEL).try_collect::<()>().await?;
    crash::point("direct.checked");
    state.intake.append_stored(&upload, &named).await?;
    crash::point("direct.committed");
    shown(&state, upload.id).await
}

impl AskedPart {
    fn is_sound(&self) -> bool {
        let is_hash = |text: &String| hash_of(text).is_some();
        (1..=LARGEST).contains(&self.bytes) && self.sha256.as_ref().is_none_or(is_hash)
    }
}

impl Intake {
    /// Appends parts that were promised and are stored, all or none.
    async fn append_stored(&self, upload: &Upload, promises: &[&Promise]) -> Result<(), UploadError> {
        let (mut offset, mut parts) = (upload.offset, vec![]);
        for promise in promises {
            let (index, bytes) = (promise.index, promise.bytes);
            let sha256 = promise.sha256.clone().unwrap_or_default();
            // The hash of the whole is made once all is here.
            parts.push((Part { upload: upload.id, index, offset, bytes, sha256 }, Running::new().state()));
            offset += bytes;
        }
        let uploads = &self.storage.uploads();
        let written = self.storage.database.write::<_, UploadError, _>(|tx| {
            let parts = &parts;
            Box::pin(async move {
                for promise in promises {
                    uploads.use_promise(tx, upload.id, promise.index).await?;
                }
                self.append_in(tx, upload.id, &upload.owner, upload.length, parts).await
            })
        });
        written.await?;
        self.completed.notify_one();
        self.metrics.upload_bytes.inc_by(offset - upload.offset);
        if upload.length == Some(offset) {
            self.metrics.uploads.with_label_values(&["direct", "complete"]).inc();
        }
        Ok(())
    }

    /// Removes what was stored by a URL and is no piece of anything, once no URL for it is good any more.
    pub(super) async fn remove_overdue(&self, limit: u64) -> Result<(), StorageError> {
        let uploads = self.storage.uploads();
        for (id, index, is_piece) in uploads.overdue(millis(MARGIN), limit).await? {
            if !is_piece {
                self.storage.objects.delete(&ObjectKey::SourcePart(id, index)).await?;
            }
            uploads.forget_promise(id, index).await?;
        }
        Ok(())
    }
}

/// Looks whether what is stored is what was promised.
async fn check(state: &State, id: UploadId, promise: &Promise) -> Result<(), ApiError> {
    let (objects, index) = (&state.storage.objects, promise.index);
    let key = ObjectKey::SourcePart(id, index);
    let refuse = |kind: &str, detail: String| ApiError::new(409, kind, "Part not as promised", detail);
    let size = match objects.head(&key).await {
        Ok(meta) => meta.size,
        Err(StorageError::NotFound(_)) => {
            return Err(refuse("part-missing", format!("part {index} is not stored")));
        }
        Err(error) => return Err(error.into()),
    };
    if size != promise.bytes {
        let detail = format!("part {index} has {size} bytes, not {}", promise.bytes);
        return Err(refuse("part-differs", detail));
    }
    let Some(wanted) = promise.sha256.as_deref().and_then(hash_of) else { return Ok(()) };
    let is_right = match objects.has_hash(&key, &wanted).await? {
        Some(is_right) => is_right,
        // A store that keeps no hashes: the bytes are read.
        None => {
            let (mut hash, mut stream) = (Sha256::new(), objects.get(&key).await?.stream);
            while let Some(bytes) = stream.try_next().await? {
                hash.update(&bytes);
            }
            hash.finalize()[..] == wanted
        }
    };
    if is_right { Ok(()) } else { Err(refuse("part-differs", format!("part {index} has another hash"))) }
}

/// A direct upload of this owner; another's is as good as none.
async fn find(state: &State, headers: &HeaderMap, text: &str) -> Result<Upload, ApiError> {
    let missing = || ApiError::not_found(format!("there is no direct upload {text:.40}"));
    let id = text.parse().map_err(|_| missing())?;
    let upload = state.storage.uploads().get(id).await?;
    let owner = owner(headers);
    upload.filter(|upload| upload.kind == UploadKind::Direct && upload.owner == owner).ok_or_else(missing)
}

fn open(upload: Upload) -> Result<Upload, ApiError> {
    match upload.state {
        UploadState::Open => Ok(upload),
        _ => Err(ApiError::conflict(format!("the upload {} is complete", upload.id))),
    }
}

async fn shown(state: &State, id: UploadId) -> Result<Response, ApiError> {
    let upload = state.storage.uploads().get(id).await?;
    let upload = upload.ok_or_else(|| ApiError::not_found(format!("there is no direct upload {id}")))?;
    let complete = upload.state == UploadState::Complete;
    let mut parts = vec![];
    if !complete {
        let promises = state.storage.uploads().promises(id).await?;
        let waiting: Vec<Promise> = promises.into_iter().filter(|promise| !promise.used).collect();
        parts = signed(state, id, &waiting).await?;
    }
    let view = View { id, bytes: upload.length, offset: upload.offset, complete, parts };
    Ok(unkept(axum::Json(view).into_response()))
}

/// A URL for each part.
async fn signed(state: &State, id: UploadId, promises: &[Promise]) -> Result<Vec<PartView>, ApiError> {
    let (objects, now) = (&state.storage.objects, state.storage.clock.now_ms());
    let mut parts = vec![];
    for promise in promises {
        let life = URL_LIFE.min(Duration::from_millis(promise.until_ms.saturating_sub(now)));
        let hash = promise.sha256.as_deref().and_then(hash_of);
        let key = ObjectKey::SourcePart(id, promise.index);
        let put = objects.sign_put(&key, hash.as_ref(), life).await?;
        parts.push(PartView {
            number: promise.index,
            bytes: promise.bytes,
            method: "PUT",
            url: put.url,
            headers: put.headers.into_iter().collect(),
            until_ms: now + millis(life),
        });
    }
    Ok(parts)
}

fn hash_of(text: &str) -> Option<[u8; 32]> {
    let lower = text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    hex::decode(text).ok()?.try_into().ok().filter(|_| lower)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// URLs are for their client alone.
fn unkept(mut answer: Response) -> Response {
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

async fn json<T: serde::de::DeserializeOwned>(request: Request) -> Result<T, ApiError> {
    let bytes = axum::body::to_bytes(request.into_body(), MAX_BODY).await;
    let bytes = bytes.map_err(|_| ApiError::bad_request(format!("the body has at most {MAX_BODY} bytes")))?;
    serde_json::from_slice(&bytes).map_err(|error| ApiError::bad_request(format!("the body: {error}")))
}
