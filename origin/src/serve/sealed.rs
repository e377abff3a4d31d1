//! Sealed media: read from the store, sealed, sent. The same bytes each time, so that edges keep them for ever.

use super::locks::left_out;
use super::{Served, missing};
use crate::again;
use crate::origin::State;
use crate::sealer::Seal;
use bytes::Bytes;
use sluice_platform::ApiError;
use sluice_seal::cbcs::{self, Track, Unsealable};
use sluice_seal::{ContentKey, whole};
use sluice_storage::{Rendition, SegmentRow, StorageError};
use sluice_wire::{Digest, KeyId, MediaPath, ObjectKey, Protection, RungName, VideoId};

/// Bytes of a segment that are taken into memory: four seconds at more than 100 Mbit/s.
const MAX_SEGMENT: u64 = 64 << 20;
/// Bytes of a header, of which there is about one thousand.
const MAX_INIT: u64 = 1 << 20;

/// A header that names a key.
pub(super) async fn init(
    state: &State,
    path: &MediaPath,
    (edition, rung, digest): (VideoId, &RungName, Digest),
    id: KeyId,
    seal: Option<Seal<'_>>,
) -> Result<Served, ApiError> {
    let seal = seal.filter(|seal| seal.protection() == Protection::Cbcs).ok_or_else(|| missing(path))?;
    let key = seal.key(rung, id).ok_or_else(|| missing(path))?;
    rendition(state, path, (edition, rung), &seal).await?;
    let clear = stored(state, path, &ObjectKey::Init(edition, rung.clone(), digest), MAX_INIT).await?;
    let bytes = cbcs::header(&clear, key.id, seal.iv(rung)).map_err(|why| unsealable(path, why))?;
    Ok(Served::Bytes { bytes: bytes.into(), etag: format!("{digest}-{id}") })
}

/// A segment, sealed with the key of its period.
pub(super) async fn segment(
    state: &State,
    path: &MediaPath,
    row: SegmentRow,
    id: KeyId,
    seal: Option<Seal<'_>>,
) -> Result<Served, ApiError> {
    let seal = seal.filter(|seal| seal.period(row.seq) == id.period()).ok_or_else(|| missing(path))?;
    let key = seal.key(&row.rung, id).ok_or_else(|| missing(path))?;
    let track = match seal.protection() {
        Protection::Cbcs => Some(track(state, path, (row.video, &row.rung), &seal).await?),
        Protection::Aes128 | Protection::None => None,
    };
    let turn = state.sealer.turn().await?;
    let object = ObjectKey::Segment(row.video, row.rung.clone(), row.seq, row.digest);
    let clear = stored(state, path, &object, MAX_SEGMENT).await?;
    let (seq, iv) = (row.seq, seal.iv(&row.rung));
    let sealing = tokio::task::spawn_blocking(move || sealed(&clear, track.as_ref(), &key, seq, iv));
    let bytes = sealing.await.map_err(|_| StorageError::Contended)?.map_err(|why| unsealable(path, why))?;
    drop(turn);
    Ok(Served::Bytes { bytes, etag: format!("{}-{id}", row.digest) })
}

fn sealed(
    clear: &[u8],
    track: Option<&Track>,
    key: &ContentKey,
    seq: u32,
    iv: [u8; 16],
) -> Result<Bytes, Unsealable> {
    Ok(match track {
        Some(track) => cbcs::segment(track, clear, key, iv)?.into(),
        None => whole::seal(clear, &key.key, seq).into(),
    })
}

/// What a rung's header says, from memory if it was read before.
async fn track(
    state: &State,
    path: &MediaPath,
    rung: (VideoId, &RungName),
    seal: &Seal<'_>,
) -> Result<Track, ApiError> {
    let (edition, name) = rung;
    let rendition = rendition(state, path, rung, seal).await?;
    if let Some(track) = state.sealer.track(rendition.init) {
        return Ok(track);
    }
    let key = ObjectKey::Init(edition, name.clone(), rendition.init);
    let init = stored(state, path, &key, MAX_INIT).await?;
    let track = Track::read(&init).map_err(|why| unsealable(path, why))?;
    state.sealer.remember(rendition.init, track);
    Ok(track)
}

/// A rung, if it is one that can be sealed.
async fn rendition(
    state: &State,
    path: &MediaPath,
    (edition, rung): (VideoId, &RungName),
    seal: &Seal<'_>,
) -> Result<Rendition, ApiError> {
    let rendition = state.storage.videos().rendition(edition, rung).await?.ok_or_else(|| missing(path))?;
    match left_out(&rendition, Some(seal)) {
        None => Ok(rendition),
        Some(why) => Err(why.problem()),
    }
}

async fn stored(state: &State, path: &MediaPath, key: &ObjectKey, limit: u64) -> Result<Bytes, ApiError> {
    again::bytes(state, key, limit)
        .await
        .map_err(|error| if error.0.status == 404 { missing(path) } else { error })
}

/// Nothing goes out clear for being strange.
fn unsealable(path: &MediaPath, why: Unsealable) -> ApiError {
    tracing::error!(%path, %why, "media cannot be sealed");
    ApiError::new(500, "unsealable", "Cannot be sealed", "this was not made in a way that can be sealed")
}
