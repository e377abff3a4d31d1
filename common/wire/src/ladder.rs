//! The ladder: which rungs a source becomes. A pure function of what the probe saw.
//!
//! Rungs are sized by the short side (so that portrait sources keep their quality), never above the source, always
//! even, and cut on one grid: the segment is a whole number of frames of every rung, so that keyframes align.

mod codecs;
mod defer;
mod judge;
mod sound;

use serde::{Deserialize, Serialize};

use crate::limits::{GOP_MS, MAX_FRAME_RATE, SEGMENT_MS};
use crate::media::RungName;

pub use codecs::{VideoCodec, VideoRange};
pub use judge::{FACTORS, Point, judged};
pub use sound::{AudioRung, MAX_TITLE, SURROUND, SoundRole, SourceAudio};

/// A ratio of two whole numbers, such as 30000/1001 frames a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ratio {
    /// Above the line.
    pub num: u32,
    /// Below the line, at least 1.
    pub den: u32,
}

impl Ratio {
    /// A ratio; a denominator of 0 counts as 1.
    #[must_use]
    pub const fn new(num: u32, den: u32) -> Self {
        Self { num, den: if den == 0 { 1 } else { den } }
    }

    /// The nearest double.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }
}

/// What the probe saw of a source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Name of the container format.
    pub container: String,
    /// What the container claims of the tracks that will be played, in milliseconds; 0 when it claims nothing. Never
    /// trusted as the true length.
    pub duration_ms: u64,
    /// When the first of these tracks begins, in microseconds of the container's clock: zero for all of them.
    pub zero_us: i64,
    /// True when the container has an index, so that a chunk can be found without reading all that is before it.
    pub indexed: bool,
    /// The video track, if any (cover art does not count).
    pub video: Option<SourceVideo>,
    /// The audio tracks, the one that is heard unless another is asked for first; at most
    /// [`MAX_SOUND_TRACKS`](crate::limits::MAX_SOUND_TRACKS).
    pub audio: Vec<SourceAudio>,
}

/// The video track that will be shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceVideo {
    /// Index of its stream in the container.
    pub stream: u32,
    /// Name of its codec.
    pub codec: String,
    /// Width as shown: after rotation, in square pixels.
    pub width: u32,
    /// Height as shown.
    pub height: u32,
    /// Clockwise quarter turns needed to show it upright: 0 to 3.
    pub quarter_turns: u8,
    /// True when it is to be mirrored left to right after turning.
    pub mirrored: bool,
    /// Average frames a second.
    pub frame_rate: Ratio,
    /// True for interlaced material.
    pub interlaced: bool,
    /// True for PQ or HLG transfer.
    pub hdr: bool,
    /// Which of them. Sources that were probed by a worker that knew no further codecs say nothing, as do those of standard
    /// range: the names of their segments stay what they were.
    #[serde(default, skip_serializing_if = "VideoRange::is_sdr")]
    pub range: VideoRange,
}

/// What a source becomes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ladder {
    /// Video rungs of H.264 from the lowest to the highest; empty for an audio-only source.
    pub video: Vec<VideoRung>,
    /// Video rungs of further codecs, if there are to be any: codec by codec, each from the lowest to the highest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<VideoRung>,
    /// Audio rungs: of each of the source's tracks one that every device plays, then those of 5.1; empty for a silent
    /// source.
    pub audio: Vec<AudioRung>,
    /// Of the video rungs those that are named with the others, and made when they are first asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deferred: Vec<RungName>,
}

impl Ladder {
    /// The names of all rungs.
    pub fn names(&self) -> impl Iterator<Item = &RungName> {
        self.pictures().map(|rung| &rung.name).chain(self.audio.iter().map(|rung| &rung.name))
    }

    /// The video rungs of all codecs.
    pub fn pictures(&self) -> impl Iterator<Item = &VideoRung> {
        self.video.iter().chain(&self.beside)
    }

    /// True when there is nothing to make.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.video.is_empty() && self.audio.is_empty()
    }

    /// The rungs that are made first, in a row from the source's first bytes on: the lowest picture and the sound that is
    /// heard by default. With them a video can be played.
    pub fn first(&self) -> impl Iterator<Item = &RungName> {
        self.video.iter().take(1).map(|r| &r.name).chain(self.audio.iter().take(1).map(|a| &a.name))
    }

    /// The others, which are made chunk by chunk after the first.
    pub fn others(&self) -> impl Iterator<Item = &RungName> {
        self.pictures().skip(1).map(|r| &r.name).chain(self.audio.iter().skip(1).map(|a| &a.name))
    }
}

