//! How playlists and descriptions say what is sealed and with which key: names and tags, pure functions of committed rows.

use super::playlist::{init, segment};
use super::writer::{Attributes, Playlist};
use crate::sealer::Seal;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sluice_platform::ApiError;
use sluice_seal::cbcs;
use sluice_storage::{Rendition, RenditionKind, SegmentRow};
use sluice_wire::codec::Key;
use sluice_wire::ladder::VideoCodec;
use sluice_wire::{KeyId, MediaAsset, Protection};

/// Why a rung of a sealed video is not to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeftOut {
    /// By patterns pictures of H.264 alone are sealed: which bytes of a picture stay clear is another question for each codec.
    Codec,
}

impl LeftOut {
    /// What is said to one who asks for it by name.
    pub(super) fn problem(self) -> ApiError {
        match self {
            Self::Codec => {
                let detail =
                    "by cbcs, pictures of H.264 alone are sealed; this video's other codecs are left out";
                ApiError::new(404, "not-sealed", "Not sealed", detail)
            }
        }
    }
}

/// Why a rung is left out; `None` for one that is not. By patterns any sound is sealed, and of pictures H.264.
pub(super) fn left_out(rendition: &Rendition, seal: Option<&Seal<'_>>) -> Option<LeftOut> {
    let picture = rendition.kind == RenditionKind::Video;
    let h264 = || VideoCodec::of_codecs(&rendition.codecs).is_some_and(|codec| codec.is_h264());
    let by_patterns = seal.is_some_and(|seal| seal.protection() == Protection::Cbcs);
    (by_patterns && picture && !h264()).then_some(LeftOut::Codec)
}

/// True for what is not left out.
pub(super) fn can_seal(rendition: &Rendition, seal: Option<&Seal<'_>>) -> bool {
    left_out(rendition, seal).is_none()
}

/// The name of a segment as it is served.
pub(super) fn segment_name(row: &SegmentRow, seal: Option<&Seal<'_>>) -> String {
    match seal {
        None => segment(row),
        Some(seal) => beside(MediaAsset::SealedSegment(
            row.rung.clone(),
            row.seq,
            row.digest,
            seal.key_id(&row.rung, row.seq),
        )),
    }
}

/// The name of the header that a segment is played with.
pub(super) fn init_name(rendition: &Rendition, seq: u32, seal: Option<&Seal<'_>>) -> String {
    match seal.filter(|seal| seal.protection() == Protection::Cbcs) {
        None => init(rendition),
        Some(seal) => beside(MediaAsset::SealedInit(
            rendition.rung.clone(),
            rendition.init,
            seal.key_id(&rendition.rung, seq),
        )),
    }
}

/// Where a segment's keyframes are in what is served. Sealing by patterns makes each fragment's head longer, by what its
/// pictures are. A segment that is sealed whole has none: its ranges are of one cipher text, chained from its beginning.
pub(super) fn keyframes(rendition: &Rendition, row: &SegmentRow, seal: Option<&Seal<'_>>) -> Vec<Key> {
    match seal.map(Seal::protection) {
        None | Some(Protection::None) => row.keys.clone(),
        Some(Protection::Aes128) => vec![],
        Some(Protection::Cbcs) => {
            let mut before = 0;
            let moved = |key: &Key| {
                let grown = cbcs::grown(pictures(rendition, key));
                let moved = Key { offset: key.offset + before, bytes: key.bytes + grown as u32, ..*key };
                before += grown as u32;
                moved
            };
            row.keys.iter().map(moved).collect()
        }
    }
}

/// The pictures from a keyframe to the next: each lasts as long as any other of its rung.
fn pictures(rendition: &Rendition, key: &Key) -> u64 {
    let each = u64::from(rendition.frame_rate_den) * u64::from(rendition.timescale);
    u64::from(key.duration) * u64::from(rendition.frame_rate_num) / each.max(1)
}

/// A rung's asset as its playlist names it: without its folder.
fn beside(asset: MediaAsset) -> String {
    let text = asset.to_string();
    text.split_once('/').map_or_else(|| text.clone(), |(_, file)| file.to_owned())
}

