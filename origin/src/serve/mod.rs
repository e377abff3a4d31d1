//! What players fetch: playlists and descriptions from rows, bytes from the store, sealed where a video is to be
//! (`locks` says so in playlists, `sealed` does it, `keys` gives the keys out).

mod audio;
mod chapters;
mod dash;
mod editions;
mod keys;
mod locks;
mod master;
mod playlist;
mod progressive;
mod rates;
mod sealed;
mod sound;
mod storyboard;
mod subtitles;
mod text;
mod writer;

pub(crate) use keys::licence;

use crate::again;
use crate::origin::State;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures::TryStreamExt;
use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use progressive::Joined;
use sha2::{Digest, Sha256};
use sluice_platform::cache::{self, Lifetime};
use sluice_platform::{ApiError, given};
use sluice_storage::{StorageError, VideoState, Visibility};
use sluice_wire::headers::{ACCESS_CHECKS, ACCESS_TOKEN, SLUICE_ACCESS};
use sluice_wire::{MediaAsset, MediaPath, ObjectKey, Protection, Tag, Version, VideoId};

/// `GET /v/...`.
pub(crate) async fn media(
    axum::extract::State(state): axum::extract::State<State>,
    request: Request,
) -> Result<Response, ApiError> {
    let path = request.uri().path();
    let path = MediaPath::parse(path)
        .ok_or_else(|| ApiError::not_found(format!("there is no media at {path:.200}")))?;
    // Before the rows: a version may be older than what is served, never newer.
    let versions = state.storage.log().versions_of(&path.tags()).await?;
    match found(&state, &path, &versions, request.headers()).await {
        // What is not there yet may be there with the next version: who waits for it need not wait for a copy's age.
        Err(error) if error.0.status == 404 => {
            let mut answer = error.into_response();
            cache::version(answer.headers_mut(), &versions);
            Ok(answer)
        }
        other => other,
    }
}

/// What is at a path, if it is there.
async fn found(
    state: &State,
    path: &MediaPath,
    versions: &[(Tag, Version)],
    asked: &HeaderMap,
) -> Result<Response, ApiError> {
    let Admission { guarded, protection, shown } = admitted(state, path, asked).await?;
    let seal = state.sealer.of(shown, protection)?;
    let served = match &path.asset {
        // What is to be sealed is not to be had clear.
        MediaAsset::Segment(..) | MediaAsset::Download(_) | MediaAsset::Preview if seal.is_some() => {
            return Err(missing(path));
        }
        MediaAsset::Master => Served::Text(text::master(state, path, shown, seal).await?),
        MediaAsset::Manifest => Served::Text(text::manifest(state, path, shown, seal).await?),
        MediaAsset::Playlist(rung) => {
            let render = |rung: &_, rows: &_| playlist::media(rung, rows, seal.as_ref());
            Served::Text(text::rung(state, path, (shown, rung), seal.as_ref(), render).await?)
        }
        MediaAsset::Keyframes(rung) => {
            let render = |rung: &_, rows: &_| playlist::keyframes(rung, rows, seal.as_ref());
            Served::Text(text::rung(state, path, (shown, rung), seal.as_ref(), render).await?)
        }
        MediaAsset::Init(rung, digest) => {
            let edition = editions::header(state, path, shown, (rung, *digest)).await?;
            let key = ObjectKey::Init(edition, rung.clone(), *digest);
            stored(state, path, key, Some(digest.to_string())).await?
        }
        MediaAsset::Poster => stored(state, path, ObjectKey::Poster(shown), None).await?,
        MediaAsset::Segment(rung, seq, digest) => {
            let row = editions::segment(state, path, shown, (rung, *seq, *digest)).await?;
            state.again.asked(row.video, rung).await?;
            let row = again::known(state, row).await?;
            let key = ObjectKey::Segment(row.video, rung.clone(), *seq, *digest);
            Served::Object { key, size: row.bytes, etag: row.sha256 }
        }
        MediaAsset::SealedInit(rung, digest, id) => {
            let edition = editions::header(state, path, shown, (rung, *digest)).await?;
            let seal = state.sealer.of(edition, protection)?;
            sealed::init(state, path, (edition, rung, *digest), *id, seal).await?
        }
        MediaAsset::SealedSegment(rung, seq, digest, id) => {
            let row = editions::segment(state, path, shown, (rung, *seq, *digest)).await?;
            state.again.asked(row.video, rung).await?;
            let seal = state.sealer.of(row.video, protection)?;
            sealed::segment(state, path, row, *id, seal).await?
        }
        MediaAsset::Key(id) => return keys::one(state, path, *id, (shown, protection)).await,
        MediaAsset::Licence => {
            let detail = "a licence is asked for by POST";
            return Err(ApiError::new(405, "method-not-allowed", "Method not allowed", detail));
        }
        MediaAsset::Download(rung) => progressive::download(state, path, shown, rung).await?,
        MediaAsset::Preview => progressive::preview(state, path, shown).await?,
        MediaAsset::Chapters => Served::Text(chapters::list(state, path).await?),
        MediaAsset::Storyboard => Served::Text(storyboard::list(state, path).await?),
        MediaAsset::Sheet(seq, digest) => storyboard::sheet(state, path, *seq, *digest).await?,
        MediaAsset::TextPlaylist(name) => Served::Text(subtitles::list(state, path, name).await?),
        MediaAsset::Text(name, digest) => subtitles::whole(state, path, name, *digest).await?,
        MediaAsset::TextSegment(name, seq, digest) => {
            subtitles::segment(state, path, name, *seq, *digest).await?
        }
    };
    state.metrics.media.with_label_values(&[label(&path.asset)]).inc();
    answer(state, path, guarded, versions, asked, served).await
}

