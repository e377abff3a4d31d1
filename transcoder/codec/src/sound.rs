//! Sound: decoded, laid on the time line (silence in gaps, nothing before zero), encoded as AAC, cut on the grid.

use crate::emit::Emit;
use crate::error::CodecError;
use crate::ffi;
use crate::package::{AudioTrack, Sample, fragment, init_audio};
use ffmpeg_next::channel_layout::ChannelLayout;
use ffmpeg_next::codec::{self, Flags};
use ffmpeg_next::{Packet, Rational, Rescale, encoder, filter, format, frame};
use sluice_wire::codec::CodecMessage;
use sluice_wire::ladder::{AudioRung, Ratio};

/// Samples of an AAC frame (ISO/IEC 14496-3).
const FRAME: u32 = 1_024;

/// The sound's way from decoded frames to segments.
pub(crate) struct Sounds<'e> {
    rung: AudioRung,
    emit: &'e Emit,
    graph: filter::Graph,
    encoder: encoder::Audio,
    zero: i64,
    time_base: Rational,
    end: i64,
    /// Frames given to the encoder.
    sent: i64,
    /// Frames it gave back, all of them.
    made: u64,
    segment: Vec<Sample>,
    seq: u32,
    /// Start of the segment being collected, in frames.
    begun: u64,
    /// Segments before this one are stored already.
    resume: u32,
}

impl<'e> Sounds<'e> {
    pub(crate) fn new(
        rung: &AudioRung,
        first: &frame::Audio,
        time_base: Rational,
        zero: i64,
        resume: u32,
        emit: &'e Emit,
    ) -> Result<Self, CodecError> {
        let encoder = open(rung).map_err(CodecError::internal("opening the sound encoder"))?;
        let graph =
            build(rung, first, time_base).map_err(CodecError::internal("building the sound's filters"))?;
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
            graph,
            encoder,
            zero,
            time_base,
            end: 0,
            sent: 0,
            made: 0,
            segment: vec![],
            seq: 0,
            begun: 0,
            resume,
        })
    }

    /// Takes a decoded frame.
    pub(crate) fn push(&mut self, sound: &mut frame::Audio) -> Result<(), CodecError> {
        let samples = i64::try_from(sound.samples()).unwrap_or(0);
        let rate = i32::try_from(sound.rate()).unwrap_or(48_000);
        let time = sound.timestamp().map_or(self.end, |t| t - self.zero);
        self.end = time + samples.rescale(Rational(1, rate), self.time_base);
        sound.set_pts(Some(time));
        if let Some(mut input) = self.graph.get("in") {
            // A change of rate or layout in mid-stream is refused by the filter: that frame is silence, not an end.
            input.source().add(sound).ok();
        }
        self.encode_ready()
    }

    /// Encodes the rest and sends the last segment.
    pub(crate) fn finish(mut self) -> Result<u64, CodecError> {
        if let Some(mut input) = self.graph.get("in") {
            input.source().flush().map_err(CodecError::internal("ending the sound's filters"))?;
        }
        self.encode_ready()?;
        self.encoder.send_eof().map_err(CodecError::internal("ending the sound"))?;
        self.collect()?;
        self.cut()?;
        Ok(self.end_ms())
    }

    /// When the last sound ends, in milliseconds from the source's zero.
    pub(crate) fn end_ms(&self) -> u64 {
        u64::try_from(self.end.rescale(self.time_base, Rational(1, 1_000))).unwrap_or(0)
    }

    fn encode_ready(&mut self) -> Result<(), CodecError> {
        let mut sound = frame::Audio::empty();
        while self.graph.get("out").is_some_and(|mut out| out.sink().frame(&mut sound).is_ok()) {
            sound.set_pts(Some(self.sent));
            self.sent += i64::try_from(sound.samples()).unwrap_or(0);
            self.encoder.send_frame(&sound).map_err(CodecError::internal("encoding sound"))?;
            self.collect()?;
        }
        Ok(())
    }

    /// Takes what the encoder has ready, cutting where a segment's time is reached.
    fn collect(&mut self) -> Result<(), CodecError> {
        let mut packet = Packet::empty();
        while self.encoder.receive_packet(&mut packet).is_ok() {
            // The first frame is priming: it plays before zero.
            let starts = (self.made.saturating_sub(1)) * u64::from(FRAME);
            if self.made > 0 && starts >= self.grid(self.seq + 1) {
                self.cut()?;
            }
            let data = packet.data().unwrap_or_default().to_vec();
            self.segment.push(Sample { data, duration: FRAME, offset: 0, key: true });
            self.made += 1;
        }
        Ok(())
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
        let start = self.begun * u64::from(FRAME);
        let duration = samples.len() as u64 * u64::from(FRAME);
        if seq >= self.resume {
            let head = CodecMessage::Segment { rung: self.rung.name.clone(), seq, start, duration };
            self.emit.payload(&head, &fragment(seq, start, &samples))?;
        }
        self.seq += 1;
        self.begun = self.made;
        Ok(())
    }
}

fn layout(rung: &AudioRung) -> ChannelLayout {
    if rung.channels == 1 { ChannelLayout::MONO } else { ChannelLayout::STEREO }
}

fn open(rung: &AudioRung) -> Result<encoder::Audio, ffmpeg_next::Error> {
    let codec = encoder::find(codec::Id::AAC).ok_or(ffmpeg_next::Error::EncoderNotFound)?;
    let mut encoder = codec::Context::new_with_codec(codec).encoder().audio()?;
    encoder.set_rate(rung.sample_rate.cast_signed());
    encoder.set_channel_layout(layout(rung));
    encoder.set_channels(rung.channels.cast_signed());
    encoder.set_format(format::Sample::F32(format::sample::Type::Planar));
    encoder.set_bit_rate(rung.bitrate as usize);
    encoder.set_time_base(Rational(1, rung.sample_rate.cast_signed()));
    encoder.set_flags(Flags::GLOBAL_HEADER);
    encoder.open_as(codec)
}

fn build(
    rung: &AudioRung,
    first: &frame::Audio,
    time_base: Rational,
) -> Result<filter::Graph, ffmpeg_next::Error> {
    let find = |name| filter::find(name).ok_or(ffmpeg_next::Error::FilterNotFound);
    let mut graph = filter::Graph::new();
    let known = first.channel_layout();
    let channels = i32::from(first.channels()).max(1);
    let known = if known.is_empty() { ChannelLayout::default(channels) } else { known };
    let (num, den) = (time_base.numerator(), time_base.denominator());
    let input = format!(
        "time_base={num}/{den}:sample_rate={}:sample_fmt={}:channel_layout=0x{:x}",
        first.rate(),
        first.format().name(),
        known.bits()
    );
    graph.add(&find("abuffer")?, "in", &input)?;
    graph.add(&find("abuffersink")?, "out", "")?;
    let names = if rung.channels == 1 { "mono" } else { "stereo" };
    let rate = rung.sample_rate;
    let chain = format!(
        "aresample={rate}:async=1:min_hard_comp=0.02:first_pts=0,\
         aformat=sample_fmts=fltp:sample_rates={rate}:channel_layouts={names}"
    );
    graph.output("in", 0)?.input("out", 0)?.parse(&chain)?;
    graph.validate()?;
    if let Some(mut out) = graph.get("out") {
        out.sink().set_frame_size(FRAME);
    }
    Ok(graph)
}