/// One video rung, in CMAF.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoRung {
    /// `v` and the short side: `v720`; of further codecs `hevc720`, `av1x720`.
    pub name: RungName,
    /// Width in square pixels, even.
    pub width: u32,
    /// Height, even.
    pub height: u32,
    /// Constant frames a second. `num` is also the track's timescale and `den` a frame's duration in it.
    pub frame_rate: Ratio,
    /// Frames from keyframe to keyframe.
    pub gop_frames: u32,
    /// Frames of a segment: a whole number of GOPs.
    pub segment_frames: u32,
    /// Cap of the bitrate in bit/s (VBV of one second and a half); quality below it is constant.
    pub max_bitrate: u32,
    /// Constant rate factor below the cap, on the codec's own scale.
    pub crf: u8,
    /// How it is encoded.
    #[serde(default, skip_serializing_if = "VideoCodec::is_h264")]
    pub codec: VideoCodec,
    /// The range of its brightness.
    #[serde(default, skip_serializing_if = "VideoRange::is_sdr")]
    pub range: VideoRange,
}

impl VideoRung {
    /// Duration of a whole segment in ticks of the track's timescale.
    #[must_use]
    pub const fn segment_ticks(&self) -> u64 {
        self.segment_frames as u64 * self.frame_rate.den as u64
    }
}

/// Short sides and caps at 30 frames a second. Caps follow common practice for H.264; rungs between are left out, since
/// each costs an encode and players seldom stay there.
const STEPS: [(u32, u32); 6] = [
    (240, 450_000),
    (480, 1_500_000),
    (720, 3_200_000),
    (1080, 6_000_000),
    (1440, 11_000_000),
    (2160, 20_000_000),
];

/// Constant rate factor: 23 measured VMAF 84 at least on the reference clip, with fewer bits than a fixed bitrate.
const CRF: u8 = 23;

/// A source this much larger than the highest fitting step gets one more rung of its own size.
const OWN_RUNG_RATIO: f64 = 1.25;

/// Frame rates that displays and players expect. A measured average is snapped to the nearest.
const RATES: [Ratio; 13] = [
    Ratio::new(10, 1),
    Ratio::new(12, 1),
    Ratio::new(15, 1),
    Ratio::new(20, 1),
    Ratio::new(24_000, 1_001),
    Ratio::new(24, 1),
    Ratio::new(25, 1),
    Ratio::new(30_000, 1_001),
    Ratio::new(30, 1),
    Ratio::new(48, 1),
    Ratio::new(50, 1),
    Ratio::new(60_000, 1_001),
    Ratio::new(60, 1),
];

/// Plans the ladder of a source, of H.264 alone. A source without video and audio gets an empty one.
#[must_use]
pub fn plan(source: &Source) -> Ladder {
    plan_with(source, &[])
}

/// As [`plan`], with rungs of these codecs beside those of H.264.
#[must_use]
pub fn plan_with(source: &Source, codecs: &[VideoCodec]) -> Ladder {
    let video = source.video.as_ref().map(video_rungs).unwrap_or_default();
    let segment = video.first().map_or(Ratio::new(SEGMENT_MS / 1_000, 1), |rung| {
        Ratio::new(rung.segment_frames * rung.frame_rate.den, rung.frame_rate.num)
    });
    let range = source.video.as_ref().map_or(VideoRange::Sdr, |video| video.range);
    let beside = codecs::beside(&video, range, codecs);
    Ladder { audio: sound::audio_rungs(&source.audio, segment), video, beside, deferred: vec![] }
}

/// The common rate nearest to an average. Absurd averages (a nominal 1000 frames a second) count as 30.
#[must_use]
pub fn snap_frame_rate(average: Ratio) -> Ratio {
    let wanted = average.as_f64();
    if !wanted.is_finite() || wanted <= 0.0 || wanted > 4.0 * f64::from(MAX_FRAME_RATE) {
        return Ratio::new(30, 1);
    }
    let distance = |rate: &Ratio| (rate.as_f64() - wanted).abs();
    RATES.into_iter().min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(Ratio::new(30, 1))
}

fn video_rungs(source: &SourceVideo) -> Vec<VideoRung> {
    let short = source.width.min(source.height).max(2);
    let rate = snap_frame_rate(source.frame_rate);
    let mut sides: Vec<u32> = STEPS.iter().map(|s| s.0).filter(|&side| side <= short).collect();
    let top = sides.last().copied().unwrap_or(0);
    if top == 0 || (top != STEPS[STEPS.len() - 1].0 && f64::from(short) >= f64::from(top) * OWN_RUNG_RATIO) {
        sides.push(short);
    }
    sides.into_iter().map(|side| video_rung(source, short, side, rate)).collect()
}

