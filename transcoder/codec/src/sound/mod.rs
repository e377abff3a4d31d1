//! Sound: each track decoded once, converted for each of its rungs, laid on the time line (silence in gaps, nothing before
//! zero), encoded, cut on the grid.
//!
//! - `track` is a source's track on a thread of its own, with its own reader: packets to decoded sound
//! - `lane` is the way from decoded sound to one rung's segments: `convert`, `line`, `limit`, `encode`; `place` says where
//!   it lies
//!
//! A track's rungs are made by its thread, one after another: all of them together take a fraction of what pictures do.

mod convert;
mod encode;
mod lane;
mod limit;
mod line;
mod place;
mod track;

pub(crate) use convert::Convert;

use crate::emit::Emit;
use crate::error::CodecError;
use crate::source::Supply;
use crate::work::{Ended, Work};
use sluice_wire::codec::{CodecMessage, EncodeRequest, Track};
use sluice_wire::ladder::AudioRung;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::scope;
use track::Sounds;

/// Makes the sound's part of a request. `None` when it has none.
pub(crate) fn run(
    supply: &Arc<Supply>,
    request: &EncodeRequest,
    emit: &Emit,
) -> Result<Option<Ended>, CodecError> {
    let work = Work::new(request, Track::Sound);
    let mut tracks: BTreeMap<u32, Vec<&AudioRung>> = BTreeMap::new();
    for rung in request.ladder.audio.iter().filter(|rung| work.names(&rung.name)) {
        tracks.entry(rung.track).or_default().push(rung);
    }
    if tracks.is_empty() {
        return Ok(None);
    }
    let ends = Ends::new(tracks.len(), work.first());
    scope(|scope| {
        let threads: Vec<_> = (tracks.into_iter())
            .map(|(track, rungs)| {
                let (work, ends) = (&work, &ends);
                scope.spawn(move || {
                    Sounds::open(supply, request, (track, &rungs), work, emit)?.run(work, ends)
                })
            })
            .collect();
        let died = |_| Err(CodecError::Internal("a sound track's thread died".into()));
        let ended: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap_or_else(died)).collect();
        ended.into_iter().try_fold(Ended::default(), |all, one| Ok(all.and(one?))).map(Some)
    })
}

/// Which chunks all tracks have come to the end of.
struct Ends(Mutex<Open>);

#[derive(Debug)]
struct Open {
    tracks: usize,
    /// The first chunk that is not said to be done.
    next: u32,
    /// How many tracks have done each chunk from there on.
    done: BTreeMap<u32, usize>,
    /// Of each track that has ended the last chunk.
    ended: Vec<u32>,
}

impl Ends {
    const fn new(tracks: usize, next: u32) -> Self {
        Self(Mutex::new(Open { tracks, next, done: BTreeMap::new(), ended: vec![] }))
    }

    /// A track has done a chunk, and with `last` all of them. What all have done is said.
    fn done(&self, chunk: u32, last: bool, emit: &Emit) -> Result<(), CodecError> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (chunk, last) in open.done(chunk, last) {
            emit.message(&CodecMessage::Chunk { chunk, track: Track::Sound, last })?;
        }
        Ok(())
    }
}

impl Open {
    fn done(&mut self, chunk: u32, last: bool) -> Vec<(u32, bool)> {
        *self.done.entry(chunk).or_default() += 1;
        self.ended.extend(last.then_some(chunk));
        let mut said = vec![];
        while let Some(done) = self.done.get(&self.next) {
            let before = self.ended.iter().filter(|ended| **ended < self.next).count();
            if done + before < self.tracks {
                break;
            }
            let all = self.ended.iter().filter(|ended| **ended <= self.next).count() == self.tracks;
            said.push((self.next, all));
            self.done.remove(&self.next);
            self.next += 1;
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_done_when_all_tracks_have_done_it_or_have_ended() {
        let mut open = Open { tracks: 2, next: 3, done: BTreeMap::new(), ended: vec![] };
        assert_eq!(open.done(3, false), []);
        assert_eq!(open.done(4, false), []);
        assert_eq!(open.done(3, true), [(3, false), (4, false)], "the other track ends in its first chunk");
        assert_eq!(open.done(5, true), [(5, true)]);
    }
}
