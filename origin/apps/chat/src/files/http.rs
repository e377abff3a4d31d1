//! `/v1/chat/ID/files`.

use std::ops::Range;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{
    CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderValue,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use sluice_platform::cache::{self, Lifetime};
use sluice_platform::once::{Answer, Asked};
use sluice_platform::{ApiError, Caller, given};
use sluice_storage::rows::{signed, unsigned};
use sluice_wire::{FileId, ObjectKey};
use tokio::time::timeout;

use super::kept::{Found, find, has, keep, store};
use super::named::Place;
use crate::Chat;
use crate::http::{Wanted, conversation as of_path, invalid};
use crate::messages::Attachment;
use crate::rows::file;

/// Bytes of a file.
const MAX_SENT: usize = 20 << 20;
/// How long a file may take to come: 20 MiB at 1.7 Mbit/s, and less than an edge waits for an answer (120 s).
const LIMIT: Duration = Duration::from_secs(100);
/// Characters of a name, and of a media type.
const MAX_NAME: usize = 255;
const MAX_KIND: usize = 127;
/// Pictures that a browser shows and that run nothing: an SVG is not among them.
const PICTURES: [&str; 5] = ["image/png", "image/jpeg", "image/webp", "image/gif", "image/avif"];
/// What a file may do where a browser opens it by itself: be seen.
const POLICY: &str =
    "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox";

/// What is said of a file.
#[derive(Debug, Deserialize)]
pub(crate) struct Called {
    #[serde(default = "unnamed")]
    name: String,
}

fn unnamed() -> String {
    "file".into()
}

/// `POST /v1/chat/ID/files?name=NAME`, by a member: the file's bytes as they are, and what they are in `Content-Type`. The answer is an
/// attachment for one message there, by the same account. What no message names in a day goes.
#[utoipa::path(post, path = "/v1/chat/{conversation}/files",
    params(("conversation" = String, Path), ("name" = Option<String>, Query, description = "1 to 255 characters, no slash; `file` where it is left out")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "Of any media type, at most 20 MiB"),
    responses((status = 201, body = Attachment), (status = 408), (status = 413), (status = 429)))]
pub(crate) async fn send(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<String>,
    Wanted(called): Wanted<Called>,
    request: Request,
) -> Result<Response, ApiError> {
    let (id, owner, who) = (of_path(&id)?, caller.owner(), caller.account);
    let kind = kind(request.headers())?;
    let name = name(called.name)?;
    let has = has(&chat, id, who).await?;
    let _place = chat.files.coming.begin(who).ok_or_else(|| busy(&chat))?;
    let asked = timeout(LIMIT, Asked::bytes(request, MAX_SENT)).await.map_err(|_| late())??;
    if let Some(answer) = chat.ground.once.answered(&asked, &owner).await? {
        return Ok(answer);
    }
    has.room_for(asked.body.len() as u64, chat.files.most)?;
    let (once, due_ms) = (&chat.ground.once, chat.files.due_ms);
    let file: FileId = chat.ground.storage.ids.make();
    let bytes = asked.body.len() as u64;
    let row = file::Model {
        chat: id.as_i64(),
        id: file.as_i64(),
        owner: who.as_i64(),
        name: name.clone(),
        kind: kind.clone(),
        bytes: signed(bytes),
        kept: false,
        gone: false,
        message: None,
        due_ms: None,
    };
    store(&chat, &row, file, asked.body.clone()).await?;
    let kept = &Attachment { name, r#type: kind, bytes, path: Place { chat: id, file }.path() };
    let answer = once
        .write(&asked, &owner, &move |tx| {
            Box::pin(async move {
                keep(tx, id, file, due_ms).await?;
                Ok(Answer::created(kept))
            })
        })
        .await?;
    // Sent twice at once, the other may be the one that is kept.
    chat.files.count("kept", u64::from(!answer.headers().contains_key("idempotency-replayed")));
    Ok(answer)
}

/// `GET /v1/chat/ID/files/FILE`, for members once a message names it, and for who sent it before. Each reading is asked for here: who has left
/// sees it no more, and 410 says that its message was deleted.
#[utoipa::path(get, path = "/v1/chat/{conversation}/files/{file}",
    params(("conversation" = String, Path), ("file" = String, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "*/*", description = "The bytes, of the media type that was said"),
        (status = 206, body = Vec<u8>, content_type = "*/*", description = "The part that Range asked for"),
        (status = 304, description = "The client has it"), (status = 410), (status = 416)))]
