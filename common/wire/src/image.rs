//! Image variants: what may be asked of an image, its one spelling, and its signature.
//!
//! `/a/b.jpg?w=320&fmt=auto&sig=...` names a variant of `/a/b.jpg`. An app that holds the key signs what it links to
//! ([`sign`]); an edge makes only what is signed, so that nobody fills its cache or its cores with variants of his own.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;

/// Pixels along one side of a variant: twice the widest common screen.
pub const MAX_SIDE: u32 = 8_192;
/// Pixels of a variant: 64 MiB while it is made, at 4 bytes each.
pub const MAX_PIXELS: u64 = 16_000_000;
/// The quality of lossy formats when none is asked for.
pub const QUALITY: u8 = 75;
/// Bytes of the shortest key: what HMAC-SHA256 puts out (RFC 2104 section 3).
pub const MIN_KEY: usize = 32;

/// Query parameters that make a target a variant.
const NAMES: [&str; 6] = ["w", "h", "fit", "fmt", "q", "sig"];
/// What is signed begins with this, so that no signature made for another purpose passes for one.
const PURPOSE: &str = "sluice-image-1";

/// How an image comes into the box of width and height. None makes it larger than it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Fit {
    /// Whole, within the box; the result is as large as that makes it.
    #[default]
    Inside,
    /// Whole, within a picture of exactly the box; the rest is transparent, or white where the format has no alpha.
    Contain,
    /// Fills the box's shape; what is beyond it is cut off evenly.
    Cover,
}

/// The format of a variant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// The best that the asker's `Accept` names: AVIF, WebP, else JPEG, or PNG for what has alpha.
    #[default]
    Auto,
    /// AVIF.
    Avif,
    /// Lossy WebP.
    Webp,
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
}

/// What may be asked of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ImageVariant {
    /// Pixels, 1 to [`MAX_SIDE`].
    pub width: Option<u32>,
    /// Pixels, 1 to [`MAX_SIDE`].
    pub height: Option<u32>,
    /// How it fits the two.
    pub fit: Fit,
    /// Its format.
    pub format: Format,
    /// 1 to 100.
    pub quality: u8,
}

/// Why a query names no variant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageFault {
    /// A parameter that variants do not have, or one twice.
    #[error("{0}: no parameter of an image, or one that is there already")]
    Parameter(String),
    /// A value out of bounds.
    #[error("{0}: out of bounds: w and h are 1 to {MAX_SIDE}, q is 1 to 100")]
    Value(String),
    /// More pixels than a variant may have.
    #[error("more than {MAX_PIXELS} pixels")]
    Pixels,
    /// A box with one side only.
    #[error("fit=contain and fit=cover need both w and h")]
    Side,
}

impl Default for ImageVariant {
    fn default() -> Self {
        Self { width: None, height: None, fit: Fit::default(), format: Format::default(), quality: QUALITY }
    }
}

impl ImageVariant {
    /// True for a query that has any of a variant's parameters.
    #[must_use]
    pub fn is_named_by(query: &str) -> bool {
        query.split('&').any(|pair| NAMES.contains(&pair.split('=').next().unwrap_or_default()))
    }

    /// Reads a query: the variant, and its signature if it has one.
    ///
    /// # Errors
    ///
    /// [`ImageFault::Parameter`] and [`ImageFault::Value`], with the first parameter at fault; then as [`ImageVariant::check`].
    pub fn parse(query: &str) -> Result<(Self, Option<&str>), ImageFault> {
        let (mut variant, mut signature) = (Self::default(), None);
        let mut seen = vec![];
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if seen.contains(&name) || !NAMES.contains(&name) {
                return Err(ImageFault::Parameter(name.to_owned()));
            }
            seen.push(name);
            let wrong = || ImageFault::Value(pair.to_owned());
            match name {
                "w" => variant.width = Some(number(value, MAX_SIDE).ok_or_else(wrong)?),
                "h" => variant.height = Some(number(value, MAX_SIDE).ok_or_else(wrong)?),
                "fit" => variant.fit = Fit::of(value).ok_or_else(wrong)?,
                "fmt" => variant.format = Format::of(value).ok_or_else(wrong)?,
                "q" => variant.quality = number(value, 100).ok_or_else(wrong)?,
                _ => signature = Some(value),
            }
        }
        variant.check().map(|()| (variant, signature))
    }

    /// Checks the bounds that concern several parameters.
    ///
    /// # Errors
    ///
    /// [`ImageFault::Pixels`] above [`MAX_PIXELS`]; [`ImageFault::Side`] where `contain` or `cover` lacks one.
    pub fn check(&self) -> Result<(), ImageFault> {
        match (self.width, self.height) {
            (Some(w), Some(h)) if u64::from(w) * u64::from(h) > MAX_PIXELS => Err(ImageFault::Pixels),
            (Some(_), Some(_)) => Ok(()),
            _ if self.fit == Fit::Inside => Ok(()),
            _ => Err(ImageFault::Side),
        }
    }
}

/// The one spelling: every parameter that says anything, in one order.
impl fmt::Display for ImageVariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, side) in [("w", self.width), ("h", self.height)] {
            if let Some(side) = side {
                write!(f, "{name}={side}&")?;
            }
        }
        write!(f, "fit={}&fmt={}&q={}", self.fit.as_str(), self.format.as_str(), self.quality)
    }
}