/// How a video's media may be had.
struct Admission {
    /// Edges are to ask for a token.
    guarded: bool,
    /// It is sealed.
    protection: Protection,
    /// The edition whose media is shown, or the video itself.
    shown: VideoId,
}

/// Whether the video's media may be had at all, and if so, how. An origin gives private media and keys to edges that ask for
/// a token, and to nobody else.
async fn admitted(state: &State, path: &MediaPath, asked: &HeaderMap) -> Result<Admission, ApiError> {
    let standing = state.storage.videos().standing(path.video).await?;
    let standing = standing.filter(|standing| !standing.deleted).ok_or_else(|| missing(path))?;
    let listed = matches!(
        path.asset,
        MediaAsset::Playlist(_) | MediaAsset::Keyframes(_) | MediaAsset::TextPlaylist(_)
    );
    if standing.state == VideoState::Failed && listed {
        return Err(missing(path));
    }
    let key = matches!(path.asset, MediaAsset::Key(_) | MediaAsset::Licence);
    let guarded = key || standing.visibility == Visibility::Private;
    let checks = asked.get(SLUICE_ACCESS).is_some_and(|says| says.as_bytes() == ACCESS_CHECKS.as_bytes());
    if guarded && !checks {
        let detail = "this is for who has a token: ask an edge for it";
        return Err(ApiError::new(401, "private", "Not authorised", detail));
    }
    Ok(Admission { guarded, protection: standing.protection, shown: standing.shown })
}

const fn label(asset: &MediaAsset) -> &'static str {
    match asset {
        MediaAsset::Master => "master",
        MediaAsset::Manifest => "manifest",
        MediaAsset::Playlist(_) => "playlist",
        MediaAsset::Keyframes(_) => "keyframes",
        MediaAsset::Init(..) => "init",
        MediaAsset::Segment(..) => "segment",
        MediaAsset::Poster => "poster",
        MediaAsset::SealedInit(..) => "sealed-init",
        MediaAsset::SealedSegment(..) => "sealed-segment",
        MediaAsset::Key(_) => "key",
        MediaAsset::Licence => "licence",
        MediaAsset::Download(_) => "download",
        MediaAsset::Preview => "preview",
        MediaAsset::Chapters => "chapters",
        MediaAsset::Storyboard => "storyboard",
        MediaAsset::Sheet(..) => "sheet",
        MediaAsset::TextPlaylist(_) => "text_playlist",
        MediaAsset::Text(..) | MediaAsset::TextSegment(..) => "text",
    }
}

