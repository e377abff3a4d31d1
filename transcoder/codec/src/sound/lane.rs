//! From decoded sound to one rung's segments.

use super::convert::Convert;
use super::encode::{Encode, FRAME};
use super::limit::Limit;
use super::line::Line;
use super::place;
use crate::chain::Settings;
use crate::clock::MICROS;
use crate::emit::Emit;
use crate::error::CodecError;
use crate::work::Work;
use ffmpeg_next::{Rational, Rescale, frame};
use sluice_wire::ladder::AudioRung;

/// How far sound may be from its stamp before it is moved there, in microseconds: below what anyone notices between lips
/// and voice, above what containers round.
const TOLERANCE: i64 = 20_000;

/// A rung's way from decoded sound to segments.
pub(super) struct Lane<'e> {
    rung: &'e AudioRung,
    emit: &'e Emit,
    settings: Settings,
    convert: Option<Convert>,
    line: Line,
    limit: Limit,
    /// The chunk's encoder, kept for a next chunk that cannot be begun anew.
    encode: Option<Encode<'e>>,
    /// When the track's first sound is, in microseconds.
    base: i64,
    /// Where the next sound belongs if it follows the last without a gap, in microseconds.
    expected: Option<i64>,
    /// Pieces that could not be converted.
    damaged: u64,
}

impl<'e> Lane<'e> {
    pub(super) fn new(rung: &'e AudioRung, settings: Settings, base: i64, emit: &'e Emit) -> Self {
        let line = Line::new(rung.channels as usize, FRAME as usize, 0);
        let limit = Limit::new(rung.channels as usize, rung.gain);
        Self {
            rung,
            emit,
            settings,
            convert: None,
            line,
            limit,
            encode: None,
            base,
            expected: None,
            damaged: 0,
        }
    }

    /// Begins a chunk: with everything new, or where the last one ended.
    pub(super) fn begin(&mut self, anew: bool, chunk: u32, work: &Work) -> Result<(), CodecError> {
        let wanted = work.wanted(chunk, &self.rung.name);
        if let Some(encode) = self.encode.take().filter(|_| !anew) {
            self.encode = Some(encode.go_on(wanted));
            return Ok(());
        }
        let encode = Encode::new(self.rung, &self.settings, chunk, wanted, self.emit)?;
        self.convert = None;
        self.expected = None;
        self.line = Line::new(self.rung.channels as usize, FRAME as usize, encode.from());
        self.limit = Limit::new(self.rung.channels as usize, self.rung.gain);
        self.encode = Some(encode);
        Ok(())
    }

    /// True when the chunk has all of its segments.
    pub(super) fn is_done(&self) -> bool {
        self.encode.as_ref().is_none_or(Encode::is_done)
    }

    /// Pieces that could not be converted.
    pub(super) const fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Takes a decoded frame without a stamp of its own; says where it belongs. `source` is the digest of what was decoded so
    /// far.
    pub(super) fn push(
        &mut self,
        stamp: Option<i64>,
        duration: i64,
        sound: &frame::Audio,
        source: [u8; 32],
    ) -> Result<i64, CodecError> {
        let at = stamp.or(self.expected).unwrap_or(0);
        let in_place = self.expected.is_some_and(|e| (at - e).abs() <= TOLERANCE);
        let fits = self.convert.as_ref().is_some_and(|c| c.fits(sound));
        if !in_place || !fits {
            self.begin_at(at, sound, source)?;
        }
        // Where it really lies, not where its stamp says: small errors must not add up unseen.
        self.expected = Some(self.expected.unwrap_or(at) + duration);
        if let Some(convert) = &mut self.convert
            && convert.push(sound).is_err()
        {
            self.damaged += 1;
            self.expected = None;
        }
        self.take(source)?;
        Ok(at)
    }

    /// Ends the sound: silence up to a time, or to the chunk's end.
    pub(super) fn finish(&mut self, until: i64, border: i64, source: [u8; 32]) -> Result<(), CodecError> {
        self.drain(source)?;
        // Frames more than the chunk needs, so that limiter and encoder give back its last.
        let most = self.samples(border) + 6 * i64::from(FRAME);
        let gap = self.line.seek(self.samples(until).min(most));
        self.silence(gap, source)?;
        let missing = self.line.missing();
        self.silence(missing, source)?;
        for frame in self.limit.finish() {
            match self.encode.as_mut().filter(|encode| !encode.is_done()) {
                Some(encode) => encode.push(&frame, source)?,
                None => return Ok(()),
            }
        }
        match self.encode.as_mut().filter(|encode| !encode.is_done()) {
            Some(encode) => encode.finish(source),
            None => Ok(()),
        }
    }

    /// Begins a stretch of sound at a time: what is under way comes out first, then silence up to it.
    fn begin_at(&mut self, at: i64, sound: &frame::Audio, source: [u8; 32]) -> Result<(), CodecError> {
        self.drain(source)?;
        let sample = place::sample_of(at, self.base, sound.rate(), sound.samples() as u32);
        let (skip, at_out) = place::aligned(sample, sound.rate(), self.rung.sample_rate);
        let gap = self.line.seek(at_out);
        self.silence(gap, source)?;
        self.convert = Convert::new(self.rung, sound, skip).ok();
        self.damaged += u64::from(self.convert.is_none());
        self.expected = Some(at);
        Ok(())
    }

    fn drain(&mut self, source: [u8; 32]) -> Result<(), CodecError> {
        if let Some(convert) = &mut self.convert {
            convert.finish().map_err(CodecError::internal("ending the sound's filters"))?;
        }
        self.take(source)?;
        self.convert = None;
        Ok(())
    }

    /// Moves what is converted onto the line and encodes what is whole.
    fn take(&mut self, source: [u8; 32]) -> Result<(), CodecError> {
        while let Some(sound) = self.convert.as_mut().and_then(Convert::pull) {
            let planes: Vec<&[f32]> = (0..sound.planes()).map(|p| sound.plane::<f32>(p)).collect();
            self.line.push(&planes);
            self.encode_whole(source)?;
        }
        Ok(())
    }

    fn silence(&mut self, mut samples: u64, source: [u8; 32]) -> Result<(), CodecError> {
        while samples > 0 && !self.is_done() {
            samples = self.line.silence(samples);
            self.encode_whole(source)?;
        }
        Ok(())
    }

    fn encode_whole(&mut self, source: [u8; 32]) -> Result<(), CodecError> {
        while let Some(encode) = self.encode.as_mut().filter(|encode| !encode.is_done())
            && let Some(samples) = self.line.pop()
        {
            if let Some(frame) = self.limit.push(samples) {
                encode.push(&frame, source)?;
            }
        }
        Ok(())
    }

    fn samples(&self, micros: i64) -> i64 {
        micros.rescale(MICROS, Rational(1, self.rung.sample_rate.cast_signed()))
    }
}
