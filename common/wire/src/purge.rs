//! Purges: what an operator asks to be forgotten, and how the log says so.
//!
//! A purge is an event of a tag. That of a URL or of a prefix has a tag made of its text, and says the text itself: whose
//! host it is, and how its path and query are spelled, each edge finds as it does for a request.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::limits::{MAX_PREFIX_DEPTH, MAX_PURGE_URL, MAX_TAGS};
use crate::media::MediaPath;
use crate::tag::Tag;

/// What is to be forgotten, as a client asks for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PurgeRequest {
    /// Everything with one of these tags.
    pub tags: Vec<String>,
    /// Everything with the tags of these media paths.
    pub paths: Vec<String>,
    /// What is at exactly these URLs: `http://host/path?query`, of both schemes; `/path?query` at the fleet's own hosts.
    pub urls: Vec<String>,
    /// What is at these paths and below them, with any query: `http://host/path`, or `/path` at the fleet's own hosts.
    pub prefixes: Vec<String>,
    /// Everything there is.
    pub everything: bool,
    /// True to let copies be validated, and served stale where their answers allow it. Else they are never served again.
    pub soft: bool,
}

/// Why a purge is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PurgeError {
    /// A tag breaks the rules of tags.
    #[error("{0:.100}: no tag")]
    Tag(String),
    /// A path is no media path.
    #[error("{0:.100} is no media path; purge it as a URL, or its tag")]
    Path(String),
    /// A URL or prefix cannot be read.
    #[error(
        "{0:.100} is no URL to purge: http://host/path, https://host/path or /path, in at most {MAX_PURGE_URL} plain \
         characters; a prefix has no query and at most {MAX_PREFIX_DEPTH} segments"
    )]
    Url(String),
    /// Nothing is named, or too much.
    #[error("name 1 to {MAX_TAGS} tags, paths, URLs or prefixes, or everything")]
    Count,
}

/// One purge: an event to be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Purge {
    /// The event's tag.
    pub tag: Tag,
    /// What the event says beside it.
    pub data: PurgeData,
}

/// What a purge's event says beside its tag.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct PurgeData {
    /// Copies may be validated, and served stale where their answers allow it.
    pub soft: bool,
    /// The URL, of a purge of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The prefix, of a purge of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

impl PurgeData {
    /// Reads an event's data. What cannot be read is a hard purge of the tag alone.
    #[must_use]
    pub fn read(data: &serde_json::Value) -> Self {
        serde_json::from_value(data.clone()).unwrap_or_default()
    }
}

impl PurgeRequest {
    /// Checks it; the purges it asks for, each once.
    ///
    /// # Errors
    /// [`PurgeError`], naming the first fault.
    pub fn check(&self) -> Result<Vec<Purge>, PurgeError> {
        let soft = self.soft;
        let of_tag = |tag| Purge { tag, data: PurgeData { soft, ..PurgeData::default() } };
        let mut purges = vec![];
        for text in &self.tags {
            purges.push(of_tag(Tag::new(text.as_str()).map_err(|_| PurgeError::Tag(text.clone()))?));
        }
        for path in &self.paths {
            let media = MediaPath::parse(path).ok_or_else(|| PurgeError::Path(path.clone()))?;
            purges.extend(media.tags().into_iter().map(of_tag));
        }
        for url in &self.urls {
            target(url).ok_or_else(|| PurgeError::Url(url.clone()))?;
            let data = PurgeData { soft, url: Some(url.clone()), prefix: None };
            purges.push(Purge { tag: tag("url", url), data });
        }
        for prefix in &self.prefixes {
            let path = target(prefix).filter(|path| !path.contains('?'));
            let depth = path.map(|path| path.matches('/').count());
            if depth.is_none_or(|depth| depth > MAX_PREFIX_DEPTH) {
                return Err(PurgeError::Url(prefix.clone()));
            }
            let data = PurgeData { soft, url: None, prefix: Some(prefix.clone()) };
            purges.push(Purge { tag: tag("prefix", prefix), data });
        }
        if self.everything {
            purges.push(of_tag(Tag::everything()));
        }
        purges.sort();
        purges.dedup();
        if purges.is_empty() || purges.len() > MAX_TAGS { Err(PurgeError::Count) } else { Ok(purges) }
    }
}

