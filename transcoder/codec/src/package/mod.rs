//! The CMAF packager (ISO/IEC 23000-19): pure functions from encoded samples to bytes.
//!
//! - `boxes` writes boxes and full boxes (ISO/IEC 14496-12)
//! - `init` writes a track's header, `fragment` a segment: a `moof` and an `mdat` for each keyframe
//! - `track` is what a header says of pictures, `avc`, `hevc` and `av1` each codec's part of that, read from what encoders say
//!   with `annex_b` and `bits`; `aac` describes AAC-LC

mod aac;
mod annex_b;
mod av1;
mod avc;
mod bits;
mod boxes;
mod fragment;
mod hevc;
mod init;
mod track;

pub use aac::AudioTrack;
pub use fragment::{Sample, segment, sound_segment};
pub use init::{init_audio, init_video};
pub use track::{ParameterSets, VideoTrack, sample_data};
