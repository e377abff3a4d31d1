//! Sound: decoded, converted, laid on the time line (silence in gaps, nothing before zero), encoded, cut on the grid.

mod convert;
mod encode;
mod line;
mod place;

use crate::chain::{Chain, Settings};
use crate::clock::MICROS;
use crate::emit::Emit;
use crate::error::CodecError;
use crate::packets::{Given, Kind, Packets};
use crate::source::{Got, Supply, got};
use crate::work::{Ended, Work};
use convert::Convert;
use encode::{Encode, FRAME};
use ffmpeg_next::{Rational, Rescale, decoder, frame};
use line::Line;
use sluice_wire::codec::{CodecMessage, EncodeRequest, Track};
use sluice_wire::ladder::{AudioRung, Ratio};
use sluice_wire::limits::{CHUNK_SEGMENTS, MAX_DURATION_S};
use std::sync::Arc;

/// How far sound may be from its stamp before it is moved there, in microseconds: below what anyone notices between lips
/// and voice, above what containers round.
const TOLERANCE: i64 = 20_000;

/// Makes the sound's part of a request. `None` when it has none.
pub(crate) fn run(
    supply: &Arc<Supply>,
    request: &EncodeRequest,
    emit: &Emit,
) -> Result<Option<Ended>, CodecError> {
    let (Some(seen), Some(rung)) = (&request.source.audio, &request.ladder.audio) else { return Ok(None) };
    let work = Work::new(request, Track::Sound);
    if !work.names(&rung.name) {
        return Ok(None);
    }
    let source = &request.source;
    let picture = source.video.as_ref().map(|video| video.stream);
    let about = (source.zero_us, source.duration_ms, source.indexed);
    let start = time_of(rung, work.first() * CHUNK_SEGMENTS);
    let packets = Packets::open(supply, (Kind::Sound, seen.stream, picture), about, start)?;
    let settings = Encode::head(rung, emit)?;
    let mut sounds = Sounds {
        rung,
        base: seen.start_us - source.zero_us,
        decoder: packets.audio_decoder()?,
        chain: Chain::new(&packets.parameters()),
        packets,
        emit,
        convert: None,
        line: Line::new(rung.channels as usize, FRAME as usize, 0),
        encode: None,
        expected: None,
        end: 0,
        damaged: 0,
    };
    for chunk in work.chunks() {
        if sounds.chunk(chunk, work.wanted(chunk, &rung.name), &settings)? {
            break;
        }
    }
    let damaged = sounds.damaged + sounds.packets.jumps();
    Ok(Some(Ended { end_us: sounds.end, damaged, broken: sounds.packets.broken.take() }))
}

/// When a segment begins, in microseconds.
fn time_of(rung: &AudioRung, seq: u32) -> i64 {
    let Ratio { num, den } = rung.segment;
    (i64::from(seq) * i64::from(num)).rescale(Rational(1, den.max(1).cast_signed()), MICROS)
}

/// The sound's way from packets to segments.
struct Sounds<'e> {
    rung: &'e AudioRung,
    emit: &'e Emit,
    packets: Packets,
    decoder: decoder::Audio,
    chain: Chain,
    convert: Option<Convert>,
    line: Line,
    /// The chunk's encoder, for a next chunk that cannot be begun anew.
    encode: Option<Encode<'e>>,
    /// When the track's first sound is, in microseconds.
    base: i64,
    /// Where the next sound belongs if it follows the last without a gap, in microseconds.
    expected: Option<i64>,
    /// Where the last sound ends.
    end: i64,
    /// Pieces that could not be decoded or converted.
    damaged: u64,
}