fn missing(path: &MediaPath) -> ApiError {
    ApiError::not_found(format!("{path} is not published"))
}

/// What will be sent.
enum Served {
    Text(String),
    Object { key: ObjectKey, size: u64, etag: String },
    Bytes { bytes: bytes::Bytes, etag: String },
    Joined(Joined),
}

/// A stored object whose row does not keep its size.
async fn stored(
    state: &State,
    path: &MediaPath,
    key: ObjectKey,
    etag: Option<String>,
) -> Result<Served, ApiError> {
    let meta = match state.storage.objects.head(&key).await {
        Ok(meta) => meta,
        Err(StorageError::NotFound(_)) => return Err(missing(path)),
        Err(error) => return Err(error.into()),
    };
    let etag = etag.or(meta.etag).unwrap_or_else(|| format!("{}", meta.size));
    Ok(Served::Object { key, size: meta.size, etag: etag.trim_matches('"').to_owned() })
}

async fn answer(
    state: &State,
    path: &MediaPath,
    guarded: bool,
    versions: &[(Tag, Version)],
    asked: &HeaderMap,
    served: Served,
) -> Result<Response, ApiError> {
    let (size, etag) = match &served {
        Served::Text(text) => (text.len() as u64, hex::encode(&Sha256::digest(text)[..16])),
        Served::Object { size, etag, .. } => (*size, etag.clone()),
        Served::Bytes { bytes, etag } => (bytes.len() as u64, etag.clone()),
        Served::Joined(joined) => (joined.size(), joined.etag.clone()),
    };
    // A copy of another visibility is never confirmed: it does not say who may have it.
    let etag = format!("\"{etag}{}\"", if guarded { "-private" } else { "" });
    let mut answer = given(asked, &etag, size, async |range| body(state, served, range).await).await?;
    if answer.status() == StatusCode::RANGE_NOT_SATISFIABLE {
        return Ok(answer);
    }
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(path.asset.content_type()));
    if let MediaAsset::Download(rung) = &path.asset {
        let name = format!("attachment; filename=\"{}-{rung}.mp4\"", path.video);
        if let Ok(name) = HeaderValue::from_str(&name) {
            headers.insert(CONTENT_DISPOSITION, name);
        }
    }
    let kept = match (path.asset.is_immutable(), guarded) {
        (true, false) => Lifetime::Immutable,
        (false, false) => Lifetime::Pushed,
        (true, true) => Lifetime::GuardedImmutable,
        (false, true) => Lifetime::GuardedPushed,
    };
    cache::lifetime(headers, kept);
    if guarded {
        headers.insert(HeaderName::from_static(SLUICE_ACCESS), HeaderValue::from_static(ACCESS_TOKEN));
    }
    cache::version(headers, versions);
    Ok(answer)
}

async fn body(state: &State, served: Served, range: std::ops::Range<u64>) -> Result<Response, ApiError> {
    let length = range.end - range.start;
    let mut answer = match served {
        Served::Text(text) => Response::new(Body::from(sliced(&text.into(), range))),
        Served::Bytes { bytes, .. } => Response::new(Body::from(sliced(&bytes, range))),
        Served::Object { key, .. } => {
            let object = again::range(state, &key, range).await?;
            Response::new(Body::from_stream(object.stream.map_err(std::io::Error::other)))
        }
        Served::Joined(joined) => {
            let stream = joined.stream(state.storage.objects.clone(), &range);
            Response::new(Body::from_stream(stream.map_err(std::io::Error::other)))
        }
    };
    answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    Ok(answer)
}

fn sliced(bytes: &bytes::Bytes, range: std::ops::Range<u64>) -> bytes::Bytes {
    let at = |place: u64| usize::try_from(place).unwrap_or(0);
    bytes.slice(at(range.start)..at(range.end))
}
