//! Tags and versions: what an object shows, and which state of it.
//!
//! An answer names its tags in `Surrogate-Key` and the version of each it reflects in `Sluice-Version`
//! (`tag=version` members, separated by spaces). An event raises the floor of one tag; a body older than a floor may be
//! neither stored nor served.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

use crate::id::VideoId;
use crate::limits::{MAX_TAG_LEN, MAX_TAGS};

/// Why a text is not a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tag is 1 to {MAX_TAG_LEN} characters of letters, digits, '.', ':', '_', '-' and '/'")]
pub struct TagError;

/// The name of a thing that changes: a video, a listing, a product. 1 to [`MAX_TAG_LEN`] of letters, digits, `.`, `:`, `_`, `-` and
/// `/`. A copy of it is the same text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(Arc<str>);

impl Tag {
    /// Checks a tag.
    ///
    /// # Errors
    /// [`TagError`] when it is empty, too long or has another character.
    pub fn new(text: impl Into<String>) -> Result<Self, TagError> {
        let text = text.into();
        let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b':' | b'_' | b'-' | b'/');
        if (1..=MAX_TAG_LEN).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(TagError)
        }
    }

    /// `v:VIDEO`. Everything that shows a video's present state: its document, playlists and poster.
    #[must_use]
    pub fn video(video: VideoId) -> Self {
        Self(format!("v:{video}").into())
    }

    /// `v:VIDEO:media`. A video's headers and segments. They never change, so only deleting or purging raises this tag: a new
    /// segment must not make edges forget the ones before it.
    #[must_use]
    pub fn media(video: VideoId) -> Self {
        Self(format!("v:{video}:media").into())
    }

    /// `v:VIDEO:text`. A video's text: a track that is replaced or deleted is forgotten everywhere, film and sound are not.
    #[must_use]
    pub fn text(video: VideoId) -> Self {
        Self(format!("v:{video}:text").into())
    }

    /// `videos`. The library's listing.
    #[must_use]
    pub fn library() -> Self {
        Self("videos".into())
    }

    /// `all`. Every object a fleet holds; an event of this tag purges all.
    #[must_use]
    pub fn everything() -> Self {
        Self("all".into())
    }

    /// The tag.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Tag {
    type Error = TagError;
    fn try_from(text: String) -> Result<Self, TagError> {
        Self::new(text)
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> Self {
        tag.0.as_ref().to_owned()
    }
}

/// A tag's version: 0 before its first event, one more with each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub u64);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Renders `Surrogate-Key`: the tags, separated by spaces.
#[must_use]
pub fn render_keys(tags: &[Tag]) -> String {
    tags.iter().map(Tag::as_str).collect::<Vec<_>>().join(" ")
}

/// Reads `Surrogate-Key`. Members that are no tags are dropped, as are those past [`MAX_TAGS`].
#[must_use]
pub fn parse_keys(value: &str) -> Vec<Tag> {
    value.split_ascii_whitespace().filter_map(|t| Tag::new(t).ok()).take(MAX_TAGS).collect()
}

/// Renders `Sluice-Version`: `tag=version` members, separated by spaces.
#[must_use]
pub fn render_versions(versions: &[(Tag, Version)]) -> String {
    versions.iter().map(|(t, v)| format!("{t}={v}")).collect::<Vec<_>>().join(" ")
}

/// Reads `Sluice-Version`. Malformed members are dropped, as are those past [`MAX_TAGS`].
#[must_use]
pub fn parse_versions(value: &str) -> Vec<(Tag, Version)> {
    let member = |text: &str| {
        let (tag, version) = text.rsplit_once('=')?;
        Some((Tag::new(tag).ok()?, Version(version.parse().ok()?)))
    };
    value.split_ascii_whitespace().filter_map(member).take(MAX_TAGS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn headers_round_trip(tags in prop::collection::vec(("[a-z][a-zA-Z0-9.:_/-]{0,20}", any::<u64>()), 0..8)) {
            let versions: Vec<_> =
                tags.iter().map(|(t, v)| (Tag::new(t.clone()).unwrap(), Version(*v))).collect();
            let keys: Vec<_> = versions.iter().map(|(t, _)| t.clone()).collect();
            prop_assert_eq!(parse_versions(&render_versions(&versions)), versions);
            prop_assert_eq!(parse_keys(&render_keys(&keys)), keys);
        }

        #[test]
        fn hostile_headers_never_panic(value in ".{0,200}") {
            prop_assert!(parse_keys(&value).len() <= MAX_TAGS);
            prop_assert!(parse_versions(&value).len() <= MAX_TAGS);
        }
    }

    #[test]
    fn tags_refuse_what_a_header_could_not_carry() {
        for bad in ["", " ", "a b", "a=b", "a\r\nb", "ü", &"x".repeat(MAX_TAG_LEN + 1)] {
            assert_eq!(Tag::new(bad), Err(TagError), "{bad:?}");
        }
    }
}
