//! A rung's bit rates, of the sizes of its segments. Pure.

use crate::publish::Plan;
use sluice_storage::SegmentSize;
use sluice_wire::RungName;
use sluice_wire::ladder::VideoRung;

/// The peak and the average of a rung in bit/s (RFC 8216 section 4.3.4.2): as measured, or while a segment of it was never made
/// the most that it may need by its plan.
pub(crate) fn rates(sizes: &[SegmentSize], timescale: u32, planned: Option<&VideoRung>) -> (u64, u64) {
    match planned.filter(|_| !are_known(sizes)) {
        Some(rung) => (rung.peak_bitrate(), rung.max_bitrate.into()),
        None => measured(sizes, timescale),
    }
}

/// True when each segment was made at some time.
pub(crate) fn are_known(sizes: &[SegmentSize]) -> bool {
    sizes.iter().all(|size| size.bytes > 0)
}

/// A picture's rung, as a video's plan has it.
pub(crate) fn planned(plan: Option<serde_json::Value>, rung: &RungName) -> Option<VideoRung> {
    let plan = serde_json::from_value::<Plan>(plan?).ok()?;
    plan.ladder.pictures().find(|picture| picture.name == *rung).cloned()
}

/// The last segment may be a few frames: its rate says nothing.
fn measured(sizes: &[SegmentSize], timescale: u32) -> (u64, u64) {
    let rate = |bytes: u64, ticks: u64| bytes * 8 * u64::from(timescale) / ticks.max(1);
    let whole = sizes.iter().map(|s| s.duration).max().unwrap_or(0) / 2;
    let peak = sizes.iter().filter(|s| s.duration >= whole).map(|s| rate(s.bytes, s.duration)).max();
    let (bytes, ticks) = sizes.iter().fold((0, 0), |sum, s| (sum.0 + s.bytes, sum.1 + s.duration));
    (peak.unwrap_or(0), if ticks == 0 { 0 } else { rate(bytes, ticks) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_wire::ladder::{Ratio, VideoCodec, VideoRange};

    #[test]
    fn what_was_never_made_counts_as_the_most_it_may_need() {
        let rung = VideoRung {
            name: RungName::new("v720").unwrap(),
            width: 1_280,
            height: 720,
            frame_rate: Ratio::new(25, 1),
            gop_frames: 50,
            segment_frames: 100,
            max_bitrate: 3_200_000,
            crf: 23,
            codec: VideoCodec::H264,
            range: VideoRange::Sdr,
        };
        let of = |bytes: &[u64]| {
            let sizes: Vec<_> = bytes.iter().map(|&bytes| SegmentSize { bytes, duration: 100 }).collect();
            rates(&sizes, 25, Some(&rung))
        };
        assert_eq!(of(&[1_000, 3_000]), (6_000, 4_000));
        assert_eq!(of(&[1_000, 0]), (4_400_000, 3_200_000));
    }
}
