//! The rungs' threads, seen from where pictures come from: each takes steps through a bounded channel.

use super::family::pictures;
use super::graph::stride;
use super::rung::{ChunkEnd, Rung, Step};
use crate::emit::Emit;
use crate::error::CodecError;
use sluice_wire::codec::CodecMessage;
use sluice_wire::ladder::{Ladder, Ratio, SourceVideo, VideoRung};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

/// Pictures waiting for a rung's encoder: a third of a second, so that one slow rung does not idle the others.
const WAITING: usize = 10;
pub(super) type Handle<'s> = ScopedJoinHandle<'s, Result<(), CodecError>>;

/// A rung's thread, seen from the sender.
pub(super) struct Feed {
    steps: SyncSender<Step>,
    pub(super) stride: u64,
    /// Where its pictures come out.
    pub(super) output: usize,
    /// The first segment that is wanted of the chunk under way; `u32::MAX` when none is.
    pub(super) wanted: u32,
}

impl Feed {
    pub(super) fn send(&self, step: Step) -> Result<(), CodecError> {
        let gone = |_| CodecError::Internal("a rung ended before its pictures".into());
        self.steps.send(step).map_err(gone)
    }
}

/// Says that a chunk is done, if this was the last to do its part of it.
pub(super) fn ended_by(ended: Arc<ChunkEnd>, emit: &Emit) -> Result<(), CodecError> {
    let Some(ChunkEnd { chunk, track, last }) = Arc::into_inner(ended) else { return Ok(()) };
    Ok(emit.message(&CodecMessage::Chunk { chunk, track, last })?)
}

/// Starts a thread for each rung, whose pictures come out at these places.
pub(super) fn start_rungs<'s>(
    scope: &'s Scope<'s, '_>,
    ladder: &Ladder,
    (rungs, places): (&[VideoRung], &[usize]),
    (full, seen): (Ratio, &'s SourceVideo),
    emit: &'s Emit,
) -> Result<(Vec<Feed>, Vec<Handle<'s>>), CodecError> {
    let (mut feeds, mut threads) = (vec![], vec![]);
    for (rung, &output) in rungs.iter().zip(places) {
        let (steps, received) = sync_channel(WAITING);
        let encode = Rung::new((&pictures(ladder, rung.range), rung), seen, emit)?;
        threads.push(scope.spawn(move || encode.run(&received)));
        feeds.push(Feed { steps, stride: stride(rung, full), output, wanted: u32::MAX });
    }
    Ok((feeds, threads))
}
