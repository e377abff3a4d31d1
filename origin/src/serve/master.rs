//! The multivariant playlist (RFC 8216bis section 4.4.6): a pure function of committed rows, the same bytes each time.

use sluice_storage::{Rendition, RenditionKind, SegmentRow};
use sluice_wire::MediaAsset;
use sluice_wire::steering::BASE_PATHWAY;

use super::playlist::{VERSION, keyframe_target, segment_target};
use super::rates::{self, Rates};
use super::writer::{Attributes, Playlist};

/// Group of the audio renditions.
const AUDIO: &str = "audio";
/// The first variant is where players begin: the highest that a modest link carries.
const START_BANDWIDTH: u64 = 2_500_000;

/// A rung and what its stored segments were measured to need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) rendition: Rendition,
    pub(super) rates: Rates,
    /// Of its keyframes alone; `None` when it has none.
    pub(super) keyframes: Option<Rates>,
}

impl Measured {
    /// Measures a rung; `None` while its first segment is not stored.
    pub(super) fn new(rendition: Rendition, rows: &[SegmentRow]) -> Option<Self> {
        let segments = rates::run(rows);
        segments.first()?;
        let of = |pieces: &[_], target| Rates::of(pieces, rendition.timescale, target);
        let rates = of(&rates::whole(segments), segment_target(&rendition, segments));
        let pieces = rates::keyframes(segments);
        let keyframes = (!pieces.is_empty()).then(|| of(&pieces, keyframe_target(&rendition, segments)));
        Some(Self { rates, keyframes, rendition })
    }

    fn is(&self, kind: RenditionKind) -> bool {
        self.rendition.kind == kind
    }

    fn frame_rate(&self) -> f64 {
        f64::from(self.rendition.frame_rate_num) / f64::from(self.rendition.frame_rate_den.max(1))
    }
}

/// A multivariant playlist of all renditions. `channels` is of the sound; `steering` the URL of the steering manifest.
pub(super) fn master(all: &[Measured], channels: u32, steering: Option<&str>) -> String {
    let audio = all.iter().find(|m| m.is(RenditionKind::Audio));
    let mut video: Vec<&Measured> = all.iter().filter(|m| m.is(RenditionKind::Video)).collect();
    video.sort_by_key(|m| (m.rendition.height, m.rendition.width, m.rates.peak));
    let mut list = Playlist::new(VERSION);
    list.tag("INDEPENDENT-SEGMENTS");
    if let Some(url) = steering {
        let steer = Attributes::default().quoted("SERVER-URI", url).quoted("PATHWAY-ID", BASE_PATHWAY);
        list.tag_of("CONTENT-STEERING", steer);
    }
    if let Some(audio) = audio.filter(|_| !video.is_empty()) {
        list.tag_of("MEDIA", alternative(audio, channels));
    }
    // From 1 upwards: the higher the rung, the higher its score.
    let mut scored: Vec<(&Measured, usize)> = video.into_iter().zip(1..).collect();
    let start = scored.iter().rposition(|(m, _)| m.rates.peak <= START_BANDWIDTH).unwrap_or(0);
    let order = scored.get_mut(..=start).unwrap_or_default();
    order.rotate_right(order.len().min(1));
    if scored.is_empty() {
        scored.extend(audio.map(|audio| (audio, 1)));
    }
    for (rung, score) in &scored {
        list.tag_of("STREAM-INF", variant(rung, audio, *score, steering.is_some()));
        list.line(MediaAsset::Playlist(rung.rendition.rung.clone()));
    }
    for (rung, score) in &scored {
        if let Some(rates) = rung.keyframes {
            list.tag_of("I-FRAME-STREAM-INF", keyframes(rung, rates, *score, steering.is_some()));
        }
    }
    list.text()
}

