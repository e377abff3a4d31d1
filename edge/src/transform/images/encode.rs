//! Pixels into a format.

use super::asked::{Asked, Output};
use super::make::Made;
use super::plan::Plan;
use image::codecs::avif::AvifEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{DynamicImage, ImageEncoder, Rgb, RgbImage, RgbaImage, imageops};
use sluice_pictures::Refusal;

/// Pixels of the largest AVIF: beyond it one takes many seconds of a core. A larger one becomes WebP where the format is
/// ours to choose.
const MAX_AVIF_PIXELS: u64 = 2_500_000;
/// The encoder's speed, 1 to 10: below 8 each step doubles the time for a few percent.
const AVIF_SPEED: u8 = 9;

/// True for an AVIF that was asked for by name and is too large to be made.
pub(super) fn is_too_large(asked: &Asked, plan: &Plan) -> bool {
    asked.output == Output::Avif && !asked.varies() && plan.pixels() > MAX_AVIF_PIXELS
}

/// Encodes an upright picture, put into its canvas if the plan has one.
pub(super) fn encode(image: DynamicImage, plan: Plan, asked: &Asked) -> Result<Made, Refusal> {
    let image = match plan.canvas {
        Some((width, height)) => {
            let mut canvas = RgbaImage::new(width, height);
            let middle = |whole: u32, part: u32| i64::from(whole.saturating_sub(part) / 2);
            let at = (middle(width, image.width()), middle(height, image.height()));
            imageops::overlay(&mut canvas, &image.into_rgba8(), at.0, at.1);
            DynamicImage::from(canvas)
        }
        None => image,
    };
    let alpha = image.as_rgba8().is_some_and(|image| image.pixels().any(|pixel| pixel[3] != u8::MAX));
    let output = match asked.output {
        Output::Avif if plan.pixels() > MAX_AVIF_PIXELS => Output::Webp,
        Output::Plain if alpha => Output::Png,
        Output::Plain => Output::Jpeg,
        output => output,
    };
    let image = match (alpha, output) {
        (true, Output::Jpeg) => DynamicImage::from(on_white(&image.into_rgba8())),
        (true, _) => image,
        (false, _) => DynamicImage::from(image.into_rgb8()),
    };
    write(&image, output, asked.variant.quality)
}

fn write(image: &DynamicImage, output: Output, quality: u8) -> Result<Made, Refusal> {
    let (width, height, color) = (image.width(), image.height(), image.color().into());
    let mut bytes = vec![];
    let kind = match output {
        Output::Avif => {
            // One thread: the pool counts cores.
            let encoder = AvifEncoder::new_with_speed_quality(&mut bytes, AVIF_SPEED, quality);
            let encoder = encoder.with_num_threads(Some(1));
            encoder.write_image(image.as_bytes(), width, height, color).map_err(|_| Refusal::Broken)?;
            "image/avif"
        }
        Output::Webp => {
            let encoder = match image.as_rgba8() {
                Some(pixels) => webp::Encoder::from_rgba(pixels, width, height),
                None => webp::Encoder::from_rgb(image.as_bytes(), width, height),
            };
            let made = encoder.encode_simple(false, f32::from(quality)).map_err(|_| Refusal::Broken)?;
            bytes.extend_from_slice(&made);
            "image/webp"
        }
        Output::Png => {
            let encoder = PngEncoder::new(&mut bytes);
            encoder.write_image(image.as_bytes(), width, height, color).map_err(|_| Refusal::Broken)?;
            "image/png"
        }
        Output::Jpeg | Output::Plain => {
            let encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
            encoder.write_image(image.as_bytes(), width, height, color).map_err(|_| Refusal::Broken)?;
            "image/jpeg"
        }
    };
    Ok(Made { bytes, kind })
}

/// What shows through becomes white.
fn on_white(image: &RgbaImage) -> RgbImage {
    let blend = |value: u8, alpha: u8| {
        let (value, alpha) = (u32::from(value), u32::from(alpha));
        ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let [r, g, b, a] = image.get_pixel(x, y).0;
        Rgb([blend(r, a), blend(g, a), blend(b, a)])
    })
}
