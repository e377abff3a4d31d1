//! Why a picture is not worked on.

use crate::{MAX_BYTES, MAX_PIXELS};
use sluice_wire::{Problem, image};

/// Why a picture is not worked on: the same each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is no picture that is read here.
    Kind,
    /// It cannot be decoded.
    Broken,
    /// It, or what is to be made of it, has more pixels or bytes than are worked on.
    TooLarge,
}

impl Refusal {
    /// What an asker is told.
    #[must_use]
    pub fn problem(self) -> Problem {
        match self {
            Self::Kind => Problem::new(415, "image-kind", "Not an image that is read here")
                .detail("JPEG, PNG, WebP and GIF are read"),
            Self::Broken => Problem::new(422, "image-broken", "The image cannot be read")
                .detail("it is cut, or no image of the kind it begins as"),
            Self::TooLarge => Problem::new(422, "image-too-large", "The image is too large").detail(format!(
                "at most {MAX_PIXELS} pixels in {MAX_BYTES} bytes, and {} pixels of a variant",
                image::MAX_PIXELS
            )),
        }
    }
}
