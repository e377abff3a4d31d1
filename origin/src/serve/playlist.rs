//! A rung's playlists (RFC 8216bis section 4.4.3): pure functions of committed rows, the same bytes each time.

use crate::sealer::Seal;
use sluice_storage::{Rendition, SegmentRow};
use sluice_wire::limits::{GOP_MS, SEGMENT_MS};

use super::locks::{self, can_seal, segment_name};
use super::rates::{are_made, run};
use super::writer::Playlist;

/// What `EXT-X-MAP` in a playlist of segments asks for (RFC 8216bis section 8); the others need less.
pub(super) const VERSION: u32 = 6;

/// The target duration of segments in seconds: what is planned, so that it stays as a playlist grows.
pub(super) fn segment_target(rendition: &Rendition, segments: &[SegmentRow]) -> u64 {
    target(SEGMENT_MS, rendition.timescale, segments.iter().map(|row| row.duration))
}

/// The target duration of keyframes in seconds, likewise.
pub(super) fn keyframe_target(rendition: &Rendition, segments: &[SegmentRow]) -> u64 {
    let durations = segments.iter().flat_map(|row| &row.keys).map(|key| key.duration.into());
    target(GOP_MS, rendition.timescale, durations)
}

/// Rounded to the nearest second, as each EXTINF is when compared with it (RFC 8216bis section 4.4.3.1). Segments are a
/// whole number of frames, and so up to some hundredths longer than planned: that rounds to the same.
fn target(planned_ms: u32, timescale: u32, durations: impl Iterator<Item = u64>) -> u64 {
    let scale = u64::from(timescale.max(1));
    let longest = durations.map(|ticks| (ticks + scale / 2) / scale).max().unwrap_or(0);
    longest.max(u64::from(planned_ms.div_ceil(1_000)))
}

/// A rung's media playlist: an EVENT that grows while it is being made, VOD after. `None` while its first segment is neither
/// stored nor named; segments after a gap are left out until the gap is closed.
pub(super) fn media(rendition: &Rendition, rows: &[SegmentRow], seal: Option<&Seal<'_>>) -> Option<String> {
    if !can_seal(rendition, seal) {
        return None;
    }
    let segments = run(rows);
    segments.first()?;
    let ended = is_whole(rendition, rows);
    let mut list = head(segment_target(rendition, segments), ended);
    list.tag("INDEPENDENT-SEGMENTS");
    if !ended {
        // A growing playlist is not live: players begin at its beginning.
        list.tag_of("START", "TIME-OFFSET=0");
    }
    let mut before = None;
    for row in segments {
        locks::write(&mut list, rendition, before, row, seal);
        list.inf(row.duration, rendition.timescale);
        list.line(segment_name(row, seal));
        before = Some(row);
    }
    Some(tail(list, ended))
}

/// A video rung's playlist of its keyframes alone: each is a range of its segment, from its fragment's head to the end of
/// the keyframe. `None` while no keyframe is stored or a segment was never made, and for what is sealed whole.
pub(super) fn keyframes(
    rendition: &Rendition,
    rows: &[SegmentRow],
    seal: Option<&Seal<'_>>,
) -> Option<String> {
    if !can_seal(rendition, seal) {
        return None;
    }
    let segments = Some(run(rows)).filter(|segments| are_made(segments))?;
    locks::keyframes(rendition, segments.first()?, seal).first()?;
    let ended = is_whole(rendition, rows);
    let mut list = head(keyframe_target(rendition, segments), ended);
    list.tag("I-FRAMES-ONLY");
    let mut before = None;
    for row in segments {
        locks::write(&mut list, rendition, before, row, seal);
        for key in locks::keyframes(rendition, row, seal) {
            list.inf(key.duration.into(), rendition.timescale);
            list.tag_of("BYTERANGE", format_args!("{}@{}", key.bytes, key.offset));
            list.line(segment_name(row, seal));
        }
        before = Some(row);
    }
    Some(tail(list, ended))
}

/// True when nothing will follow and nothing is missing.
pub(super) fn is_whole(rendition: &Rendition, rows: &[SegmentRow]) -> bool {
    rendition.ended && run(rows).len() == rows.len()
}

/// The name of a rung's header, beside its playlists.
pub(super) fn init(rendition: &Rendition) -> String {
    format!("init-{}.mp4", rendition.init)
}

/// The name of a segment, likewise.
pub(super) fn segment(row: &SegmentRow) -> String {
    format!("{}-{}.m4s", row.seq, row.digest)
}

fn head(target: u64, ended: bool) -> Playlist {
    let mut list = Playlist::new(VERSION);
    list.tag_of("TARGETDURATION", target);
    list.tag_of("PLAYLIST-TYPE", if ended { "VOD" } else { "EVENT" });
    list
}

