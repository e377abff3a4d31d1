//! The multivariant playlist (RFC 8216bis section 4.4.6): a pure function of committed rows, the same bytes each time.

use crate::sealer::Seal;
use sluice_storage::{Rendition, RenditionKind, SegmentRow, TextTrack};
use sluice_wire::MediaAsset;
use sluice_wire::ladder::{VideoCodec, VideoRange};
use sluice_wire::steering::BASE_PATHWAY;

use super::audio::{self, Group};
use super::locks;
use super::playlist::{VERSION, keyframe_target, segment_target};
use super::rates::{self, Rates};
use super::sound::Heard;
use super::writer::{Attributes, Playlist};
use super::{chapters, subtitles};

/// The first variant is where players begin: the highest that a modest link carries.
const START_BANDWIDTH: u64 = 2_500_000;

/// A rung and what its segments were measured to need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) rendition: Rendition,
    pub(super) rates: Rates,
    /// What is heard, where it is sound.
    pub(super) heard: Option<Heard>,
    /// The range of its brightness, where it is a picture.
    pub(super) range: VideoRange,
    /// Of its keyframes alone; `None` when it has none, or none that can be had alone.
    pub(super) keyframes: Option<Rates>,
    /// False while a segment of it was never made: players may go up to it, and do not begin with it.
    made: bool,
}

impl Measured {
    /// Measures a rung as it is served; `None` while its first segment is neither stored nor named.
    pub(super) fn new(
        rendition: Rendition,
        heard: Option<Heard>,
        rows: &[SegmentRow],
        seal: Option<&Seal<'_>>,
    ) -> Option<Self> {
        let segments = rates::run(rows);
        segments.first()?;
        let (rates, made) = (
            Rates::of_rung(&rendition, segments, segment_target(&rendition, segments)),
            rates::are_made(segments),
        );
        let keys = segments.iter().filter(|_| made).flat_map(|row| locks::keyframes(&rendition, row, seal));
        let pieces = rates::keyframes(keys);
        let target = keyframe_target(&rendition, segments);
        let keyframes = (!pieces.is_empty()).then(|| Rates::of(&pieces, rendition.timescale, target));
        Some(Self { rates, heard, range: VideoRange::Sdr, keyframes, made, rendition })
    }

    /// With another range than what every screen shows.
    pub(super) fn with_range(self, range: VideoRange) -> Self {
        Self { range, ..self }
    }

    /// What players do not switch out of by themselves: what every device plays goes first.
    fn family(&self) -> (VideoCodec, VideoRange) {
        (VideoCodec::of_codecs(&self.rendition.codecs).unwrap_or_default(), self.range)
    }

    pub(super) fn is(&self, kind: RenditionKind) -> bool {
        self.rendition.kind == kind
    }

    fn frame_rate(&self) -> f64 {
        f64::from(self.rendition.frame_rate_num) / f64::from(self.rendition.frame_rate_den.max(1))
    }
}