fn variant(rung: &Measured, audio: Option<&Measured>, score: usize, steered: bool) -> Attributes {
    let with_audio = audio.filter(|_| rung.is(RenditionKind::Video));
    let sum = |of: fn(&Rates) -> u64| of(&rung.rates) + with_audio.map_or(0, |audio| of(&audio.rates));
    let codecs: Vec<&str> =
        [Some(rung), with_audio].into_iter().flatten().map(|m| m.rendition.codecs.as_str()).collect();
    bandwidth(sum(|r| r.peak), sum(|r| r.average))
        .plain("SCORE", score)
        .quoted("CODECS", codecs.join(","))
        .with(|list| picture(list, rung))
        .with(|list| match rung.is(RenditionKind::Video) {
            true => list.plain("FRAME-RATE", format_args!("{:.3}", rung.frame_rate())),
            false => list,
        })
        .with(|list| if with_audio.is_some() { list.quoted("AUDIO", AUDIO) } else { list })
        .plain("CLOSED-CAPTIONS", "NONE")
        .with(|list| pathway(list, steered))
}

fn keyframes(rung: &Measured, rates: Rates, score: usize, steered: bool) -> Attributes {
    bandwidth(rates.peak, rates.average)
        .plain("SCORE", score)
        .quoted("CODECS", &rung.rendition.codecs)
        .with(|list| picture(list, rung))
        .with(|list| pathway(list, steered))
        .quoted("URI", MediaAsset::Keyframes(rung.rendition.rung.clone()))
}

fn bandwidth(peak: u64, average: u64) -> Attributes {
    Attributes::default().plain("BANDWIDTH", peak.max(1)).plain("AVERAGE-BANDWIDTH", average.max(1))
}

/// Size and range of a picture; all that is encoded is BT.709 of 8 bits.
fn picture(list: Attributes, rung: &Measured) -> Attributes {
    let (width, height) = (rung.rendition.width, rung.rendition.height);
    match rung.is(RenditionKind::Video) {
        true => list.plain("RESOLUTION", format_args!("{width}x{height}")).plain("VIDEO-RANGE", "SDR"),
        false => list,
    }
}

fn pathway(list: Attributes, steered: bool) -> Attributes {
    if steered { list.quoted("PATHWAY-ID", BASE_PATHWAY) } else { list }
}

fn alternative(audio: &Measured, channels: u32) -> Attributes {
    Attributes::default()
        .plain("TYPE", "AUDIO")
        .quoted("GROUP-ID", AUDIO)
        // What a source says of its language is not kept: undetermined (Apple asks for the attribute).
        .quoted("LANGUAGE", "und")
        .quoted("NAME", "Main")
        .plain("DEFAULT", "YES")
        .plain("AUTOSELECT", "YES")
        .quoted("CHANNELS", channels)
        .quoted("URI", MediaAsset::Playlist(audio.rendition.rung.clone()))
}

#[cfg(test)]
mod tests {
    use super::super::playlist::tests::{rendition, segments};
    use super::*;
    use proptest::prelude::*;

    fn measured(name: &str, size: (u32, u32), bytes: u32) -> Measured {
        let mut rows = segments(3, bytes);
        if size.0 == 0 {
            rows.iter_mut().for_each(|row| row.keys.clear());
        }
        Measured::new(rendition(name, size, true), &rows).unwrap()
    }

    fn parsed(text: &str) -> m3u8_rs::MasterPlaylist {
        m3u8_rs::parse_master_playlist(text.as_bytes()).unwrap().1
    }

    fn ladder() -> Vec<Measured> {
        vec![
            measured("a128", (0, 0), 65_065),
            measured("v1080", (1920, 1080), 3_003_000),
            measured("v240", (426, 240), 200_200),
            measured("v480", (852, 480), 750_750),
        ]
    }