/// Writes what stands before a segment: its header, and its key where that begins to count. A whole segment's key does not
/// seal its header, which therefore comes first.
pub(super) fn write(
    list: &mut Playlist,
    rendition: &Rendition,
    before: Option<&SegmentRow>,
    row: &SegmentRow,
    seal: Option<&Seal<'_>>,
) {
    let begins =
        seal.is_some_and(|seal| before.is_none_or(|last| seal.period(last.seq) != seal.period(row.seq)));
    let map = Attributes::default().quoted("URI", init_name(rendition, row.seq, seal));
    match seal.filter(|_| begins) {
        Some(seal) if seal.protection() == Protection::Cbcs => {
            let id = seal.key_id(&row.rung, row.seq);
            list.tag_of("KEY", key("SAMPLE-AES", id));
            list.tag_of("MAP", map);
        }
        Some(seal) => {
            if before.is_none() {
                list.tag_of("MAP", map);
            }
            list.tag_of("KEY", key("AES-128", seal.key_id(&row.rung, row.seq)));
        }
        None if before.is_none() => list.tag_of("MAP", map),
        None => {}
    }
}

/// A key by its address, the format `identity`. Shaka Player finds its id in the header; hls.js plays nothing by patterns as soon
/// as this format stands there, also beside another.
fn key(method: &str, id: KeyId) -> Attributes {
    let uri = format!("../{}", MediaAsset::Key(id));
    Attributes::default().plain("METHOD", method).quoted("URI", uri)
}

/// All keys of a rung's segments, each once, in their order.
pub(super) fn key_ids(rows: &[SegmentRow], seal: &Seal<'_>) -> Vec<KeyId> {
    let mut ids: Vec<KeyId> = rows.iter().map(|row| seal.key_id(&row.rung, row.seq)).collect();
    ids.dedup();
    ids
}

/// What names keys to a ClearKey player, as descriptions carry it.
pub(super) fn pssh(ids: &[KeyId]) -> String {
    BASE64_STANDARD.encode(cbcs::pssh(ids))
}

#[cfg(test)]
mod tests {
    use super::super::dash::{self, Track};
    use super::super::master::{Measured, master};
    use super::super::playlist::tests::{rendition, segments};
    use super::super::playlist::{self, media};
    use super::*;
    use proptest::prelude::*;
    use sluice_seal::Secrets;
    use sluice_wire::ladder::VideoRange;
    use sluice_wire::{MediaPath, VideoId};

    fn video() -> VideoId {
        VideoId::from_parts(1_800_000_000_000, 1)
    }

    fn secrets() -> Secrets {
        Secrets::parse(&"07".repeat(32)).unwrap()
    }

    #[test]
    fn whole_segments_have_a_clear_header_and_a_key_for_each_period() {
        let secrets = secrets();
        let seal = Seal::new(&secrets, video(), Protection::Aes128, 2);
        let rung = rendition("v480", (852, 480), true);
        let rows = segments(3, 1_000);
        let text = media(&rung, &rows, Some(&seal)).unwrap();
        let (first, second) = (seal.key_id(&rung.rung, 0), seal.key_id(&rung.rung, 2));
        let (_, tail) = text.split_once("SEGMENTS\n").unwrap();
        assert_eq!(
            tail,
            format!(
                "#EXT-X-MAP:URI=\"init-07070707070707070707070707070707.mp4\"\n\
                 #EXT-X-KEY:METHOD=AES-128,URI=\"../keys/{first}.key\"\n\
                 #EXTINF:4.004000,\n0-00000000000000000000000000000000-{first}.m4s\n\
                 #EXTINF:4.004000,\n1-01010101010101010101010101010101-{first}.m4s\n\
                 #EXT-X-KEY:METHOD=AES-128,URI=\"../keys/{second}.key\"\n\
                 #EXTINF:4.004000,\n2-02020202020202020202020202020202-{second}.m4s\n#EXT-X-ENDLIST\n"
            )
        );
        let other = rendition("v720", (1280, 720), true);
        assert_ne!(seal.key_id(&other.rung, 0), first, "rungs have keys of their own");
        assert!(playlist::keyframes(&rung, &rows, Some(&seal)).is_none());
        let list = master(&[Measured::new(rung, None, &rows, Some(&seal)).unwrap()], &[], None);
        assert!(!list.contains("iframes"), "{list}");
    }

