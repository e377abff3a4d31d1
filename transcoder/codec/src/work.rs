//! What a request asks of one track.

use sluice_wire::RungName;
use sluice_wire::codec::{EncodeRequest, Track};
use sluice_wire::limits::CHUNK_SEGMENTS;
use std::collections::BTreeMap;

/// How a track's part of a request ended.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    /// Where the last of it ends, in microseconds.
    pub(crate) end_us: i64,
    /// Pieces that were left out.
    pub(crate) damaged: u64,
    /// Why the source could not be read to its end.
    pub(crate) broken: Option<String>,
}

/// The chunks of a request, seen from one track.
#[derive(Debug)]
pub(crate) struct Work {
    /// For each chunk and rung of the track the first segment that is wanted.
    wanted: BTreeMap<u32, BTreeMap<RungName, u32>>,
    onward: bool,
}

impl Ended {
    /// Of two that ran side by side.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            end_us: self.end_us.max(other.end_us),
            damaged: self.damaged + other.damaged,
            broken: self.broken.or(other.broken),
        }
    }
}

impl Work {
    pub(crate) fn new(request: &EncodeRequest, track: Track) -> Self {
        let of_track = |name: &RungName| match track {
            Track::Picture => request.ladder.pictures().any(|rung| rung.name == *name),
            Track::Sound => request.ladder.audio.iter().any(|rung| rung.name == *name),
        };
        let mut wanted: BTreeMap<u32, BTreeMap<RungName, u32>> = BTreeMap::new();
        for work in &request.chunks {
            let rungs = work.rungs.iter().filter(|(name, _)| of_track(name)).cloned();
            wanted.entry(work.chunk).or_default().extend(rungs);
        }
        Self { wanted, onward: request.onward }
    }

    /// True when a rung is made in any of the chunks.
    pub(crate) fn names(&self, rung: &RungName) -> bool {
        self.wanted.values().any(|rungs| rungs.contains_key(rung))
    }

    /// The first chunk.
    pub(crate) fn first(&self) -> u32 {
        self.wanted.keys().next().copied().unwrap_or(0)
    }

    /// The chunks in order; without an end when it goes on.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = u32> + use<> {
        let end = self.wanted.keys().next_back().map_or(0, |last| last + 1);
        self.first()..if self.onward { u32::MAX / CHUNK_SEGMENTS } else { end }
    }

    /// The first segment of a rung that is wanted in a chunk; `u32::MAX` when none is.
    pub(crate) fn wanted(&self, chunk: u32, rung: &RungName) -> u32 {
        let last = || self.wanted.values().next_back().filter(|_| self.onward);
        let rungs = self.wanted.get(&chunk).or_else(last);
        rungs.and_then(|rungs| rungs.get(rung)).map_or(u32::MAX, |seq| *seq.max(&(chunk * CHUNK_SEGMENTS)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_wire::codec::ChunkWork;
    use sluice_wire::ladder::{AudioRung, Ladder, Ratio, Source};

    #[test]
    fn what_is_stored_is_not_wanted_again_however_far_it_goes() {
        let name = |text: &str| RungName::new(text).unwrap();
        let (channels, sample_rate, bitrate, segment) = (1, 48_000, 64_000, Ratio::new(4, 1));
        let audio =
            AudioRung { name: name("a64"), track: 0, channels, sample_rate, bitrate, gain: 0, segment };
        let request = EncodeRequest {
            source: Source {
                container: "mov".into(),
                duration_ms: 0,
                zero_us: 0,
                indexed: true,
                video: None,
                audio: vec![],
            },
            ladder: Ladder { video: vec![], beside: vec![], audio: vec![audio], deferred: vec![] },
            chunks: vec![ChunkWork { chunk: 1, rungs: vec![(name("a64"), 10), (name("v240"), 5)] }],
            named: vec![],
            onward: true,
            poster: false,
        };
        let work = Work::new(&request, Track::Sound);
        assert!(work.names(&name("a64")) && !work.names(&name("v240")));
        let wanted: Vec<u32> = work.chunks().take(3).map(|chunk| work.wanted(chunk, &name("a64"))).collect();
        assert_eq!((work.first(), wanted), (1, vec![10, 10, 12]));
        assert_eq!(work.wanted(1, &name("v240")), u32::MAX);
    }
}
