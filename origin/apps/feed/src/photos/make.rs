//! What was sent, made into what is shown.
//!
//! A photo is encoded anew from its pixels, so that nothing else of what was sent is kept: no place, no camera, no text, no
//! profile, no bytes behind its end, and no second file within the first. That costs a little of a JPEG's quality, once; a
//! container that is only rewritten would keep whatever its reader overlooks.

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{DynamicImage, ImageEncoder, ImageFormat};
use sluice_pictures::{MAX_BYTES, Picture, Refusal};

use super::blur;

/// The quality of a JPEG: hardly to be told from what was sent, at about its size.
const QUALITY: u8 = 90;

/// What a photo is kept as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What came as JPEG, or as WebP without transparency.
    Jpeg,
    /// The rest.
    Png,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Jpeg, Self::Png];

    /// The end of its path, by which edges know a picture.
    pub(crate) const fn end(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
        }
    }

    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
        }
    }

    pub(crate) fn of_end(end: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.end() == end)
    }
}

/// A photo as it is shown.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) bytes: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) blur: String,
}

/// Makes a photo of what was sent. It holds a core for up to seconds, and up to half a gigabyte.
///
/// # Errors
/// [`Refusal`] says why it is not worked on.
pub(crate) fn make(sent: &[u8]) -> Result<Made, Refusal> {
    let picture = Picture::read(sent)?;
    let format = picture.format;
    let image = picture.upright();
    let clear = image.as_rgba8().is_some_and(|image| image.pixels().any(|pixel| pixel[3] != u8::MAX));
    let kind = match format {
        ImageFormat::Jpeg => Kind::Jpeg,
        ImageFormat::WebP if !clear => Kind::Jpeg,
        _ => Kind::Png,
    };
    let image = if clear { image } else { DynamicImage::from(image.into_rgb8()) };
    let bytes = encode(&image, kind)?;
    Ok(Made { bytes, kind, width: image.width(), height: image.height(), blur: blur::hash(&image) })
}

fn encode(image: &DynamicImage, kind: Kind) -> Result<Vec<u8>, Refusal> {
    let (width, height, color) = (image.width(), image.height(), image.color().into());
    let mut bytes = vec![];
    let done = match kind {
        Kind::Jpeg => {
            let encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
            encoder.write_image(image.as_bytes(), width, height, color)
        }
        Kind::Png => PngEncoder::new(&mut bytes).write_image(image.as_bytes(), width, height, color),
    };
    done.map_err(|_| Refusal::Broken)?;
    // What is larger would have no variants.
    if bytes.len() as u64 > MAX_BYTES { Err(Refusal::TooLarge) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, RgbImage, Rgba, RgbaImage};
    use proptest::prelude::*;
    use std::io::Cursor;

    fn sent(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = vec![];
        image.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
        bytes
    }

    #[test]
    fn each_kind_has_its_own_and_nothing_of_what_stood_beside_the_pixels() {
        let plain = DynamicImage::from(RgbImage::from_pixel(30, 20, Rgb([200, 30, 30])));
        let clear = DynamicImage::from(RgbaImage::from_pixel(30, 20, Rgba([200, 30, 30, 9])));
        for (image, format, kind) in [
            (&plain, ImageFormat::Jpeg, Kind::Jpeg),
            (&plain, ImageFormat::WebP, Kind::Jpeg),
            (&clear, ImageFormat::WebP, Kind::Png),
            (&plain, ImageFormat::Png, Kind::Png),
            (&plain, ImageFormat::Gif, Kind::Png),
        ] {
            let mut bytes = sent(image, format);
            bytes.extend(b"<script>GPS 52.5 13.4</script>");
            let made = make(&bytes).unwrap();
            assert_eq!((made.kind, made.width, made.height), (kind, 30, 20), "{format:?}");
            assert!(!made.bytes.windows(3).any(|three| three == b"GPS"), "{format:?}");
            assert_eq!(made.blur.len(), 28);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0..4_usize) {
            let begin: [&[u8]; 4] = [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\x10\0\0\0WEBP"];
            prop_assert!(make(&[begin[kind], &bytes].concat()).is_err());
        }
    }
}
