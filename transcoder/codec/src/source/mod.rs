//! Opening a source: only these containers, only from this file.

mod supply;

use crate::allowed::{CONTAINERS, DECODERS, MOST_STREAMS};
use crate::clock::{Clock, MICROS};
use crate::error::CodecError;
use crate::ffi;
use ffmpeg_next::error::EAGAIN;
use ffmpeg_next::format::context::{Input, StreamIo};
use ffmpeg_next::{Dictionary, Error, Packet, Rescale, codec, decoder, format, log};
use sluice_wire::limits::MAX_TRACKS;
use std::sync::Arc;
use supply::Reader;
pub(crate) use supply::Supply;

/// Containers with an index and headers of their tracks, by FFmpeg's names.
pub(crate) const INDEXED: [&str; 3] = ["mov", "matroska", "webm"];

/// Threads of a picture decoder. Fixed: how far it reads ahead is part of what names a segment.
const THREADS: usize = 2;
/// Reads that may come back with nothing before the source counts as broken.
const MAX_AGAIN: usize = 1_000;

/// An opened source.
pub(crate) struct Source {
    pub(crate) input: Input,
}

/// What reading gave.
pub(crate) enum Next {
    /// A packet.
    Packet(Packet),
    /// The orderly end.
    End,
    /// The file cannot be read on.
    Broken(String),
}

impl Source {
    /// Opens a source and reads its header. With `ends`, readers may look at its end, as some do for its length; after
    /// which they give the first packets other durations. Without, packets are the same whether it is complete or still
    /// coming.
    pub(crate) fn open(supply: &Arc<Supply>, ends: bool) -> Result<Self, CodecError> {
        Self::of(supply, supply.reader(ends))
    }

    /// Opens as much of a source as is there: what is still coming is not waited for.
    pub(crate) fn open_here(supply: &Arc<Supply>) -> Result<Self, CodecError> {
        let reader = if supply.is_complete() { supply.reader(true) } else { supply.impatient_reader() };
        Self::of(supply, reader)
    }

    fn of(supply: &Arc<Supply>, reader: Reader) -> Result<Self, CodecError> {
        let mut options = Dictionary::new();
        ffmpeg_next::init().map_err(CodecError::internal("starting FFmpeg"))?;
        log::set_level(log::Level::Error);
        options.set("format_whitelist", CONTAINERS);
        options.set("codec_whitelist", &DECODERS.join(","));
        options.set("max_streams", &MOST_STREAMS.to_string());
        // What a source refers to is not opened: there is no protocol of any name to do it with.
        options.set("protocol_whitelist", "none");
        if !supply.is_complete() {
            // An index behind the media would be waited for.
            options.set("fflags", "ignidx");
        }
        let io = StreamIo::from_read_seek(reader).map_err(CodecError::internal("reading"))?;
        let input = format::input_from_stream(io, None, Some(options))
            .map_err(|e| CodecError::NotMedia(e.to_string()))?;
        let tracks = input.nb_streams() as usize;
        if tracks > MAX_TRACKS {
            return Err(CodecError::TooLarge(format!("{tracks} tracks; at most {MAX_TRACKS} are read")));
        }
        Ok(Self { input })
    }

    /// The next packet, whatever its track. The bindings' iterator hides read errors, so it is not used.
    pub(crate) fn next(&mut self) -> Next {
        let mut packet = Packet::empty();
        for _ in 0..MAX_AGAIN {
            match packet.read(&mut self.input) {
                Ok(()) => return Next::Packet(packet),
                Err(Error::Eof) => return Next::End,
                Err(Error::Other { errno: EAGAIN }) => {}
                Err(error) => return Next::Broken(error.to_string()),
            }
        }
        Next::Broken("it gives nothing more".into())
    }

    /// The time line of a track whose source begins at `zero` microseconds.
    pub(crate) fn clock(&self, stream: u32, zero: i64, claimed_ms: u64) -> Clock {
        let time_base = self.input.stream(stream as usize).map_or(MICROS, |s| s.time_base());
        Clock::new(time_base, zero, claimed_ms)
    }

    /// When a track begins, in microseconds; `None` where the container does not say.
    pub(crate) fn start_of(&self, stream: u32) -> Option<i64> {
        let stream = self.input.stream(stream as usize)?;
        let start = Some(stream.start_time()).filter(|start| *start != i64::MIN)?;
        Some(start.rescale(stream.time_base(), MICROS))
    }

    /// How long the container says that a track is, in milliseconds; 0 where it does not.
    pub(crate) fn claimed_ms(&self, stream: u32) -> u64 {
        let length = self.input.stream(stream as usize).map(|s| s.duration().rescale(s.time_base(), MICROS));
        length.and_then(|micros| u64::try_from(micros / 1_000).ok()).unwrap_or(0)
    }

    /// Goes to a place at or before this time of the container's clock, in microseconds. False where it could not.
    pub(crate) fn seek(&mut self, at: i64) -> bool {
        self.input.seek(at, ..at).is_ok()
    }

    /// What the container says of a track's codec: its number, and its header where the container has one of its own.
    /// Elsewhere FFmpeg gathers one from the first packets, of as many as it happens to look at.
    pub(crate) fn parameters(&self, stream: u32) -> Vec<u8> {
        let container = self.input.format().name().to_owned();
        let own = INDEXED.iter().any(|name| container.split(',').any(|c| c == *name));
        let stream = self.input.stream(stream as usize);
        stream.map_or_else(Vec::new, |stream| ffi::parameters(&stream, own))
    }

    fn context(&self, stream: u32) -> Result<codec::Context, CodecError> {
        let stream = self.input.stream(stream as usize);
        let stream = stream.ok_or_else(|| CodecError::Undecodable("a track is gone".into()))?;
        let parameters = stream.parameters();
        let decoder = decoder::find(parameters.id()).map(|codec| codec.name().to_owned());
        if !decoder.as_deref().is_some_and(|name| DECODERS.contains(&name)) {
            let name = decoder.unwrap_or_else(|| format!("{:?}", parameters.id()));
            return Err(CodecError::Undecodable(format!("{name} is not among the codecs that are accepted")));
        }
        codec::Context::from_parameters(parameters).map_err(|e| CodecError::Undecodable(e.to_string()))
    }

    /// A decoder for a picture track, which takes packets stamped in microseconds.
    pub(crate) fn video(&self, stream: u32) -> Result<decoder::Video, CodecError> {
        let mut context = self.context(stream)?;
        context.set_threading(codec::threading::Config::count(THREADS));
        let mut decoder = context.decoder();
        decoder.set_packet_time_base(MICROS);
        decoder.video().map_err(|e| CodecError::Undecodable(e.to_string()))
    }

    /// A decoder for a sound track, which takes packets stamped in microseconds.
    pub(crate) fn audio(&self, stream: u32) -> Result<decoder::Audio, CodecError> {
        let mut decoder = self.context(stream)?.decoder();
        decoder.set_packet_time_base(MICROS);
        decoder.audio().map_err(|e| CodecError::Undecodable(e.to_string()))
    }
}

/// What a decoder, an encoder or a filter had to give.
pub(crate) enum Got {
    /// Something.
    One,
    /// Nothing until it gets more, or nothing any more.
    NoMore,
    /// It failed.
    Failed(Error),
}

/// Tells having nothing from having failed.
pub(crate) fn got(result: Result<(), Error>) -> Got {
    match result {
        Ok(()) => Got::One,
        Err(Error::Eof | Error::Other { errno: EAGAIN }) => Got::NoMore,
        Err(error) => Got::Failed(error),
    }
}
