//! Sound: decoded, converted, laid on the time line (silence in gaps, nothing before zero), encoded, cut on the grid.

mod convert;
mod encode;
mod line;

use crate::clock::{Clock, MICROS};
use crate::emit::Emit;
use crate::error::CodecError;
use convert::Convert;
use encode::{Encode, FRAME};
use ffmpeg_next::{Rational, Rescale, frame};
use line::Line;
use sluice_wire::ladder::AudioRung;

/// How far sound may be from its stamp before it is moved there, in microseconds: below what anyone notices between lips
/// and voice, above what containers round.
const TOLERANCE: i64 = 20_000;

/// The sound's way from decoded frames to segments.
pub(crate) struct Sounds<'e> {
    rung: AudioRung,
    clock: Clock,
    convert: Option<Convert>,
    line: Line,
    encode: Encode<'e>,
    /// Where the next sound belongs if it follows the last without a gap, in microseconds.
    expected: Option<i64>,
    /// Frames that could not be converted.
    pub(crate) damaged: u64,
}

impl<'e> Sounds<'e> {
    pub(crate) fn new(
        rung: &AudioRung,
        clock: Clock,
        resume: u32,
        emit: &'e Emit,
    ) -> Result<Self, CodecError> {
        let encode = Encode::new(rung, resume, emit)?;
        let line = Line::new(rung.channels as usize, FRAME as usize);
        Ok(Self { rung: rung.clone(), clock, convert: None, line, encode, expected: None, damaged: 0 })
    }

    /// Takes a decoded frame.
    pub(crate) fn push(&mut self, sound: &mut frame::Audio) -> Result<(), CodecError> {
        let rate = i32::try_from(sound.rate()).unwrap_or(0).max(1);
        let samples = i64::try_from(sound.samples()).unwrap_or(0);
        let duration = samples.rescale(Rational(1, rate), MICROS);
        let at = self.clock.place(sound.timestamp(), duration);
        let in_place = self.expected.is_some_and(|e| (at - e).abs() <= TOLERANCE);
        let fits = self.convert.as_ref().is_some_and(|c| c.fits(sound));
        if !in_place || !fits {
            self.begin_at(at, sound)?;
        }
        // Where it really lies, not where its stamp says: small errors must not add up unseen.
        self.expected = Some(self.expected.unwrap_or(at) + duration);
        // Stamps are dealt with here; the converter only counts.
        sound.set_pts(None);
        if let Some(convert) = &mut self.convert
            && convert.push(sound).is_err()
        {
            self.damaged += 1;
            self.expected = None;
        }
        self.take()
    }

    /// Pads with silence up to a time in microseconds, encodes the rest and sends the last segment. Gives when the last
    /// sound ends, in milliseconds.
    pub(crate) fn finish(mut self, pad_to: i64) -> Result<u64, CodecError> {
        self.drain()?;
        let end_ms = self.end_ms();
        let gap = self.line.seek(self.samples(pad_to));
        self.silence(gap)?;
        let missing = self.line.missing();
        self.silence(missing)?;
        self.encode.finish()?;
        Ok(end_ms)
    }

    /// When the last sound ends, in milliseconds.
    pub(crate) fn end_ms(&self) -> u64 {
        u64::try_from(self.clock.end() / 1_000).unwrap_or(0)
    }

    /// How often the stamps jumped.
    pub(crate) const fn jumps(&self) -> u64 {
        self.clock.jumps
    }

    /// Begins a stretch of sound at a time: what is under way comes out first, then silence up to it.
    fn begin_at(&mut self, at: i64, sound: &frame::Audio) -> Result<(), CodecError> {
        self.drain()?;
        let gap = self.line.seek(self.samples(at));
        self.silence(gap)?;
        self.convert = Convert::new(&self.rung, sound).ok();
        self.damaged += u64::from(self.convert.is_none());
        self.expected = Some(at);
        Ok(())
    }

    fn drain(&mut self) -> Result<(), CodecError> {
        if let Some(convert) = &mut self.convert {
            convert.finish().map_err(CodecError::internal("ending the sound's filters"))?;
        }
        self.take()?;
        self.convert = None;
        Ok(())
    }

    /// Moves what is converted onto the line and encodes what is whole.
    fn take(&mut self) -> Result<(), CodecError> {
        while let Some(sound) = self.convert.as_mut().and_then(Convert::pull) {
            let planes: Vec<&[f32]> = (0..sound.planes()).map(|p| sound.plane::<f32>(p)).collect();
            self.line.push(&planes);
            self.encode_whole()?;
        }
        Ok(())
    }

    fn silence(&mut self, mut samples: u64) -> Result<(), CodecError> {
        while samples > 0 {
            samples = self.line.silence(samples);
            self.encode_whole()?;
        }
        Ok(())
    }

    fn encode_whole(&mut self) -> Result<(), CodecError> {
        while let Some(samples) = self.line.pop() {
            self.encode.push(&samples)?;
        }
        Ok(())
    }

    fn samples(&self, micros: i64) -> i64 {
        micros.rescale(MICROS, Rational(1, self.rung.sample_rate.cast_signed()))
    }
}
