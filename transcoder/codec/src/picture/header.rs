//! A rung's header: learnt of an encoder that was given no picture yet, and sent before any segment.

use super::encoder::{Encoder, unsaid};
use super::graph::above;
use crate::chain::Settings;
use crate::emit::Emit;
use crate::error::CodecError;
use crate::package::{ParameterSets, VideoTrack, init_video};
use sluice_wire::codec::CodecMessage;
use sluice_wire::ladder::{SourceVideo, VideoRung};

/// A rung whose header is sent.
pub(super) struct Begun {
    /// The encoder that it was learnt of: as good as a new one.
    pub(super) encoder: Encoder,
    /// Frames by which decoding is ahead of presentation: the encoder's own figure, the same for every segment.
    pub(super) depth: u32,
    /// What the names of its segments are of, besides the source.
    pub(super) settings: Settings,
}

impl Begun {
    /// Opens an encoder to learn its header, and sends that. `pictures` are those of the rung's range.
    pub(super) fn new(
        (pictures, rung): (&[VideoRung], &VideoRung),
        source: &SourceVideo,
        emit: &Emit,
    ) -> Result<Self, CodecError> {
        let encoder = Encoder::open(rung)?;
        let parameters = encoder.header();
        let sets = ParameterSets::read(rung.codec, &parameters)
            .ok_or_else(|| CodecError::Internal("the encoder gave no parameter sets".into()))?;
        let depth = sets.reordered().unwrap_or_else(|| encoder.depth());
        let through: Vec<&VideoRung> = above(pictures, rung).collect();
        let settings = Settings::new(&(rung, through, source), &[parameters, unsaid(rung)].concat());
        send(rung, sets, depth, emit)?;
        Ok(Self { encoder, depth, settings })
    }
}

/// Sends the header. An edit list takes back what decoding is ahead of presentation.
fn send(rung: &VideoRung, sets: ParameterSets, depth: u32, emit: &Emit) -> Result<(), CodecError> {
    let track = VideoTrack {
        timescale: rung.frame_rate.num,
        width: rung.width,
        height: rung.height,
        delay: depth * rung.frame_rate.den,
        range: rung.range,
        sets,
    };
    let head = CodecMessage::Init {
        rung: rung.name.clone(),
        codecs: track.sets.codecs(),
        timescale: rung.frame_rate.num,
        width: rung.width,
        height: rung.height,
        frame_rate: rung.frame_rate,
    };
    emit.payload(&head, &init_video(&track))?;
    Ok(())
}
