//! Answers assembled here: a small list that is one client's own names fragments that are everybody's. The list comes from an
//! origin each time, and says by that what this client may see; the fragments are kept, and fetched once for all.
//!
//! An origin asks for it with `Sluice-Assemble` on the list's answer:
//!
//! - `json`: each object of the list with a `fragment` (a reference) gets that document as `content`, or as `c` where it says `f`; an
//!   element of an array whose fragment is gone is left out
//! - `html`: each `<sluice-fragment src="REFERENCE"></sluice-fragment>` is replaced by that text
//!
//! A reference is a path of the same host, whole or relative to the list's own: a list is sent for each reader, and is short.

mod html;
mod json;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, HeaderMap};
use std::collections::HashMap;

/// Fragments of one list, each as often as it is named: that bounds what is put together. A longer one is handed on as it is.
pub(crate) const MAX_FRAGMENTS: usize = 100;
/// Bytes of a list, and of one fragment.
pub(crate) const MAX_LIST: usize = 256 << 10;
/// See [`MAX_LIST`].
pub(crate) const MAX_FRAGMENT: usize = 256 << 10;

/// Bytes of a reference.
const MAX_REFERENCE: usize = 2_048;

/// How a list names its fragments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Html,
}

/// What came of a fragment's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fragment {
    /// It is there.
    Text(Bytes),
    /// There is none (any more).
    Gone,
    /// It could not be had now.
    Unavailable,
}

/// Fragments by the paths that a list names.
pub(crate) type Fragments = HashMap<String, Fragment>;

impl Form {
    /// How an answer is to be assembled, if it is.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        if headers.contains_key(CONTENT_ENCODING) {
            return None;
        }
        match headers.get(sluice_wire::headers::SLUICE_ASSEMBLE)?.as_bytes() {
            b"json" => Some(Self::Json),
            b"html" => Some(Self::Html),
            _ => None,
        }
    }

    /// The list at a path. `None` when it is not of its form, or names too many.
    pub(crate) fn read<'a>(self, at: &str, list: &'a [u8]) -> Option<List<'a>> {
        let list = match self {
            Self::Json => List::Json(json::List::read(at, list)?),
            Self::Html => List::Html(html::Page::read(at, std::str::from_utf8(list).ok()?)),
        };
        let few = list.named().len() <= MAX_FRAGMENTS;
        few.then_some(list)
    }
}

/// A list that was read: each of its references is resolved.
#[derive(Debug)]
pub(crate) enum List<'a> {
    Json(json::List),
    Html(html::Page<'a>),
}

impl List<'_> {
    fn named(&self) -> Vec<&str> {
        match self {
            Self::Json(list) => list.paths(),
            Self::Html(page) => page.paths(),
        }
    }

    /// The paths that it names, each once.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = self.named();
        paths.sort_unstable();
        paths.dedup();
        paths.into_iter().map(str::to_owned).collect()
    }

    /// The list with its fragments. `None` when one of them is not of the list's form.
    pub(crate) fn assemble(&self, fragments: &Fragments) -> Option<Vec<u8>> {
        match self {
            Self::Json(list) => list.assemble(fragments),
            Self::Html(page) => Some(page.assemble(fragments)),
        }
    }
}

/// Where a reference leads from a list at a path: to a path of the same host (RFC 3986 section 5.2.3). `None` for what names
/// another host or a scheme, goes up by dot segments, or has over 2,048 bytes.
fn resolve(at: &str, reference: &str) -> Option<String> {
    if reference.len() > MAX_REFERENCE || reference.starts_with("//") {
        return None;
    }
    if reference.starts_with('/') {
        return Some(reference.to_owned());
    }
    let path = reference.split(['?', '#']).next().unwrap_or_default();
    let mut segments = path.split('/');
    let is_relative = !path.is_empty() && !path.split('/').next().unwrap_or_default().contains(':');
    let (folder, _) = at.rsplit_once('/')?;
    (is_relative && !segments.any(|segment| matches!(segment, "." | "..")))
        .then(|| format!("{folder}/{reference}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_a_bounded_number_of_fragments_however_often_it_names_one() {
        let of = |times| {
            let list = format!("[{}]", vec![r#"{"f":"a"}"#; times].join(","));
            Form::Json.read("/list", list.as_bytes()).map(|list| list.paths())
        };
        assert_eq!(of(MAX_FRAGMENTS).unwrap(), ["/a"]);
        assert_eq!(of(MAX_FRAGMENTS + 1), None);
    }

    #[test]
    fn a_reference_leads_to_a_path_of_the_same_host() {
        for (reference, path) in [
            ("/v1/posts/7", "/v1/posts/7"),
            ("posts/7", "/v1/feed/posts/7"),
            ("7?a=b:/../c", "/v1/feed/7?a=b:/../c"),
        ] {
            assert_eq!(resolve("/v1/feed/home", reference).as_deref(), Some(path));
        }
        let long = "x".repeat(MAX_REFERENCE + 1);
        for elsewhere in
            ["", "?a", "#a", "//evil/a", "http://evil/a", "javascript:a", "../a", "a/../../b", "./a", &long]
        {
            assert_eq!(resolve("/v1/feed/home", elsewhere), None, "{elsewhere}");
        }
    }
}
