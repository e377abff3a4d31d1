//! Text tracks as HLS has them (RFC 8216bis sections 3.1.4 and 4.4.6.1): a rendition of WebVTT segments. What is in a
//! segment is a function of the track's bytes and the segment's number.

use super::playlist::VERSION;
use super::writer::{Attributes, Playlist};
use super::{Served, missing};
use crate::origin::State;
use sluice_platform::ApiError;
use sluice_storage::{StorageError, TextTrack};
use sluice_wire::limits::{MAX_TEXT_BYTES, TEXT_SEGMENT_S};
use sluice_wire::text::Track;
use sluice_wire::{Digest, MediaAsset, MediaPath, ObjectKey, TextKind, TextName};

/// Group of the text renditions.
pub(super) const GROUP: &str = "text";
/// Of captions for those who do not hear (Apple's authoring rules, 4.2).
const ACCESSIBLE: &str =
    "public.accessibility.transcribes-spoken-dialog,public.accessibility.describes-music-and-sound";

/// The tracks that are shown over the picture.
pub(super) fn shown(tracks: &[TextTrack]) -> impl Iterator<Item = &TextTrack> {
    tracks.iter().filter(|track| track.name.kind != TextKind::Chapters)
}

/// What the multivariant playlist says of each: of two with one label, the second is told apart by its kind.
pub(super) fn renditions(list: &mut Playlist, tracks: &[TextTrack]) {
    let mut labels = vec![];
    for track in shown(tracks) {
        let label = match labels.contains(&&track.label) {
            true => format!("{} ({})", track.label, track.name.kind.as_str()),
            false => track.label.clone(),
        };
        labels.push(&track.label);
        let forced = track.name.kind == TextKind::Forced;
        let attributes = Attributes::default()
            .plain("TYPE", "SUBTITLES")
            .quoted("GROUP-ID", GROUP)
            .quoted("LANGUAGE", &track.name.language)
            .quoted("NAME", label)
            .plain("DEFAULT", "NO")
            .plain("AUTOSELECT", "YES")
            .plain("FORCED", if forced { "YES" } else { "NO" })
            .with(|list| match track.name.kind {
                TextKind::Captions => list.quoted("CHARACTERISTICS", ACCESSIBLE),
                _ => list,
            })
            .quoted("URI", MediaAsset::TextPlaylist(track.name.clone()));
        list.tag_of("MEDIA", attributes);
    }
}

/// A track's media playlist over a video of this length. It is whole from the beginning; segments of text may be longer
/// than those of film (RFC 8216bis section 6.2.4).
fn playlist(track: &TextTrack, duration_ms: u64) -> String {
    let each = u64::from(TEXT_SEGMENT_S) * 1_000;
    let mut list = Playlist::new(VERSION);
    list.tag_of("TARGETDURATION", TEXT_SEGMENT_S);
    list.tag_of("PLAYLIST-TYPE", "VOD");
    let (mut left, mut seq) = (duration_ms.max(1), 0);
    while left > 0 {
        list.inf(left.min(each), 1_000);
        list.line(format_args!("{seq}-{}.vtt", track.digest));
        (left, seq) = (left.saturating_sub(each), seq + 1);
    }
    list.tag("ENDLIST");
    list.text()
}

/// A track's media playlist.
pub(super) async fn list(state: &State, path: &MediaPath, name: &TextName) -> Result<String, ApiError> {
    let videos = state.storage.videos();
    let video = videos.get(path.video).await?.ok_or_else(|| missing(path))?;
    let track = videos.text(path.video, name).await?.ok_or_else(|| missing(path))?;
    Ok(playlist(&track, video.duration_ms.unwrap_or(track.end_ms)))
}

/// A whole track. One that was replaced is no longer there.
pub(super) async fn whole(
    state: &State,
    path: &MediaPath,
    name: &TextName,
    digest: Digest,
) -> Result<Served, ApiError> {
    let track = named(state, path, name, digest).await?;
    let key = ObjectKey::Text(path.video, name.clone(), digest);
    Ok(Served::Object { key, size: track.bytes, etag: digest.to_string() })
}

/// A segment of a track.
pub(super) async fn segment(
    state: &State,
    path: &MediaPath,
    name: &TextName,
    seq: u32,
    digest: Digest,
) -> Result<Served, ApiError> {
    let track = named(state, path, name, digest).await?;
    Ok(Served::Text(read(state, path, &track).await?.segment(seq)))
}

/// The cues of a track.
pub(super) async fn read(state: &State, path: &MediaPath, track: &TextTrack) -> Result<Track, ApiError> {
    let key = ObjectKey::Text(path.video, track.name.clone(), track.digest);
    let bytes = match state.storage.objects.bytes(&key, MAX_TEXT_BYTES as u64 * 2).await {
        Ok(bytes) => bytes,
        Err(StorageError::NotFound(_)) => return Err(missing(path)),
        Err(error) => return Err(error.into()),
    };
    Ok(Track::parse(&bytes).map_err(|error| StorageError::Corrupt(format!("{key}: {error}")))?)
}

async fn named(
    state: &State,
    path: &MediaPath,
    name: &TextName,
    digest: Digest,
) -> Result<TextTrack, ApiError> {
    let track = state.storage.videos().text(path.video, name).await?;
    track.filter(|track| track.digest == digest).ok_or_else(|| missing(path))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;
    use sluice_wire::VideoId;

    pub(in super::super) fn track(name: &str, label: &str) -> TextTrack {
        TextTrack {
            video: VideoId::from_parts(1_800_000_000_000, 1),
            name: name.parse().unwrap(),
            label: label.into(),
            digest: Digest([7; 16]),
            bytes: 4_000,
            cues: 3,
            end_ms: 8_000,
            embedded: false,
        }
    }

    proptest! {
        #[test]
        fn a_playlist_is_as_long_as_its_video(duration_ms in 1u64..43_200_000) {
            let text = playlist(&track("subtitles.en", "English"), duration_ms);
            let list = m3u8_rs::parse_media_playlist(text.as_bytes()).unwrap().1;
            prop_assert!(list.end_list && list.target_duration == 60);
            let sum: f64 = list.segments.iter().map(|s| f64::from(s.duration)).sum();
            prop_assert!((sum * 1_000.0 - duration_ms as f64).abs() < 1.0, "{sum} for {duration_ms}");
            prop_assert!(list.segments.iter().all(|s| s.duration > 0.0 && s.duration <= 60.0));
        }
    }
}
