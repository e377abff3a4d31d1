//! One video rung: its encoder, on a thread of its own behind a bounded channel.
//!
//! x264 runs with one thread: its output is then the same each time, and rungs are what runs in parallel.

use crate::emit::Emit;
use crate::error::CodecError;
use crate::ffi;
use crate::package::{Sample, VideoTrack, fragment, init_video, to_length_prefixed};
use ffmpeg_next::codec::{self, Flags};
use ffmpeg_next::util::color;
use ffmpeg_next::{Dictionary, Packet, Rational, encoder, format, frame, picture};
use sluice_wire::codec::CodecMessage;
use sluice_wire::ladder::VideoRung;
use std::sync::mpsc::Receiver;

/// A picture with its number on the full grid.
pub(crate) type Numbered = (u64, frame::Video);

/// Encodes all pictures that arrive; ends when the sender is gone.
///
/// `stride` is 2 for a rung of half the rate; pictures before segment `resume` are skipped, not encoded.
pub(crate) fn run(
    rung: &VideoRung,
    stride: u64,
    resume: u32,
    pictures: &Receiver<Numbered>,
    emit: &Emit,
) -> Result<(), CodecError> {
    let mut work = Work::new(rung, resume, emit)?;
    for (number, picture) in pictures {
        if number.is_multiple_of(stride) {
            work.push(number / stride, picture)?;
        }
    }
    work.finish()
}

/// The first picture of the full grid that a rung needs.
pub(crate) const fn first_needed(rung: &VideoRung, stride: u64, resume: u32) -> u64 {
    rung.segment_frames as u64 * resume as u64 * stride
}

struct Work<'e> {
    rung: VideoRung,
    emit: &'e Emit,
    encoder: encoder::Video,
    first: u64,
    /// True once the header is sent, which is with the first packet: only it tells how far decoding is ahead.
    begun: bool,
    seq: u32,
    samples: Vec<Sample>,
}

impl<'e> Work<'e> {
    fn new(rung: &VideoRung, resume: u32, emit: &'e Emit) -> Result<Self, CodecError> {
        let encoder = open(rung).map_err(CodecError::internal("opening the picture encoder"))?;
        let first = first_needed(rung, 1, resume);
        Ok(Self { rung: rung.clone(), emit, encoder, first, begun: false, seq: resume, samples: vec![] })
    }

    fn push(&mut self, number: u64, mut picture: frame::Video) -> Result<(), CodecError> {
        if number < self.first {
            return Ok(());
        }
        picture.set_pts(i64::try_from(number).ok());
        let starts_gop = (number - self.first).is_multiple_of(u64::from(self.rung.gop_frames));
        picture.set_kind(if starts_gop { picture::Type::I } else { picture::Type::None });
        self.encoder.send_frame(&picture).map_err(CodecError::internal("encoding a picture"))?;
        self.collect()
    }

    fn finish(mut self) -> Result<(), CodecError> {
        self.encoder.send_eof().map_err(CodecError::internal("ending the picture"))?;
        self.collect()?;
        self.cut()
    }

    fn collect(&mut self) -> Result<(), CodecError> {
        let mut packet = Packet::empty();
        while self.encoder.receive_packet(&mut packet).is_ok() {
            let (Some(pts), Some(dts)) = (packet.pts(), packet.dts()) else {
                return Err(CodecError::Internal("a packet without a time".into()));
            };
            if !self.begun {
                self.begun = true;
                self.head(pts - dts)?;
            }
            let begins = pts.cast_unsigned().is_multiple_of(u64::from(self.rung.segment_frames));
            if packet.is_key() && begins && !self.samples.is_empty() {
                self.cut()?;
            }
            let frame = i64::from(self.rung.frame_rate.den);
            let offset = u32::try_from((pts - dts) * frame).unwrap_or(0);
            self.samples.push(Sample {
                data: to_length_prefixed(packet.data().unwrap_or_default()),
                duration: self.rung.frame_rate.den,
                offset,
                key: packet.is_key(),
            });
        }
        Ok(())
    }

    /// Sends the header. Decoding is `delay` frames ahead of presentation; an edit list takes them back.
    fn head(&self, delay: i64) -> Result<(), CodecError> {
        let rung = &self.rung;
        let parameters = ffi::extradata(&self.encoder);
        let delay = u32::try_from(delay).unwrap_or(0) * rung.frame_rate.den;
        let track =
            VideoTrack::from_annex_b(rung.frame_rate.num, rung.width, rung.height, delay, &parameters)
                .ok_or_else(|| CodecError::Internal("the encoder gave no parameter sets".into()))?;
        let head = CodecMessage::Init {
            rung: rung.name.clone(),
            codecs: track.codecs(),
            timescale: rung.frame_rate.num,
            width: rung.width,
            height: rung.height,
            frame_rate: rung.frame_rate,
        };
        self.emit.payload(&head, &init_video(&track))?;
        Ok(())
    }

    fn cut(&mut self) -> Result<(), CodecError> {
        if self.samples.is_empty() {
            return Ok(());
        }
        let (seq, samples) = (self.seq, std::mem::take(&mut self.samples));
        let start = self.rung.segment_ticks() * u64::from(seq);
        let duration = samples.len() as u64 * u64::from(self.rung.frame_rate.den);
        let head = CodecMessage::Segment { rung: self.rung.name.clone(), seq, start, duration };
        self.emit.payload(&head, &fragment(seq, start, &samples))?;
        self.seq += 1;
        Ok(())
    }
}

fn open(rung: &VideoRung) -> Result<encoder::Video, ffmpeg_next::Error> {
    let codec = encoder::find_by_name("libx264").ok_or(ffmpeg_next::Error::EncoderNotFound)?;
    let mut encoder = codec::Context::new_with_codec(codec).encoder().video()?;
    let (num, den) = (rung.frame_rate.num.cast_signed(), rung.frame_rate.den.cast_signed());
    encoder.set_width(rung.width);
    encoder.set_height(rung.height);
    encoder.set_format(format::Pixel::YUV420P);
    encoder.set_time_base(Rational(den, num));
    encoder.set_frame_rate(Some(Rational(num, den)));
    encoder.set_aspect_ratio(Rational(1, 1));
    encoder.set_gop(rung.gop_frames);
    encoder.set_colorspace(color::Space::BT709);
    encoder.set_color_range(color::Range::MPEG);
    encoder.set_color_primaries(color::Primaries::BT709);
    encoder.set_color_transfer_characteristic(color::TransferCharacteristic::BT709);
    encoder.set_flags(Flags::GLOBAL_HEADER | Flags::CLOSED_GOP);
    let mut options = Dictionary::new();
    let buffer = u64::from(rung.max_bitrate) * 3 / 2;
    for (key, value) in [
        ("preset", "veryfast".to_owned()),
        ("profile", "high".to_owned()),
        ("crf", rung.crf.to_string()),
        ("maxrate", rung.max_bitrate.to_string()),
        ("bufsize", buffer.to_string()),
        ("keyint_min", rung.gop_frames.to_string()),
        ("sc_threshold", "0".to_owned()),
        ("forced-idr", "1".to_owned()),
        ("threads", "1".to_owned()),
    ] {
        options.set(key, &value);
    }
    encoder.open_as_with(codec, options)
}
