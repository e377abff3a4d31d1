//! One video rung: its encoder, on a thread of its own behind a bounded channel.
//!
//! x264 runs with one thread: its output is then the same each time, and rungs are what runs in parallel.

use crate::emit::Emit;
use crate::error::CodecError;
use crate::ffi;
use crate::package::{Sample, VideoTrack, fragment, init_video, to_length_prefixed};
use crate::source::{Got, got};
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
    /// The first picture that is encoded.
    first: u64,
    /// Packets that came back, all of them.
    made: u64,
    /// Frames by which decoding is ahead of presentation: the encoder's own figure, the same for every run, so that one
    /// header fits the segments of all of them.
    depth: u32,
    seq: u32,
    samples: Vec<Sample>,
}

impl<'e> Work<'e> {
    fn new(rung: &VideoRung, resume: u32, emit: &'e Emit) -> Result<Self, CodecError> {
        let encoder = open(rung).map_err(CodecError::internal("opening the picture encoder"))?;
        let depth = ffi::reorder_depth(&encoder);
        let first = first_needed(rung, 1, resume);
        let work =
            Self { rung: rung.clone(), emit, encoder, first, made: 0, depth, seq: resume, samples: vec![] };
        work.head()?;
        Ok(work)
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
        loop {
            match got(self.encoder.receive_packet(&mut packet)) {
                Got::One => self.take(&packet)?,
                Got::NoMore => return Ok(()),
                Got::Failed(error) => return Err(CodecError::internal("encoding a picture")(error)),
            }
        }
    }

    fn take(&mut self, packet: &Packet) -> Result<(), CodecError> {
        let odd = || CodecError::Internal("a picture came back at an impossible time".into());
        let number = packet.pts().and_then(|pts| u64::try_from(pts).ok()).ok_or_else(odd)?;
        let begins = number.is_multiple_of(u64::from(self.rung.segment_frames));
        if packet.is_key() && begins && !self.samples.is_empty() {
            self.cut()?;
        }
        // One frame is decoded each tick of the grid, from the first on; it is shown up to `depth` ticks later.
        let decoded = self.first + self.made;
        let later = (number + u64::from(self.depth)).checked_sub(decoded).ok_or_else(odd)?;
        self.samples.push(Sample {
            data: to_length_prefixed(packet.data().unwrap_or_default()),
            duration: self.rung.frame_rate.den,
            offset: u32::try_from(later * u64::from(self.rung.frame_rate.den)).map_err(|_| odd())?,
            key: packet.is_key(),
        });
        self.made += 1;
        Ok(())
    }

    /// Sends the header. An edit list takes back what decoding is ahead of presentation.
    fn head(&self) -> Result<(), CodecError> {
        let rung = &self.rung;
        let parameters = ffi::extradata(&self.encoder);
        let delay = self.depth * rung.frame_rate.den;
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