impl Sounds<'_> {
    /// Makes one chunk. True when nothing follows it.
    fn chunk(&mut self, chunk: u32, wanted: u32, settings: &Settings) -> Result<bool, CodecError> {
        let border = time_of(self.rung, (chunk + 1) * CHUNK_SEGMENTS);
        let anew = self.packets.begin(border);
        let mut encode = match self.encode.take().filter(|_| !anew) {
            Some(encode) => encode.go_on(wanted),
            None => self.begin(Encode::new(self.rung, settings, chunk, wanted, self.emit)?)?,
        };
        let mut last = false;
        while !encode.is_done() {
            match self.packets.next() {
                Given::Packet(packet) => {
                    self.chain.take(packet);
                    if self.decoder.send_packet(packet).is_err() {
                        self.damaged += 1;
                    }
                    self.decoded(&mut encode)?;
                }
                Given::End => {
                    last = self.finish(border, &mut encode)?;
                    break;
                }
            }
        }
        self.encode = Some(encode);
        self.emit.message(&CodecMessage::Chunk { chunk, track: Track::Sound, last })?;
        Ok(last)
    }

    /// Begins a chunk with everything new.
    fn begin<'e>(&mut self, encode: Encode<'e>) -> Result<Encode<'e>, CodecError> {
        self.decoder = self.packets.audio_decoder()?;
        self.chain = Chain::new(&self.packets.parameters());
        self.convert = None;
        self.expected = None;
        self.line = Line::new(self.rung.channels as usize, FRAME as usize, encode.from());
        Ok(encode)
    }

    fn decoded(&mut self, encode: &mut Encode<'_>) -> Result<(), CodecError> {
        let mut sound = frame::Audio::empty();
        loop {
            match got(self.decoder.receive_frame(&mut sound)) {
                Got::One => self.push(&mut sound, encode)?,
                Got::NoMore => return Ok(()),
                Got::Failed(_) => self.damaged += 1,
            }
        }
    }

    /// Takes a decoded frame.
    fn push(&mut self, sound: &mut frame::Audio, encode: &mut Encode<'_>) -> Result<(), CodecError> {
        let rate = i32::try_from(sound.rate()).unwrap_or(0).max(1);
        let samples = i64::try_from(sound.samples()).unwrap_or(0);
        let duration = samples.rescale(Rational(1, rate), MICROS);
        let at = sound.timestamp().or(self.expected).unwrap_or(0);
        if at > i64::from(MAX_DURATION_S) * 1_000_000 {
            return Err(CodecError::TooLarge(format!("it goes on after {} h", MAX_DURATION_S / 3_600)));
        }
        let in_place = self.expected.is_some_and(|e| (at - e).abs() <= TOLERANCE);
        let fits = self.convert.as_ref().is_some_and(|c| c.fits(sound));
        if !in_place || !fits {
            self.begin_at(at, sound, encode)?;
        }
        // Where it really lies, not where its stamp says: small errors must not add up unseen.
        self.expected = Some(self.expected.unwrap_or(at) + duration);
        self.end = self.end.max(at + duration);
        // Stamps are dealt with here; the converter only counts.
        sound.set_pts(None);
        if let Some(convert) = &mut self.convert
            && convert.push(sound).is_err()
        {
            self.damaged += 1;
            self.expected = None;
        }
        self.take(encode)
    }

    /// Ends the sound: silence up to the picture's end, or to the chunk's. True when nothing follows the chunk.
    fn finish(&mut self, border: i64, encode: &mut Encode<'_>) -> Result<bool, CodecError> {
        self.decoder.send_eof().ok();
        self.decoded(encode)?;
        self.drain(encode)?;
        let until = self.end.max(self.packets.picture_end());
        let source = self.chain.source();
        // A frame more than the chunk needs, so that the encoder gives back its last.
        let most = self.samples(border) + 4 * i64::from(FRAME);
        let gap = self.line.seek(self.samples(until).min(most));
        self.silence(gap, encode)?;
        let missing = self.line.missing();
        self.silence(missing, encode)?;
        if !encode.is_done() {
            encode.finish(source)?;
        }
        Ok(until <= border)
    }

    /// Begins a stretch of sound at a time: what is under way comes out first, then silence up to it.
    fn begin_at(&mut self, at: i64, sound: &frame::Audio, encode: &mut Encode<'_>) -> Result<(), CodecError> {
        self.drain(encode)?;
        let sample = place::sample_of(at, self.base, sound.rate(), sound.samples() as u32);
        let (skip, at_out) = place::aligned(sample, sound.rate(), self.rung.sample_rate);
        let gap = self.line.seek(at_out);
        self.silence(gap, encode)?;
        self.convert = Convert::new(self.rung, sound, skip).ok();
        self.damaged += u64::from(self.convert.is_none());
        self.expected = Some(at);
        Ok(())
    }

    fn drain(&mut self, encode: &mut Encode<'_>) -> Result<(), CodecError> {
        if let Some(convert) = &mut self.convert {
            convert.finish().map_err(CodecError::internal("ending the sound's filters"))?;
        }
        self.take(encode)?;
        self.convert = None;
        Ok(())
    }

    /// Moves what is converted onto the line and encodes what is whole.
    fn take(&mut self, encode: &mut Encode<'_>) -> Result<(), CodecError> {
        while let Some(sound) = self.convert.as_mut().and_then(Convert::pull) {
            let planes: Vec<&[f32]> = (0..sound.planes()).map(|p| sound.plane::<f32>(p)).collect();
            self.line.push(&planes);
            self.encode_whole(encode)?;
        }
        Ok(())
    }

    fn silence(&mut self, mut samples: u64, encode: &mut Encode<'_>) -> Result<(), CodecError> {
        while samples > 0 && !encode.is_done() {
            samples = self.line.silence(samples);
            self.encode_whole(encode)?;
        }
        Ok(())
    }

    fn encode_whole(&mut self, encode: &mut Encode<'_>) -> Result<(), CodecError> {
        while !encode.is_done()
            && let Some(samples) = self.line.pop()
        {
            encode.push(&samples, self.chain.source())?;
        }
        Ok(())
    }

    fn samples(&self, micros: i64) -> i64 {
        micros.rescale(MICROS, Rational(1, self.rung.sample_rate.cast_signed()))
    }
}
