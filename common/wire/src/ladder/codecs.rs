//! Further codecs: beside each rung of H.264, which every device plays, one that needs fewer bits or keeps more brightness.

use serde::{Deserialize, Serialize};

use super::VideoRung;
use crate::media::RungName;

/// How pictures are encoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VideoCodec {
    /// H.264: always, since every device plays it.
    #[default]
    H264,
    /// H.265.
    Hevc,
    /// AV1.
    Av1,
}

impl VideoCodec {
    /// All of them, from the one that needs most bits to the one that needs fewest.
    pub const ALL: [Self; 3] = [Self::H264, Self::Hevc, Self::Av1];

    /// The name in configurations.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::Hevc => "hevc",
            Self::Av1 => "av1",
        }
    }

    /// What a codecs string (RFC 6381) is of; `None` for sound, and for pictures that are not made here.
    #[must_use]
    pub fn of_codecs(text: &str) -> Option<Self> {
        match text.split('.').next()? {
            "avc1" | "avc3" => Some(Self::H264),
            "hvc1" | "hev1" => Some(Self::Hevc),
            "av01" => Some(Self::Av1),
            _ => None,
        }
    }

    /// True for the codec of every ladder.
    #[must_use]
    pub const fn is_h264(&self) -> bool {
        matches!(self, Self::H264)
    }
}

/// Which brightness a picture's values mean (ITU-R BT.709 and BT.2100), as HLS names it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VideoRange {
    /// What every screen shows: BT.709, eight bits.
    #[default]
    Sdr,
    /// Hybrid log-gamma, BT.2020, ten bits.
    Hlg,
    /// Perceptual quantiser, BT.2020, ten bits.
    Pq,
}

impl VideoRange {
    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sdr => "sdr",
            Self::Hlg => "hlg",
            Self::Pq => "pq",
        }
    }

    /// `VIDEO-RANGE` (RFC 8216bis, section 4.4.6.2).
    #[must_use]
    pub const fn hls(self) -> &'static str {
        match self {
            Self::Sdr => "SDR",
            Self::Hlg => "HLG",
            Self::Pq => "PQ",
        }
    }

    /// Colour primaries, transfer and matrix as ISO/IEC 23091-2 numbers them.
    #[must_use]
    pub const fn cicp(self) -> [u8; 3] {
        match self {
            Self::Sdr => [1, 1, 1],
            Self::Hlg => [9, 18, 9],
            Self::Pq => [9, 16, 9],
        }
    }

    /// True for what every screen shows.
    #[must_use]
    pub const fn is_sdr(&self) -> bool {
        matches!(self, Self::Sdr)
    }
}

/// Sides below this SVT-AV1 does not take; what is so small needs few bits anyway.
const LEAST_SIDE: u32 = 64;

/// What a codec is told, against H.264 at the same size: its cap in hundredths, and its rate factor.
///
/// On 8 s of Big Buck Bunny at 640x360, x264's `veryfast` at 23 had a structural similarity of 0.9870; x265's `veryfast` at
/// 26 had 0.9873 with 56 % of the bits, SVT-AV1's preset 10 at 40 between 0.9874 and 0.9886 with 46 %.
const fn terms(codec: VideoCodec) -> (u32, u8) {
    match codec {
        VideoCodec::H264 => (100, super::CRF),
        VideoCodec::Hevc => (65, 26),
        VideoCodec::Av1 => (50, 40),
    }
}

/// The rungs of further codecs: one beside each of H.264, of the same size and grid. They keep the source's range; those of
/// H.264 never do.
pub(super) fn beside(h264: &[VideoRung], range: VideoRange, codecs: &[VideoCodec]) -> Vec<VideoRung> {
    let further = VideoCodec::ALL.into_iter().filter(|codec| !codec.is_h264() && codecs.contains(codec));
    let large = || h264.iter().filter(|rung| rung.width.min(rung.height) >= LEAST_SIDE);
    further.flat_map(|codec| large().map(move |rung| other(rung, range, codec))).collect()
}

