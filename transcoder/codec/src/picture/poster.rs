//! The poster: a picture that is not dark, some way in, as JPEG.

use crate::emit::Emit;
use crate::error::CodecError;
use crate::ffi;
use ffmpeg_next::codec::{self, Flags};
use ffmpeg_next::{Dictionary, Packet, Rational, encoder, filter, format, frame};
use sluice_wire::codec::CodecMessage;

/// The widest poster: a card on a large screen.
pub(super) const MAX_WIDTH: u32 = 1_280;
/// How far in a picture is looked for: a tenth of the video, at most this.
const LATEST_START_S: f64 = 5.0;
/// How long a brighter one is waited for.
const PATIENCE_S: f64 = 5.0;
/// Mean luma below which a picture counts as dark (16 is black, 235 white).
const DARK: u64 = 48;

/// Picks one picture out of a rung's sequence.
pub(super) struct Poster {
    from: u64,
    until: u64,
    best: Option<(u64, frame::Video)>,
}

impl Poster {
    /// For a video of this length (0 if unknown) at this many pictures a second.
    pub(super) fn new(duration_ms: u64, rate: f64) -> Self {
        let from = (duration_ms as f64 / 10_000.0).min(LATEST_START_S);
        Self { from: (from * rate) as u64, until: ((from + PATIENCE_S) * rate) as u64, best: None }
    }

    /// Looks at a picture. True when it is good enough to be sent, or the wait is over.
    pub(super) fn look(&mut self, number: u64, picture: &frame::Video) -> bool {
        let brightness = brightness(picture);
        let better = self.best.as_ref().is_none_or(|best| brightness > best.0 || number <= self.from);
        if better {
            self.best = Some((brightness, ffi::share(picture)));
        }
        number >= self.from && (brightness >= DARK || number >= self.until)
    }

    /// Encodes the best picture so far and sends it.
    pub(super) fn send(self, emit: &Emit) -> Result<(), CodecError> {
        let Some((_, picture)) = self.best else { return Ok(()) };
        let (jpeg, width, height) = jpeg(&picture).map_err(CodecError::internal("encoding the poster"))?;
        emit.payload(&CodecMessage::Poster { width, height }, &jpeg)?;
        Ok(())
    }
}

/// Mean of the luma plane, over every eighth row.
fn brightness(picture: &frame::Video) -> u64 {
    let (width, stride) = (picture.width() as usize, picture.stride(0));
    let rows = picture.data(0).chunks(stride.max(1)).step_by(8);
    let (mut sum, mut count) = (0u64, 0u64);
    for row in rows {
        let row = &row[..width.min(row.len())];
        sum += row.iter().map(|&p| u64::from(p)).sum::<u64>();
        count += row.len() as u64;
    }
    sum / count.max(1)
}

fn jpeg(picture: &frame::Video) -> Result<(Vec<u8>, u32, u32), ffmpeg_next::Error> {
    let find = |name| filter::find(name).ok_or(ffmpeg_next::Error::FilterNotFound);
    let (mut width, mut height) = (picture.width(), picture.height());
    if width > MAX_WIDTH {
        height = (u64::from(height) * u64::from(MAX_WIDTH) / u64::from(width)) as u32 & !1;
        width = MAX_WIDTH;
    }
    let mut graph = filter::Graph::new();
    let input = format!(
        "video_size={}x{}:pix_fmt=yuv420p:time_base=1/25:pixel_aspect=1/1",
        picture.width(),
        picture.height()
    );
    graph.add(&find("buffer")?, "in", &input)?;
    graph.add(&find("buffersink")?, "out", "")?;
    let chain = format!(
        "scale={width}:{height}:in_color_matrix=bt709:out_color_matrix=bt601:out_range=pc,format=yuvj420p"
    );
    graph.output("in", 0)?.input("out", 0)?.parse(&chain)?;
    graph.validate()?;
    let mut given = ffi::share(picture);
    given.set_pts(Some(0));
    graph.get("in").ok_or(ffmpeg_next::Error::FilterNotFound)?.source().add(&given)?;
    let mut scaled = frame::Video::empty();
    graph.get("out").ok_or(ffmpeg_next::Error::FilterNotFound)?.sink().frame(&mut scaled)?;
    Ok((compressed(&mut scaled, QUALITY)?, width, height))
}

/// A picture as JPEG; `quality` is FFmpeg's lambda.
pub(crate) fn compressed(picture: &mut frame::Video, quality: i32) -> Result<Vec<u8>, ffmpeg_next::Error> {
    let codec = encoder::find(codec::Id::MJPEG).ok_or(ffmpeg_next::Error::EncoderNotFound)?;
    let mut encoder = codec::Context::new_with_codec(codec).encoder().video()?;
    encoder.set_width(picture.width());
    encoder.set_height(picture.height());
    encoder.set_format(format::Pixel::YUVJ420P);
    encoder.set_time_base(Rational(1, 25));
    encoder.set_flags(Flags::QSCALE);
    encoder.set_global_quality(quality);
    let mut options = Dictionary::new();
    options.set("threads", "1");
    let mut encoder = encoder.open_as_with(codec, options)?;
    picture.set_pts(Some(0));
    encoder.send_frame(picture)?;
    encoder.send_eof()?;
    let mut packet = Packet::empty();
    encoder.receive_packet(&mut packet)?;
    Ok(packet.data().unwrap_or_default().to_vec())
}

/// Quantiser 4 in FFmpeg's lambda units (118 each): about 90 on the common scale of 100.
const QUALITY: i32 = 4 * 118;
