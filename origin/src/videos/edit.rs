//! `PATCH /v1/videos/ID`: what people say of a video, and who sees it.

use super::{Shared, document, id, none};
use axum::extract::Path;
use axum::response::Response;
use http::header::{HeaderMap, IF_MATCH};
use serde::Deserialize;
use serde_json::json;
use sluice_platform::ApiError;
use sluice_platform::cache::{self, Lifetime};
use sluice_storage::{Change, StorageError, Tx, Videos, Visibility};
use sluice_wire::limits::MAX_NAME_LEN;
use sluice_wire::{EventKind, Protection, Tag, VideoId};

/// Bytes of a description.
const MAX_DESCRIPTION: usize = 10_000;
/// Tags of a video, and characters of one.
const MAX_TAGS: (usize, usize) = (16, 32);
/// Bytes of a change.
const MAX_BODY: usize = 64 << 10;

/// What is to be different.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Patch {
    title: Option<String>,
    description: Option<String>,
    tags: Option<Vec<String>>,
    visibility: Option<String>,
    protection: Option<String>,
}

/// Why a change is not made.
enum Refused {
    Storage(StorageError),
    None,
    /// It is at this version, not at the one that was named.
    At(u64),
}

impl From<StorageError> for Refused {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

/// `PATCH /v1/videos/ID`. With `If-Match`, only what was seen is changed.
pub(crate) async fn edit(
    axum::extract::State(state): Shared,
    Path(text): Path<String>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<Response, ApiError> {
    let id = id(&text)?;
    let body = axum::body::to_bytes(body, MAX_BODY)
        .await
        .map_err(|_| ApiError::bad_request(format!("a change has at most {MAX_BODY} bytes")))?;
    let patch: Patch = serde_json::from_slice(&body).map_err(|e| {
        ApiError::bad_request(format!("send JSON with title, description, tags, visibility, protection: {e}"))
    })?;
    let (change, seen) = (patch.checked()?, seen(&headers)?);
    if change.protection.is_some_and(|wanted| !state.sealer.can(wanted)) {
        let detail = "this origin has no secret (protection.secret_file) to seal media with";
        return Err(ApiError::new(409, "no-secret", "No secret", detail));
    }
    let videos = state.storage.videos();
    let made = state.storage.database.write::<_, Refused, _>(|tx| {
        let (videos, change, seen) = (&videos, &change, seen.as_deref());
        Box::pin(apply(tx, videos, id, change, seen))
    });
    match made.await {
        Ok(()) => {}
        Err(Refused::Storage(error)) => return Err(error.into()),
        Err(Refused::None) => return Err(none(id)),
        Err(Refused::At(version)) => {
            let detail = format!("the video is at version {version}: look at it again");
            return Err(ApiError::new(412, "changed", "Changed meanwhile", detail));
        }
    }
    let mut answer = document(&state, id).await?;
    cache::lifetime(answer.headers_mut(), Lifetime::Never);
    Ok(answer)
}

async fn apply(
    tx: &Tx<'_>,
    videos: &Videos,
    id: VideoId,
    change: &Change,
    seen: Option<&[u64]>,
) -> Result<(), Refused> {
    let now = videos.get_in(tx, id).await?;
    let now = now.filter(|v| v.deleted_ms.is_none() && v.edition_of.is_none()).ok_or(Refused::None)?;
    if seen.is_some_and(|seen| !seen.contains(&now.version.0)) {
        return Err(Refused::At(now.version.0));
    }
    videos.edit(tx, &now, change).await?;
    let what = json!({ "video": id });
    if change.visibility.is_some_and(|new| new != now.visibility)
        || change.protection.is_some_and(|new| new != now.protection)
    {
        // Copies of another visibility are never to be served again, nor to be confirmed: they say who may see them. What
        // is sealed from now on is not to be had clear.
        tx.emit(&Tag::media(id), EventKind::Purged, what.clone()).await?;
        tx.emit(&Tag::video(id), EventKind::Purged, what.clone()).await?;
    } else {
        tx.emit(&Tag::video(id), EventKind::Changed, what.clone()).await?;
    }
    tx.emit(&Tag::library(), EventKind::Changed, what).await?;
    Ok(())
}

/// The versions that `If-Match` names (RFC 9110 section 13.1.1); none of them for a weak tag. An edge that codes a document
/// says so in its tag, after a dash.
fn seen(headers: &HeaderMap) -> Result<Option<Vec<u64>>, ApiError> {
    let Some(field) = headers.get(IF_MATCH) else { return Ok(None) };
    let text = field.to_str().map_err(|_| ApiError::bad_request("If-Match is no text"))?;
    if text.trim() == "*" {
        return Ok(None);
    }
    let version = |tag: &str| {
        let opaque = tag.trim().strip_prefix('"')?.strip_suffix('"')?;
        opaque.split('-').next()?.parse().ok()
    };
    Ok(Some(text.split(',').filter_map(version).collect()))
}

impl Patch {
    fn checked(self) -> Result<Change, ApiError> {
        let of = |what: &str| ApiError::bad_request(what.to_owned());
        let controls = |text: &str| text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t'));
        let title = self.title.map(|title| title.trim().to_owned());
        if title
            .as_ref()
            .is_some_and(|t| t.is_empty() || t.len() > MAX_NAME_LEN || t.chars().any(char::is_control))
        {
            return Err(of("a title has 1 to 255 bytes, on one line"));
        }
        if self.description.as_ref().is_some_and(|d| d.len() > MAX_DESCRIPTION || controls(d)) {
            return Err(of("a description has at most 10000 bytes of plain text"));
        }
        let visibility = match self.visibility {
            None => None,
            Some(name) => Some(
                Visibility::parse(&name)
                    .ok_or_else(|| of("visibility is one of public, unlisted, private"))?,
            ),
        };
        let protection = match self.protection {
            None => None,
            Some(name) => {
                Some(Protection::parse(&name).ok_or_else(|| of("protection is one of none, aes-128, cbcs"))?)
            }
        };
        let tags = self.tags.map(tags).transpose()?;
        Ok(Change { title, description: self.description, tags, visibility, protection })
    }
}

/// Tags as they are kept: in small letters, each once.
fn tags(given: Vec<String>) -> Result<Vec<String>, ApiError> {
    let mut kept: Vec<String> = vec![];
    for tag in given {
        let tag = tag.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        let plain = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '\u{300}'..='\u{36f}');
        if tag.is_empty() || tag.chars().count() > MAX_TAGS.1 || !tag.chars().all(plain) {
            return Err(ApiError::bad_request("a tag has 1 to 32 letters, digits, spaces, - and _"));
        }
        if !kept.contains(&tag) {
            kept.push(tag);
        }
    }
    if kept.len() > MAX_TAGS.0 {
        return Err(ApiError::bad_request("a video has at most 16 tags"));
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_names_versions() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_MATCH, text.parse().unwrap());
            seen(&headers).unwrap()
        };
        assert_eq!(seen(&HeaderMap::new()).unwrap(), None);
        assert_eq!(of("*"), None);
        assert_eq!(of("\"3\", \"4-zstd\""), Some(vec![3, 4]));
        assert_eq!(of("W/\"3\""), Some(vec![]), "a weak tag is of no version");
        assert_eq!(of("3"), Some(vec![]));
    }

    #[test]
    fn tags_have_one_spelling() {
        let of = |list: &[&str]| tags(list.iter().map(|tag| (*tag).to_owned()).collect());
        assert_eq!(of(&[" Road  Trip", "road trip", "Été"]).unwrap(), ["road trip", "été"]);
        for bad in ["", " ", "a,b", "a#b", &"x".repeat(33)] {
            assert!(of(&[bad]).is_err(), "{bad}");
        }
        let many: Vec<String> = (0..17).map(|n| n.to_string()).collect();
        assert!(tags(many).is_err());
    }
}