fn video_rung(source: &SourceVideo, short: u32, side: u32, full: Ratio) -> VideoRung {
    // Small rungs serve small screens and slow links: half the frames of a fast source are enough, on the same grid.
    let halve = side < 720 && full.as_f64() > 40.0;
    let frame_rate = if halve { half(full) } else { full };
    let gop_frames = (frame_rate.as_f64() * f64::from(GOP_MS) / 1_000.0).round() as u32;
    let scale = |length: u32| (((u64::from(length) * u64::from(side)) / u64::from(short)) as u32 & !1).max(2);
    let area = f64::from(scale(source.width)) * f64::from(scale(source.height));
    let fast = if frame_rate.as_f64() > 40.0 { 1.5 } else { 1.0 };
    VideoRung {
        name: RungName::new(format!("v{side}")).expect("a letter and at most ten digits"),
        width: scale(source.width),
        height: scale(source.height),
        frame_rate,
        gop_frames,
        segment_frames: gop_frames * (SEGMENT_MS / GOP_MS),
        max_bitrate: (cap(area) * fast) as u32,
        crf: CRF,
        codec: VideoCodec::H264,
        range: VideoRange::Sdr,
    }
}

/// Half of a rate above 40: even numerators are halved, odd ones keep theirs and double the denominator.
fn half(rate: Ratio) -> Ratio {
    if rate.num.is_multiple_of(2) {
        Ratio::new(rate.num / 2, rate.den)
    } else {
        Ratio::new(rate.num, rate.den * 2)
    }
}

/// The cap for a picture's area: between two steps of 16:9 by power law, so that odd shapes pay by their pixels.
fn cap(area: f64) -> f64 {
    let area_of = |side: u32| f64::from(side) * f64::from(side) * 16.0 / 9.0;
    let above = STEPS.iter().position(|s| area_of(s.0) >= area).unwrap_or(STEPS.len() - 1).max(1);
    let ((low, low_cap), (high, high_cap)) = (STEPS[above - 1], STEPS[above]);
    let share = (area / area_of(low)).ln() / (area_of(high) / area_of(low)).ln();
    let cap = f64::from(low_cap) * (f64::from(high_cap) / f64::from(low_cap)).powf(share);
    cap.clamp(120_000.0, 20_000_000.0)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(super) fn video(width: u32, height: u32, rate: Ratio) -> SourceVideo {
        SourceVideo {
            stream: 0,
            codec: "h264".into(),
            width,
            height,
            quarter_turns: 0,
            mirrored: false,
            frame_rate: rate,
            interlaced: false,
            hdr: false,
            range: VideoRange::Sdr,
        }
    }

    fn sizes(width: u32, height: u32) -> Vec<(u32, u32)> {
        video_rungs(&video(width, height, Ratio::new(30, 1))).iter().map(|r| (r.width, r.height)).collect()
    }

    #[test]
    fn full_hd_gets_four_rungs_and_portrait_the_same_turned() {
        assert_eq!(sizes(1920, 1080), [(426, 240), (852, 480), (1280, 720), (1920, 1080)]);
        assert_eq!(sizes(1080, 1920), [(240, 426), (480, 852), (720, 1280), (1080, 1920)]);
    }

    #[test]
    fn odd_and_small_sources_get_a_rung_of_their_own() {
        assert_eq!(sizes(161, 121), [(160, 120)]);
        assert_eq!(sizes(642, 642), [(240, 240), (480, 480), (642, 642)]);
        assert_eq!(sizes(500, 500), [(240, 240), (480, 480)]);
    }

    #[test]
    fn rates_are_snapped_and_halved_on_one_grid() {
        assert_eq!(snap_frame_rate(Ratio::new(1000, 1)), Ratio::new(30, 1));
        assert_eq!(snap_frame_rate(Ratio::new(2997, 100)), Ratio::new(30_000, 1_001));
        assert_eq!(snap_frame_rate(Ratio::new(120, 1)), Ratio::new(60, 1));
        for rate in RATES {
            let rungs = video_rungs(&video(1920, 1080, rate));
            let seconds =
                |r: &VideoRung| (u64::from(r.segment_frames) * u64::from(r.frame_rate.den), r.frame_rate.num);
            for rung in &rungs {
                let ((a, b), (c, d)) = (seconds(rung), seconds(&rungs[0]));
                assert_eq!(a * u64::from(d), c * u64::from(b), "{rate:?}: segments of {} differ", rung.name);
            }
        }
    }

    proptest! {
        #[test]
        fn no_rung_is_above_its_source_or_odd(w in 2u32..8192, h in 2u32..8192, num in 0u32..100_000, den in 0u32..2_000) {
            let rungs = video_rungs(&video(w, h, Ratio::new(num, den)));
            prop_assert!(!rungs.is_empty());
            for rung in &rungs {
                prop_assert!(rung.width <= w.max(2) && rung.height <= h.max(2));
                prop_assert!(rung.width % 2 == 0 && rung.height % 2 == 0);
                prop_assert!(rung.segment_frames == 2 * rung.gop_frames && rung.gop_frames > 0);
            }
            let names: std::collections::HashSet<_> = rungs.iter().map(|r| r.name.clone()).collect();
            prop_assert_eq!(names.len(), rungs.len());
        }
    }
}
