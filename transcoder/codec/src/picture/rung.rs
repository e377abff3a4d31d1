//! One video rung on a thread of its own, behind a bounded channel: an encoder for each segment.
//!
//! An encoder begins each segment anew, or each keyframe: a segment is then the same each time it is made, whatever was made
//! before it. Rungs are what runs in parallel.

use super::encoder::{Encoder, begins_with_each_key};
use super::feed::ended_by;
use super::header::Begun;
use crate::chain::Settings;
use crate::emit::Emit;
use crate::error::CodecError;
use crate::package::{Sample, sample_data, segment};
use ffmpeg_next::{Packet, frame, picture};
use sluice_wire::codec::{CodecMessage, Track};
use sluice_wire::ladder::{SourceVideo, VideoRung};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

/// What a rung is told, in order.
pub(super) enum Step {
    /// A picture, its number, and whether a keyframe belongs there though the grid has none.
    Picture { number: u64, picture: frame::Video, key: bool },
    /// The segment's pictures are complete; the source's digest so far.
    Cut { seq: u32, source: [u8; 32] },
    /// The chunk's segments are complete.
    End(Arc<ChunkEnd>),
}

/// A chunk's end, shared by the rungs: the last that comes to it says so.
pub(super) struct ChunkEnd {
    pub(super) chunk: u32,
    pub(super) track: Track,
    pub(super) last: bool,
}

/// A rung's encoding.
pub(super) struct Rung<'e> {
    rung: VideoRung,
    emit: &'e Emit,
    settings: Settings,
    /// The encoder of the segment under way, or of what follows its last keyframe.
    encoder: Option<Encoder>,
    /// Frames by which decoding is ahead of presentation: the encoder's own figure, the same for every segment.
    depth: u32,
    /// The first picture of the segment under way.
    first: Option<u64>,
    samples: Vec<Sample>,
}

impl<'e> Rung<'e> {
    /// Sends its header, with the encoder that the first segment goes to.
    pub(super) fn new(
        pictures_and_rung: (&[VideoRung], &VideoRung),
        source: &SourceVideo,
        emit: &'e Emit,
    ) -> Result<Self, CodecError> {
        let Begun { encoder, depth, settings } = Begun::new(pictures_and_rung, source, emit)?;
        let (rung, encoder) = (pictures_and_rung.1.clone(), Some(encoder));
        Ok(Self { rung, emit, settings, encoder, depth, first: None, samples: vec![] })
    }

    /// Takes steps until the sender is gone.
    pub(super) fn run(mut self, steps: &Receiver<Step>) -> Result<(), CodecError> {
        for step in steps {
            match step {
                Step::Picture { number, picture, key } => self.push(number, picture, key)?,
                Step::Cut { seq, source } => self.cut(seq, source)?,
                Step::End(ended) => ended_by(ended, self.emit)?,
            }
        }
        Ok(())
    }

    fn push(&mut self, number: u64, mut picture: frame::Video, key: bool) -> Result<(), CodecError> {
        let first = *self.first.get_or_insert(number);
        let key = key || (number - first).is_multiple_of(u64::from(self.rung.gop_frames));
        if key && begins_with_each_key(self.rung.codec) {
            self.finish()?;
        }
        picture.set_pts(i64::try_from(number).ok());
        picture.set_kind(if key { picture::Type::I } else { picture::Type::None });
        match &mut self.encoder {
            Some(encoder) => encoder.push(&picture)?,
            None => self.encoder.insert(Encoder::open(&self.rung)?).push(&picture)?,
        }
        self.collect()
    }

    /// Ends the encoder under way, if there is one, and takes what it still has.
    fn finish(&mut self) -> Result<(), CodecError> {
        let Some(encoder) = self.encoder.as_mut().filter(|encoder| encoder.is_used()) else { return Ok(()) };
        encoder.end()?;
        self.collect()?;
        self.encoder = None;
        Ok(())
    }

    fn collect(&mut self) -> Result<(), CodecError> {
        let mut packet = Packet::empty();
        while self.encoder.as_mut().map_or(Ok(false), |encoder| encoder.pull(&mut packet))? {
            self.take(&packet)?;
        }
        Ok(())
    }

    fn take(&mut self, packet: &Packet) -> Result<(), CodecError> {
        let odd = || CodecError::Internal("a picture came back at an impossible time".into());
        let number = packet.pts().and_then(|pts| u64::try_from(pts).ok()).ok_or_else(odd)?;
        // One frame is decoded each tick of the grid, from the first on; it is shown up to `depth` ticks later.
        let decoded = self.first.ok_or_else(odd)? + self.samples.len() as u64;
        let later = (number + u64::from(self.depth)).checked_sub(decoded).ok_or_else(odd)?;
        self.samples.push(Sample {
            data: sample_data(self.rung.codec, packet.data().unwrap_or_default()),
            duration: self.rung.frame_rate.den,
            offset: u32::try_from(later * u64::from(self.rung.frame_rate.den)).map_err(|_| odd())?,
            key: packet.is_key(),
        });
        Ok(())
    }

    /// Ends the segment under way and sends it.
    fn cut(&mut self, seq: u32, source: [u8; 32]) -> Result<(), CodecError> {
        self.finish()?;
        let (samples, first) = (std::mem::take(&mut self.samples), self.first.take());
        let Some(first) = first.filter(|_| !samples.is_empty()) else { return Ok(()) };
        let start = first * u64::from(self.rung.frame_rate.den);
        let duration = samples.len() as u64 * u64::from(self.rung.frame_rate.den);
        let (bytes, keys) = segment(seq, start, &samples);
        let (rung, digest) = (self.rung.name.clone(), self.settings.name(source, seq));
        let head = CodecMessage::Segment { rung, seq, digest, start, duration, keys };
        self.emit.payload(&head, &bytes)?;
        Ok(())
    }
}
