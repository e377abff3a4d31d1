//! AAC: frames to packets, cut into segments on the absolute grid.

use crate::chain::Settings;
use crate::emit::Emit;
use crate::error::CodecError;
use crate::ffi;
use crate::package::{AudioTrack, Sample, init_audio, sound_segment};
use crate::source::{Got, got};
use ffmpeg_next::channel_layout::ChannelLayout;
use ffmpeg_next::codec::{self, Flags};
use ffmpeg_next::{Packet, Rational, encoder, format, frame};
use sluice_wire::codec::CodecMessage;
use sluice_wire::ladder::{AudioRung, Ratio};
use sluice_wire::limits::CHUNK_SEGMENTS;

/// Samples of an AAC frame (ISO/IEC 14496-3).
pub(super) const FRAME: u32 = 1_024;

/// Frames encoded before those of a chunk that are kept: the encoder's choice of windows, which depends on the frames
/// before, is then the one that the chunk before made, and the two join without a seam.
const LEAD_IN: u64 = 8;

/// The encoder of one chunk. Packets are counted over the whole sound: packet `n` is heard together with the one after it,
/// from sample `(n - 1) * FRAME` on; packet 0 is priming, decoded but not heard.
pub(super) struct Encode<'e> {
    rung: AudioRung,
    emit: &'e Emit,
    settings: Settings,
    encoder: encoder::Audio,
    /// Samples given to the encoder.
    sent: i64,
    /// The next packet that it gives back.
    next: u64,
    segment: Vec<Sample>,
    /// The segment being collected, and its first packet.
    seq: u32,
    begun: u64,
    /// One past the chunk's last segment.
    end: u32,
    /// Segments before this one are stored already.
    wanted: u32,
}

impl<'e> Encode<'e> {
    /// Sends a rung's header.
    pub(super) fn head(rung: &AudioRung, emit: &Emit) -> Result<Settings, CodecError> {
        let encoder = open(rung).map_err(CodecError::internal("opening the sound encoder"))?;
        let track = AudioTrack {
            sample_rate: rung.sample_rate,
            channels: rung.channels as u16,
            bitrate: rung.bitrate,
            config: ffi::extradata(&encoder),
            priming: FRAME,
        };
        let head = CodecMessage::Init {
            rung: rung.name.clone(),
            codecs: track.codecs(),
            timescale: rung.sample_rate,
            width: 0,
            height: 0,
            frame_rate: Ratio::new(0, 1),
        };
        emit.payload(&head, &init_audio(&track))?;
        Ok(Settings::new(rung, &track.config))
    }

    /// Begins a chunk. `wanted` is its first segment that is not stored already.
    pub(super) fn new(
        rung: &AudioRung,
        settings: &Settings,
        chunk: u32,
        wanted: u32,
        emit: &'e Emit,
    ) -> Result<Self, CodecError> {
        let encoder = open(rung).map_err(CodecError::internal("opening the sound encoder"))?;
        let seq = chunk * CHUNK_SEGMENTS;
        let begun = first_packet(rung, seq);
        Ok(Self {
            rung: rung.clone(),
            emit,
            settings: settings.clone(),
            encoder,
            sent: 0,
            next: begun.saturating_sub(1 + LEAD_IN),
            segment: vec![],
            seq,
            begun,
            end: seq + CHUNK_SEGMENTS,
            wanted,
        })
    }

    /// Goes on with the next chunk, by the same encoder.
    pub(super) fn go_on(mut self, wanted: u32) -> Self {
        self.end += CHUNK_SEGMENTS;
        self.wanted = wanted;
        self
    }

    /// The first sample that the encoder is to be given.
    pub(super) const fn from(&self) -> u64 {
        self.next * FRAME as u64
    }

    /// True when the chunk has all of its segments.
    pub(super) const fn is_done(&self) -> bool {
        self.seq >= self.end
    }