/// A multivariant playlist of all renditions and text tracks. `steering` is the URL of the steering manifest.
pub(super) fn master(all: &[Measured], texts: &[TextTrack], steering: Option<&str>) -> String {
    let groups = audio::groups(all);
    let mut video: Vec<&Measured> = all.iter().filter(|m| m.is(RenditionKind::Video)).collect();
    video.sort_by_key(|m| {
        let (codec, range) = m.family();
        (m.rendition.height, m.rendition.width, range, codec, m.rates.peak)
    });
    let mut list = Playlist::new(VERSION);
    list.tag("INDEPENDENT-SEGMENTS");
    if let Some(url) = steering {
        let steer = Attributes::default().quoted("SERVER-URI", url).quoted("PATHWAY-ID", BASE_PATHWAY);
        list.tag_of("CONTENT-STEERING", steer);
    }
    if chapters::are_among(texts) {
        let named = Attributes::default().quoted("DATA-ID", chapters::DATA_ID);
        list.tag_of("SESSION-DATA", named.quoted("URI", MediaAsset::Chapters));
    }
    if video.is_empty() {
        audio::alone(&mut list, &groups, steering.is_some());
        return list.text();
    }
    groups.iter().for_each(|group| audio::media(&mut list, group, true));
    subtitles::renditions(&mut list, texts);
    let beside = Beside { texts: subtitles::shown(texts).next().is_some(), steered: steering.is_some() };
    // From 1 upwards: the higher the rung, the higher its score, and of one height the wider range, then the thriftier codec.
    let mut scored: Vec<(&Measured, usize)> = video.into_iter().zip(1..).collect();
    scored.sort_by_key(|(m, _)| m.family());
    let first = scored.first().map(|(m, _)| m.family());
    let may_start =
        |(m, _): &(&Measured, usize)| Some(m.family()) == first && m.made && m.rates.peak <= START_BANDWIDTH;
    let start = scored.iter().rposition(may_start).unwrap_or(0);
    let order = scored.get_mut(..=start).unwrap_or_default();
    order.rotate_right(order.len().min(1));
    // What every device can hear goes first, and all of it once more with what some can.
    let with: Vec<Option<&Group<'_>>> =
        if groups.is_empty() { vec![None] } else { groups.iter().map(Some).collect() };
    // The sound alone is last, and less than any picture.
    let alone = groups.iter().find(|group| group.is_for_all());
    let least = usize::from(alone.is_some());
    for (better, group) in with.iter().enumerate() {
        for (rung, score) in &scored {
            let score = (score - 1) * with.len() + better + 1 + least;
            list.tag_of("STREAM-INF", variant(rung, *group, score, &beside));
            list.line(MediaAsset::Playlist(rung.rendition.rung.clone()));
        }
    }
    if let Some(group) = alone {
        audio::only(&mut list, group, least, |variant| beside.add(variant));
    }
    for (rung, score) in &scored {
        if let Some(rates) = rung.keyframes {
            list.tag_of("I-FRAME-STREAM-INF", keyframes(rung, rates, *score, steering.is_some()));
        }
    }
    list.text()
}

/// What belongs to each variant besides its rung and its sound.
#[derive(Debug, Clone, Copy)]
struct Beside {
    texts: bool,
    steered: bool,
}

impl Beside {
    fn add(&self, variant: Attributes) -> Attributes {
        variant
            .with(|list| if self.texts { list.quoted("SUBTITLES", subtitles::GROUP) } else { list })
            .plain("CLOSED-CAPTIONS", "NONE")
            .with(|list| pathway(list, self.steered))
    }
}

fn variant(rung: &Measured, group: Option<&Group<'_>>, score: usize, beside: &Beside) -> Attributes {
    let with = group.map_or_else(Rates::default, Group::rates);
    let codecs =
        std::iter::once(rung.rendition.codecs.as_str()).chain(group.into_iter().flat_map(Group::codecs));
    bandwidth(rung.rates.peak + with.peak, rung.rates.average + with.average)
        .plain("SCORE", score)
        .quoted("CODECS", codecs.collect::<Vec<_>>().join(","))
        .with(|list| picture(list, rung))
        .plain("FRAME-RATE", format_args!("{:.3}", rung.frame_rate()))
        .with(|list| match group {
            Some(group) => list.quoted("AUDIO", group.id),
            None => list,
        })
        .with(|list| beside.add(list))
}

fn keyframes(rung: &Measured, rates: Rates, score: usize, steered: bool) -> Attributes {
    bandwidth(rates.peak, rates.average)
        .plain("SCORE", score)
        .quoted("CODECS", &rung.rendition.codecs)
        .with(|list| picture(list, rung))
        .with(|list| pathway(list, steered))
        .quoted("URI", MediaAsset::Keyframes(rung.rendition.rung.clone()))
}

pub(super) fn bandwidth(peak: u64, average: u64) -> Attributes {
    Attributes::default().plain("BANDWIDTH", peak.max(1)).plain("AVERAGE-BANDWIDTH", average.max(1))
}