/// A number from 1 to a bound, in its one spelling.
fn number<T: TryFrom<u32>>(value: &str, most: u32) -> Option<T> {
    let plain = value.bytes().all(|c| c.is_ascii_digit()) && !value.starts_with('0');
    let number: u32 = value.parse().ok().filter(|n| plain && *n <= most)?;
    T::try_from(number).ok()
}

impl Fit {
    const ALL: [Self; 3] = [Self::Inside, Self::Contain, Self::Cover];

    /// Its name in a query.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inside => "inside",
            Self::Contain => "contain",
            Self::Cover => "cover",
        }
    }

    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fit| fit.as_str() == name)
    }
}

impl Format {
    const ALL: [Self; 5] = [Self::Auto, Self::Avif, Self::Webp, Self::Jpeg, Self::Png];

    /// Its name in a query.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Avif => "avif",
            Self::Webp => "webp",
            Self::Jpeg => "jpeg",
            Self::Png => "png",
        }
    }

    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == name)
    }
}

/// The key in a key's file: without a line's end. `None` when it is shorter than [`MIN_KEY`].
#[must_use]
pub fn key(file: &[u8]) -> Option<&[u8]> {
    let key = file.strip_suffix(b"\n").map_or(file, |key| key.strip_suffix(b"\r").unwrap_or(key));
    (key.len() >= MIN_KEY).then_some(key)
}

/// What is signed of a variant of the image at a path, as the path stands in a URL.
#[must_use]
pub fn canonical(path: &str, variant: &ImageVariant) -> String {
    format!("{PURPOSE}\n{path}\n{variant}")
}

/// The signature of a variant: HMAC-SHA256 of its canonical text, in unpadded base64url.
#[must_use]
pub fn sign(key: &[u8], path: &str, variant: &ImageVariant) -> String {
    URL_SAFE_NO_PAD.encode(mac(key, path, variant).finalize().into_bytes())
}

/// True when a signature is that of the variant. It takes the same time wherever it is wrong.
#[must_use]
pub fn is_signed(key: &[u8], path: &str, variant: &ImageVariant, signature: &str) -> bool {
    let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { return false };
    mac(key, path, variant).verify_slice(&signature).is_ok()
}

/// Path and query of a signed variant.
#[must_use]
pub fn signed_target(key: &[u8], path: &str, variant: &ImageVariant) -> String {
    format!("{path}?{variant}&sig={}", sign(key, path, variant))
}

fn mac(key: &[u8], path: &str, variant: &ImageVariant) -> Hmac<Sha256> {
    let mut mac = Hmac::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(canonical(path, variant).as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

    #[test]
    fn a_query_is_read_within_its_bounds() {
        let (variant, signature) = ImageVariant::parse("w=320&h=200&fit=cover&fmt=webp&q=50&sig=x").unwrap();
        assert_eq!(variant.to_string(), "w=320&h=200&fit=cover&fmt=webp&q=50");
        assert_eq!(signature, Some("x"));
        assert_eq!(ImageVariant::parse("").unwrap().0.to_string(), "fit=inside&fmt=auto&q=75");
        for bad in [
            "w=0",
            "w=8193",
            "w=+1",
            "w=01",
            "h=",
            "q=0",
            "q=101",
            "q=256",
            "fit=fill",
            "fmt=gif",
            "w=1&w=2",
            "x=1",
            "fit=cover&w=1",
            "fit=contain",
            "w=8192&h=8192",
        ] {
            assert!(ImageVariant::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(key(&[KEY, b"\r\n"].concat()), Some(KEY));
        assert_eq!(key(&KEY[1..]), None);
        assert!(ImageVariant::is_named_by("a=1&w=2") && !ImageVariant::is_named_by("width=2&page=w"));
    }

    #[test]
    fn the_signature_is_what_any_language_computes() {
        let variant = ImageVariant { width: Some(320), ..ImageVariant::default() };
        assert_eq!(canonical("/a.jpg", &variant), "sluice-image-1\n/a.jpg\nw=320&fit=inside&fmt=auto&q=75");
        assert_eq!(sign(KEY, "/a.jpg", &variant), "_3bMDKK0FhuRyAAAioOh3UtZIwS_ERQVREnb-sjCkHw");
    }

    proptest! {
        #[test]
        fn a_variant_survives_its_spelling_and_no_other_has_its_signature(
            sides in (prop::option::of(1u32..4_000), prop::option::of(1u32..4_000)),
            format in prop::sample::select(&Format::ALL[..]),
            quality in 1u8..=100,
            other in 1u8..=100,
        ) {
            let variant = ImageVariant { width: sides.0, height: sides.1, fit: Fit::Inside, format, quality };
            let target = signed_target(KEY, "/a.jpg", &variant);
            let (read, signature) = ImageVariant::parse(target.split_once('?').unwrap().1).unwrap();
            prop_assert_eq!(read, variant);
            let signature = signature.unwrap();
            prop_assert!(is_signed(KEY, "/a.jpg", &variant, signature));
            prop_assert!(!is_signed(KEY, "/b.jpg", &variant, signature));
            prop_assert!(!is_signed(&KEY[1..], "/a.jpg", &variant, signature));
            let changed = ImageVariant { quality: other, ..variant };
            prop_assert_eq!(is_signed(KEY, "/a.jpg", &changed, signature), other == quality);
        }

        #[test]
        fn no_query_breaks_it(query in "[ -~]{0,60}") {
            if let Ok((variant, _)) = ImageVariant::parse(&query) {
                prop_assert_eq!(ImageVariant::parse(&variant.to_string()).unwrap().0, variant);
            }
        }
    }
}
