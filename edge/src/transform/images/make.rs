//! Bytes of an image into bytes of a variant.
//!
//! What comes from an origin may be hostile: it is read within bounds (`sluice-pictures`). The turn that Exif asks for is made,
//! colours are brought to sRGB, and no metadata goes on: no place, no camera.

use super::Asked;
use super::encode::{self, encode};
use super::plan::Plan;
use fast_image_resize::{ResizeOptions, Resizer};
use image::DynamicImage;
use sluice_pictures::{Picture, Refusal, eight_bits, to_srgb};
use sluice_wire::image::MAX_PIXELS;

/// A variant.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) bytes: Vec<u8>,
    pub(crate) kind: &'static str,
}

/// Makes a variant. It holds a core for up to seconds.
///
/// # Errors
///
/// [`Refusal`] says why the image is not worked on.
pub(crate) fn make(bytes: &[u8], asked: &Asked) -> Result<Made, Refusal> {
    let Picture { image, orientation, profile, .. } = Picture::read(bytes)?;
    let turned = sluice_pictures::turns(orientation);
    let upright = match turned {
        true => Plan::of((image.height(), image.width()), &asked.variant),
        false => Plan::of((image.width(), image.height()), &asked.variant),
    };
    if upright.pixels() > MAX_PIXELS || encode::is_too_large(asked, &upright) {
        return Err(Refusal::TooLarge);
    }
    let plan = if turned { upright.turned() } else { upright };
    let mut small = eight_bits(resize(image, &plan)?);
    to_srgb(&mut small, profile.as_deref());
    small.apply_orientation(orientation);
    encode(small, upright, asked)
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
