//! One track of the source's sound: read, decoded once, given to each of its rungs.

use super::Ends;
use super::encode::Encode;
use super::lane::Lane;
use crate::chain::Chain;
use crate::clock::MICROS;
use crate::emit::Emit;
use crate::error::CodecError;
use crate::packets::{Given, Kind, Packets};
use crate::source::{Got, Supply, got};
use crate::work::{Ended, Work};
use ffmpeg_next::{Rational, Rescale, decoder, frame};
use sluice_wire::codec::EncodeRequest;
use sluice_wire::ladder::{AudioRung, Ratio};
use sluice_wire::limits::{CHUNK_SEGMENTS, MAX_DURATION_S};
use std::sync::Arc;

/// A track's way from packets to the segments of its rungs.
pub(super) struct Sounds<'e> {
    emit: &'e Emit,
    packets: Packets,
    decoder: decoder::Audio,
    chain: Chain,
    lanes: Vec<Lane<'e>>,
    /// Duration of a segment, the same for each rung.
    segment: Ratio,
    /// Where the last sound ends.
    end: i64,
    /// Pieces that could not be decoded.
    damaged: u64,
}

impl<'e> Sounds<'e> {
    /// Opens a track and sends the headers of its rungs that are made.
    pub(super) fn open(
        supply: &Arc<Supply>,
        request: &'e EncodeRequest,
        (track, rungs): (u32, &[&'e AudioRung]),
        work: &Work,
        emit: &'e Emit,
    ) -> Result<Self, CodecError> {
        let source = &request.source;
        let seen = usize::try_from(track).ok().and_then(|track| source.audio.get(track));
        let (Some(seen), Some(first)) = (seen, rungs.first()) else {
            return Err(CodecError::Internal("a rung of a track that is not there".into()));
        };
        let others = source.audio.iter().map(|audio| audio.stream);
        let beside = others.chain(source.video.iter().map(|video| video.stream));
        let beside = beside.filter(|stream| *stream != seen.stream).collect();
        let about = (source.zero_us, source.duration_ms, source.indexed);
        let segment = first.segment;
        let start = time_of(segment, work.first() * CHUNK_SEGMENTS);
        let packets = Packets::open(supply, (Kind::Sound, seen.stream, beside), about, start)?;
        let base = seen.start_us - source.zero_us;
        let lanes = rungs.iter().map(|rung| Ok(Lane::new(rung, Encode::head(rung, emit)?, base, emit)));
        Ok(Self {
            lanes: lanes.collect::<Result<_, CodecError>>()?,
            emit,
            decoder: packets.audio_decoder()?,
            chain: Chain::new(&packets.parameters()),
            packets,
            segment,
            end: 0,
            damaged: 0,
        })
    }

    /// Makes the track's part of each chunk.
    pub(super) fn run(mut self, work: &Work, ends: &Ends) -> Result<Ended, CodecError> {
        for chunk in work.chunks() {
            let last = self.chunk(chunk, work)?;
            ends.done(chunk, last, self.emit)?;
            if last {
                break;
            }
        }
        let lost: u64 = self.lanes.iter().map(Lane::damaged).sum();
        let damaged = self.damaged + lost + self.packets.jumps();
        Ok(Ended { end_us: self.end, damaged, broken: self.packets.broken.take() })
    }

    /// Makes one chunk. True when nothing follows it.
    fn chunk(&mut self, chunk: u32, work: &Work) -> Result<bool, CodecError> {
        let border = time_of(self.segment, (chunk + 1) * CHUNK_SEGMENTS);
        let anew = self.packets.begin(border);
        if anew {
            self.decoder = self.packets.audio_decoder()?;
            self.chain = Chain::new(&self.packets.parameters());
        }
        for lane in &mut self.lanes {
            lane.begin(anew, chunk, work)?;
        }
        while !self.lanes.iter().all(Lane::is_done) {
            match self.packets.next() {
                Given::Packet(packet) => {
                    self.chain.take(packet);
                    if self.decoder.send_packet(packet).is_err() {
                        self.damaged += 1;
                    }
                    self.decoded()?;
                }
                Given::End => return self.finish(border),
            }
        }
        Ok(false)
    }

    fn decoded(&mut self) -> Result<(), CodecError> {
        let mut sound = frame::Audio::empty();
        loop {
            match got(self.decoder.receive_frame(&mut sound)) {
                Got::One => self.push(&mut sound)?,
                Got::NoMore => return Ok(()),
                Got::Failed(_) => self.damaged += 1,
            }
        }
    }

    /// Gives a decoded frame to each rung.
    fn push(&mut self, sound: &mut frame::Audio) -> Result<(), CodecError> {
        let stamp = sound.timestamp();
        let rate = i32::try_from(sound.rate()).unwrap_or(0).max(1);
        let samples = i64::try_from(sound.samples()).unwrap_or(0);
        let duration = samples.rescale(Rational(1, rate), MICROS);
        // Stamps are dealt with here; converters only count.
        sound.set_pts(None);
        let source = self.chain.source();
        for lane in &mut self.lanes {
            let at = lane.push(stamp, duration, sound, source)?;
            if at > i64::from(MAX_DURATION_S) * 1_000_000 {
                return Err(CodecError::TooLarge(format!("it goes on after {} h", MAX_DURATION_S / 3_600)));
            }
            self.end = self.end.max(at + duration);
        }
        Ok(())
    }

    /// Ends the sound: silence up to where the other tracks end, or to the chunk's end. True when nothing follows the chunk.
    fn finish(&mut self, border: i64) -> Result<bool, CodecError> {
        self.decoder.send_eof().ok();
        self.decoded()?;
        let until = self.end.max(self.packets.beside_end());
        let source = self.chain.source();
        self.lanes.iter_mut().try_for_each(|lane| lane.finish(until, border, source))?;
        Ok(until <= border)
    }
}

/// When a segment begins, in microseconds.
fn time_of(segment: Ratio, seq: u32) -> i64 {
    let Ratio { num, den } = segment;
    (i64::from(seq) * i64::from(num)).rescale(Rational(1, den.max(1).cast_signed()), MICROS)
}
