//! Pictures that come from anybody, read within bounds: those that are uploaded, and those that variants are made of.
//!
//! What comes may be hostile: its kind is read from its bytes, its size before its pixels, and memory is bounded. What is made of
//! a [`Picture`] has nothing of its metadata: pixels go on, and nothing else does.
//!
//! Pure: no runtime, no clock. Reading holds a core for up to seconds, so it belongs into a pool
//! (`sluice_service::Pool`).

mod colour;
mod read;
mod refusal;

pub use colour::{eight_bits, to_srgb};
pub use image::ImageFormat;
pub use read::{MAX_BYTES, MAX_PIXELS, Picture, turns};
pub use refusal::Refusal;