/// Size and range of a picture.
fn picture(list: Attributes, rung: &Measured) -> Attributes {
    let (width, height) = (rung.rendition.width, rung.rendition.height);
    list.plain("RESOLUTION", format_args!("{width}x{height}")).plain("VIDEO-RANGE", rung.range.hls())
}

pub(super) fn pathway(list: Attributes, steered: bool) -> Attributes {
    if steered { list.quoted("PATHWAY-ID", BASE_PATHWAY) } else { list }
}

#[cfg(test)]
mod tests {
    use super::super::playlist::tests::{rendition, segments};
    use super::super::sound::tests::{planned, track};
    use super::super::subtitles::tests::track as text_track;
    use super::*;
    use proptest::prelude::*;
    use sluice_wire::RungName;
    use sluice_wire::ladder::SoundRole;
    use std::collections::BTreeMap;

    fn measured(name: &str, size: (u32, u32), bytes: u32) -> Measured {
        let mut rows = segments(3, bytes);
        if size.0 == 0 {
            rows.iter_mut().for_each(|row| row.keys.clear());
        }
        let heard = sounds().remove(&RungName::new(name).unwrap());
        Measured::new(rendition(name, size, true), heard, &rows, None).unwrap()
    }

    /// English in 5.1, German in stereo.
    fn sounds() -> BTreeMap<RungName, Heard> {
        planned(vec![track(6, "en", "", SoundRole::Main), track(2, "de", "Deutsch", SoundRole::Dub)])
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
        let text = master(&ladder(), &[], Some("http://c/steer/v/x"));
        let list = parsed(&text);
        let named: Vec<(&str, bool)> = list.variants.iter().map(|v| (v.uri.as_str(), v.is_i_frame)).collect();
        assert_eq!(
            named,
            [
                ("v480/index.m3u8", false),
                ("v240/index.m3u8", false),
                ("v1080/index.m3u8", false),
                ("a128/index.m3u8", false),
                ("v480/iframes.m3u8", true),
                ("v240/iframes.m3u8", true),
                ("v1080/iframes.m3u8", true)
            ],
            "{text}"
        );
        let wanted = "#EXT-X-STREAM-INF:BANDWIDTH=1630000,AVERAGE-BANDWIDTH=1630000,SCORE=3,\
                      CODECS=\"avc1.64001F,mp4a.40.2\",RESOLUTION=852x480,VIDEO-RANGE=SDR,FRAME-RATE=29.970,\
                      AUDIO=\"stereo\",CLOSED-CAPTIONS=NONE,PATHWAY-ID=\"here\"\nv480/index.m3u8\n";
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
        assert!(score("a128/index.m3u8") < score("v240/index.m3u8"), "{text}");
    }

    #[test]
    fn a_rung_that_was_never_made_is_listed_by_its_plan_and_nobody_begins_with_it() {
        let (rung, mut rows) = (rendition("v480", (852, 480), true), segments(3, 750_750));
        (rows[2].bytes, rows[2].keys) = (0, vec![]);
        let rung = Rendition { bandwidth: 2_000_000, average_bandwidth: 1_500_000, ..rung };
        let mut all = ladder();
        all[3] = Measured::new(rung, None, &rows, None).unwrap();
        let text = master(&all, &[], None);
        let list = parsed(&text);
        assert_eq!(list.variants[0].uri, "v240/index.m3u8", "{text}");
        assert!(text.contains("BANDWIDTH=2130000,AVERAGE-BANDWIDTH=1630000,SCORE=3,"), "{text}");
        let ranges: Vec<&str> =
            list.variants.iter().filter(|v| v.is_i_frame).map(|v| v.uri.as_str()).collect();
        assert_eq!(
            ranges,
            ["v240/iframes.m3u8", "v1080/iframes.m3u8"],
            "its keyframes are not known: {text}"
        );
    }