    #[test]
    fn a_multivariant_playlist_says_what_was_encoded() {
        let text = master(&ladder(), 2, Some("http://c/steer/v/x"));
        let list = parsed(&text);
        let named: Vec<(&str, bool)> = list.variants.iter().map(|v| (v.uri.as_str(), v.is_i_frame)).collect();
        assert_eq!(
            named,
            [
                ("v480/index.m3u8", false),
                ("v240/index.m3u8", false),
                ("v1080/index.m3u8", false),
                ("v480/iframes.m3u8", true),
                ("v240/iframes.m3u8", true),
                ("v1080/iframes.m3u8", true)
            ],
            "{text}"
        );
        let wanted = "#EXT-X-STREAM-INF:BANDWIDTH=1630000,AVERAGE-BANDWIDTH=1630000,SCORE=2,\
                      CODECS=\"avc1.64001F,mp4a.40.2\",RESOLUTION=852x480,VIDEO-RANGE=SDR,FRAME-RATE=29.970,\
                      AUDIO=\"audio\",CLOSED-CAPTIONS=NONE,PATHWAY-ID=\"here\"\nv480/index.m3u8\n";
        assert!(text.contains(wanted), "{text}");
        let keyframes = "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=300000,AVERAGE-BANDWIDTH=300000,SCORE=2,\
                         CODECS=\"avc1.64001F\",RESOLUTION=852x480,VIDEO-RANGE=SDR,PATHWAY-ID=\"here\",\
                         URI=\"v480/iframes.m3u8\"\n";
        assert!(text.contains(keyframes), "{text}");
        assert!(
            text.contains("#EXT-X-CONTENT-STEERING:SERVER-URI=\"http://c/steer/v/x\",PATHWAY-ID=\"here\"\n")
        );
        assert_eq!(list.alternatives.len(), 1);
        let score = |uri: &str| {
            let variant = list.variants.iter().find(|v| v.uri == uri).unwrap();
            variant.other_attributes.as_ref().unwrap()["SCORE"].to_string().parse::<u32>().unwrap()
        };
        assert!(score("v240/index.m3u8") < score("v480/index.m3u8"), "{text}");
        assert!(score("v480/index.m3u8") < score("v1080/index.m3u8"), "{text}");
    }

    #[test]
    fn sound_alone_is_a_variant_of_its_own() {
        let text = master(&ladder()[..1], 1, None);
        let wanted = "#EXT-X-STREAM-INF:BANDWIDTH=130000,AVERAGE-BANDWIDTH=130000,SCORE=1,CODECS=\"mp4a.40.2\",\
                      CLOSED-CAPTIONS=NONE\na128/index.m3u8\n";
        assert!(text.ends_with(wanted) && !text.contains("EXT-X-MEDIA:"), "{text}");
        let silent = master(&ladder()[1..], 2, None);
        assert!(!silent.contains("AUDIO") && !silent.contains("mp4a"), "{silent}");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(sizes in prop::collection::vec((1u32..4_000, 1u32..4_000, 1u32..50_000_000), 1..6)) {
            let rungs: Vec<_> = sizes.iter().zip(1..).map(|(&(w, h, bytes), n): (_, u32)| {
                measured(&format!("v{n}"), (w, h), bytes)
            }).chain([measured("a64", (0, 0), 32_000)]).collect();
            let text = master(&rungs, 2, None);
            prop_assert_eq!(&text, &master(&rungs, 2, None));
            let list = parsed(&text);
            for rung in rungs.iter().filter(|m| m.is(RenditionKind::Video)) {
                let uri = format!("{}/index.m3u8", rung.rendition.rung);
                let read = list.variants.iter().find(|v| v.uri == uri).unwrap();
                let audio = rungs.last().unwrap();
                prop_assert_eq!(read.bandwidth, rung.rates.peak + audio.rates.peak);
                prop_assert_eq!(read.average_bandwidth, Some(rung.rates.average + audio.rates.average));
                let size = read.resolution.unwrap();
                prop_assert_eq!((size.width, size.height), (rung.rendition.width.into(), rung.rendition.height.into()));
            }
        }
    }
}
