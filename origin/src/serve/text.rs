//! What is rendered from rows, read for each answer that no edge keeps.

use super::dash::{self, Steered, Track};
use super::locks::{can_seal, left_out};
use super::master::{self, Measured};
use super::sound::{Heard, heard};
use super::{missing, playlist};
use crate::origin::State;
use crate::sealer::Seal;
use crate::view::{is_playable, ladder, ranges, source};
use sluice_platform::ApiError;
use sluice_storage::{Media, Rendition, SegmentRow, Video};
use sluice_wire::{MediaPath, Protection, RungName, VideoId};
use std::collections::BTreeMap;

/// The multivariant playlist: of the rungs that have their first segment.
pub(super) async fn master(
    state: &State,
    path: &MediaPath,
    shown: VideoId,
    seal: Option<Seal<'_>>,
) -> Result<String, ApiError> {
    let (video, media) = playable(state, path, shown).await?;
    let (sounds, ranges, mut all) = (sounds(&video), ranges(&video), vec![]);
    for rendition in media.renditions.into_iter().filter(|r| can_seal(r, seal.as_ref())) {
        let rows = state.storage.videos().segments(shown, &rendition.rung).await?;
        let heard = sounds.get(&rendition.rung).cloned();
        let range = ranges.get(&rendition.rung).copied().unwrap_or_default();
        let measured = Measured::new(rendition, heard, &rows, seal.as_ref());
        all.extend(measured.map(|measured| measured.with_range(range)));
    }
    let steering = steering(state, video.id);
    let texts = state.storage.videos().texts(path.video).await?;
    Ok(master::master(&all, &texts, steering.as_deref()))
}

/// Who is asked where a video is fetched from.
fn steering(state: &State, video: VideoId) -> Option<String> {
    let url = state.config.steering_url.as_deref()?;
    Some(format!("{}/steer/v/{video}", url.trim_end_matches('/')))
}

/// The DASH description: once every rung is whole.
pub(super) async fn manifest(
    state: &State,
    path: &MediaPath,
    shown: VideoId,
    seal: Option<Seal<'_>>,
) -> Result<String, ApiError> {
    // Whole segments are sealed for HLS alone.
    if seal.is_some_and(|seal| seal.protection() == Protection::Aes128) {
        return Err(missing(path));
    }
    let (video, media) = playable(state, path, shown).await?;
    let (sounds, ranges, mut tracks) = (sounds(&video), ranges(&video), vec![]);
    for rendition in media.renditions.into_iter().filter(|r| can_seal(r, seal.as_ref())) {
        let segments = state.storage.videos().segments(shown, &rendition.rung).await?;
        if segments.is_empty() || !playlist::is_whole(&rendition, &segments) {
            return Err(missing(path));
        }
        let heard = sounds.get(&rendition.rung).cloned();
        let range = ranges.get(&rendition.rung).copied().unwrap_or_default();
        tracks.push(Track { rendition, heard, range, segments });
    }
    let texts = state.storage.videos().texts(path.video).await?;
    let steered = steering(state, video.id).zip(state.config.media_url.as_deref());
    let steered = steered.map(|(server, media)| Steered {
        server: format!("{server}?f=dash"),
        base: format!("{}/v/{}/", media.trim_end_matches('/'), video.id),
    });
    Ok(dash::manifest(&tracks, &texts, seal.as_ref(), steered.as_ref()))
}

/// One of a rung's playlists.
pub(super) async fn rung(
    state: &State,
    path: &MediaPath,
    (shown, rung): (VideoId, &RungName),
    seal: Option<&Seal<'_>>,
    render: impl FnOnce(&Rendition, &[SegmentRow]) -> Option<String>,
) -> Result<String, ApiError> {
    let videos = state.storage.videos();
    let rendition = videos.rendition(shown, rung).await?.ok_or_else(|| missing(path))?;
    if let Some(why) = left_out(&rendition, seal) {
        return Err(why.problem());
    }
    let segments = videos.segments(shown, rung).await?;
    render(&rendition, &segments).ok_or_else(|| missing(path))
}

async fn playable(state: &State, path: &MediaPath, shown: VideoId) -> Result<(Video, Media), ApiError> {
    let videos = state.storage.videos();
    let video = videos.get(path.video).await?.ok_or_else(|| missing(path))?;
    let media = videos.media(shown).await?;
    if is_playable(&video, &media) { Ok((video, media)) } else { Err(missing(path)) }
}

/// What is heard in each audio rung that was planned.
fn sounds(video: &Video) -> BTreeMap<RungName, Heard> {
    let planned = source(video).zip(ladder(video));
    planned.map(|(source, ladder)| heard(&source, &ladder)).unwrap_or_default()
}
