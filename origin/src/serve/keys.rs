//! Content keys: one by its address as HLS fetches it, several by a licence (W3C Encrypted Media Extensions, section 9.1).
//! Nobody keeps an answer, and edges give it for a token alone.

use super::{admitted, editions, missing};
use crate::origin::State;
use crate::sealer::Seal;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::json;
use sluice_platform::ApiError;
use sluice_platform::cache::{self, Lifetime};
use sluice_seal::ContentKey;
use sluice_storage::Media;
use sluice_wire::headers::{ACCESS_TOKEN, SLUICE_ACCESS};
use sluice_wire::{KeyId, MediaAsset, MediaPath, Protection, VideoId};

/// Bytes of a licence request, and keys of one: those of a day with a key for each minute.
const MAX_REQUEST: usize = 64 << 10;
const MAX_KEYS: usize = 1_440;

/// A licence request.
#[derive(Debug, Deserialize)]
struct Asked {
    kids: Vec<String>,
    /// The kind of session. Keys that a player may keep are not given.
    #[serde(rename = "type", default = "temporary")]
    session: String,
}

fn temporary() -> String {
    "temporary".into()
}

/// `GET /v/VIDEO/keys/KEYID.key`: the key's 16 bytes.
pub(super) async fn one(
    state: &State,
    path: &MediaPath,
    id: KeyId,
    (shown, protection): (VideoId, Protection),
) -> Result<Response, ApiError> {
    let keys = found(state, path, (shown, protection), &[id]).await?;
    let key = keys.first().ok_or_else(|| missing(path))?;
    state.metrics.keys.with_label_values(&[protection.as_str()]).inc();
    Ok(guarded(Response::new(Body::from(key.key.to_vec())), path))
}

/// `POST /v/VIDEO/licence`: those of the keys asked for that the video has.
pub(crate) async fn licence(
    axum::extract::State(state): axum::extract::State<State>,
    request: Request,
) -> Result<Response, ApiError> {
    let path = MediaPath::parse(request.uri().path()).filter(|path| path.asset == MediaAsset::Licence);
    let path = path.ok_or_else(|| {
        ApiError::new(405, "method-not-allowed", "Method not allowed", "this resource has other methods")
    })?;
    let admission = admitted(&state, &path, request.headers()).await?;
    let (shown, protection) = (admission.shown, admission.protection);
    if protection != Protection::Cbcs {
        return Err(missing(&path));
    }
    let asked = read(request.into_body()).await?;
    let keys = found(&state, &path, (shown, protection), &asked).await?;
    if keys.is_empty() {
        return Err(ApiError::not_found(format!("video {} has none of these keys", path.video)));
    }
    state.metrics.keys.with_label_values(&[protection.as_str()]).inc_by(keys.len() as u64);
    let text = |bytes: [u8; 16]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let keys: Vec<_> =
        keys.iter().map(|key| json!({ "kty": "oct", "kid": text(key.id.0), "k": text(key.key) })).collect();
    let answer = axum::Json(json!({ "keys": keys, "type": "temporary" })).into_response();
    Ok(guarded(answer, &path))
}

/// Those of the keys asked for that a video has: of the edition that is shown, or of one that players may still be at.
async fn found(
    state: &State,
    path: &MediaPath,
    (shown, protection): (VideoId, Protection),
    asked: &[KeyId],
) -> Result<Vec<ContentKey>, ApiError> {
    for edition in std::iter::once(shown).chain(editions::others(state, path, shown).await?) {
        let Some(seal) = state.sealer.of(edition, protection)? else { break };
        let media = state.storage.videos().media(edition).await?;
        let keys: Vec<_> = asked.iter().filter_map(|id| of(&media, &seal, *id)).collect();
        if !keys.is_empty() {
            return Ok(keys);
        }
    }
    Ok(vec![])
}

/// The ids that a request names.
async fn read(body: Body) -> Result<Vec<KeyId>, ApiError> {
    let wrong = |what: String| ApiError::bad_request(format!("a licence request {what}"));
    let body = axum::body::to_bytes(body, MAX_REQUEST)
        .await
        .map_err(|_| wrong(format!("has at most {MAX_REQUEST} bytes")))?;
    let asked: Asked = serde_json::from_slice(&body).map_err(|e| wrong(format!("is JSON with kids: {e}")))?;
    if asked.session != temporary() {
        return Err(wrong("is for a temporary session: keys are not to be kept".into()));
    }
    if asked.kids.is_empty() || asked.kids.len() > MAX_KEYS {
        return Err(wrong(format!("names 1 to {MAX_KEYS} keys")));
    }
    let id = |text: &String| {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(KeyId(bytes.try_into().ok()?))
    };
    asked.kids.iter().map(id).collect::<Option<_>>().ok_or_else(|| wrong("names keys in base64url".into()))
}

/// The key of an id, if it is one of the video's and its period has begun.
fn of(media: &Media, seal: &Seal<'_>, id: KeyId) -> Option<ContentKey> {
    let used = |rung| media.segments.get(rung).is_some_and(|count| *count > seal.first_of(id));
    let rungs = media.renditions.iter().map(|rendition| &rendition.rung).filter(|rung| used(rung));
    // Where all rungs have the same keys, one is asked.
    let most = if seal.protection() == Protection::Cbcs { 1 } else { usize::MAX };
    rungs.take(most).find_map(|rung| seal.key(rung, id))
}

fn guarded(mut answer: Response, path: &MediaPath) -> Response {
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(path.asset.content_type()));
    cache::lifetime(headers, Lifetime::Never);
    headers.insert(HeaderName::from_static(SLUICE_ACCESS), HeaderValue::from_static(ACCESS_TOKEN));
    answer
}
