//! Bytes into pixels, within bounds.

use crate::{Refusal, eight_bits, to_srgb};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use std::io::Cursor;

/// Bytes of the largest picture that is read.
pub const MAX_BYTES: u64 = 32 << 20;
/// Pixels of the largest picture that is read: the best of today's telephones, and 200 MB while it is worked on.
pub const MAX_PIXELS: u64 = 50_000_000;
/// Pixels along its longer side.
const MAX_SIDE: u32 = 32_768;
/// Bytes a decoder may hold: the pixels above at 4 bytes, and its own tables.
const MAX_ALLOC: u64 = 256 << 20;
/// What is read. Of moving pictures the first frame counts.
const READ: [ImageFormat; 4] = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif];

/// A picture as it was sent: not turned, in colours of its own.
#[derive(Debug)]
pub struct Picture {
    /// Its pixels.
    pub image: DynamicImage,
    /// The turn that makes it upright.
    pub orientation: Orientation,
    /// What its colours mean (ICC); sRGB without it.
    pub profile: Option<Vec<u8>>,
    /// What it came as.
    pub format: ImageFormat,
}

impl Picture {
    /// Reads a picture. It holds a core for up to seconds.
    ///
    /// # Errors
    /// [`Refusal`] says why it is not worked on; one that is too large is told by its head, before any pixel is read.
    pub fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        let format = Self::kind(bytes).ok_or(Refusal::Kind)?;
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        let mut limits = Limits::no_limits();
        limits.max_image_width = Some(MAX_SIDE);
        limits.max_image_height = Some(MAX_SIDE);
        limits.max_alloc = Some(MAX_ALLOC);
        reader.limits(limits);
        let refusal = |error| match error {
            ImageError::Limits(_) => Refusal::TooLarge,
            _ => Refusal::Broken,
        };
        let mut decoder = reader.into_decoder().map_err(refusal)?;
        let (width, height) = decoder.dimensions();
        if u64::from(width) * u64::from(height) > MAX_PIXELS || decoder.total_bytes() > MAX_ALLOC {
            return Err(Refusal::TooLarge);
        }
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let profile = decoder.icc_profile().ok().flatten();
        let image = DynamicImage::from_decoder(decoder).map_err(refusal)?;
        Ok(Self { image, orientation, profile, format })
    }

    /// What these bytes begin as, if it is read here. Names and declared types say nothing.
    #[must_use]
    pub fn kind(bytes: &[u8]) -> Option<ImageFormat> {
        image::guess_format(bytes).ok().filter(|format| READ.contains(format))
    }

    /// The picture as it is to be seen: turned upright, in sRGB of 8 bits, and without all else that came with it.
    #[must_use]
    pub fn upright(self) -> DynamicImage {
        let mut image = eight_bits(self.image);
        to_srgb(&mut image, self.profile.as_deref());
        image.apply_orientation(self.orientation);
        image
    }
}

/// True when width and height change places.
#[must_use]
pub const fn turns(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    )
}
