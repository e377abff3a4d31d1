//! The pictures that rungs are encoded from: one for each range and size, whichever codecs share it. Pure.

use sluice_wire::ladder::{Ladder, VideoRange, VideoRung};

/// The pictures of one range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Family {
    pub(super) range: VideoRange,
    /// A rung for each size of the ladder, from the lowest to the highest.
    pub(super) all: Vec<VideoRung>,
    /// Those of them of which pictures are made.
    pub(super) made: Vec<VideoRung>,
}

/// The families of a ladder of which these rungs need pictures, those for every screen first.
pub(super) fn families(ladder: &Ladder, rungs: &[VideoRung]) -> Vec<Family> {
    let mut families: Vec<Family> = vec![];
    let mut ranges: Vec<VideoRange> = rungs.iter().map(|rung| rung.range).collect();
    ranges.sort_unstable();
    ranges.dedup();
    for range in ranges {
        let all = pictures(ladder, range);
        let is_made = |picture: &&VideoRung| rungs.iter().any(|rung| is_of(rung, picture));
        let made = all.iter().filter(is_made).cloned().collect();
        families.push(Family { range, all, made });
    }
    families
}

/// A rung for each size of a range, from the lowest to the highest: where there is one, that of H.264.
pub(super) fn pictures(ladder: &Ladder, range: VideoRange) -> Vec<VideoRung> {
    let mut all: Vec<VideoRung> = vec![];
    for rung in ladder.pictures().filter(|rung| rung.range == range) {
        if !all.iter().any(|picture| is_of(rung, picture)) {
            all.push(rung.clone());
        }
    }
    all.sort_by_key(|rung| u64::from(rung.width) * u64::from(rung.height));
    all
}

/// True when a rung is encoded from such pictures.
pub(super) fn is_of(rung: &VideoRung, picture: &VideoRung) -> bool {
    let kind = |r: &VideoRung| (r.range, r.width, r.height, r.frame_rate);
    kind(rung) == kind(picture)
}

/// Where the pictures of a rung come out, counted over all families, in each from the highest.
pub(super) fn output(families: &[Family], rung: &VideoRung) -> Option<usize> {
    families.iter().flat_map(|family| family.made.iter().rev()).position(|picture| is_of(rung, picture))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_wire::ladder::{Ratio, Source, SourceVideo, VideoCodec, plan_with};

    fn ladder(range: VideoRange) -> Ladder {
        let video = SourceVideo {
            stream: 0,
            codec: "hevc".into(),
            width: 1280,
            height: 720,
            quarter_turns: 0,
            mirrored: false,
            frame_rate: Ratio::new(25, 1),
            interlaced: false,
            hdr: !range.is_sdr(),
            range,
        };
        let (container, audio) = ("mov".into(), vec![]);
        let source =
            Source { container, duration_ms: 0, zero_us: 0, indexed: true, video: Some(video), audio };
        plan_with(&source, &VideoCodec::ALL)
    }

    fn names(rungs: &[VideoRung]) -> Vec<&str> {
        rungs.iter().map(|rung| rung.name.as_str()).collect()
    }

    #[test]
    fn codecs_share_the_pictures_of_h264() {
        let ladder = ladder(VideoRange::Sdr);
        let rungs: Vec<_> = ladder.pictures().filter(|rung| rung.height >= 480).cloned().collect();
        let all = families(&ladder, &rungs);
        assert_eq!(all.len(), 1);
        assert_eq!(names(&all[0].all), ["v240", "v480", "v720"]);
        assert_eq!(names(&all[0].made), ["v480", "v720"]);
        let outputs: Vec<_> = rungs.iter().map(|rung| output(&all, rung)).collect();
        assert_eq!(outputs, [1, 0, 1, 0, 1, 0].map(Some));
        assert_eq!(output(&all, &ladder.video[0]), None);
    }

    #[test]
    fn bright_pictures_are_a_family_of_their_own() {
        let ladder = ladder(VideoRange::Pq);
        let rungs: Vec<_> = ladder.pictures().skip(1).cloned().collect();
        let all = families(&ladder, &rungs);
        let said: Vec<_> = all.iter().map(|family| (family.range, names(&family.made))).collect();
        assert_eq!(
            said,
            [
                (VideoRange::Sdr, vec!["v480", "v720"]),
                (VideoRange::Pq, vec!["hevc240", "hevc480", "hevc720"])
            ]
        );
        assert_eq!(
            output(&all, &ladder.beside[5]),
            Some(2),
            "av1x720 is encoded from the pictures of hevc720"
        );
    }
}
