//! What stands for a photo until it is there: a [BlurHash](https://blurha.sh), 28 characters from which a client paints a blur.
//!
//! The algorithm is that of the reference implementation: the first terms of a cosine transform of linear light, in base 83.

use image::{DynamicImage, RgbImage};
use std::f64::consts::PI;

/// Terms across and down.
const TERMS: (u32, u32) = (4, 3);
/// Pixels along each side of what is transformed: more change nothing that is seen.
const SIDE: u32 = 32;
const DIGITS: &[u8; 83] =
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~";

/// The BlurHash of a picture.
pub(super) fn hash(picture: &DynamicImage) -> String {
    let small = picture.thumbnail_exact(SIDE, SIDE).into_rgb8();
    let light: Vec<[f64; 3]> = small.pixels().map(|pixel| pixel.0.map(linear)).collect();
    let terms: Vec<[f64; 3]> = (0..TERMS.1)
        .flat_map(|y| (0..TERMS.0).map(move |x| (x, y)))
        .map(|at| term(&small, &light, at))
        .collect();
    let (mean, others) = (terms[0], &terms[1..]);
    let greatest = others.iter().flatten().fold(0.0_f64, |most, value| most.max(value.abs()));
    let step = ((greatest * 166.0 - 0.5).floor().clamp(0.0, 82.0)) as u32;
    let scale = f64::from(step + 1) / 166.0;
    let mut text = String::with_capacity(28);
    digits(&mut text, (TERMS.0 - 1) + (TERMS.1 - 1) * 9, 1);
    digits(&mut text, step, 1);
    let [red, green, blue] = mean.map(encoded);
    digits(&mut text, (red << 16) + (green << 8) + blue, 4);
    for other in others {
        let [red, green, blue] = other.map(|value| {
            let root = (value / scale).abs().sqrt().copysign(value);
            (root.mul_add(9.0, 9.5).floor().clamp(0.0, 18.0)) as u32
        });
        digits(&mut text, (red * 19 + green) * 19 + blue, 2);
    }
    text
}

/// One term of the transform.
fn term(small: &RgbImage, light: &[[f64; 3]], (x, y): (u32, u32)) -> [f64; 3] {
    let (width, height) = small.dimensions();
    let wave = |term: u32, at: u32, side: u32| (PI * f64::from(term) * f64::from(at) / f64::from(side)).cos();
    let weight = if (x, y) == (0, 0) { 1.0 } else { 2.0 };
    let mut sum = [0.0; 3];
    for (at, pixel) in (0..).zip(light) {
        let basis = wave(x, at % width, width) * wave(y, at / width, height);
        sum.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += basis * value);
    }
    sum.map(|sum| sum * weight / f64::from(width * height))
}

/// Linear light of an sRGB value (IEC 61966-2-1).
fn linear(value: u8) -> f64 {
    let value = f64::from(value) / 255.0;
    if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
}

fn encoded(light: f64) -> u32 {
    let light = light.clamp(0.0, 1.0);
    let value =
        if light <= 0.003_130_8 { light * 12.92 } else { 1.055_f64.mul_add(light.powf(1.0 / 2.4), -0.055) };
    (value * 255.0 + 0.5) as u32
}

/// A number in so many digits of base 83.
fn digits(text: &mut String, value: u32, count: u32) {
    for place in (0..count).rev() {
        text.push(char::from(DIGITS[(value / 83_u32.pow(place) % 83) as usize]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn a_plain_colour_is_its_own_mean() {
        let plain = DynamicImage::from(RgbImage::from_pixel(40, 30, Rgb([255, 0, 0])));
        let hash = hash(&plain);
        assert_eq!(hash.len(), 28);
        assert!(hash.starts_with('L'), "four terms by three: {hash}");
        let mean = hash.bytes().skip(2).take(4).fold(0, |sum: u32, digit| {
            sum * 83 + DIGITS.iter().position(|one| *one == digit).unwrap() as u32
        });
        assert_eq!(mean, 0x00ff_0000);
    }

    #[test]
    fn what_is_left_and_right_tells_pictures_apart() {
        let halves = |left: u8, right: u8| {
            let half = RgbImage::from_fn(64, 64, |x, _| Rgb([if x < 32 { left } else { right }; 3]));
            hash(&DynamicImage::from(half))
        };
        assert_ne!(halves(0, 255), halves(255, 0));
        assert_eq!(halves(9, 200), halves(9, 200));
    }
}
