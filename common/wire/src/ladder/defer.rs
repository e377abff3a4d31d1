//! Rungs that are made when they are first asked for: which of a ladder's they are. Pure.

use super::{Ladder, Source, VideoRung};
use crate::media::RungName;

/// What an encoder may have put aside when a segment begins, in milliseconds at its cap: its buffer is that long.
const BUFFER_MS: u64 = 1_500;

impl Ladder {
    /// With the pictures whose short side has at least so many pixels put off until somebody asks for them; none of them for
    /// `None`. The lowest rung is always made, and so is all of a source without an index: a chunk of that is found by reading
    /// everything before it, which is too long for who asks.
    #[must_use]
    pub fn put_off(self, source: &Source, side: Option<u32>) -> Self {
        let Some(side) = side.filter(|_| source.indexed) else { return self };
        let large = |rung: &&VideoRung| rung.width.min(rung.height) >= side;
        let deferred = self.pictures().skip(1).filter(large).map(|rung| rung.name.clone()).collect();
        Self { deferred, ..self }
    }

    /// True for a rung that is made when it is first asked for.
    #[must_use]
    pub fn is_deferred(&self, rung: &RungName) -> bool {
        self.deferred.contains(rung)
    }
}

impl VideoRung {
    /// The most that a whole segment may need, in bit/s: the cap, and a full buffer beside it.
    #[must_use]
    pub fn peak_bitrate(&self) -> u64 {
        let (cap, ms) = (u64::from(self.max_bitrate), self.segment_ticks() * 1_000);
        let buffer = cap * BUFFER_MS * u64::from(self.frame_rate.num) / ms.max(1);
        cap + buffer
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Ratio, VideoCodec, plan_with, tests::video};
    use super::*;
    use proptest::prelude::*;

    fn source(width: u32, height: u32, indexed: bool) -> Source {
        let video = Some(video(width, height, Ratio::new(25, 1)));
        let (container, audio) = ("mov".into(), vec![]);
        Source { container, duration_ms: 0, zero_us: 0, indexed, video, audio }
    }

    fn deferred(source: &Source, codecs: &[VideoCodec], side: Option<u32>) -> Vec<String> {
        let ladder = plan_with(source, codecs).put_off(source, side);
        ladder.deferred.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn large_rungs_of_every_codec_wait_for_somebody() {
        let film = source(1920, 1080, true);
        assert_eq!(deferred(&film, &[], Some(1_080)), ["v1080"]);
        assert_eq!(deferred(&film, &[VideoCodec::Hevc], Some(720)), ["v720", "v1080", "hevc720", "hevc1080"]);
        assert_eq!(deferred(&source(1080, 1920, true), &[], Some(1_080)), ["v1080"], "held upright");
        assert_eq!(deferred(&film, &[], Some(1_081)), [""; 0]);
        assert_eq!(deferred(&film, &[], None), [""; 0]);
        assert_eq!(deferred(&source(1920, 1080, false), &[], Some(1_080)), [""; 0], "no index");
    }

    #[test]
    fn ladders_without_such_rungs_read_as_before() {
        let film = source(1280, 720, true);
        let (all, some) = (plan_with(&film, &[]), plan_with(&film, &[]).put_off(&film, Some(720)));
        let text = serde_json::to_string(&all).unwrap();
        assert!(!text.contains("deferred"), "{text}");
        assert_eq!(serde_json::from_str::<Ladder>(&text).unwrap(), all);
        let text = serde_json::to_string(&some).unwrap();
        assert_eq!(serde_json::from_str::<Ladder>(&text).unwrap(), some);
        assert_ne!(all, some, "another policy is another plan");
        assert!(some.is_deferred(&some.video[2].name) && !some.is_deferred(&some.video[0].name));
    }

    #[test]
    fn a_peak_is_the_cap_and_a_full_buffer() {
        let top = plan_with(&source(1920, 1080, true), &[]).video.pop().unwrap();
        // 1.5 s at the cap, over the four that a segment lasts.
        assert_eq!(top.peak_bitrate(), u64::from(top.max_bitrate) * 11 / 8);
    }

    proptest! {
        #[test]
        fn what_a_video_begins_with_is_always_made(w in 2u32..8192, h in 2u32..8192, side in 0u32..3_000) {
            let film = source(w, h, true);
            let ladder = plan_with(&film, &VideoCodec::ALL).put_off(&film, Some(side));
            prop_assert!(ladder.first().all(|name| !ladder.is_deferred(name)));
            prop_assert!(ladder.deferred.iter().all(|name| ladder.others().any(|other| other == name)));
        }
    }
}
