//! Image variants: what may be asked for, and how it is made.
//!
//! - `asked`: whether a request names a variant, may have it, and in which format; `plan`: which part becomes how large;
//!   both pure
//! - `make`: bytes of an image into bytes of a variant, in bounded memory; `encode`: pixels into a format

mod asked;
mod config;
mod encode;
mod make;
mod plan;
#[cfg(test)]
mod tests;

pub(crate) use asked::{Asked, Images};
pub use config::ImagesConfig;
pub(crate) use make::{Made, make};
