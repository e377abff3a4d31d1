//! The media presentation description (ISO/IEC 23009-1) over the same segments as the playlists: a pure function of
//! committed rows, the same bytes each time.
//!
//! Segments are named by digests, which no template can count, so each representation lists its segments. Only what is
//! whole is described, as `static`: what is still being made grows faster or slower than the clock, and `dynamic`
//! availability is a function of the clock.

mod list;

use std::io;

use crate::sealer::Seal;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use sluice_storage::{Rendition, RenditionKind, SegmentRow, TextTrack};
use sluice_wire::ladder::{SoundRole, VideoCodec, VideoRange};
use sluice_wire::limits::SEGMENT_MS;
use sluice_wire::steering::BASE_PATHWAY;
use sluice_wire::{MediaAsset, MediaPath, TextKind};

use super::locks;
use super::rates::Rates;
use super::sound::Heard;
use super::subtitles;
use super::writer::seconds;

/// Segments in a list of URLs (section 8.4), which the profiles of templates do not have.
const PROFILE: &str = "urn:mpeg:dash:profile:isoff-main:2011";
const AUDIO_CHANNELS: &str = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011";
const ROLE: &str = "urn:mpeg:dash:role:2011";
/// That samples are encrypted by ISO/IEC 23001-7, and with which key first (section 11.2 there).
const PROTECTION: &str = "urn:mpeg:dash:mp4protection:2011";
/// The ClearKey of DASH-IF's registry of content protection.
const CLEARKEY: &str = "urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e";

/// Code points of pictures (ISO/IEC 23091-2) as properties, in the order of [`VideoRange::cicp`].
const CICP: [&str; 3] = ["ColourPrimaries", "TransferCharacteristics", "MatrixCoefficients"];

/// A rung and all its segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Track {
    pub(super) rendition: Rendition,
    /// What is heard, where it is sound.
    pub(super) heard: Option<Heard>,
    /// The range of its brightness, where it is a picture.
    pub(super) range: VideoRange,
    pub(super) segments: Vec<SegmentRow>,
}

type Xml = Writer<Vec<u8>>;

/// Where players of a description are told which edge to ask (ETSI TS 103 998).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Steered {
    /// The steering manifest.
    pub(super) server: String,
    /// What clones are made of: an absolute address, since stock players cannot put another host into a relative one.
    pub(super) base: String,
}

/// The description of a whole video; `seal` says how it is sealed. Text is clear.
pub(super) fn manifest(
    tracks: &[Track],
    texts: &[TextTrack],
    seal: Option<&Seal<'_>>,
    steered: Option<&Steered>,
) -> String {
    let mut xml = Writer::new(Vec::new());
    described(&mut xml, tracks, texts, seal, steered).expect("memory takes every write");
    String::from_utf8(xml.into_inner()).expect("descriptions are made of text")
}

fn described(
    xml: &mut Xml,
    tracks: &[Track],
    texts: &[TextTrack],
    seal: Option<&Seal<'_>>,
    steered: Option<&Steered>,
) -> io::Result<()> {
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let longest = tracks.iter().max_by(|a, b| a.seconds().total_cmp(&b.seconds()));
    let duration = longest.map_or_else(|| seconds(0, 1), |t| seconds(t.ticks(), t.rendition.timescale));
    let spaces = [("xmlns:cenc", "urn:mpeg:cenc:2013"), ("xmlns:dashif", "https://dashif.org/CPS")];
    xml.create_element("MPD")
        .with_attributes(spaces.into_iter().filter(|_| seal.is_some()))
        .with_attributes([
            ("xmlns", "urn:mpeg:dash:schema:mpd:2011"),
            ("profiles", PROFILE),
            ("type", "static"),
            ("minBufferTime", &format!("PT{}S", SEGMENT_MS / 1_000)),
            ("mediaPresentationDuration", &format!("PT{duration}S")),
        ])
        .write_inner_content(|xml| {
            if let Some(steered) = steered {
                steering(xml, steered)?;
            }
            let period = xml.create_element("Period").with_attributes([("id", "0"), ("start", "PT0S")]);
            period.write_inner_content(|xml| {
                let sets = sets(tracks);
                sets.iter().zip(1..).try_for_each(|(tracks, id)| set(xml, tracks, id, seal))?;
                let length = longest.map_or(0.0, Track::seconds);
                let ids = sets.len() + 1..;
                ids.zip(subtitles::shown(texts)).try_for_each(|(id, track)| text(xml, id, track, length))
            })?;
            Ok(())
        })?;
    Ok(())
}

