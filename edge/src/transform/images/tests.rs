//! Images in, variants out, and what hostile ones come to.

use super::asked::{Asked, Output};
use super::make::{Made, make};
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageEncoder, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use proptest::prelude::*;
use sluice_pictures::Refusal;
use sluice_wire::ImageVariant;
use sluice_wire::image::Format;
use std::io::Cursor;

/// Red on the left, blue on the right.
fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(
        width,
        height,
        |x, _| if x < width / 2 { Rgb([200, 30, 30]) } else { Rgb([30, 30, 200]) },
    )
}

fn bytes_of(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = vec![];
    image.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

fn jpeg(width: u32, height: u32, exif: Vec<u8>) -> Vec<u8> {
    let mut bytes = vec![];
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 90);
    encoder.set_exif_metadata(exif).unwrap();
    encoder.write_image(&picture(width, height), width, height, image::ExtendedColorType::Rgb8).unwrap();
    bytes
}

/// Exif with an orientation and a maker's words.
fn exif(orientation: u8) -> Vec<u8> {
    let mut exif = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    exif.extend(b"GPS 52.5 13.4");
    exif
}

fn asked(query: &str) -> Asked {
    let variant = ImageVariant::parse(query).unwrap().0;
    let output = match variant.format {
        Format::Auto => Output::Plain,
        Format::Avif => Output::Avif,
        Format::Webp => Output::Webp,
        Format::Jpeg => Output::Jpeg,
        Format::Png => Output::Png,
    };
    Asked { variant, output }
}

fn made(bytes: &[u8], query: &str) -> (Made, RgbaImage) {
    let made = make(bytes, &asked(query)).unwrap();
    let image = image::load_from_memory(&made.bytes).unwrap().into_rgba8();
    (made, image)
}

#[test]
fn sizes_and_formats_are_as_asked() {
    let source = jpeg(400, 300, exif(1));
    for (query, kind, size) in [
        ("w=100", "image/jpeg", (100, 75)),
        ("w=100&fmt=webp", "image/webp", (100, 75)),
        ("h=30&fmt=png", "image/png", (40, 30)),
        ("w=50&h=50&fit=cover", "image/jpeg", (50, 50)),
        ("w=50&h=50&fit=contain", "image/png", (50, 50)),
        ("w=50&h=50&fit=contain&fmt=jpeg", "image/jpeg", (50, 50)),
        ("fmt=jpeg&q=20", "image/jpeg", (400, 300)),
    ] {
        let (made, image) = made(&source, query);
        assert_eq!((made.kind, image.dimensions()), (kind, size), "{query}");
    }
    let avif = make(&source, &asked("w=64&fmt=avif")).unwrap();
    assert_eq!((avif.kind, &avif.bytes[4..12]), ("image/avif", b"ftypavif".as_slice()));
    assert!(made(&source, "fmt=jpeg&q=20").0.bytes.len() < made(&source, "fmt=jpeg&q=90").0.bytes.len());
}

#[test]
fn what_shows_through_stays_so_or_becomes_white() {
    let clear = RgbaImage::from_fn(64, 64, |x, _| Rgba([200, 30, 30, if x < 32 { 0 } else { 255 }]));
    let source = bytes_of(&clear.into(), ImageFormat::Png);
    let (kept, image) = made(&source, "w=32");
    assert_eq!((kept.kind, image.get_pixel(2, 2)[3]), ("image/png", 0));
    let (flat, image) = made(&source, "w=32&fmt=jpeg");
    assert_eq!(flat.kind, "image/jpeg");
    assert!(image.get_pixel(2, 2).0.iter().all(|value| *value > 240), "{:?}", image.get_pixel(2, 2));
    let solid = DynamicImage::from(picture(64, 64)).into_rgba8();
    assert_eq!(
        made(&bytes_of(&solid.into(), ImageFormat::Png), "w=32").0.kind,
        "image/jpeg",
        "no need of alpha"
    );
}

#[test]
fn the_turn_is_made_and_nothing_else_of_exif_goes_on() {
    // 6: the camera was turned; the left side of what it wrote is the top.
    let source = jpeg(400, 300, exif(6));
    assert!(source.windows(3).any(|three| three == b"GPS"));
    for format in ["jpeg", "png", "webp"] {
        let (made, image) = made(&source, &format!("w=150&fmt={format}"));
        assert_eq!(image.dimensions(), (150, 200), "upright");
        let (top, bottom) = (image.get_pixel(75, 10), image.get_pixel(75, 190));
        assert!(top[0] > top[2] && bottom[2] > bottom[0], "{format}: {top:?} {bottom:?}");
        for trace in [b"GPS".as_slice(), b"Exif", b"EXIF", b"eXIf"] {
            assert!(!made.bytes.windows(trace.len()).any(|part| part == trace), "{format}: {trace:?}");
        }
    }
    let (_, wide) = made(&source, "w=200&h=100&fit=cover&fmt=png");
    assert_eq!(wide.dimensions(), (200, 100));
}

#[test]
fn what_is_no_image_or_too_large_is_refused_before_its_pixels() {
    let refused = |bytes: &[u8], query: &str| make(bytes, &asked(query)).unwrap_err();
    assert_eq!(refused(b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>", "w=1"), Refusal::Kind);
    assert_eq!(refused(b"", "w=1"), Refusal::Kind);
    let png = bytes_of(&picture(64, 64).into(), ImageFormat::Png);
    assert_eq!(refused(&png[..png.len() / 2], "w=10"), Refusal::Broken);
    assert_eq!(refused(&jpeg(64, 64, exif(1))[..60], "w=10"), Refusal::Broken);
    // A bomb: a head that promises 30000 x 30000 pixels.
    let mut bomb = png;
    for at in [16, 20] {
        bomb[at..at + 4].copy_from_slice(&30_000u32.to_be_bytes());
    }
    let crc = crc(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&crc.to_be_bytes());
    assert_eq!(refused(&bomb, "w=10"), Refusal::TooLarge);
    let large = bytes_of(&DynamicImage::new_luma8(5_000, 4_000), ImageFormat::Png);
    assert_eq!(refused(&large, "fmt=png"), Refusal::TooLarge, "20 million pixels of the variant");
    assert_eq!(refused(&large, "w=2500&fmt=avif"), Refusal::TooLarge, "too slow as AVIF");
}

/// The check of a PNG's chunk.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn damaged_images_are_made_or_refused(
        kind in prop::sample::select(vec![ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif]),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = bytes_of(&picture(48, 32).into(), kind);
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(bytes.len() - cut.index(bytes.len()) / 4);
        // An image that says it is larger may be as large as that. It must end, and not by a panic.
        drop(make(&bytes, &asked("w=16&h=16&fit=cover&fmt=png")));
    }
}
