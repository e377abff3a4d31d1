//! The sound of a ladder: a stereo rung for each track of the source, and a rung of 5.1 beside it where the source has as
//! many channels.

use serde::{Deserialize, Serialize};

use super::Ratio;
use crate::language::Language;
use crate::limits::MAX_SOUND_TRACKS;
use crate::media::RungName;

/// A sound track of a source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceAudio {
    /// Index of its stream in the container.
    pub stream: u32,
    /// Name of its codec.
    pub codec: String,
    /// Channels.
    pub channels: u32,
    /// Samples a second.
    pub sample_rate: u32,
    /// When it begins, in microseconds of the container's clock.
    pub start_us: i64,
    /// What is spoken; `None` where the container does not say.
    pub language: Option<Language>,
    /// Its name for people: without control characters and double quotes, at most [`MAX_TITLE`] characters.
    pub title: Option<String>,
    /// What it is for.
    pub role: SoundRole,
    /// How loud it is on two speakers, in hundredths of LUFS (EBU R 128); `None` where too little of it was there to say.
    pub loudness: Option<i32>,
    /// How loud it is as 5.1, likewise.
    pub surround_loudness: Option<i32>,
}

/// Characters of a track's title.
pub const MAX_TITLE: usize = 64;

/// What a sound track is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SoundRole {
    /// The film's own.
    Main,
    /// Spoken in another language than the film was made in.
    Dub,
    /// What its makers say of it.
    Commentary,
    /// The film's own, with what is seen told to those who do not see it.
    Description,
}

/// One audio rung: AAC-LC in CMAF, 1024 samples a frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioRung {
    /// `a` and kilobits a second, then for all but the first track `t` and its number: `a128`, `a128t1`.
    pub name: RungName,
    /// Which of [`Source::audio`](super::Source::audio) is heard.
    pub track: u32,
    /// 1, 2 or 6 (5.1).
    pub channels: u32,
    /// Samples a second; also the track's timescale.
    pub sample_rate: u32,
    /// Bitrate in bit/s.
    pub bitrate: u32,
    /// What it is amplified by, in hundredths of a decibel.
    pub gain: i32,
    /// Duration of a segment as a ratio of seconds: segment `n` starts with the first frame at or after `n` of them.
    pub segment: Ratio,
}

/// Channels of 5.1.
pub const SURROUND: u32 = 6;
/// What Apple recommends for 5.1 in AAC.
const SURROUND_BITRATE: u32 = 320_000;
/// For each channel of stereo.
const CHANNEL_BITRATE: u32 = 64_000;

/// What every sound is brought to, in hundredths of LUFS: what streaming is mixed for (AES TD1008 recommends -16 for speech,
/// up to 2 LU less for music). Broadcasts' -23 is too quiet for the loudspeakers of telephones.
const TARGET_LOUDNESS: i32 = -1_600;
/// What is quieter than this is left alone: silence, or a room with nobody in it.
const NEAR_SILENCE: i32 = -5_000;
/// The most that is amplified by: what is made louder than this is mostly noise.
const MOST_GAIN: i32 = 1_500;

/// What brings a loudness to the target, in hundredths of a decibel; nothing where it is not known.
fn gain(loudness: Option<i32>) -> i32 {
    let heard = loudness.filter(|&loudness| loudness > NEAR_SILENCE);
    heard.map_or(0, |loudness| TARGET_LOUDNESS.saturating_sub(loudness).min(MOST_GAIN))
}

impl AudioRung {
    /// True for 5.1.
    #[must_use]
    pub const fn is_surround(&self) -> bool {
        self.channels == SURROUND
    }
}

/// The rungs of all tracks: first those of one or two channels, which every device plays, then those of 5.1.
pub(super) fn audio_rungs(tracks: &[SourceAudio], segment: Ratio) -> Vec<AudioRung> {
    let tracks = || (0..).zip(tracks.iter().take(MAX_SOUND_TRACKS));
    let low = tracks().map(|(track, seen)| {
        let channels = seen.channels.clamp(1, 2);
        audio_rung(track, (channels, CHANNEL_BITRATE * channels), gain(seen.loudness), segment)
    });
    let surround = tracks().filter(|(_, seen)| seen.channels >= SURROUND);
    low.chain(surround.map(|(track, seen)| {
        audio_rung(track, (SURROUND, SURROUND_BITRATE), gain(seen.surround_loudness), segment)
    }))
    .collect()
}

fn audio_rung(track: u32, (channels, bitrate): (u32, u32), gain: i32, segment: Ratio) -> AudioRung {
    let suffix = if track > 0 { format!("t{track}") } else { String::new() };
    AudioRung {
        name: RungName::new(format!("a{}{suffix}", bitrate / 1_000)).expect("two letters and few digits"),
        track,
        channels,
        sample_rate: 48_000,
        bitrate,
        gain,
        segment,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn track(channels: u32) -> SourceAudio {
        SourceAudio {
            stream: 0,
            codec: "aac".into(),
            channels,
            sample_rate: 44_100,
            start_us: 0,
            language: None,
            title: None,
            role: SoundRole::Main,
            loudness: None,
            surround_loudness: None,
        }
    }

    #[test]
    fn each_track_has_stereo_and_surround_is_kept_beside_it() {
        let rungs = audio_rungs(&[track(6), track(2), track(1), track(8)], Ratio::new(4, 1));
        let said: Vec<_> = rungs.iter().map(|r| (r.name.as_str(), r.track, r.channels)).collect();
        assert_eq!(
            said,
            [
                ("a128", 0, 2),
                ("a128t1", 1, 2),
                ("a64t2", 2, 1),
                ("a128t3", 3, 2),
                ("a320", 0, 6),
                ("a320t3", 3, 6)
            ]
        );
    }

    #[test]
    fn every_sound_is_brought_to_one_loudness_but_silence() {
        let gains = [Some(-2_300), Some(-1_600), Some(-300), Some(-4_900), Some(-5_500), Some(-7_000), None]
            .map(gain);
        assert_eq!(gains, [700, 0, -1_300, 1_500, 0, 0, 0]);
    }

    proptest! {
        #[test]
        fn names_are_apart_and_tracks_bounded(channels in prop::collection::vec(0u32..20, 0..20)) {
            let tracks: Vec<_> = channels.iter().map(|&n| track(n)).collect();
            let rungs = audio_rungs(&tracks, Ratio::new(4, 1));
            let names: std::collections::HashSet<_> = rungs.iter().map(|r| r.name.clone()).collect();
            prop_assert_eq!(names.len(), rungs.len());
            prop_assert!(rungs.len() <= 2 * MAX_SOUND_TRACKS);
            for (number, _) in (0u32..).zip(tracks.iter().take(MAX_SOUND_TRACKS)) {
                prop_assert_eq!(rungs.iter().filter(|r| r.track == number && !r.is_surround()).count(), 1);
            }
        }
    }
}
