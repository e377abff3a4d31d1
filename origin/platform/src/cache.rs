//! Header fields of public answers.

use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, HeaderMap, HeaderName,
    HeaderValue,
};
use sluice_wire::headers::{SLUICE_CACHE_CONTROL, SLUICE_VERSION, SURROGATE_KEY};
use sluice_wire::tag::{Tag, Version, render_keys, render_versions};

/// How long whom may keep an answer. For ever is a year; until an event, an hour at most, and a day more while no origin answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Named by what it is: for ever.
    Immutable,
    /// Edges keep it until an event says otherwise; clients ask again each second.
    Pushed,
    /// Edges keep it until an event says otherwise; clients ask each time.
    PushedOnly,
    /// Edges that check who asks keep it for ever, and so may each client for itself; no other cache does.
    GuardedImmutable,
    /// Edges that check who asks keep it until an event says otherwise; clients ask again each second.
    GuardedPushed,
    /// Each client may keep it for itself, and asks each time whether it may still see it; no other cache does.
    Asked,
    /// Nobody keeps it.
    Never,
}

/// Sets `Cache-Control` and, for our own edges, `Sluice-Cache-Control` (RFC 9213 section 2).
pub fn lifetime(headers: &mut HeaderMap, lifetime: Lifetime) {
    let (clients, edges) = match lifetime {
        Lifetime::Immutable => ("public, max-age=31536000, immutable", None),
        Lifetime::Pushed => ("public, max-age=1", Some("max-age=3600, stale-if-error=86400")),
        Lifetime::PushedOnly => {
            ("public, max-age=0, must-revalidate", Some("max-age=3600, stale-if-error=86400"))
        }
        Lifetime::GuardedImmutable => {
            ("private, max-age=31536000, immutable", Some("max-age=31536000, stale-if-error=86400"))
        }
        Lifetime::GuardedPushed => ("private, max-age=1", Some("max-age=3600, stale-if-error=86400")),
        Lifetime::Asked => ("private, no-cache", None),
        Lifetime::Never => ("no-store", None),
    };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(clients));
    if let Some(edges) = edges {
        headers.insert(HeaderName::from_static(SLUICE_CACHE_CONTROL), HeaderValue::from_static(edges));
    }
}

/// Names an answer's tags and the version of each that it reflects. Versions must have been read before the rows.
pub fn version(headers: &mut HeaderMap, versions: &[(Tag, Version)]) {
    let tags: Vec<Tag> = versions.iter().map(|(tag, _)| tag.clone()).collect();
    for (name, text) in [(SURROGATE_KEY, render_keys(&tags)), (SLUICE_VERSION, render_versions(versions))] {
        let value = HeaderValue::from_str(&text).expect("tags are plain characters");
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// Lets pages of any origin read an answer with all its fields: media and documents are public, and `*` names every field for
/// a request without credentials, as all are that `*` lets in (Fetch standard, 3.3.3). Each answer carries it: it is short.
pub fn any_origin(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
    headers.insert(HeaderName::from_static("timing-allow-origin"), HeaderValue::from_static("*"));
}
