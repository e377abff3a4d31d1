//! Bytes of an image into bytes of a variant.
//!
//! What comes from an origin may be hostile: its kind is read from its bytes, its size before its pixels, and memory is
//! bounded. The turn that Exif asks for is made, colours are brought to sRGB, and no metadata goes on: no place, no camera.

use super::Asked;
use super::encode::{self, encode};
use super::plan::Plan;
use fast_image_resize::{ResizeOptions, Resizer};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};
use sluice_wire::Problem;
use sluice_wire::image::MAX_PIXELS;
use std::io::Cursor;

/// Bytes of the largest image that is read.
pub(crate) const MAX_SOURCE_BYTES: u64 = 32 << 20;
/// Pixels of the largest image that is read: the best of today's telephones, and 200 MB while it is worked on.
const MAX_SOURCE_PIXELS: u64 = 50_000_000;
/// Pixels along its longer side.
const MAX_SOURCE_SIDE: u32 = 32_768;
/// Bytes a decoder may hold: the pixels above at 4 bytes, and its own tables.
const MAX_ALLOC: u64 = 256 << 20;
/// What is read. Of moving pictures the first frame counts.
const READ: [ImageFormat; 4] = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif];

/// A variant.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) bytes: Vec<u8>,
    pub(crate) kind: &'static str,
}

/// Why a variant cannot be made of an image: the same each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is no image that is read here.
    Kind,
    /// It cannot be decoded.
    Broken,
    /// It, or its variant, has more pixels or bytes than are worked on.
    TooLarge,
}

impl Refusal {
    /// What an asker is told.
    pub(crate) fn problem(self) -> Problem {
        match self {
            Self::Kind => Problem::new(415, "image-kind", "Not an image that is read here")
                .detail("variants are made of JPEG, PNG, WebP and GIF"),
            Self::Broken => Problem::new(422, "image-broken", "The image cannot be read")
                .detail("it is cut, or no image of the kind it begins as"),
            Self::TooLarge => Problem::new(422, "image-too-large", "The image is too large").detail(format!(
                "at most {MAX_SOURCE_PIXELS} pixels in {MAX_SOURCE_BYTES} bytes, and {MAX_PIXELS} pixels of the variant"
            )),
        }
    }
}

/// Makes a variant. It holds a core for up to seconds.
///
/// # Errors
///
/// [`Refusal`] says why the image is not worked on.
pub(crate) fn make(bytes: &[u8], asked: &Asked) -> Result<Made, Refusal> {
    let (image, orientation, profile) = decode(bytes)?;
    let upright = match turns(orientation) {
        true => Plan::of((image.height(), image.width()), &asked.variant),
        false => Plan::of((image.width(), image.height()), &asked.variant),
    };
    if upright.pixels() > MAX_PIXELS || encode::is_too_large(asked, &upright) {
        return Err(Refusal::TooLarge);
    }
    let plan = if turns(orientation) { upright.turned() } else { upright };
    let mut small = eight_bits(resize(image, &plan)?);
    to_srgb(&mut small, profile.as_deref());
    small.apply_orientation(orientation);
    encode(small, upright, asked)
}

type Decoded = (DynamicImage, Orientation, Option<Vec<u8>>);

fn decode(bytes: &[u8]) -> Result<Decoded, Refusal> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|_| Refusal::Kind)?;
    if !reader.format().is_some_and(|format| READ.contains(&format)) {
        return Err(Refusal::Kind);
    }
    let mut limits = Limits::no_limits();
    limits.max_image_width = Some(MAX_SOURCE_SIDE);
    limits.max_image_height = Some(MAX_SOURCE_SIDE);
    limits.max_alloc = Some(MAX_ALLOC);
    reader.limits(limits);
    let refusal = |error| match error {
        image::ImageError::Limits(_) => Refusal::TooLarge,
        _ => Refusal::Broken,
    };
    let mut decoder = reader.into_decoder().map_err(refusal)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_SOURCE_PIXELS || decoder.total_bytes() > MAX_ALLOC {
        return Err(Refusal::TooLarge);
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let profile = decoder.icc_profile().ok().flatten();
    let image = DynamicImage::from_decoder(decoder).map_err(refusal)?;
    Ok((image, orientation, profile))
}

/// True when width and height change places.
const fn turns(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    )
}

fn resize(image: DynamicImage, plan: &Plan) -> Result<DynamicImage, Refusal> {
    let (left, top, width, height) = plan.part;
    if plan.size == (image.width(), image.height()) {
        return Ok(image);
    }
    let mut small = DynamicImage::new(plan.size.0, plan.size.1, image.color());
    let options = ResizeOptions::new().crop(left, top, width, height);
    Resizer::new().resize(&image, &mut small, &options).map_err(|_| Refusal::Broken)?;
    Ok(small)
}

/// Grey or colour, with or without alpha, to colour of 8 bits.
fn eight_bits(image: DynamicImage) -> DynamicImage {
    if image.color().has_alpha() { image.into_rgba8().into() } else { image.into_rgb8().into() }
}

/// Brings colours to sRGB, which every reader takes an image without a profile for. One that cannot be read changes
/// nothing.
fn to_srgb(image: &mut DynamicImage, profile: Option<&[u8]>) {
    let Some(profile) = profile.and_then(|profile| ColorProfile::new_from_slice(profile).ok()) else {
        return;
    };
    if profile.color_space != DataColorSpace::Rgb {
        return;
    }
    let (layout, bytes): (_, &mut [u8]) = match image {
        DynamicImage::ImageRgb8(image) => (Layout::Rgb, image),
        DynamicImage::ImageRgba8(image) => (Layout::Rgba, image),
        _ => return,
    };
    let srgb = ColorProfile::new_srgb();
    let Ok(transform) = profile.create_transform_8bit(layout, &srgb, layout, TransformOptions::default())
    else {
        return;
    };
    let before = bytes.to_vec();
    if transform.transform(&before, bytes).is_err() {
        bytes.copy_from_slice(&before);
    }
}