/// The one service location of all representations, and who is asked before the first of them is fetched.
fn steering(xml: &mut Xml, steered: &Steered) -> io::Result<()> {
    xml.create_element("BaseURL")
        .with_attribute(("serviceLocation", BASE_PATHWAY))
        .write_text_content(BytesText::new(&steered.base))?;
    xml.create_element("ContentSteering")
        .with_attributes([("defaultServiceLocation", BASE_PATHWAY), ("queryBeforeStart", "true")])
        .write_text_content(BytesText::new(&steered.server))?;
    Ok(())
}

impl Track {
    fn ticks(&self) -> u64 {
        self.segments.iter().map(|row| row.duration).sum()
    }

    fn seconds(&self) -> f64 {
        self.ticks() as f64 / f64::from(self.rendition.timescale.max(1))
    }
}

/// What players switch between on their own: the picture's rungs of one codec and range are one set, each audio rung is one
/// of its own.
fn sets(tracks: &[Track]) -> Vec<Vec<&Track>> {
    let of = |kind| tracks.iter().filter(move |t| t.rendition.kind == kind);
    let mut video: Vec<&Track> = of(RenditionKind::Video).collect();
    let family = |t: &&Track| (VideoCodec::of_codecs(&t.rendition.codecs).unwrap_or_default(), t.range);
    video.sort_by_key(|t| (family(t), t.rendition.height, t.rendition.width));
    let mut audio: Vec<&Track> = of(RenditionKind::Audio).collect();
    audio.sort_by_key(|t| t.heard.as_ref().map(|heard| (heard.is_surround(), heard.track)));
    let video = video.chunk_by(|a, b| family(a) == family(b)).map(<[_]>::to_vec);
    video.chain(audio.into_iter().map(|track| vec![track])).collect()
}

fn set(xml: &mut Xml, tracks: &[&Track], id: usize, seal: Option<&Seal<'_>>) -> io::Result<()> {
    let Some(first) = tracks.first() else { return Ok(()) };
    let (kind, heard) = (first.rendition.kind, first.heard.as_ref());
    let mime = match kind {
        RenditionKind::Video => "video/mp4",
        RenditionKind::Audio => "audio/mp4",
    };
    let mut element = xml.create_element("AdaptationSet").with_attributes([
        ("id", id.to_string().as_str()),
        ("contentType", kind.as_str()),
        ("mimeType", mime),
        ("segmentAlignment", "true"),
        ("startWithSAP", "1"),
    ]);
    if let Some(heard) = heard {
        element = element.with_attribute(("lang", heard.language()));
    }
    element.write_inner_content(|xml| {
        if let Some(seal) = seal {
            protection(xml, first, seal)?;
        }
        if !first.range.is_sdr() {
            colours(xml, first.range)?;
        }
        if let Some(heard) = heard {
            xml.create_element("Label").write_text_content(BytesText::new(&heard.name))?;
        }
        let role = [("schemeIdUri", ROLE), ("value", role(heard))];
        xml.create_element("Role").with_attributes(role).write_empty()?;
        tracks.iter().try_for_each(|track| representation(xml, track, seal))
    })?;
    Ok(())
}

/// What a player must be able to show: one that does not know these properties leaves the set alone.
fn colours(xml: &mut Xml, range: VideoRange) -> io::Result<()> {
    for (what, number) in CICP.iter().zip(range.cicp()) {
        let (scheme, value) = (format!("urn:mpeg:mpegB:cicp:{what}"), number.to_string());
        let property = [("schemeIdUri", scheme.as_str()), ("value", &value)];
        xml.create_element("EssentialProperty").with_attributes(property).write_empty()?;
    }
    Ok(())
}