    #[test]
    fn further_codecs_follow_in_families_of_their_own() {
        let with = |name: &str, size, bytes, codecs: &str, range| {
            let mut rung = measured(name, size, bytes).with_range(range);
            rung.rendition.codecs = codecs.to_owned();
            rung
        };
        let (sdr, pq) = (VideoRange::Sdr, VideoRange::Pq);
        let mut all = ladder();
        all.extend([
            with("av1x1080", (1920, 1080), 1_500_000, "av01.0.08M.10.0.110.09.16.09.0", pq),
            with("hevc1080", (1920, 1080), 2_000_000, "hvc1.2.4.L120.90", pq),
            with("av1x240", (426, 240), 100_100, "av01.0.00M.08", sdr),
            with("hevc240", (426, 240), 130_000, "hvc1.1.6.L60.90", sdr),
        ]);
        let text = master(&all, &[], None);
        let list = parsed(&text);
        let said: Vec<_> = (list.variants.iter().filter(|v| !v.is_i_frame && v.resolution.is_some()))
            .map(|v| {
                let other = |name: &str| v.other_attributes.as_ref().unwrap()[name].to_string();
                (v.uri.split_once('/').unwrap().0, other("SCORE"), other("VIDEO-RANGE"))
            })
            .collect();
        let wanted = [
            ("v480", "5", "SDR"),
            ("v240", "2", "SDR"),
            ("v1080", "6", "SDR"),
            ("hevc240", "3", "SDR"),
            ("hevc1080", "7", "PQ"),
            ("av1x240", "4", "SDR"),
            ("av1x1080", "8", "PQ"),
        ];
        assert_eq!(
            said,
            wanted.map(|(name, score, range)| (name, score.to_owned(), range.to_owned())),
            "{text}"
        );
        assert!(text.contains("CODECS=\"av01.0.08M.10.0.110.09.16.09.0,mp4a.40.2\""), "{text}");
        assert_eq!(text.matches("VIDEO-RANGE=PQ").count(), 4, "keyframes too: {text}");
    }

    #[test]
    fn sound_alone_is_a_variant_of_its_own() {
        let text = master(&ladder()[..1], &[], None);
        let wanted = "#EXT-X-STREAM-INF:BANDWIDTH=130000,AVERAGE-BANDWIDTH=130000,SCORE=1,CODECS=\"mp4a.40.2\",\
                      CLOSED-CAPTIONS=NONE\na128/index.m3u8\n";
        assert!(text.ends_with(wanted) && !text.contains("EXT-X-MEDIA:"), "{text}");
        let beside = master(&ladder(), &[], None);
        let wanted = "#EXT-X-STREAM-INF:BANDWIDTH=130000,AVERAGE-BANDWIDTH=130000,SCORE=1,CODECS=\"mp4a.40.2\",\
                      AUDIO=\"stereo\",CLOSED-CAPTIONS=NONE\na128/index.m3u8\n";
        assert!(beside.contains(wanted), "beside pictures, too: {beside}");
        let silent = master(&ladder()[1..], &[], None);
        assert!(!silent.contains("AUDIO") && !silent.contains("mp4a"), "{silent}");
    }

