//! The CMAF packager (ISO/IEC 23000-19): pure functions from encoded samples to bytes.
//!
//! - `boxes` writes boxes and full boxes (ISO/IEC 14496-12)
//! - `init` writes a track's header, `fragment` a segment: a `moof` and an `mdat` for each keyframe
//! - `avc` turns the encoder's Annex B into what MP4 holds; `aac` describes AAC-LC

mod aac;
mod avc;
mod boxes;
mod fragment;
mod init;

pub use aac::AudioTrack;
pub use avc::{VideoTrack, to_length_prefixed};
pub use fragment::{Sample, segment, sound_segment};
pub use init::{init_audio, init_video};
