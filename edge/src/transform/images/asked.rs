//! Whether a request names a variant, may have it, and in which format.

use super::config::{ImagesConfig, read_key, read_preset};
use crate::transform::coding;
use http::header::{ACCEPT, HeaderMap};
use sluice_wire::image::{self, Format};
use sluice_wire::{ImageVariant, Problem};

/// Ends of paths that are images' own. Without one, a signature tells a variant from an app's own query.
const ENDS: [&str; 7] = [".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif", ".jfif"];

/// The variants that may be made here.
pub(crate) struct Images {
    key: Option<Vec<u8>>,
    presets: Vec<ImageVariant>,
}

impl std::fmt::Debug for Images {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Images").field("presets", &self.presets).finish_non_exhaustive()
    }
}

/// The format a variant is made in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    Avif,
    Webp,
    Jpeg,
    Png,
    /// JPEG, or PNG for what has alpha.
    Plain,
}

/// A variant that a request may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) variant: ImageVariant,
    pub(crate) output: Output,
}

impl Asked {
    /// What tells it from the image's other variants.
    pub(crate) fn selection(&self) -> String {
        format!("{} {:?}", self.variant, self.output)
    }

    /// True when the format is the asker's choice: answers depend on `Accept`.
    pub(crate) fn varies(&self) -> bool {
        self.variant.format == Format::Auto
    }
}

impl Images {
    /// What the configuration allows.
    ///
    /// # Errors
    ///
    /// When the key's file cannot be read, or a preset is none.
    pub(crate) fn open(config: &ImagesConfig) -> Result<Self, String> {
        let key = config.key_file.as_deref().map(read_key).transpose()?;
        let presets = config.presets.iter().map(|preset| read_preset(preset)).collect::<Result<_, _>>()?;
        Ok(Self { key, presets })
    }

    /// What a request asks for: `None` when it names no variant, a problem when it may not have it.
    pub(crate) fn asked(
        &self,
        path: &str,
        query: Option<&str>,
        request: &HeaderMap,
    ) -> Option<Result<Asked, Problem>> {
        if self.key.is_none() && self.presets.is_empty() {
            return None;
        }
        let query = query.filter(|query| ImageVariant::is_named_by(query))?;
        let lower = path.to_ascii_lowercase();
        let is_image = ENDS.iter().any(|end| lower.ends_with(end));
        let is_signed = query.split('&').any(|pair| pair.starts_with("sig="));
        (is_image || is_signed).then(|| self.allowed(path, query, request))
    }

    fn allowed(&self, path: &str, query: &str, request: &HeaderMap) -> Result<Asked, Problem> {
        let (variant, signature) = ImageVariant::parse(query).map_err(|fault| {
            Problem::new(400, "image-variant", "No variant of an image").detail(fault.to_string())
        })?;
        let signed = match (&self.key, signature) {
            (Some(key), Some(signature)) => image::is_signed(key, path, &variant, signature),
            _ => false,
        };
        let preset = signature.is_none() && self.presets.contains(&variant);
        if !signed && !preset {
            let detail = "the variant is neither signed with this site's key nor one of its presets";
            return Err(Problem::new(403, "image-signature", "Variant not allowed").detail(detail));
        }
        Ok(Asked { variant, output: output(variant.format, request) })
    }
}

fn output(format: Format, request: &HeaderMap) -> Output {
    match format {
        Format::Avif => Output::Avif,
        Format::Webp => Output::Webp,
        Format::Jpeg => Output::Jpeg,
        Format::Png => Output::Png,
        Format::Auto if accepts(request, "image/avif") => Output::Avif,
        Format::Auto if accepts(request, "image/webp") => Output::Webp,
        Format::Auto => Output::Plain,
    }
}

/// True when `Accept` names a type itself (RFC 9110 section 12.5.1): `*/*` comes from everybody, and says nothing of a
/// newer format.
fn accepts(request: &HeaderMap, kind: &str) -> bool {
    let lines = request.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|member| {
        let (name, parameters) = member.split_once(';').unwrap_or((member, ""));
        name.trim().eq_ignore_ascii_case(kind) && coding::weight(parameters).is_some_and(|weight| weight > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn images() -> Images {
        let preset = ImageVariant::parse("w=100").unwrap().0;
        Images { key: Some(KEY.to_vec()), presets: vec![preset] }
    }

    fn status(target: &str) -> u16 {
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let asked = images().asked(path, query, &HeaderMap::new());
        asked.map_or(0, |asked| asked.map_or_else(|problem| problem.status, |_| 200))
    }

    #[test]
    fn signed_variants_and_presets_are_allowed_and_nothing_else() {
        let variant = ImageVariant::parse("w=320&h=200&fit=cover").unwrap().0;
        let signed = image::signed_target(KEY, "/a.jpg", &variant);
        let without_end = image::signed_target(KEY, "/a", &variant);
        for (target, wanted) in [
            (signed.as_str(), 200),
            (without_end.as_str(), 200),
            ("/a.jpg?w=100", 200),
            ("/a.JPG?fmt=auto&w=100", 200),
            ("/a.jpg?w=101", 403),
            ("/a.jpg?w=100&sig=", 403),
            ("/a.jpg?w=0", 400),
            ("/a.jpg?w=100&size=9", 400),
            (&signed.replace("w=320", "w=321"), 403),
            (&signed.replace("/a.jpg", "/b.jpg"), 403),
            ("/a.jpg", 0),
            ("/a.jpg?page=1", 0),
            ("/list?w=100&q=words", 0),
        ] {
            assert_eq!(status(target), wanted, "{target}");
        }
        let off = Images::open(&ImagesConfig::default()).unwrap();
        assert!(
            off.asked("/a.jpg", Some("w=101"), &HeaderMap::new()).is_none(),
            "off without key and presets"
        );
    }

    #[test]
    fn the_format_is_the_best_that_is_named() {
        for (accept, wanted) in [
            ("image/avif,image/webp,image/apng,*/*;q=0.8", Output::Avif),
            ("image/avif;q=0, image/webp", Output::Webp),
            ("image/png, */*", Output::Plain),
            ("", Output::Plain),
        ] {
            let mut request = HeaderMap::new();
            request.insert(ACCEPT, accept.parse().unwrap());
            assert_eq!(output(Format::Auto, &request), wanted, "{accept}");
            assert_eq!(output(Format::Png, &request), Output::Png);
        }
    }
}
