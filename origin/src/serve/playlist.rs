//! Playlists (RFC 8216, rfc8216bis): pure functions of committed rows, the same bytes each time.

use m3u8_rs::{
    AlternativeMedia, AlternativeMediaType, ExtTag, Map, MasterPlaylist, MediaPlaylist, MediaPlaylistType,
    MediaSegment, QuotedOrUnquoted, Resolution, Start, VariantStream,
};
use sluice_storage::{Rendition, RenditionKind, SegmentRow};
use sluice_wire::MediaAsset;
use sluice_wire::steering::BASE_PATHWAY;
use std::collections::HashMap;

/// Group of the audio renditions.
const AUDIO: &str = "audio";
/// The first variant is where players begin: the highest that a modest link carries.
const START_BANDWIDTH: u64 = 2_500_000;

/// A multivariant playlist of all renditions.
pub(super) fn master(renditions: &[Rendition], channels: u32, steering: Option<&str>) -> String {
    let audio = renditions.iter().find(|r| r.kind == RenditionKind::Audio);
    let mut video: Vec<&Rendition> = renditions.iter().filter(|r| r.kind == RenditionKind::Video).collect();
    video.sort_by_key(|r| (r.bandwidth, r.height));
    let start = video.iter().rposition(|r| r.bandwidth <= START_BANDWIDTH).unwrap_or(0);
    if !video.is_empty() {
        let first = video.remove(start);
        video.insert(0, first);
    }
    let variants: Vec<VariantStream> = match (video.is_empty(), audio) {
        (true, Some(audio)) => vec![variant(audio, None, steering)],
        _ => video.into_iter().map(|r| variant(r, audio, steering)).collect(),
    };
    let has_video = variants.iter().any(|v| v.audio.is_some());
    let steer = steering.map(|url| ExtTag {
        tag: "X-CONTENT-STEERING".into(),
        rest: Some(format!("SERVER-URI=\"{url}\",PATHWAY-ID=\"{BASE_PATHWAY}\"")),
    });
    let list = MasterPlaylist {
        version: Some(7),
        variants,
        independent_segments: true,
        alternatives: audio.filter(|_| has_video).map(|a| alternative(a, channels)).into_iter().collect(),
        unknown_tags: steer.into_iter().collect(),
        ..MasterPlaylist::default()
    };
    written(|out| list.write_to(out))
}

fn variant(rendition: &Rendition, audio: Option<&Rendition>, steering: Option<&str>) -> VariantStream {
    let sum = |of: fn(&Rendition) -> u64| of(rendition) + audio.map_or(0, of);
    let codecs = [Some(rendition), audio]
        .into_iter()
        .flatten()
        .map(|r| r.codecs.as_str())
        .collect::<Vec<_>>()
        .join(",");
    let picture = rendition.kind == RenditionKind::Video;
    let rate = f64::from(rendition.frame_rate_num) / f64::from(rendition.frame_rate_den.max(1));
    // One attribute at most: the library writes these in the order of a hash map.
    let pathway = steering
        .map(|_| HashMap::from([("PATHWAY-ID".into(), QuotedOrUnquoted::Quoted(BASE_PATHWAY.into()))]));
    VariantStream {
        uri: MediaAsset::Playlist(rendition.rung.clone()).to_string(),
        bandwidth: sum(|r| r.bandwidth).max(1),
        average_bandwidth: Some(sum(|r| r.average_bandwidth).max(1)),
        codecs: Some(codecs),
        resolution: picture
            .then(|| Resolution { width: rendition.width.into(), height: rendition.height.into() }),
        frame_rate: picture.then(|| (rate * 1_000.0).round() / 1_000.0),
        audio: audio.filter(|_| picture).map(|_| AUDIO.into()),
        other_attributes: pathway,
        ..VariantStream::default()
    }
}

fn alternative(audio: &Rendition, channels: u32) -> AlternativeMedia {
    AlternativeMedia {
        media_type: AlternativeMediaType::Audio,
        uri: Some(MediaAsset::Playlist(audio.rung.clone()).to_string()),
        group_id: AUDIO.into(),
        name: "Main".into(),
        default: true,
        autoselect: true,
        channels: Some(channels.to_string()),
        ..AlternativeMedia::default()
    }
}

/// A rung's media playlist: an EVENT that grows while it is being made, VOD after.
pub(super) fn media(rendition: &Rendition, segments: &[SegmentRow]) -> String {
    let seconds = |ticks: u64| ticks as f64 / f64::from(rendition.timescale.max(1));
    let longest = segments.iter().map(|s| s.duration).max().unwrap_or(0);
    let map = Map {
        uri: format!("init-{}.mp4", rendition.init),
        byte_range: None,
        other_attributes: HashMap::new(),
    };
    let segment = |(index, row): (usize, &SegmentRow)| MediaSegment {
        uri: format!("{}-{}.m4s", row.seq, row.digest),
        duration: seconds(row.duration) as f32,
        map: (index == 0).then(|| map.clone()),
        ..MediaSegment::empty()
    };
    let kind = if rendition.ended { MediaPlaylistType::Vod } else { MediaPlaylistType::Event };
    // A growing playlist is not live: players begin at its beginning.
    let start = Start { time_offset: 0.0, precise: None, other_attributes: HashMap::new() };
    let list = MediaPlaylist {
        version: Some(7),
        // Rounded to the nearest second, as each EXTINF is when compared with it (RFC 8216 section 4.3.3.1).
        target_duration: (seconds(longest).round() as u64).max(1),
        segments: segments.iter().enumerate().map(segment).collect(),
        end_list: rendition.ended,
        playlist_type: Some(kind),
        start: (!rendition.ended).then_some(start),
        independent_segments: true,
        ..MediaPlaylist::default()
    };
    written(|out| list.write_to(out))
}

