//! Tests of parts of a URI, as the claim `catu` of CTA-5007 has them.

use super::grant::Question;

/// A part of a URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UriPart {
    /// `https`.
    Scheme,
    /// The name, without port, in small letters.
    Host,
    /// The port, in digits; the scheme's own when none is named.
    Port,
    /// The path.
    Path,
    /// The query without its question mark, and without credentials.
    Query,
    /// The path up to its last slash, without it.
    ParentPath,
    /// What is after the last slash.
    Filename,
    /// The file's name before its last dot.
    Stem,
    /// The file's name from its last dot on.
    Extension,
}

impl UriPart {
    /// The part with this label in CTA-5007.
    #[must_use]
    pub const fn of_label(label: i128) -> Option<Self> {
        Some(match label {
            0 => Self::Scheme,
            1 => Self::Host,
            2 => Self::Port,
            3 => Self::Path,
            4 => Self::Query,
            5 => Self::ParentPath,
            6 => Self::Filename,
            7 => Self::Stem,
            8 => Self::Extension,
            _ => return None,
        })
    }
}

/// How a text is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// The same.
    Exact(String),
    /// It begins so.
    Prefix(String),
    /// It ends so.
    Suffix(String),
    /// It contains this.
    Contains(String),
}

impl Match {
    /// The comparison with this label in CTA-5007. Regular expressions and hashes are not known here.
    #[must_use]
    pub fn of_label(label: i128, text: &str) -> Option<Self> {
        Some(match label {
            0 => Self::Exact(text.into()),
            1 => Self::Prefix(text.into()),
            2 => Self::Suffix(text.into()),
            3 => Self::Contains(text.into()),
            _ => return None,
        })
    }

    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Exact(one) => text == one,
            Self::Prefix(one) => text.starts_with(one.as_str()),
            Self::Suffix(one) => text.ends_with(one.as_str()),
            Self::Contains(one) => text.contains(one.as_str()),
        }
    }
}

/// A test of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UriTest {
    /// The part.
    pub part: UriPart,
    /// How it is compared.
    pub by: Match,
}

/// Whether a test holds for a request.
#[must_use]
pub fn holds(test: &UriTest, asked: &Question<'_>) -> bool {
    let scheme = if asked.secure { "https" } else { "http" };
    let (host, port) = split_host(asked.host);
    let (parent, file) = asked.path.rsplit_once('/').unwrap_or(("", asked.path));
    let dot = file.rfind('.').unwrap_or(file.len());
    let (stem, extension) = file.split_at(dot);
    let usual = if asked.secure { "443" } else { "80" };
    match test.part {
        UriPart::Scheme => test.by.holds(scheme),
        UriPart::Host => test.by.holds(&host.to_ascii_lowercase()),
        UriPart::Port => test.by.holds(port.unwrap_or(usual)),
        UriPart::Path => test.by.holds(asked.path),
        UriPart::Query => test.by.holds(asked.query.unwrap_or_default()),
        UriPart::ParentPath => test.by.holds(parent),
        UriPart::Filename => test.by.holds(file),
        UriPart::Stem => test.by.holds(stem),
        UriPart::Extension => test.by.holds(extension),
    }
}

fn split_host(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|c| c.is_ascii_digit()) => (name, Some(port)),
        _ => (host, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_is_the_part_it_says() {
        let asked = Question {
            method: "GET",
            secure: true,
            host: "Media.Example:8443",
            path: "/v/a/film.tar.m4s",
            query: Some("x=1"),
            client: "::1".parse().unwrap(),
            country: None,
        };
        let exact = |part, text: &str| holds(&UriTest { part, by: Match::Exact(text.into()) }, &asked);
        assert!(exact(UriPart::Scheme, "https") && exact(UriPart::Host, "media.example"));
        assert!(exact(UriPart::Port, "8443") && exact(UriPart::Query, "x=1"));
        assert!(exact(UriPart::Path, "/v/a/film.tar.m4s") && exact(UriPart::ParentPath, "/v/a"));
        assert!(exact(UriPart::Filename, "film.tar.m4s") && exact(UriPart::Stem, "film.tar"));
        assert!(exact(UriPart::Extension, ".m4s") && !exact(UriPart::Extension, "m4s"));
        let plain = Question { host: "[::1]", path: "/", query: None, secure: false, ..asked };
        let exact = |part, text: &str| holds(&UriTest { part, by: Match::Exact(text.into()) }, &plain);
        assert!(exact(UriPart::Host, "[::1]") && exact(UriPart::Port, "80") && exact(UriPart::Extension, ""));
    }

    #[test]
    fn comparisons_compare() {
        let by = |label| Match::of_label(label, "ab");
        let all = |text: &str| (0..4).map(|l| by(l).unwrap().holds(text)).collect::<Vec<_>>();
        assert_eq!(all("ab"), [true; 4]);
        assert_eq!(all("abc"), [false, true, false, true]);
        assert_eq!(all("xab"), [false, false, true, true]);
        assert_eq!(all("b"), [false; 4]);
        assert!([4, -1, -2, 5].into_iter().all(|label| by(label).is_none()));
    }
}