pub(crate) async fn read(
    State(chat): State<Chat>,
    caller: Caller,
    Path((id, which)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let file: Option<FileId> = which.parse().ok();
    let found = match find(&chat, (of_path(&id)?, caller.account), file).await {
        Err(gone) if gone.0.status == 410 => {
            let mut answer = gone.into_response();
            cache::lifetime(answer.headers_mut(), Lifetime::Never);
            return Ok(answer);
        }
        found => found?,
    };
    let tag = format!("\"{which}\"");
    let size = unsigned("chat_files.bytes", found.bytes)?;
    let mut answer = given(&headers, &tag, size, async |range| body(&chat, file, range).await).await?;
    if answer.status() == StatusCode::RANGE_NOT_SATISFIABLE {
        cache::lifetime(answer.headers_mut(), Lifetime::Never);
    } else {
        tell(answer.headers_mut(), &found)?;
    }
    Ok(answer)
}

async fn body(chat: &Chat, file: Option<FileId>, range: Range<u64>) -> Result<Response, ApiError> {
    let key = ObjectKey::File(file.ok_or_else(|| ApiError::not_found("there is no such file"))?);
    let (objects, length) = (&chat.ground.storage.objects, range.end - range.start);
    let object = if length == 0 { objects.get(&key).await? } else { objects.get_range(&key, range).await? };
    let mut answer = Body::from_stream(object.stream).into_response();
    answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    Ok(answer)
}

/// What a browser has to know of a file that somebody sent: it is of the kind that was said and no other, and runs nothing.
fn tell(headers: &mut HeaderMap, found: &Found) -> Result<(), ApiError> {
    let text = |text: &str| HeaderValue::from_str(text).map_err(|_| invalid("a header's characters"));
    cache::lifetime(headers, Lifetime::Asked);
    headers.insert(CONTENT_TYPE, text(&found.kind)?);
    headers.insert(CONTENT_DISPOSITION, text(&disposition(&found.name, &found.kind))?);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    let resources = HeaderName::from_static("cross-origin-resource-policy");
    headers.insert(resources, HeaderValue::from_static("same-origin"));
    Ok(())
}

/// How a browser takes it (RFC 6266), with its name (RFC 8187).
fn disposition(name: &str, kind: &str) -> String {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let shown = PICTURES.contains(&kind) || kind.starts_with("audio/") || kind.starts_with("video/");
    let how = if shown { "inline" } else { "attachment" };
    format!("{how}; filename*=UTF-8''{}", utf8_percent_encode(name, NON_ALPHANUMERIC))
}

/// The media type that a file is said to be of (RFC 9110, section 8.3.1): small letters but for parameters.
fn kind(headers: &HeaderMap) -> Result<String, ApiError> {
    let Some(said) = headers.get(CONTENT_TYPE) else { return Ok("application/octet-stream".into()) };
    let said = said.to_str().unwrap_or_default().trim();
    let (name, parameters) =
        said.split_once(';').map_or((said, ""), |(name, rest)| (name.trim(), rest.trim()));
    let token = |text: &str| {
        !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&c))
    };
    let good = name.split_once('/').is_some_and(|(kind, of)| token(kind) && token(of));
    // Browsers take what stands after a comma for another type (Fetch standard, "extract a MIME type").
    if !good || said.len() > MAX_KIND || said.contains(',') {
        let detail = "Content-Type is one media type of at most 127 characters, as image/png";
        return Err(ApiError::new(415, "media-type", "Not a media type", detail));
    }
    let name = name.to_ascii_lowercase();
    Ok(if parameters.is_empty() { name } else { format!("{name}; {parameters}") })
}

/// The name of a file, without what would make a path of it.
fn name(said: String) -> Result<String, ApiError> {
    let good = |c: char| !c.is_control() && c != '/' && c != '\\';
    let length = said.chars().count();
    if (1..=MAX_NAME).contains(&length) && said.chars().all(good) && !said.trim().is_empty() {
        return Ok(said);
    }
    Err(invalid("name: 1 to 255 characters, no slash and no control characters"))
}

pub(super) fn busy(chat: &Chat) -> ApiError {
    chat.files.count("busy", 1);
    ApiError::new(503, "busy", "Busy", "as many files are under way as may be; try again")
}

fn late() -> ApiError {
    ApiError::new(408, "timeout", "Too slow", "the file did not come in 100 seconds")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_runs_nothing_is_shown() {
        for (kind, how) in [
            ("image/png", "inline"),
            ("video/mp4; codecs=avc1", "inline"),
            ("image/svg+xml", "attachment"),
            ("text/html; charset=utf-8", "attachment"),
            ("application/pdf", "attachment"),
        ] {
            assert_eq!(disposition("a", kind), format!("{how}; filename*=UTF-8''a"), "{kind}");
        }
        assert_eq!(
            disposition("h\u{e9} \".png", "image/png"),
            "inline; filename*=UTF-8''h%C3%A9%20%22%2Epng"
        );
    }

    #[test]
    fn a_media_type_and_a_name_are_plain() {
        let of = |said: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_str(said).unwrap());
            kind(&headers).ok()
        };
        assert_eq!(of("Image/PNG"), Some("image/png".into()));
        assert_eq!(of("text/plain;charset=UTF-8"), Some("text/plain; charset=UTF-8".into()));
        for bad in ["", "image", "image/", "a/b c", "/", "image/png;x=, text/html"] {
            assert_eq!(of(bad), None, "{bad:?}");
        }
        assert_eq!(kind(&HeaderMap::new()).ok(), Some("application/octet-stream".into()));
        assert!(name("a b.png".into()).is_ok());
        for bad in ["", " ", "../a", "a\\b", "a\nb"] {
            assert!(name(bad.into()).is_err(), "{bad:?}");
        }
    }
}
