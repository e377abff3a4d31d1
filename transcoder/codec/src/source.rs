//! Opening a source: only these containers, only from this file.

use crate::error::CodecError;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::{Dictionary, Error, Packet, Rational, codec, decoder, format, log};
use sluice_wire::limits::MAX_TRACKS;
use std::path::Path;

/// Containers that may be opened. Playlists, image sequences and devices are not among them: FFmpeg would follow what
/// they name.
const CONTAINERS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts";

/// An opened source.
pub(crate) struct Source {
    pub(crate) input: Input,
}

/// How reading ended.
pub(crate) enum Next {
    /// A packet.
    Packet(Packet),
    /// The orderly end.
    End,
    /// The file cannot be read on.
    Broken(String),
}

impl Source {
    /// Opens a file and reads its header.
    pub(crate) fn open(path: &Path) -> Result<Self, CodecError> {
        ffmpeg_next::init().map_err(CodecError::internal("starting FFmpeg"))?;
        log::set_level(log::Level::Error);
        let mut options = Dictionary::new();
        options.set("format_whitelist", CONTAINERS);
        options.set("protocol_whitelist", "file");
        let input =
            format::input_with_dictionary(&path, options).map_err(|e| CodecError::NotMedia(e.to_string()))?;
        let tracks = input.nb_streams() as usize;
        if tracks > MAX_TRACKS {
            return Err(CodecError::TooLarge(format!("{tracks} tracks; at most {MAX_TRACKS} are read")));
        }
        Ok(Self { input })
    }

    /// The next packet, whatever its track. The bindings' iterator hides read errors, so it is not used.
    pub(crate) fn next(&mut self) -> Next {
        let mut packet = Packet::empty();
        match packet.read(&mut self.input) {
            Ok(()) => Next::Packet(packet),
            Err(Error::Eof) => Next::End,
            Err(error) => Next::Broken(error.to_string()),
        }
    }

    /// When a track begins, in its own time base; 0 where the container does not say.
    pub(crate) fn start_of(&self, stream: u32) -> (i64, Rational) {
        self.input.stream(stream as usize).map_or((0, Rational(1, 1000)), |stream| {
            let start = stream.start_time();
            (if start == i64::MIN { 0 } else { start }, stream.time_base())
        })
    }

    fn context(&self, stream: u32) -> Result<codec::Context, CodecError> {
        let stream = self.input.stream(stream as usize);
        let stream = stream.ok_or_else(|| CodecError::Undecodable("a track is gone".into()))?;
        codec::Context::from_parameters(stream.parameters())
            .map_err(|e| CodecError::Undecodable(e.to_string()))
    }

    /// A decoder for a picture track.
    pub(crate) fn video(&self, stream: u32) -> Result<decoder::Video, CodecError> {
        let mut context = self.context(stream)?;
        context.set_threading(codec::threading::Config::count(2));
        context.decoder().video().map_err(|e| CodecError::Undecodable(e.to_string()))
    }

    /// A decoder for a sound track.
    pub(crate) fn audio(&self, stream: u32) -> Result<decoder::Audio, CodecError> {
        self.context(stream)?.decoder().audio().map_err(|e| CodecError::Undecodable(e.to_string()))
    }
}