    #[test]
    fn surround_is_a_group_of_its_own_with_the_same_members() {
        let mut all = ladder();
        all.extend([measured("a128t1", (0, 0), 65_065), measured("a320", (0, 0), 160_160)]);
        let text = master(&all, &[], None);
        let media = |group: &str, rest: &str| {
            assert!(
                text.contains(&format!("#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{group}\",{rest}\n")),
                "{rest} in {text}"
            );
        };
        let (english, german) = (
            "LANGUAGE=\"en\",NAME=\"en\",DEFAULT=YES,AUTOSELECT=YES,",
            "LANGUAGE=\"de\",NAME=\"Deutsch\",DEFAULT=NO,AUTOSELECT=YES,",
        );
        media("stereo", &format!("{english}CHANNELS=\"2\",URI=\"a128/index.m3u8\""));
        media("stereo", &format!("{german}CHANNELS=\"2\",URI=\"a128t1/index.m3u8\""));
        media("surround", &format!("{english}CHANNELS=\"6\",URI=\"a320/index.m3u8\""));
        media("surround", &format!("{german}CHANNELS=\"2\",URI=\"a128t1/index.m3u8\""));
        let list = parsed(&text);
        let said: Vec<_> = list
            .variants
            .iter()
            .filter(|v| !v.is_i_frame)
            .map(|v| {
                let score = v.other_attributes.as_ref().unwrap()["SCORE"].to_string();
                (v.uri.as_str(), v.audio.as_deref().unwrap(), score, v.bandwidth)
            })
            .collect();
        let wanted = [
            ("v480/index.m3u8", "stereo", "4", 1_630_000),
            ("v240/index.m3u8", "stereo", "2", 530_000),
            ("v1080/index.m3u8", "stereo", "6", 6_130_000),
            ("v480/index.m3u8", "surround", "5", 1_820_000),
            ("v240/index.m3u8", "surround", "3", 720_000),
            ("v1080/index.m3u8", "surround", "7", 6_320_000),
            // For links that carry no picture: in stereo, whose tracks need least.
            ("a128/index.m3u8", "stereo", "1", 130_000),
        ]
        .map(|(uri, group, score, bandwidth)| (uri, group, score.to_owned(), bandwidth));
        assert_eq!(said, wanted, "{text}");
        assert_eq!(list.variants.iter().filter(|v| v.is_i_frame).count(), 3);
    }

    #[test]
    fn sound_alone_has_its_languages_too() {
        let text = master(&[measured("a128", (0, 0), 65_065), measured("a128t1", (0, 0), 65_065)], &[], None);
        assert!(
            text.contains("NAME=\"en\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\"\n"),
            "within its variant: {text}"
        );
        assert!(text.contains("CHANNELS=\"2\",URI=\"a128t1/index.m3u8\"\n"), "{text}");
        let variant = "SCORE=1,CODECS=\"mp4a.40.2\",AUDIO=\"stereo\",CLOSED-CAPTIONS=NONE\na128/index.m3u8\n";
        assert!(text.ends_with(variant), "{text}");
    }

    #[test]
    fn text_is_a_group_of_each_variant() {
        let texts = [
            text_track("captions.en", "English"),
            text_track("chapters.en", "English"),
            text_track("forced.de", "Deutsch"),
            text_track("subtitles.en", "English"),
        ];
        let text = master(&ladder(), &texts, None);
        let wanted = "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"text\",LANGUAGE=\"en\",NAME=\"English\",DEFAULT=NO,\
                      AUTOSELECT=YES,FORCED=NO,CHARACTERISTICS=\"public.accessibility.transcribes-spoken-dialog,\
                      public.accessibility.describes-music-and-sound\",URI=\"text/captions.en/index.m3u8\"\n\
                      #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"text\",LANGUAGE=\"de\",NAME=\"Deutsch\",DEFAULT=NO,\
                      AUTOSELECT=YES,FORCED=YES,URI=\"text/forced.de/index.m3u8\"\n\
                      #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"text\",LANGUAGE=\"en\",NAME=\"English (subtitles)\",\
                      DEFAULT=NO,AUTOSELECT=YES,FORCED=NO,URI=\"text/subtitles.en/index.m3u8\"\n";
        assert!(text.contains(wanted), "{text}");
        assert_eq!(
            text.matches("AUDIO=\"stereo\",SUBTITLES=\"text\",CLOSED-CAPTIONS=NONE").count(),
            4,
            "{text}"
        );
        assert_eq!(parsed(&text).alternatives.len(), 4);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(sizes in prop::collection::vec((1u32..4_000, 1u32..4_000, 1u32..50_000_000), 1..6)) {
            let rungs: Vec<_> = sizes.iter().zip(1..).map(|(&(w, h, bytes), n): (_, u32)| {
                measured(&format!("v{n}"), (w, h), bytes)
            }).chain([measured("a128", (0, 0), 32_000)]).collect();
            let text = master(&rungs, &[], None);
            prop_assert_eq!(&text, &master(&rungs, &[], None));
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
