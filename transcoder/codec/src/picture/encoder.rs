//! The encoders, as they are opened: each with settings under which it gives the same bytes every time.
//!
//! - x264 and x265 run with one thread, and begin each segment anew. At the cap of the bitrate, a second thread of x264 would
//!   go by how far the first one is
//! - SVT-AV1 has a thread for each of its stages whatever it is told, but one in each; what it gives does not depend on
//!   them. It takes no orders for keyframes here (FFmpeg 5.1), so that it begins anew with each

use crate::error::CodecError;
use crate::ffi;
use crate::source::{Got, got};
use ffmpeg_next::codec::{self, Flags};
use ffmpeg_next::util::color::{Primaries, Range, Space, TransferCharacteristic};
use ffmpeg_next::{Dictionary, Error, Packet, Rational, encoder, format, frame};
use sluice_wire::ladder::{VideoCodec, VideoRange, VideoRung};

/// What FFmpeg calls the encoder of a codec.
pub(crate) const fn name(codec: VideoCodec) -> &'static str {
    match codec {
        VideoCodec::H264 => "libx264",
        VideoCodec::Hevc => "libx265",
        VideoCodec::Av1 => "libsvtav1",
    }
}

/// True where each keyframe is the first picture of an encoder of its own.
pub(super) const fn begins_with_each_key(codec: VideoCodec) -> bool {
    matches!(codec, VideoCodec::Av1)
}

/// How a range's pictures are held, as FFmpeg's filters and encoders name it.
pub(super) const fn pixel(range: VideoRange) -> (format::Pixel, &'static str) {
    match range {
        VideoRange::Sdr => (format::Pixel::YUV420P, "yuv420p"),
        VideoRange::Hlg | VideoRange::Pq => (format::Pixel::YUV420P10LE, "yuv420p10le"),
    }
}

/// An encoder of a rung.
pub(super) struct Encoder {
    opened: encoder::Video,
    rung: VideoRung,
    used: bool,
    ended: bool,
}

impl Encoder {
    /// Opens one.
    pub(super) fn open(rung: &VideoRung) -> Result<Self, CodecError> {
        let opened = open(rung).map_err(CodecError::internal("opening the picture encoder"))?;
        Ok(Self { opened, rung: rung.clone(), used: false, ended: false })
    }

    /// Its header: parameter sets.
    pub(super) fn header(&self) -> Vec<u8> {
        ffi::extradata(&self.opened)
    }

    /// Frames by which decoding is ahead of presentation.
    pub(super) fn depth(&self) -> u32 {
        ffi::reorder_depth(&self.opened)
    }

    /// True when it has been given a picture.
    pub(super) const fn is_used(&self) -> bool {
        self.used
    }

    /// Gives it a picture.
    pub(super) fn push(&mut self, picture: &frame::Video) -> Result<(), CodecError> {
        self.used = true;
        self.opened.send_frame(picture).map_err(CodecError::internal("encoding a picture"))
    }

    /// Says that no picture follows. What it still has comes after that.
    pub(super) fn end(&mut self) -> Result<(), CodecError> {
        self.ended = true;
        self.opened.send_eof().map_err(CodecError::internal("ending the picture"))
    }

    /// Takes an encoded picture, if there is one.
    pub(super) fn pull(&mut self, packet: &mut Packet) -> Result<bool, CodecError> {
        match got(self.opened.receive_packet(packet)) {
            Got::One => Ok(true),
            Got::NoMore => Ok(false),
            Got::Failed(error) => Err(CodecError::internal("encoding a picture")(error)),
        }
    }
}

impl Drop for Encoder {
    /// SVT-AV1 waits for its last picture before it lets itself be closed: it must have one.
    fn drop(&mut self) {
        if self.ended || self.rung.codec != VideoCodec::Av1 {
            return;
        }
        if !self.used {
            let mut black = frame::Video::new(pixel(self.rung.range).0, self.rung.width, self.rung.height);
            (0..black.planes()).for_each(|plane| black.data_mut(plane).fill(0));
            black.set_pts(Some(0));
            self.push(&black).ok();
        }
        self.end().ok();
        let mut packet = Packet::empty();
        while matches!(self.pull(&mut packet), Ok(true)) {}
    }
}