    /// Encodes one frame: [`FRAME`] samples for each channel. `source` is the digest of what was decoded so far.
    pub(super) fn push(&mut self, samples: &[Vec<f32>], source: [u8; 32]) -> Result<(), CodecError> {
        let mut sound = frame::Audio::new(FLOATS, FRAME as usize, layout(&self.rung));
        sound.set_rate(self.rung.sample_rate);
        sound.set_pts(Some(self.sent));
        for (index, channel) in samples.iter().enumerate() {
            sound.plane_mut::<f32>(index).copy_from_slice(channel);
        }
        self.sent += i64::from(FRAME);
        self.encoder.send_frame(&sound).map_err(CodecError::internal("encoding sound"))?;
        self.collect(source)
    }

    /// Encodes the rest and sends the last segment.
    pub(super) fn finish(&mut self, source: [u8; 32]) -> Result<(), CodecError> {
        self.encoder.send_eof().map_err(CodecError::internal("ending the sound"))?;
        self.collect(source)?;
        if self.is_done() { Ok(()) } else { self.cut(source) }
    }

    /// Takes what the encoder has ready, cutting where a segment's time is reached.
    fn collect(&mut self, source: [u8; 32]) -> Result<(), CodecError> {
        let mut packet = Packet::empty();
        loop {
            match got(self.encoder.receive_packet(&mut packet)) {
                Got::One => {}
                Got::NoMore => return Ok(()),
                Got::Failed(error) => return Err(CodecError::internal("encoding sound")(error)),
            }
            if self.next >= first_packet(&self.rung, self.seq + 1) && !self.is_done() {
                self.cut(source)?;
            }
            // What comes after the chunk's end is the next one's, should it go on.
            if self.next >= self.begun {
                let data = packet.data().unwrap_or_default().to_vec();
                self.segment.push(Sample { data, duration: FRAME, offset: 0, key: true });
            }
            self.next += 1;
        }
    }

    fn cut(&mut self, source: [u8; 32]) -> Result<(), CodecError> {
        let (seq, samples) = (self.seq, std::mem::take(&mut self.segment));
        if seq >= self.wanted && !samples.is_empty() {
            let start = heard(self.begun);
            let duration = heard(self.begun + samples.len() as u64) - start;
            let (rung, digest) = (self.rung.name.clone(), self.settings.name(source, seq));
            let head = CodecMessage::Segment { rung, seq, digest, start, duration, keys: vec![] };
            let decoded_from = self.begun * u64::from(FRAME);
            self.emit.payload(&head, &sound_segment(seq, decoded_from, &samples))?;
        }
        self.begun += samples.len() as u64;
        self.seq += 1;
        Ok(())
    }
}

/// The first packet of a segment: the first that is heard at or after the segment's time on the absolute grid.
fn first_packet(rung: &AudioRung, seq: u32) -> u64 {
    let Ratio { num, den } = rung.segment;
    let sample = (u64::from(seq) * u64::from(num) * u64::from(rung.sample_rate)).div_ceil(u64::from(den));
    if seq == 0 { 0 } else { sample.div_ceil(u64::from(FRAME)) + 1 }
}

/// When a packet is heard: one frame after it is decoded, the priming not at all.
const fn heard(packet: u64) -> u64 {
    packet.saturating_sub(1) * FRAME as u64
}

const FLOATS: format::Sample = format::Sample::F32(format::sample::Type::Planar);

fn layout(rung: &AudioRung) -> ChannelLayout {
    match rung.channels {
        1 => ChannelLayout::MONO,
        2 => ChannelLayout::STEREO,
        _ => ChannelLayout::_5POINT1_BACK,
    }
}

fn open(rung: &AudioRung) -> Result<encoder::Audio, ffmpeg_next::Error> {
    let codec = encoder::find(codec::Id::AAC).ok_or(ffmpeg_next::Error::EncoderNotFound)?;
    let mut encoder = codec::Context::new_with_codec(codec).encoder().audio()?;
    encoder.set_rate(rung.sample_rate.cast_signed());
    encoder.set_channel_layout(layout(rung));
    encoder.set_channels(rung.channels.cast_signed());
    encoder.set_format(FLOATS);
    encoder.set_bit_rate(rung.bitrate as usize);
    encoder.set_time_base(Rational(1, rung.sample_rate.cast_signed()));
    encoder.set_flags(Flags::GLOBAL_HEADER);
    encoder.open_as(codec)
}
