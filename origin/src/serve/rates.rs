//! What a rung's segments say: how far they reach without a gap, and the bit rates measured of them.

use sluice_storage::{Rendition, SegmentRow};
use sluice_wire::codec::Key;

/// The segments from the first on without a gap: rows may be committed in any order.
pub(super) fn run(segments: &[SegmentRow]) -> &[SegmentRow] {
    let gap = segments.iter().zip(0..).position(|(row, seq): (_, u32)| row.seq != seq);
    segments.split_at(gap.unwrap_or(segments.len())).0
}

/// Something that is sent in one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// Its size in bytes.
    pub(super) bytes: u64,
    /// How long it lasts, in ticks.
    pub(super) ticks: u64,
}

/// True when each segment was made at some time: of others neither size nor keyframes are known.
pub(super) fn are_made(segments: &[SegmentRow]) -> bool {
    segments.iter().all(SegmentRow::is_made)
}

/// A rung's segments as pieces.
fn whole(segments: &[SegmentRow]) -> Vec<Piece> {
    segments.iter().map(|row| Piece { bytes: row.bytes, ticks: row.duration }).collect()
}

/// Keyframes as pieces: each lasts until the next.
pub(super) fn keyframes(keys: impl Iterator<Item = Key>) -> Vec<Piece> {
    keys.map(|key| Piece { bytes: key.bytes.into(), ticks: key.duration.into() }).collect()
}

/// Bit rates in bit/s, rounded up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Rates {
    /// The largest of any contiguous pieces that last between half and one and a half target durations
    /// (RFC 8216bis section 4.4.6.2); the average where there are none.
    pub(super) peak: u64,
    /// Of all pieces.
    pub(super) average: u64,
}

impl Rates {
    /// Of a rung that is served so: measured of its segments; while one of them was never made, what its row says, which is the
    /// most that it may need.
    pub(super) fn of_rung(rendition: &Rendition, segments: &[SegmentRow], target: u64) -> Self {
        if are_made(segments) {
            Self::of(&whole(segments), rendition.timescale, target)
        } else {
            Self { peak: rendition.bandwidth, average: rendition.average_bandwidth }
        }
    }

    /// Measures. `target` is the target duration in seconds.
    pub(super) fn of(pieces: &[Piece], timescale: u32, target: u64) -> Self {
        let rate = |bytes: u64, ticks: u64| {
            (u128::from(bytes) * 8 * u128::from(timescale)).div_ceil(u128::from(ticks.max(1))) as u64
        };
        let all = pieces.iter().fold((0, 0), |sum, p| (sum.0 + p.bytes, sum.1 + p.ticks));
        let average = rate(all.0, all.1);
        let (twice, target) = (2, target * u64::from(timescale));
        let from = |first: usize| {
            let sums = pieces.iter().skip(first).scan((0, 0), |sum, p| {
                *sum = (sum.0 + p.bytes, sum.1 + p.ticks);
                Some(*sum)
            });
            // A piece that lasts no time would make sums without end.
            sums.take_while(|sum| sum.1 * twice <= 3 * target)
                .take(MOST_PIECES)
                .filter(|sum| sum.1 * twice >= target)
                .map(|sum| rate(sum.0, sum.1))
                .max()
        };
        Self { peak: (0..pieces.len()).filter_map(from).max().unwrap_or(average), average }
    }
}

/// The most pieces that are looked at together: a target duration has two or three.
const MOST_PIECES: usize = 16;

#[cfg(test)]
mod tests {
    use super::super::playlist::tests::rendition;
    use super::*;
    use proptest::prelude::*;
    use sluice_wire::{Digest, RungName, VideoId};

    fn piece(bytes: u64, ticks: u64) -> Piece {
        Piece { bytes, ticks }
    }

    fn row(seq: u32) -> SegmentRow {
        SegmentRow {
            video: VideoId::from_parts(1_800_000_000_000, 1),
            rung: RungName::new("v480").unwrap(),
            seq,
            start: 0,
            duration: 1,
            bytes: 1,
            sha256: String::new(),
            digest: Digest([0; 16]),
            keys: vec![],
        }
    }

    #[test]
    fn a_peak_is_of_about_one_target_duration() {
        let calm = [piece(1_000, 4_000), piece(3_000, 4_000), piece(500, 300)];
        // The end's 0.3 s alone are no peak (13 kbit/s), with what is before them they are.
        assert_eq!(Rates::of(&calm, 1_000, 4), Rates { peak: 6_512, average: 4_338 });
        let short = [piece(500, 300)];
        assert_eq!(Rates::of(&short, 1_000, 4), Rates { peak: 13_334, average: 13_334 });
        assert_eq!(Rates::of(&[], 1_000, 4), Rates::default());
    }

    #[test]
    fn what_was_never_made_is_what_its_row_says() {
        let rung =
            Rendition { bandwidth: 9_000, average_bandwidth: 7_000, ..rendition("v480", (852, 480), true) };
        let mut rows = vec![row(0), row(1)];
        assert_ne!(Rates::of_rung(&rung, &rows, 4), Rates { peak: 9_000, average: 7_000 });
        rows[1].bytes = 0;
        assert_eq!(Rates::of_rung(&rung, &rows, 4), Rates { peak: 9_000, average: 7_000 });
    }

    #[test]
    fn a_run_ends_at_the_first_gap() {
        let seqs = |all: &[u32]| run(&all.iter().map(|&seq| row(seq)).collect::<Vec<_>>()).len();
        assert_eq!([seqs(&[]), seqs(&[1, 2]), seqs(&[0, 1, 3]), seqs(&[0, 1, 2])], [0, 0, 2, 3]);
    }

    proptest! {
        #[test]
        fn no_peak_is_below_the_average_of_whole_segments(sizes in prop::collection::vec(1u64..1 << 30, 1..40)) {
            let pieces: Vec<_> = sizes.iter().map(|&bytes| piece(bytes, 120_120)).collect();
            let rates = Rates::of(&pieces, 30_000, 4);
            prop_assert!(rates.peak >= rates.average);
            prop_assert!(rates.average > 0);
        }
    }
}
