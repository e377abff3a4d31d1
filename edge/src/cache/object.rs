//! A kept answer.

use super::Growing;
use super::freshness::{Lifetimes, Window, initial_age};
use http::header::{ETAG, HeaderMap, LAST_MODIFIED, VARY};
use http::{HeaderName, StatusCode};
use sluice_wire::headers::{SLUICE_VERSION, SURROGATE_KEY};
use sluice_wire::tag::{Tag, Version, parse_keys, parse_versions};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// What an object weighs beside its body: fields, index, list links.
const OVERHEAD: u64 = 1_024;

/// A kept answer: its head, its body, and what decides whether it may be served.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Arc<Growing>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) versions: Vec<(Tag, Version)>,
    /// Where the event feed was when this was asked for.
    pub(crate) asked_at: FeedMark,
    lifetimes: Lifetimes,
    since: Instant,
    initial_age: Duration,
}

/// A point in the event feed as this edge saw it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FeedMark {
    /// Rises whenever continuity was lost: everything older must be asked for anew.
    pub(crate) epoch: u64,
    /// The newest event applied.
    pub(crate) seq: u64,
}

/// How an object stands now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Serve it; fresh for this long.
    Fresh(Duration),
    /// Serve it, and ask for news meanwhile.
    WhileRevalidating,
    /// Ask for news; serve it only if that fails.
    IfError,
    /// Ask for news; never serve it before.
    Stale,
}

impl Object {
    pub(crate) fn new(
        status: StatusCode,
        headers: HeaderMap,
        lifetimes: Lifetimes,
        body: Arc<Growing>,
        asked_at: FeedMark,
    ) -> Self {
        let field = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let (tags, versions) = (parse_keys(field(SURROGATE_KEY)), parse_versions(field(SLUICE_VERSION)));
        let initial_age = initial_age(&headers, SystemTime::now());
        Self {
            status,
            headers,
            body,
            tags,
            versions,
            asked_at,
            lifetimes,
            since: Instant::now(),
            initial_age,
        }
    }

    /// Its age (RFC 9111 section 4.2.3).
    pub(crate) fn age(&self) -> Duration {
        self.initial_age + self.since.elapsed()
    }

    /// How it stands by time alone; floors are another matter.
    pub(crate) fn standing(&self, feed_is_live: bool) -> Standing {
        let Window { fresh, while_revalidating, if_error } = self.lifetimes.window(feed_is_live);
        let age = self.age();
        if age < fresh {
            Standing::Fresh(fresh - age)
        } else if age < fresh + while_revalidating {
            Standing::WhileRevalidating
        } else if age < fresh + if_error.max(self.lifetimes.pushed.if_error) {
            Standing::IfError
        } else {
            Standing::Stale
        }
    }

    /// What it costs the budget.
    pub(crate) fn weight(&self) -> u64 {
        self.body.length() + OVERHEAD
    }

    /// Its validators, as a conditional request carries them.
    pub(crate) fn validators(&self) -> impl Iterator<Item = (HeaderName, http::HeaderValue)> {
        let pairs = [(ETAG, http::header::IF_NONE_MATCH), (LAST_MODIFIED, http::header::IF_MODIFIED_SINCE)];
        pairs.into_iter().filter_map(|(of, ask)| Some((ask, self.headers.get(of)?.clone())))
    }

    /// Names of the request fields that its answer depends on, in lower case.
    pub(crate) fn vary(headers: &HeaderMap) -> Vec<HeaderName> {
        let lines = headers.get_all(VARY);
        lines
            .iter()
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(','))
            .filter_map(|n| n.trim().parse().ok())
            .collect()
    }
}