fn other(rung: &VideoRung, range: VideoRange, codec: VideoCodec) -> VideoRung {
    let (hundredths, crf) = terms(codec);
    // A name has letters and digits only: `av1x1080`.
    let joint = if codec == VideoCodec::Av1 { "x" } else { "" };
    let side = rung.name.as_str().trim_start_matches('v');
    let max_bitrate = (u64::from(rung.max_bitrate) * u64::from(hundredths) / 100) as u32;
    VideoRung {
        name: RungName::new(format!("{}{joint}{side}", codec.as_str()))
            .expect("a codec and at most ten digits"),
        max_bitrate,
        crf,
        codec,
        range,
        ..rung.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Ratio, Source, plan_with, tests::video};
    use super::*;
    use proptest::prelude::*;

    fn planned(width: u32, height: u32, range: VideoRange, codecs: &[VideoCodec]) -> super::super::Ladder {
        let video = super::super::SourceVideo { range, ..video(width, height, Ratio::new(25, 1)) };
        let (container, audio) = ("mov".into(), vec![]);
        let source =
            Source { container, duration_ms: 0, zero_us: 0, indexed: true, video: Some(video), audio };
        plan_with(&source, codecs)
    }

    #[test]
    fn each_codec_has_a_rung_beside_each_of_h264() {
        let all = planned(1280, 720, VideoRange::Sdr, &VideoCodec::ALL);
        let said: Vec<_> = all.beside.iter().map(|r| (r.name.as_str(), r.width, r.max_bitrate)).collect();
        assert_eq!(
            said,
            [
                ("hevc240", 426, 292_102),
                ("hevc480", 852, 973_676),
                ("hevc720", 1280, 2_080_000),
                ("av1x240", 426, 224_694),
                ("av1x480", 852, 748_982),
                ("av1x720", 1280, 1_600_000),
            ]
        );
        assert_eq!(all.first().map(RungName::as_str).collect::<Vec<_>>(), ["v240"]);
        assert_eq!(all.others().count(), 8);
        assert_eq!(all.names().count(), 9);
        assert!(planned(1280, 720, VideoRange::Pq, &[VideoCodec::H264]).beside.is_empty());
    }

    #[test]
    fn what_is_bright_stays_so_in_further_codecs_alone() {
        let all = planned(640, 360, VideoRange::Hlg, &[VideoCodec::H264, VideoCodec::Av1]);
        assert!(all.video.iter().all(|rung| rung.range.is_sdr() && rung.codec.is_h264()));
        assert!(all.beside.iter().all(|r| (r.range, r.codec) == (VideoRange::Hlg, VideoCodec::Av1)));
    }

    #[test]
    fn plans_of_before_and_of_h264_alone_read_the_same() {
        let all = planned(640, 360, VideoRange::Sdr, &[VideoCodec::H264]);
        let text = serde_json::to_string(&all).unwrap();
        assert!(!text.contains("codec") && !text.contains("range") && !text.contains("beside"), "{text}");
        assert_eq!(serde_json::from_str::<super::super::Ladder>(&text).unwrap(), all);
    }

    #[test]
    fn a_codecs_string_says_its_codec() {
        let of = |text| VideoCodec::of_codecs(text);
        let read = ["avc1.64001F", "hvc1.1.6.L93.90", "av01.0.04M.08", "mp4a.40.2", ""].map(of);
        assert_eq!(read, [Some(VideoCodec::H264), Some(VideoCodec::Hevc), Some(VideoCodec::Av1), None, None]);
    }

    proptest! {
        #[test]
        fn further_rungs_cost_less_and_lie_on_the_same_grid(w in 2u32..8192, h in 2u32..8192) {
            let all = planned(w, h, VideoRange::Sdr, &VideoCodec::ALL);
            let names: std::collections::HashSet<_> = all.names().collect();
            prop_assert_eq!(names.len(), all.names().count());
            for rung in &all.beside {
                let base = all.video.iter().find(|r| (r.width, r.height) == (rung.width, rung.height)).unwrap();
                prop_assert!(rung.max_bitrate < base.max_bitrate);
                let grid = |r: &VideoRung| (r.frame_rate, r.gop_frames, r.segment_frames);
                prop_assert_eq!(grid(rung), grid(base));
                prop_assert!(rung.width <= w && rung.height <= h && rung.width.min(rung.height) >= LEAST_SIDE);
            }
        }
    }
}