fn written(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).expect("memory takes every write");
    String::from_utf8(out).expect("playlists are made of text")
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_wire::{Digest, RungName, VideoId};

    fn rendition(
        name: &str,
        kind: RenditionKind,
        size: (u32, u32),
        bandwidth: u64,
        ended: bool,
    ) -> Rendition {
        Rendition {
            video: VideoId::from_parts(1_800_000_000_000, 1),
            rung: RungName::new(name).unwrap(),
            kind,
            codecs: if size.0 > 0 { "avc1.64001F".into() } else { "mp4a.40.2".into() },
            width: size.0,
            height: size.1,
            frame_rate_num: 30_000,
            frame_rate_den: 1_001,
            bandwidth,
            average_bandwidth: bandwidth / 2,
            timescale: 30_000,
            init_bytes: 700,
            init: Digest([7; 16]),
            ended,
        }
    }

    fn segments(count: u32) -> Vec<SegmentRow> {
        let row = |seq: u32| SegmentRow {
            video: VideoId::from_parts(1_800_000_000_000, 1),
            rung: RungName::new("v480").unwrap(),
            seq,
            start: u64::from(seq) * 120_120,
            duration: 120_120,
            bytes: 1_000,
            sha256: String::new(),
            digest: Digest([seq as u8; 16]),
            keys: vec![],
        };
        (0..count).map(row).collect()
    }

    #[test]
    fn a_multivariant_playlist_says_what_was_encoded() {
        let all = [
            rendition("a128", RenditionKind::Audio, (0, 0), 130_000, true),
            rendition("v1080", RenditionKind::Video, (1920, 1080), 6_000_000, true),
            rendition("v240", RenditionKind::Video, (426, 240), 400_000, true),
            rendition("v480", RenditionKind::Video, (852, 480), 1_500_000, true),
        ];
        let text = master(&all, 2, Some("http://c/steer/v/x"));
        assert_eq!(text, master(&all, 2, Some("http://c/steer/v/x")), "the same bytes each time");
        let (_, list) = m3u8_rs::parse_master_playlist(text.as_bytes()).unwrap();
        assert_eq!(
            list.variants.iter().map(|v| v.uri.as_str()).collect::<Vec<_>>(),
            ["v480/index.m3u8", "v240/index.m3u8", "v1080/index.m3u8"]
        );
        let first = &list.variants[0];
        assert_eq!((first.bandwidth, first.average_bandwidth), (1_630_000, Some(815_000)));
        assert_eq!(first.codecs.as_deref(), Some("avc1.64001F,mp4a.40.2"));
        assert_eq!(first.frame_rate, Some(29.97));
        assert_eq!(list.alternatives.len(), 1);
        assert!(
            text.contains("#EXT-X-CONTENT-STEERING:SERVER-URI=\"http://c/steer/v/x\",PATHWAY-ID=\"here\""),
            "{text}"
        );
        assert!(
            text.contains("PATHWAY-ID=\"here\"\nv480") || text.contains("PATHWAY-ID=\"here\",AUDIO"),
            "{text}"
        );
    }

    #[test]
    fn sound_alone_is_a_variant_of_its_own() {
        let text = master(&[rendition("a64", RenditionKind::Audio, (0, 0), 66_000, true)], 1, None);
        let (_, list) = m3u8_rs::parse_master_playlist(text.as_bytes()).unwrap();
        assert_eq!(list.variants.len(), 1);
        assert!(list.alternatives.is_empty() && list.variants[0].resolution.is_none());
    }

    #[test]
    fn a_media_playlist_grows_and_ends() {
        let growing = media(&rendition("v480", RenditionKind::Video, (852, 480), 1, false), &segments(2));
        assert!(growing.contains("#EXT-X-PLAYLIST-TYPE:EVENT") && !growing.contains("ENDLIST"), "{growing}");
        assert!(
            growing.contains("#EXT-X-TARGETDURATION:4\n") && growing.contains("#EXTINF:4.004,"),
            "{growing}"
        );
        assert_eq!(
            growing.matches("#EXT-X-MAP:URI=\"init-07070707070707070707070707070707.mp4\"").count(),
            1
        );
        let ended = media(&rendition("v480", RenditionKind::Video, (852, 480), 1, true), &segments(3));
        assert!(
            ended.contains("#EXT-X-PLAYLIST-TYPE:VOD") && ended.trim_end().ends_with("#EXT-X-ENDLIST"),
            "{ended}"
        );
        let (_, list) = m3u8_rs::parse_media_playlist(ended.as_bytes()).unwrap();
        assert_eq!(list.segments.len(), 3);
        assert!(list.independent_segments);
    }
}
