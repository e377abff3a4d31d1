//! Which of a video's editions a name is of. Players that run go on with the one that they began, whose playlists they
//! have: names are of what they name, so that those of the edition that is shown are looked up first, and others found.

use super::missing;
use crate::origin::State;
use sluice_platform::ApiError;
use sluice_storage::SegmentRow;
use sluice_wire::{Digest, MediaPath, RungName, VideoId};

/// The row of a segment of this name.
pub(super) async fn segment(
    state: &State,
    path: &MediaPath,
    shown: VideoId,
    (rung, seq, digest): (&RungName, u32, Digest),
) -> Result<SegmentRow, ApiError> {
    let videos = state.storage.videos();
    let named = |row: Option<SegmentRow>| row.filter(|row| row.digest == digest);
    if let Some(row) = named(videos.segment(shown, rung, seq).await?) {
        return Ok(row);
    }
    for edition in others(state, path, shown).await? {
        if let Some(row) = named(videos.segment(edition, rung, seq).await?) {
            return Ok(row);
        }
    }
    Err(missing(path))
}

/// The edition that has a rung with a header of this name.
pub(super) async fn header(
    state: &State,
    path: &MediaPath,
    shown: VideoId,
    (rung, digest): (&RungName, Digest),
) -> Result<VideoId, ApiError> {
    let videos = state.storage.videos();
    if videos.rendition(shown, rung).await?.is_some_and(|rendition| rendition.init == digest) {
        return Ok(shown);
    }
    for edition in others(state, path, shown).await? {
        if videos.rendition(edition, rung).await?.is_some_and(|rendition| rendition.init == digest) {
            return Ok(edition);
        }
    }
    Err(missing(path))
}

/// All but the one that is shown, the newest first.
pub(super) async fn others(
    state: &State,
    path: &MediaPath,
    shown: VideoId,
) -> Result<impl Iterator<Item = VideoId>, ApiError> {
    let all = state.storage.videos().editions(path.video).await?;
    Ok(all.into_iter().filter(move |edition| *edition != shown))
}