fn tail(mut list: Playlist, ended: bool) -> String {
    if ended {
        list.tag("ENDLIST");
    }
    list.text()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;
    use sluice_storage::RenditionKind;
    use sluice_wire::codec::Key;
    use sluice_wire::{Digest, RungName, VideoId};

    pub(in super::super) fn rendition(name: &str, size: (u32, u32), ended: bool) -> Rendition {
        let picture = size.0 > 0;
        Rendition {
            video: VideoId::from_parts(1_800_000_000_000, 1),
            rung: RungName::new(name).unwrap(),
            kind: if picture { RenditionKind::Video } else { RenditionKind::Audio },
            codecs: if picture { "avc1.64001F".into() } else { "mp4a.40.2".into() },
            width: size.0,
            height: size.1,
            frame_rate_num: 30_000 * u32::from(picture),
            frame_rate_den: 1_001,
            bandwidth: 1,
            average_bandwidth: 1,
            timescale: 30_000,
            init_bytes: 700,
            init: Digest([7; 16]),
            ended,
        }
    }

    /// Segments of 4.004 s and `bytes` each, in two keyframes of a tenth of that.
    pub(in super::super) fn segments(count: u32, bytes: u32) -> Vec<SegmentRow> {
        let key = |offset| Key { offset, bytes: bytes / 10, duration: 60_060 };
        let row = |seq: u32| SegmentRow {
            video: VideoId::from_parts(1_800_000_000_000, 1),
            rung: RungName::new("v480").unwrap(),
            seq,
            start: u64::from(seq) * 120_120,
            duration: 120_120,
            bytes: bytes.into(),
            sha256: String::new(),
            digest: Digest([seq as u8; 16]),
            keys: vec![key(24), key(bytes / 2)],
        };
        (0..count).map(row).collect()
    }

    fn parsed(text: &str) -> m3u8_rs::MediaPlaylist {
        m3u8_rs::parse_media_playlist(text.as_bytes()).unwrap().1
    }

    #[test]
    fn a_media_playlist_grows_and_ends() {
        let growing = media(&rendition("v480", (852, 480), false), &segments(2, 1_000), None).unwrap();
        assert_eq!(
            growing,
            "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:4\n#EXT-X-PLAYLIST-TYPE:EVENT\n\
             #EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-START:TIME-OFFSET=0\n\
             #EXT-X-MAP:URI=\"init-07070707070707070707070707070707.mp4\"\n\
             #EXTINF:4.004000,\n0-00000000000000000000000000000000.m4s\n\
             #EXTINF:4.004000,\n1-01010101010101010101010101010101.m4s\n"
        );
        let ended = media(&rendition("v480", (852, 480), true), &segments(3, 1_000), None).unwrap();
        assert!(ended.contains("#EXT-X-PLAYLIST-TYPE:VOD") && ended.ends_with("#EXT-X-ENDLIST\n"), "{ended}");
        assert!(!ended.contains("EXT-X-START"), "{ended}");
        assert!(parsed(&ended).independent_segments);
    }

    #[test]
    fn what_is_after_a_gap_waits_and_nothing_ends_before_it_is_closed() {
        let mut rows = segments(5, 1_000);
        let missing = rows.remove(3);
        let all = rendition("v480", (852, 480), true);
        let gap = media(&all, &rows, None).unwrap();
        assert_eq!(parsed(&gap).segments.len(), 3);
        assert!(gap.contains("EVENT") && !gap.contains("ENDLIST"), "{gap}");
        assert_eq!(parsed(&keyframes(&all, &rows, None).unwrap()).segments.len(), 6);
        rows.insert(3, missing);
        let closed = media(&all, &rows, None).unwrap();
        let tail = closed.split_once("#EXTINF").unwrap().1;
        assert!(tail.starts_with(gap.split_once("#EXTINF").unwrap().1), "what was listed stays as it was");
        assert!(
            media(&all, &rows[1..], None).is_none() && media(&all, &[], None).is_none(),
            "no first segment"
        );
    }

    #[test]
    fn keyframes_are_ranges_of_segments() {
        let text = keyframes(&rendition("v480", (852, 480), true), &segments(1, 1_000), None).unwrap();
        assert_eq!(
            text,
            "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-I-FRAMES-ONLY\n\
             #EXT-X-MAP:URI=\"init-07070707070707070707070707070707.mp4\"\n\
             #EXTINF:2.002000,\n#EXT-X-BYTERANGE:100@24\n0-00000000000000000000000000000000.m4s\n\
             #EXTINF:2.002000,\n#EXT-X-BYTERANGE:100@500\n0-00000000000000000000000000000000.m4s\n#EXT-X-ENDLIST\n"
        );
        let mut named = segments(2, 1_000);
        (named[1].bytes, named[1].keys) = (0, vec![]);
        let rung = rendition("v480", (852, 480), true);
        assert!(keyframes(&rung, &named, None).is_none(), "one was never made");
        assert_eq!(media(&rung, &named, None), media(&rung, &segments(2, 1_000), None));
        let mut sound = segments(2, 1_000);
        sound.iter_mut().for_each(|row| row.keys.clear());
        assert!(keyframes(&rendition("a128", (0, 0), true), &sound, None).is_none());
    }

    proptest! {
        #[test]
        fn a_target_stays_and_what_is_written_is_read(durations in prop::collection::vec(1u64..134_000, 1..30), ended: bool) {
            let mut rows = segments(durations.len() as u32, 5_000);
            for (row, ticks) in rows.iter_mut().zip(&durations) {
                row.duration = *ticks;
            }
            let all = rendition("v480", (852, 480), ended);
            let text = media(&all, &rows, None).unwrap();
            prop_assert_eq!(&text, &media(&all, &rows, None).unwrap());
            let list = parsed(&text);
            prop_assert_eq!(list.target_duration, 4);
            prop_assert_eq!(list.end_list, ended);
            for (read, row) in list.segments.iter().zip(&rows) {
                prop_assert_eq!(&read.uri, &segment(row));
                prop_assert!((f64::from(read.duration) - row.duration as f64 / 30_000.0).abs() < 2e-6);
            }
            let ranges = parsed(&keyframes(&all, &rows, None).unwrap());
            prop_assert!(ranges.i_frames_only && ranges.target_duration == 2);
            let read = ranges.segments.iter().filter_map(|s| s.byte_range.clone()).map(|r| (r.length, r.offset));
            let meant = rows.iter().flat_map(|r| &r.keys).map(|k| (k.bytes.into(), Some(k.offset.into())));
            prop_assert!(read.eq(meant));
        }
    }
}
