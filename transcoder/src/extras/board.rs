//! Which keyframes become tiles of a storyboard. Pure.

use sluice_storage::{Rendition, SegmentRow, Storyboard};
use sluice_wire::ObjectKey;
use sluice_wire::codec::SheetWork;
use sluice_wire::limits::MAX_TILES;

/// Tiles in a row, and rows of a sheet.
pub(super) const SIDE: u32 = 10;
/// Pixels of a tile's height, and the most of its width.
const TILE: (u32, u32) = (90, 320);
/// The least time between two tiles: the distance of keyframes.
const LEAST_MS: u64 = 2_000;

/// Which keyframes become tiles.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) work: SheetWork,
    pub(super) board: Storyboard,
    /// Objects and the bytes of fragments in them.
    pub(super) fragments: Vec<(ObjectKey, u64, u64)>,
}

impl Plan {
    /// One tile for each interval: the keyframe that is shown when it begins. `None` without keyframes.
    pub(super) fn of(rung: &Rendition, segments: &[SegmentRow], duration_ms: u64) -> Option<Self> {
        let interval_ms = duration_ms.div_ceil(u64::from(MAX_TILES)).div_ceil(500).max(LEAST_MS / 500) * 500;
        let scale = u64::from(rung.timescale.max(1));
        let (mut fragments, mut next_ms) = (vec![], 0);
        for row in segments {
            let mut at = row.start;
            let ends = row.keys.iter().skip(1).map(|key| u64::from(key.offset)).chain([row.bytes]);
            for (key, end) in row.keys.iter().zip(ends) {
                let until_ms = (at + u64::from(key.duration)) * 1_000 / scale;
                let object = || ObjectKey::Segment(row.video, row.rung.clone(), row.seq, row.digest);
                // Keyframes farther apart than the interval are shown for several of them.
                while next_ms < until_ms && fragments.len() < MAX_TILES as usize {
                    fragments.push((object(), u64::from(key.offset), end));
                    next_ms += interval_ms;
                }
                at += u64::from(key.duration);
            }
        }
        let count = u32::try_from(fragments.len()).ok().filter(|count| *count > 0)?;
        let width = (rung.width * TILE.0).div_ceil(rung.height.max(1)).clamp(2, TILE.1) & !1;
        let (columns, rows) = (SIDE.min(count), SIDE.min(count.div_ceil(SIDE)));
        let (height, sheets) = (TILE.0, vec![]);
        Some(Self {
            work: SheetWork { width, height, columns, rows },
            board: Storyboard { interval_ms, width, height, columns, rows, count, bytes: 0, sheets },
            fragments,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_storage::RenditionKind;
    use sluice_wire::codec::Key;
    use sluice_wire::{Digest, RungName, VideoId};

    fn rung(width: u32, height: u32) -> Rendition {
        Rendition {
            video: VideoId::from_parts(1_800_000_000_000, 1),
            rung: RungName::new("v240").unwrap(),
            kind: RenditionKind::Video,
            codecs: String::new(),
            width,
            height,
            frame_rate_num: 25,
            frame_rate_den: 1,
            bandwidth: 0,
            average_bandwidth: 0,
            timescale: 1_000,
            init_bytes: 0,
            init: Digest([0; 16]),
            ended: true,
        }
    }

    fn segment(seq: u32) -> SegmentRow {
        let key = |offset| Key { offset, bytes: 10, duration: 2_000 };
        let rung = rung(426, 240);
        SegmentRow {
            video: rung.video,
            rung: rung.rung,
            seq,
            start: u64::from(seq) * 4_000,
            duration: 4_000,
            bytes: 100,
            sha256: String::new(),
            digest: Digest([seq as u8; 16]),
            keys: vec![key(24), key(60)],
        }
    }

    #[test]
    fn tiles_are_few_and_span_the_film() {
        for segments in (1..200).chain([900, 2_999]) {
            let rows: Vec<_> = (0..segments).map(segment).collect();
            let length = u64::from(segments) * 4_000;
            let plan = Plan::of(&rung(426, 240), &rows, length).unwrap();
            assert!(plan.board.count <= MAX_TILES && plan.board.count as usize == plan.fragments.len());
            let covered = u64::from(plan.board.count) * plan.board.interval_ms;
            assert!(covered >= length && covered < length + plan.board.interval_ms, "{covered} of {length}");
            let ranges = plan.fragments.iter().map(|(_, from, to)| (*from, *to));
            assert!(ranges.into_iter().all(|range| range == (24, 60) || range == (60, 100)));
            let held = plan.work.columns * plan.work.rows;
            assert!(plan.board.count <= held * 3 && held <= SIDE * SIDE);
        }
    }

    #[test]
    fn tiles_keep_the_pictures_shape() {
        let of = |w, h| Plan::of(&rung(w, h), &[segment(0)], 4_000).unwrap().work;
        assert_eq!((of(426, 240).width, of(426, 240).height), (160, 90));
        assert_eq!(of(240, 426).width, 50);
        assert_eq!(of(4_000, 100).width, 320);
        assert!(Plan::of(&rung(426, 240), &[], 0).is_none());
    }
}
