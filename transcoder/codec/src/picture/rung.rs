//! One video rung on a thread of its own, behind a bounded channel: an encoder for each segment.
//!
//! x264 runs with one thread and begins each segment anew: a segment is then the same each time it is made, whatever was
//! made before it. Rungs are what runs in parallel.

use super::ended_by;
use super::graph::above;
use crate::chain::Settings;
use crate::emit::Emit;
use crate::error::CodecError;
use crate::ffi;
use crate::package::{Sample, VideoTrack, init_video, segment, to_length_prefixed};
use crate::source::{Got, got};
use ffmpeg_next::codec::{self, Flags};
use ffmpeg_next::util::color;
use ffmpeg_next::{Dictionary, Packet, Rational, encoder, format, frame, picture};
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
    /// The encoder of the segment under way.
    encoder: Option<encoder::Video>,
    /// Frames by which decoding is ahead of presentation: the encoder's own figure, the same for every segment.
    depth: u32,
    /// The first picture of the segment under way.
    first: u64,
    samples: Vec<Sample>,
}

impl<'e> Rung<'e> {
    /// Opens an encoder to learn its header, and sends that.
    pub(super) fn new(
        (ladder, rung): (&[VideoRung], &VideoRung),
        source: &SourceVideo,
        emit: &'e Emit,
    ) -> Result<Self, CodecError> {
        let encoder = open(rung).map_err(CodecError::internal("opening the picture encoder"))?;
        let depth = ffi::reorder_depth(&encoder);
        let parameters = ffi::extradata(&encoder);
        let through: Vec<&VideoRung> = above(ladder, rung).collect();
        let settings = Settings::new(&(rung, through, source), &parameters);
        let made =
            Self { rung: rung.clone(), emit, settings, encoder: None, depth, first: 0, samples: vec![] };
        made.head(&parameters)?;
        Ok(made)
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
        if self.encoder.is_none() {
            self.encoder =
                Some(open(&self.rung).map_err(CodecError::internal("opening the picture encoder"))?);
            self.first = number;
        }
        picture.set_pts(i64::try_from(number).ok());
        let starts_gop = (number - self.first).is_multiple_of(u64::from(self.rung.gop_frames));
        picture.set_kind(if starts_gop || key { picture::Type::I } else { picture::Type::None });
        if let Some(encoder) = &mut self.encoder {
            encoder.send_frame(&picture).map_err(CodecError::internal("encoding a picture"))?;
        }
        self.collect()
    }

    fn collect(&mut self) -> Result<(), CodecError> {
        let mut packet = Packet::empty();
        while let Some(encoder) = &mut self.encoder {
            match got(encoder.receive_packet(&mut packet)) {
                Got::One => self.take(&packet)?,
                Got::NoMore => break,
                Got::Failed(error) => return Err(CodecError::internal("encoding a picture")(error)),
            }
        }
        Ok(())
    }

    fn take(&mut self, packet: &Packet) -> Result<(), CodecError> {
        let odd = || CodecError::Internal("a picture came back at an impossible time".into());
        let number = packet.pts().and_then(|pts| u64::try_from(pts).ok()).ok_or_else(odd)?;
        // One frame is decoded each tick of the grid, from the first on; it is shown up to `depth` ticks later.
        let decoded = self.first + self.samples.len() as u64;
        let later = (number + u64::from(self.depth)).checked_sub(decoded).ok_or_else(odd)?;
        self.samples.push(Sample {
            data: to_length_prefixed(packet.data().unwrap_or_default()),
            duration: self.rung.frame_rate.den,
            offset: u32::try_from(later * u64::from(self.rung.frame_rate.den)).map_err(|_| odd())?,
            key: packet.is_key(),
        });
        Ok(())
    }

    /// Sends the header. An edit list takes back what decoding is ahead of presentation.
    fn head(&self, parameters: &[u8]) -> Result<(), CodecError> {
        let rung = &self.rung;
        let delay = self.depth * rung.frame_rate.den;
        let track = VideoTrack::from_annex_b(rung.frame_rate.num, rung.width, rung.height, delay, parameters)
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

    /// Ends the segment under way and sends it.
    fn cut(&mut self, seq: u32, source: [u8; 32]) -> Result<(), CodecError> {
        if let Some(encoder) = &mut self.encoder {
            encoder.send_eof().map_err(CodecError::internal("ending the picture"))?;
        }
        self.collect()?;
        self.encoder = None;
        let samples = std::mem::take(&mut self.samples);
        if samples.is_empty() {
            return Ok(());
        }
        let start = self.first * u64::from(self.rung.frame_rate.den);
        let duration = samples.len() as u64 * u64::from(self.rung.frame_rate.den);
        let (bytes, keys) = segment(seq, start, &samples);
        let (rung, digest) = (self.rung.name.clone(), self.settings.name(source, seq));
        let head = CodecMessage::Segment { rung, seq, digest, start, duration, keys };
        self.emit.payload(&head, &bytes)?;
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