/// A value of the scheme of roles (ISO/IEC 23009-1, 5.8.5.5).
fn role(heard: Option<&Heard>) -> &'static str {
    match heard.map(|heard| (heard.role, heard.track)) {
        None | Some((SoundRole::Main, 0)) => "main",
        Some((SoundRole::Main, _)) => "alternate",
        Some((SoundRole::Dub, _)) => "dub",
        Some((SoundRole::Commentary, _)) => "commentary",
        Some((SoundRole::Description, _)) => "description",
    }
}

/// With which keys a set is encrypted, and where a licence is to be had. One header is given for all periods: each fragment
/// names its own key.
fn protection(xml: &mut Xml, track: &Track, seal: &Seal<'_>) -> io::Result<()> {
    let keys = locks::key_ids(&track.segments, seal);
    let Some(first) = keys.first() else { return Ok(()) };
    xml.create_element("ContentProtection")
        .with_attributes([
            ("schemeIdUri", PROTECTION),
            ("value", seal.protection().as_str()),
            ("cenc:default_KID", &first.uuid()),
        ])
        .write_empty()?;
    xml.create_element("ContentProtection")
        .with_attributes([("schemeIdUri", CLEARKEY), ("value", "ClearKey1.0")])
        .write_inner_content(|xml| {
            let licence = MediaPath { video: track.rendition.video, asset: MediaAsset::Licence }.to_string();
            xml.create_element("cenc:pssh").write_text_content(BytesText::new(&locks::pssh(&keys)))?;
            let licence_url = xml.create_element("dashif:Laurl").with_attribute(("licenseType", "EME-1.0"));
            licence_url.write_text_content(BytesText::new(&licence))?;
            Ok(())
        })?;
    Ok(())
}

fn representation(xml: &mut Xml, track: &Track, seal: Option<&Seal<'_>>) -> io::Result<()> {
    let rendition = &track.rendition;
    let target = u64::from(SEGMENT_MS / 1_000);
    let rates = Rates::of_rung(rendition, &track.segments, target);
    let mut element = xml.create_element("Representation").with_attributes([
        ("id", rendition.rung.as_str()),
        ("codecs", &rendition.codecs),
        ("bandwidth", &rates.peak.max(1).to_string()),
    ]);
    element = match rendition.kind {
        RenditionKind::Video => element.with_attributes([
            ("width", rendition.width.to_string().as_str()),
            ("height", &rendition.height.to_string()),
            ("frameRate", &format!("{}/{}", rendition.frame_rate_num, rendition.frame_rate_den.max(1))),
            ("sar", "1:1"),
        ]),
        RenditionKind::Audio => {
            element.with_attribute(("audioSamplingRate", rendition.timescale.to_string().as_str()))
        }
    };
    element.write_inner_content(|xml| {
        if let Some(heard) = &track.heard {
            // Of one, two and six channels the configuration has the same number.
            let count = [("schemeIdUri", AUDIO_CHANNELS), ("value", &heard.channels.to_string())];
            xml.create_element("AudioChannelConfiguration").with_attributes(count).write_empty()?;
        }
        let base = format!("{}/", rendition.rung);
        xml.create_element("BaseURL").write_text_content(BytesText::new(&base))?;
        list::write(xml, track, seal)
    })?;
    Ok(())
}

