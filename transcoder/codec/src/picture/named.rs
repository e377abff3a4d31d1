//! A video rung whose segments are named and not made: a name is of the source's packets and of the settings, so that it takes
//! no picture of the rung, only their number.

use super::graph::stride;
use super::header::Begun;
use crate::chain::Settings;
use crate::emit::Emit;
use crate::error::CodecError;
use sluice_wire::codec::CodecMessage;
use sluice_wire::ladder::{Ratio, SourceVideo, VideoRung};

/// A rung's naming.
pub(super) struct Named {
    rung: VideoRung,
    settings: Settings,
    stride: u64,
    /// The first segment that is wanted of the chunk under way; `u32::MAX` when none is.
    wanted: u32,
    /// The first picture of the segment under way, and how many it has.
    first: Option<u64>,
    pictures: u64,
}

impl Named {
    /// Sends the rung's header: its encoder is asked for that, and for no more. `full` is the rate whose ticks are counted.
    pub(super) fn new(
        (pictures, rung): (&[VideoRung], &VideoRung),
        source: &SourceVideo,
        full: Ratio,
        emit: &Emit,
    ) -> Result<Self, CodecError> {
        let Begun { settings, .. } = Begun::new((pictures, rung), source, emit)?;
        let (rung, stride) = (rung.clone(), stride(rung, full));
        Ok(Self { rung, settings, stride, wanted: u32::MAX, first: None, pictures: 0 })
    }

    /// Which rung it is.
    pub(super) const fn rung(&self) -> &VideoRung {
        &self.rung
    }

    /// A chunk begins of which segments are wanted from this one on.
    pub(super) fn begin(&mut self, wanted: u32) {
        self.wanted = wanted;
    }

    /// A tick has a picture: so has the rung, if it is one of its ticks.
    pub(super) fn show(&mut self, tick: u64, segment: u32) {
        if segment >= self.wanted && tick.is_multiple_of(self.stride) {
            self.first.get_or_insert(tick / self.stride);
            self.pictures += 1;
        }
    }

    /// Ends the segment under way and sends its name, with the source's digest so far.
    pub(super) fn cut(&mut self, seq: u32, source: [u8; 32], emit: &Emit) -> Result<(), CodecError> {
        let (first, pictures) = (self.first.take(), std::mem::take(&mut self.pictures));
        let Some(first) = first else { return Ok(()) };
        let each = u64::from(self.rung.frame_rate.den);
        let (rung, digest) = (self.rung.name.clone(), self.settings.name(source, seq));
        let (start, duration) = (first * each, pictures * each);
        Ok(emit.message(&CodecMessage::Named { rung, seq, digest, start, duration })?)
    }
}