    #[test]
    fn patterns_have_a_header_for_each_period_and_one_key_for_all_rungs() {
        let secrets = secrets();
        let seal = Seal::new(&secrets, video(), Protection::Cbcs, 2);
        let rung = rendition("v480", (852, 480), true);
        let rows = segments(3, 1_000);
        let text = media(&rung, &rows, Some(&seal)).unwrap();
        let second = seal.key_id(&rung.rung, 2);
        let begins = format!(
            "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"../keys/{second}.key\"\n\
             #EXT-X-MAP:URI=\"init-07070707070707070707070707070707-{second}.mp4\"\n\
             #EXTINF:4.004000,\n2-02020202020202020202020202020202-{second}.m4s\n"
        );
        assert!(text.contains(&begins), "{text}");
        assert_eq!(text.matches("EXT-X-MAP").count(), 2, "{text}");
        let sound = rendition("a128", (0, 0), true);
        assert_eq!(seal.key_id(&sound.rung, 2), second);
        assert_ne!(seal.iv(&sound.rung), seal.iv(&rung.rung));
        let mut hevc = rung.clone();
        hevc.codecs = "hvc1.1.6.L93.B0".into();
        assert!(media(&hevc, &rows, Some(&seal)).is_none() && media(&hevc, &rows, None).is_some());
        assert_eq!(left_out(&hevc, Some(&seal)), Some(LeftOut::Codec));
        let whole = Seal::new(&secrets, video(), Protection::Aes128, 2);
        assert_eq!((left_out(&hevc, Some(&whole)), left_out(&rung, Some(&seal))), (None, None));
        assert!(playlist::keyframes(&hevc, &rows, Some(&seal)).is_none());
        // 2.002 s of 29.97 pictures a second are 60: 682 bytes more in each fragment's head.
        let text = playlist::keyframes(&rung, &rows, Some(&seal)).unwrap();
        let name = format!("2-02020202020202020202020202020202-{second}.m4s");
        let begins = format!(
            "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"../keys/{second}.key\"\n\
             #EXT-X-MAP:URI=\"init-07070707070707070707070707070707-{second}.mp4\"\n\
             #EXTINF:2.002000,\n#EXT-X-BYTERANGE:782@24\n{name}\n\
             #EXTINF:2.002000,\n#EXT-X-BYTERANGE:782@1182\n{name}\n#EXT-X-ENDLIST\n"
        );
        assert!(text.ends_with(&begins), "{text}");
        let list = master(&[Measured::new(rung, None, &rows, Some(&seal)).unwrap()], &[], None);
        assert!(list.contains("I-FRAME-STREAM-INF:BANDWIDTH=3125,") && list.contains("iframes"), "{list}");
    }

    #[test]
    fn a_description_names_all_keys_and_the_licence() {
        let secrets = secrets();
        let seal = Seal::new(&secrets, video(), Protection::Cbcs, 2);
        let (rendition, segments) = (rendition("v480", (852, 480), true), segments(3, 1_000));
        let track = Track { rendition, heard: None, range: VideoRange::Sdr, segments };
        let ids = key_ids(&track.segments, &seal);
        let text = dash::manifest(std::slice::from_ref(&track), &[], Some(&seal), None);
        assert_eq!(ids.len(), 2);
        let wanted = format!(
            "<ContentProtection schemeIdUri=\"urn:mpeg:dash:mp4protection:2011\" value=\"cbcs\" \
             cenc:default_KID=\"{}\"/><ContentProtection \
             schemeIdUri=\"urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e\" value=\"ClearKey1.0\">\
             <cenc:pssh>{}</cenc:pssh><dashif:Laurl licenseType=\"EME-1.0\">/v/{}/licence</dashif:Laurl>\
             </ContentProtection><Role",
            ids[0].uuid(),
            pssh(&ids),
            video()
        );
        assert!(text.contains(&wanted), "{text}");
        assert!(text.contains(&format!("init-07070707070707070707070707070707-{}.mp4", ids[0])), "{text}");
        assert!(text.contains("xmlns:cenc=\"urn:mpeg:cenc:2013\""), "{text}");
    }

    proptest! {
        #[test]
        fn what_is_named_is_there_and_its_key_is_found(count in 1u32..9, period in 1u32..5, whole: bool) {
            let secrets = secrets();
            let protection = if whole { Protection::Aes128 } else { Protection::Cbcs };
            let seal = Seal::new(&secrets, video(), protection, period);
            let rung = rendition("v480", (852, 480), true);
            let text = media(&rung, &segments(count, 1_000), Some(&seal)).unwrap();
            prop_assert_eq!(text.matches("KEY:METHOD").count() as u32, count.div_ceil(period));
            let names = text.lines().filter(|line| !line.starts_with('#'));
            for (seq, name) in (0..).zip(names) {
                let asset = MediaPath::parse(&format!("/v/{}/v480/{name}", video())).unwrap().asset;
                let MediaAsset::SealedSegment(of, number, _, id) = asset else { panic!("{name}") };
                prop_assert_eq!((number, id.period()), (seq, seq / period));
                prop_assert_eq!(seal.key(&of, id).unwrap().id, id);
                prop_assert!(seal.first_of(id) <= u64::from(seq));
            }
        }
    }
}
