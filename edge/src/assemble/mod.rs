//! Answers assembled here: a small list that is one client's own names fragments that are everybody's. The list comes from an
//! origin each time, and says by that what this client may see; the fragments are kept, and fetched once for all.
//!
//! An origin asks for it with `Sluice-Assemble` on the list's answer:
//!
//! - `json`: each object of the list with a `fragment` (a path) gets that document as `content`, or as `c` where it says `f`; an
//!   element of an array whose fragment is gone is left out
//! - `html`: each `<sluice-fragment src="PATH"></sluice-fragment>` is replaced by that text

mod html;
mod json;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, HeaderMap};
use std::collections::HashMap;

/// Fragments of one list. A longer one is handed on as it is.
pub(crate) const MAX_FRAGMENTS: usize = 100;
/// Bytes of a list, and of one fragment.
pub(crate) const MAX_LIST: usize = 256 << 10;
/// See [`MAX_LIST`].
pub(crate) const MAX_FRAGMENT: usize = 256 << 10;

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

    /// The paths that a list names, each once. `None` when it is not of its form, or names too many.
    pub(crate) fn paths(self, list: &[u8]) -> Option<Vec<String>> {
        let mut paths = match self {
            Self::Json => json::paths(list)?,
            Self::Html => html::paths(std::str::from_utf8(list).ok()?),
        };
        paths.sort_unstable();
        paths.dedup();
        (paths.len() <= MAX_FRAGMENTS).then_some(paths)
    }

    /// The list with its fragments. `None` when one of them is not of the list's form.
    pub(crate) fn assemble(self, list: &[u8], fragments: &Fragments) -> Option<Vec<u8>> {
        match self {
            Self::Json => json::assemble(list, fragments),
            Self::Html => Some(html::assemble(std::str::from_utf8(list).ok()?, fragments)),
        }
    }
}

/// A path that a fragment may have: of the same host, and no other answer of lists.
fn is_path(path: &str) -> bool {
    path.starts_with('/') && !path.starts_with("//") && path.len() <= 2_048
}
