//! What a track's header says of pictures, whatever their codec.

use super::av1::{self, Av1};
use super::avc::{self, Avc};
use super::hevc::{self, Hevc};
use sluice_wire::ladder::{VideoCodec, VideoRange};

/// A picture track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoTrack {
    /// Ticks a second.
    pub timescale: u32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Ticks by which decoding is ahead of presentation; an edit list takes them back.
    pub delay: u32,
    /// What the values of its pictures mean.
    pub range: VideoRange,
    /// Its parameter sets.
    pub sets: ParameterSets,
}

/// What a decoder must know before the first picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterSets(Sets);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Sets {
    Avc(Avc),
    Hevc(Hevc),
    Av1(Av1),
}

impl ParameterSets {
    /// Takes them out of an encoder's header: a stream of NAL units with start codes, or of OBUs. `None` when one is missing
    /// or cut.
    #[must_use]
    pub fn read(codec: VideoCodec, header: &[u8]) -> Option<Self> {
        Some(Self(match codec {
            VideoCodec::H264 => Sets::Avc(Avc::read(header)?),
            VideoCodec::Hevc => Sets::Hevc(Hevc::read(header)?),
            VideoCodec::Av1 => Sets::Av1(Av1::read(header)?),
        }))
    }

    /// RFC 6381, as each codec's binding to MP4 has it.
    #[must_use]
    pub fn codecs(&self) -> String {
        match &self.0 {
            Sets::Avc(sets) => sets.codecs(),
            Sets::Hevc(sets) => sets.codecs(),
            Sets::Av1(sets) => sets.codecs(),
        }
    }

    /// How many pictures decoding is ahead of presentation, where they say so: H.265's do, and in AV1 each sample shows one
    /// picture, in order.
    #[must_use]
    pub const fn reordered(&self) -> Option<u32> {
        match &self.0 {
            Sets::Avc(_) => None,
            Sets::Hevc(sets) => Some(sets.reordered()),
            Sets::Av1(_) => Some(0),
        }
    }

    /// The sample entry, and the box in it that has them.
    pub(super) const fn boxes(&self) -> (&'static [u8; 4], &'static [u8; 4]) {
        match &self.0 {
            Sets::Avc(_) => (b"avc1", b"avcC"),
            Sets::Hevc(_) => (b"hvc1", b"hvcC"),
            Sets::Av1(_) => (b"av01", b"av1C"),
        }
    }

    /// What that box holds.
    pub(super) fn configuration(&self) -> Vec<u8> {
        match &self.0 {
            Sets::Avc(sets) => sets.configuration(),
            Sets::Hevc(sets) => sets.configuration(),
            Sets::Av1(sets) => sets.configuration(),
        }
    }

    /// The brand that files of it name besides, where there is one.
    pub(super) const fn brand(&self) -> Option<&'static [u8; 4]> {
        match &self.0 {
            Sets::Avc(_) | Sets::Hevc(_) => None,
            Sets::Av1(_) => Some(b"av01"),
        }
    }
}

/// An encoded picture as MP4 holds it: without what the header has.
#[must_use]
pub fn sample_data(codec: VideoCodec, encoded: &[u8]) -> Vec<u8> {
    match codec {
        VideoCodec::H264 => avc::sample(encoded),
        VideoCodec::Hevc => hevc::sample(encoded),
        VideoCodec::Av1 => av1::sample(encoded),
    }
}
