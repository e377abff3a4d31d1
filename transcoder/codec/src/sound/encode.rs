//! AAC: frames to packets, cut into segments on the absolute grid.

use crate::emit::Emit;
use crate::error::CodecError;
use crate::ffi;
use crate::package::{AudioTrack, Sample, fragment, init_audio};
use crate::source::{Got, got};
use ffmpeg_next::channel_layout::ChannelLayout;
use ffmpeg_next::codec::{self, Flags};
use ffmpeg_next::{Packet, Rational, encoder, format, frame};
use sluice_wire::codec::CodecMessage;
use sluice_wire::ladder::{AudioRung, Ratio};

/// Samples of an AAC frame (ISO/IEC 14496-3).
pub(super) const FRAME: u32 = 1_024;

/// The rung's encoder. The first packet it makes is priming: it is decoded, but not heard.
pub(super) struct Encode<'e> {
    rung: AudioRung,
    emit: &'e Emit,
    encoder: encoder::Audio,
    /// Samples given to the encoder.
    sent: i64,
    /// Packets it gave back.
    made: u64,
    segment: Vec<Sample>,
    seq: u32,
    /// The first packet of the segment being collected.
    begun: u64,
    /// Segments before this one are stored already.
    resume: u32,
}

impl<'e> Encode<'e> {
    pub(super) fn new(rung: &AudioRung, resume: u32, emit: &'e Emit) -> Result<Self, CodecError> {
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
        Ok(Self {
            rung: rung.clone(),
            emit,
            encoder,
            sent: 0,
            made: 0,
            segment: vec![],
            seq: 0,
            begun: 0,
            resume,
        })
    }

    /// Encodes one frame: [`FRAME`] samples for each channel.
    pub(super) fn push(&mut self, samples: &[Vec<f32>]) -> Result<(), CodecError> {
        let mut sound = frame::Audio::new(FLOATS, FRAME as usize, layout(&self.rung));
        sound.set_rate(self.rung.sample_rate);
        sound.set_pts(Some(self.sent));
        for (index, channel) in samples.iter().enumerate() {
            sound.plane_mut::<f32>(index).copy_from_slice(channel);
        }
        self.sent += i64::from(FRAME);
        self.encoder.send_frame(&sound).map_err(CodecError::internal("encoding sound"))?;
        self.collect()
    }

    /// Encodes the rest and sends the last segment.
    pub(super) fn finish(mut self) -> Result<(), CodecError> {
        self.encoder.send_eof().map_err(CodecError::internal("ending the sound"))?;
        self.collect()?;
        self.cut()
    }

    /// Takes what the encoder has ready, cutting where a segment's time is reached.
    fn collect(&mut self) -> Result<(), CodecError> {
        let mut packet = Packet::empty();
        loop {
            match got(self.encoder.receive_packet(&mut packet)) {
                Got::One => {}
                Got::NoMore => return Ok(()),
                Got::Failed(error) => return Err(CodecError::internal("encoding sound")(error)),
            }
            if self.made > 0 && heard(self.made) >= self.grid(self.seq + 1) {
                self.cut()?;
            }
            let data = packet.data().unwrap_or_default().to_vec();
            self.segment.push(Sample { data, duration: FRAME, offset: 0, key: true });
            self.made += 1;
        }
    }

    /// The first sample of a segment's time on the absolute grid, rounded up.
    fn grid(&self, seq: u32) -> u64 {
        let Ratio { num, den } = self.rung.segment;
        (u64::from(seq) * u64::from(num) * u64::from(self.rung.sample_rate)).div_ceil(u64::from(den))
    }

    fn cut(&mut self) -> Result<(), CodecError> {
        if self.segment.is_empty() {
            return Ok(());
        }
        let (seq, samples) = (self.seq, std::mem::take(&mut self.segment));
        if seq >= self.resume {
            let start = heard(self.begun);
            let duration = heard(self.made) - start;
            let head = CodecMessage::Segment { rung: self.rung.name.clone(), seq, start, duration };
            let decoded_from = self.begun * u64::from(FRAME);
            self.emit.payload(&head, &fragment(seq, decoded_from, &samples))?;
        }
        self.seq += 1;
        self.begun = self.made;
        Ok(())
    }
}

/// When a packet is heard: one frame after it is decoded, the priming not at all.
const fn heard(packet: u64) -> u64 {
    packet.saturating_sub(1) * FRAME as u64
}

const FLOATS: format::Sample = format::Sample::F32(format::sample::Type::Planar);

fn layout(rung: &AudioRung) -> ChannelLayout {
    if rung.channels == 1 { ChannelLayout::MONO } else { ChannelLayout::STEREO }
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