fn tag(kind: &str, text: &str) -> Tag {
    Tag::new(format!("{kind}:{:016x}", xxh3_64(text.as_bytes()))).expect("letters, a colon and digits")
}

/// Scheme (true for https) and host of a URL to purge; `None` for one of the fleet's own hosts.
#[must_use]
pub fn host(url: &str) -> Option<(bool, &str)> {
    let (secure, rest) = match url.strip_prefix("https://") {
        Some(rest) => (true, rest),
        None => (false, url.strip_prefix("http://")?),
    };
    Some((secure, rest.split(['/', '?']).next().unwrap_or_default()))
}

/// Path and query of a URL to purge. `None` when it is none.
#[must_use]
pub fn target(url: &str) -> Option<&str> {
    let plain = url.len() <= MAX_PURGE_URL && url.bytes().all(|c| c.is_ascii_graphic() && c != b'#');
    let target = match url.split_once("://") {
        Some(("http" | "https", rest)) => {
            let at = rest.find('/').filter(|at| *at > 0)?;
            rest.get(at..)?
        }
        Some((before, _)) if !before.starts_with('/') => return None,
        _ => url,
    };
    (plain && target.starts_with('/') && !target.starts_with("//")).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn asked(urls: &[&str], prefixes: &[&str]) -> PurgeRequest {
        let owned = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect();
        PurgeRequest { urls: owned(urls), prefixes: owned(prefixes), ..PurgeRequest::default() }
    }

    #[test]
    fn urls_and_prefixes_are_told_apart_and_named_once() {
        let purges = asked(&["/a", "/a", "https://h:81/a?b=c"], &["/a", "http://h/"]).check().unwrap();
        assert_eq!(purges.len(), 4, "{purges:?}");
        assert_eq!(purges.iter().filter(|p| p.data.url.is_some()).count(), 2);
        assert_eq!(PurgeRequest::default().check(), Err(PurgeError::Count));
        let media = PurgeRequest { paths: vec!["/a".into()], ..PurgeRequest::default() };
        assert!(matches!(media.check(), Err(PurgeError::Path(_))));
        assert_eq!(host("https://h:81/a"), Some((true, "h:81")));
        assert_eq!(target("https://h:81/a?b"), Some("/a?b"));
        assert_eq!((host("/a"), target("/a?u=http://b/c")), (None, Some("/a?u=http://b/c")));
    }

    #[test]
    fn what_is_no_url_is_refused() {
        let long = format!("/{}", "x".repeat(MAX_PURGE_URL));
        for bad in [
            "",
            "a",
            "//a",
            "http://",
            "http:///a",
            "http://h",
            "ftp://h/a",
            "/a b",
            "/a#b",
            "/\u{e4}",
            &long,
        ] {
            assert!(asked(&[bad], &[]).check().is_err(), "{bad}");
        }
        assert!(asked(&[], &["/a?b"]).check().is_err());
        assert!(asked(&[], &[&"/a".repeat(MAX_PREFIX_DEPTH + 1)]).check().is_err());
    }

    proptest! {
        #[test]
        fn what_an_event_says_reads_back(url in "/[a-z/?]{0,20}", soft in any::<bool>()) {
            let data = PurgeData { soft, url: Some(url), prefix: None };
            prop_assert_eq!(PurgeData::read(&serde_json::to_value(&data).unwrap()), data);
        }

        #[test]
        fn nothing_makes_the_reader_fail(url in ".{0,60}") {
            prop_assert!(host(&url).is_none_or(|(_, host)| !host.contains('/')));
            prop_assert!(target(&url).is_none_or(|target| target.starts_with('/')));
            drop(asked(&[&url], &[&url]).check());
        }
    }
}