/// A text track: all of it in one file.
fn text(xml: &mut Xml, id: usize, track: &TextTrack, seconds: f64) -> io::Result<()> {
    let (id, language) = (id.to_string(), track.name.language.to_string());
    let role = match track.name.kind {
        TextKind::Captions => "caption",
        TextKind::Forced => "forced-subtitle",
        TextKind::Subtitles | TextKind::Chapters => "subtitle",
    };
    xml.create_element("AdaptationSet")
        .with_attributes([
            ("id", id.as_str()),
            ("contentType", "text"),
            ("mimeType", "text/vtt"),
            ("lang", &language),
        ])
        .write_inner_content(|xml| {
            xml.create_element("Label").write_text_content(BytesText::new(&track.label))?;
            xml.create_element("Role")
                .with_attributes([("schemeIdUri", ROLE), ("value", role)])
                .write_empty()?;
            let bandwidth = ((track.bytes as f64 * 8.0 / seconds.max(1.0)).ceil() as u64).max(1).to_string();
            let name = track.name.to_string();
            xml.create_element("Representation")
                .with_attributes([("id", name.as_str()), ("bandwidth", &bandwidth)])
                .write_inner_content(|xml| {
                    let file = MediaAsset::Text(track.name.clone(), track.digest).to_string();
                    xml.create_element("BaseURL").write_text_content(BytesText::new(&file))?;
                    Ok(())
                })?;
            Ok(())
        })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::playlist::tests::{rendition, segments};
    use super::super::sound::tests::{planned, track as sound};
    use super::*;
    use sluice_wire::RungName;

    fn track(name: &str, size: (u32, u32), count: u32) -> Track {
        let sounds =
            planned(vec![sound(2, "en", "", SoundRole::Main), sound(6, "de", "<Ton>", SoundRole::Dub)]);
        let heard = sounds.get(&RungName::new(name).unwrap()).cloned();
        let (rendition, range) = (rendition(name, size, true), VideoRange::Sdr);
        Track { rendition, heard, range, segments: segments(count, 50_050) }
    }

    #[test]
    fn a_steered_description_says_whom_to_ask_first() {
        let steered =
            Steered { server: "http://c/steer/v/x".into(), base: "https://cdn.example.com/v/x/".into() };
        let text = manifest(&[track("v480", (852, 480), 2)], &[], None, Some(&steered));
        let told = "<BaseURL serviceLocation=\"here\">https://cdn.example.com/v/x/</BaseURL><ContentSteering \
            defaultServiceLocation=\"here\" queryBeforeStart=\"true\">http://c/steer/v/x</ContentSteering><Period";
        assert!(text.contains(told), "{text}");
    }

    #[test]
    fn a_description_lists_what_is_stored() {
        let text = manifest(&[track("a128", (0, 0), 2), track("v480", (852, 480), 2)], &[], None, None);
        assert_eq!(
            text,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" \
             profiles=\"urn:mpeg:dash:profile:isoff-main:2011\" type=\"static\" minBufferTime=\"PT4S\" \
             mediaPresentationDuration=\"PT8.008000S\"><Period id=\"0\" start=\"PT0S\">\
             <AdaptationSet id=\"1\" contentType=\"video\" mimeType=\"video/mp4\" segmentAlignment=\"true\" \
             startWithSAP=\"1\"><Role schemeIdUri=\"urn:mpeg:dash:role:2011\" value=\"main\"/>\
             <Representation id=\"v480\" codecs=\"avc1.64001F\" bandwidth=\"100000\" width=\"852\" height=\"480\" \
             frameRate=\"30000/1001\" sar=\"1:1\"><BaseURL>v480/</BaseURL><SegmentList timescale=\"30000\" duration=\"120120\">\
             <Initialization sourceURL=\"init-07070707070707070707070707070707.mp4\"/>\
             <SegmentURL media=\"0-00000000000000000000000000000000.m4s\"/>\
             <SegmentURL media=\"1-01010101010101010101010101010101.m4s\"/></SegmentList></Representation>\
             </AdaptationSet><AdaptationSet id=\"2\" contentType=\"audio\" mimeType=\"audio/mp4\" \
             segmentAlignment=\"true\" startWithSAP=\"1\" lang=\"en\"><Label>en</Label><Role schemeIdUri=\"urn:mpeg:dash:role:2011\" value=\"main\"/>\
             <Representation id=\"a128\" codecs=\"mp4a.40.2\" bandwidth=\"100000\" audioSamplingRate=\"30000\">\
             <AudioChannelConfiguration schemeIdUri=\"urn:mpeg:dash:23003:3:audio_channel_configuration:2011\" \
             value=\"2\"/><BaseURL>a128/</BaseURL><SegmentList timescale=\"30000\" duration=\"120120\">\
             <Initialization sourceURL=\"init-07070707070707070707070707070707.mp4\"/>\
             <SegmentURL media=\"0-00000000000000000000000000000000.m4s\"/>\
             <SegmentURL media=\"1-01010101010101010101010101010101.m4s\"/></SegmentList></Representation>\
             </AdaptationSet></Period></MPD>"
        );
    }

    #[test]
    fn each_codec_and_range_is_a_set_of_its_own() {
        let with = |name: &str, height: u32, codecs: &str, range| {
            let mut track = Track { range, ..track(name, (height * 16 / 9, height), 1) };
            track.rendition.codecs = codecs.to_owned();
            track
        };
        let text = manifest(
            &[
                with("av1x240", 240, "av01.0.00M.10.0.110.09.18.09.0", VideoRange::Hlg),
                with("av1x480", 480, "av01.0.01M.10.0.110.09.18.09.0", VideoRange::Hlg),
                with("hevc240", 240, "hvc1.1.6.L60.90", VideoRange::Sdr),
                track("v480", (852, 480), 1),
                track("v240", (426, 240), 1),
            ],
            &[],
            None,
            None,
        );
        let sets: Vec<Vec<&str>> = (text.split("<AdaptationSet ").skip(1))
            .map(|set| {
                set.split("<Representation id=\"").skip(1).map(|r| r.split('"').next().unwrap()).collect()
            })
            .collect();
        assert_eq!(sets, [vec!["v240", "v480"], vec!["hevc240"], vec!["av1x240", "av1x480"]], "{text}");
        let colours = "startWithSAP=\"1\"><EssentialProperty schemeIdUri=\"urn:mpeg:mpegB:cicp:ColourPrimaries\" \
                       value=\"9\"/><EssentialProperty schemeIdUri=\"urn:mpeg:mpegB:cicp:TransferCharacteristics\" \
                       value=\"18\"/><EssentialProperty schemeIdUri=\"urn:mpeg:mpegB:cicp:MatrixCoefficients\" \
                       value=\"9\"/><Role";
        assert!(text.contains(colours) && text.matches("EssentialProperty").count() == 3, "{text}");
    }

    #[test]
    fn each_sound_is_a_set_of_its_own() {
        let sounds = ["a320t1", "a128", "a128t1"].map(|name| track(name, (0, 0), 2));
        let text = manifest(&sounds, &[], None, None);
        let said: Vec<&str> = text.split("<AdaptationSet ").skip(1).collect();
        for (set, (id, lang, label, role, channels)) in said.iter().zip([
            (1, "en", "en", "main", 2),
            (2, "de", "&lt;Ton&gt;", "dub", 2),
            (3, "de", "&lt;Ton&gt;", "dub", 6),
        ]) {
            for part in [
                format!("id=\"{id}\" "),
                format!(
                    "lang=\"{lang}\"><Label>{label}</Label><Role schemeIdUri=\"{ROLE}\" value=\"{role}\"/>"
                ),
                format!("schemeIdUri=\"{AUDIO_CHANNELS}\" value=\"{channels}\"/>"),
            ] {
                assert!(set.contains(&part), "{part} in {set}");
            }
        }
    }

    #[test]
    fn text_is_a_set_of_its_own() {
        let texts =
            [subtitles::tests::track("chapters.en", "x"), subtitles::tests::track("captions.pt-br", "a<b")];
        let text = manifest(&[track("a128", (0, 0), 2)], &texts, None, None);
        let wanted = "<AdaptationSet id=\"2\" contentType=\"text\" mimeType=\"text/vtt\" lang=\"pt-BR\">\
                      <Label>a&lt;b</Label><Role schemeIdUri=\"urn:mpeg:dash:role:2011\" value=\"caption\"/>\
                      <Representation id=\"captions.pt-br\" bandwidth=\"3997\"><BaseURL>text/captions.pt-br/\
                      07070707070707070707070707070707.vtt</BaseURL></Representation></AdaptationSet></Period>";
        assert!(text.contains(wanted), "{text}");
    }
}