/// An encoder of a rung's pictures, as FFmpeg has it.
pub(super) fn open(rung: &VideoRung) -> Result<encoder::Video, Error> {
    let codec = encoder::find_by_name(name(rung.codec)).ok_or(Error::EncoderNotFound)?;
    let mut encoder = codec::Context::new_with_codec(codec).encoder().video()?;
    let (num, den) = (rung.frame_rate.num.cast_signed(), rung.frame_rate.den.cast_signed());
    encoder.set_width(rung.width);
    encoder.set_height(rung.height);
    encoder.set_format(pixel(rung.range).0);
    encoder.set_time_base(Rational(den, num));
    encoder.set_frame_rate(Some(Rational(num, den)));
    encoder.set_aspect_ratio(Rational(1, 1));
    encoder.set_gop(rung.gop_frames);
    let (primaries, transfer, space) = colours(rung.range);
    encoder.set_colorspace(space);
    encoder.set_color_range(Range::MPEG);
    encoder.set_color_primaries(primaries);
    encoder.set_color_transfer_characteristic(transfer);
    encoder.set_flags(Flags::GLOBAL_HEADER | Flags::CLOSED_GOP);
    let mut options = Dictionary::new();
    let buffer = u64::from(rung.max_bitrate) * 3 / 2;
    options.set("crf", &rung.crf.to_string());
    options.set("maxrate", &rung.max_bitrate.to_string());
    options.set("bufsize", &buffer.to_string());
    for (key, value) in settings(rung) {
        options.set(key, &value);
    }
    encoder.open_as_with(codec, options)
}

/// What decides how a rung is encoded and need not be in a header of its encoder.
pub(super) fn unsaid(rung: &VideoRung) -> Vec<u8> {
    settings(rung).into_iter().flat_map(|(key, value)| [key.into(), value]).collect::<String>().into()
}

const fn colours(range: VideoRange) -> (Primaries, TransferCharacteristic, Space) {
    match range {
        VideoRange::Sdr => (Primaries::BT709, TransferCharacteristic::BT709, Space::BT709),
        VideoRange::Hlg => (Primaries::BT2020, TransferCharacteristic::ARIB_STD_B67, Space::BT2020NCL),
        VideoRange::Pq => (Primaries::BT2020, TransferCharacteristic::SMPTE2084, Space::BT2020NCL),
    }
}

/// What a codec's encoder is told besides. Keyframes are where they are asked for, and nowhere else.
fn settings(rung: &VideoRung) -> Vec<(&'static str, String)> {
    match rung.codec {
        VideoCodec::H264 => vec![
            ("preset", "veryfast".to_owned()),
            ("profile", "high".to_owned()),
            ("keyint_min", rung.gop_frames.to_string()),
            ("sc_threshold", "0".to_owned()),
            ("forced-idr", "1".to_owned()),
            ("threads", "1".to_owned()),
        ],
        VideoCodec::Hevc => vec![
            ("preset", "veryfast".to_owned()),
            ("profile", if rung.range.is_sdr() { "main" } else { "main10" }.to_owned()),
            ("forced-idr", "1".to_owned()),
            ("threads", "1".to_owned()),
            ("x265-params", hevc_settings(rung.gop_frames)),
        ],
        VideoCodec::Av1 => {
            vec![("preset", "10".to_owned()), ("svtav1-params", "lp=1:scd=0:enable-overlays=0".to_owned())]
        }
    }
}

/// x265's own words: no pool of threads, nothing side by side, closed groups of pictures without leading ones that refer to
/// those before.
fn hevc_settings(gop_frames: u32) -> String {
    format!(
        "log-level=error:pools=none:frame-threads=1:wpp=0:pmode=0:pme=0:open-gop=0:scenecut=0:radl=0:\
         keyint={gop_frames}:min-keyint={gop_frames}:high-tier=0:repeat-headers=0:aud=0:hrd=0"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_wire::RungName;
    use sluice_wire::ladder::Ratio;

    #[test]
    fn no_rung_is_large_enough_for_a_second_thread() {
        for (codec, height) in [(VideoCodec::H264, 240), (VideoCodec::H264, 2_160), (VideoCodec::Hevc, 2_160)]
        {
            let rung = VideoRung {
                name: RungName::new("v2160").unwrap(),
                width: height * 16 / 9,
                height,
                frame_rate: Ratio::new(60, 1),
                gop_frames: 120,
                segment_frames: 240,
                max_bitrate: 20_000_000,
                crf: 23,
                codec,
                range: VideoRange::Sdr,
            };
            assert!(settings(&rung).contains(&("threads", "1".to_owned())), "{codec:?} {height}");
        }
    }
}
