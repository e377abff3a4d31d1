//! What may be kept and for how long (RFC 9111, RFC 5861, RFC 9213): pure functions of an answer's fields.

use http::StatusCode;
use http::header::{AUTHORIZATION, CACHE_CONTROL, DATE, EXPIRES, HeaderMap, LAST_MODIFIED, VARY};
use sluice_wire::headers::CDN_CACHE_CONTROL;
use std::time::{Duration, SystemTime};

/// Statuses that may be kept without explicit freshness (RFC 9110 section 15.1), as far as an edge sees whole ones.
const HEURISTIC: [u16; 9] = [200, 203, 204, 300, 301, 308, 404, 405, 410];
/// The longest heuristic freshness: a day.
const MAX_HEURISTIC: Duration = Duration::from_secs(86_400);

/// `Cache-Control` directives that matter to a shared cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Directives {
    pub(crate) no_store: bool,
    pub(crate) no_cache: bool,
    pub(crate) private: bool,
    pub(crate) public: bool,
    pub(crate) must_revalidate: bool,
    pub(crate) max_age: Option<u64>,
    pub(crate) s_maxage: Option<u64>,
    pub(crate) stale_while_revalidate: u64,
    pub(crate) stale_if_error: u64,
}

impl Directives {
    /// Reads a field by name; several lines are one list.
    pub(crate) fn of(headers: &HeaderMap, name: &str) -> Self {
        let mut read = Self::default();
        let lines = headers.get_all(name);
        for directive in lines.iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')) {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            let seconds = || value.trim().trim_matches('"').parse::<u64>().ok();
            match name.trim().to_ascii_lowercase().as_str() {
                "no-store" => read.no_store = true,
                // With field names only those fields are meant; keeping nothing is the careful reading.
                "no-cache" => read.no_cache = true,
                "private" => read.private = true,
                "public" => read.public = true,
                "must-revalidate" | "proxy-revalidate" => read.must_revalidate = true,
                // Unreadable freshness is staleness (RFC 9111 section 4.2.1); the first of several counts.
                "max-age" if read.max_age.is_none() => read.max_age = Some(seconds().unwrap_or(0)),
                "s-maxage" if read.s_maxage.is_none() => read.s_maxage = Some(seconds().unwrap_or(0)),
                "stale-while-revalidate" => read.stale_while_revalidate = seconds().unwrap_or(0),
                "stale-if-error" => read.stale_if_error = seconds().unwrap_or(0),
                _ => {}
            }
        }
        read
    }
}

/// How long an answer is fresh, and how long it may be served after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) fresh: Duration,
    pub(crate) while_revalidating: Duration,
    pub(crate) if_error: Duration,
}

impl Window {
    const NONE: Self =
        Self { fresh: Duration::ZERO, while_revalidating: Duration::ZERO, if_error: Duration::ZERO };
}

/// The windows of an answer, by which of its fields may be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lifetimes {
    /// While the event feed is live: `CDN-Cache-Control` counts, since what changes is pushed.
    pub(crate) pushed: Window,
    /// While it is not.
    pub(crate) plain: Window,
}

/// Why an answer is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotKept {
    Status,
    Directive,
    Vary,
    Authorization,
    NoLifetime,
}

impl Lifetimes {
    /// Decides on an answer that has just come.
    pub(crate) fn of(
        request: &HeaderMap,
        status: StatusCode,
        headers: &HeaderMap,
        now: SystemTime,
    ) -> Result<Self, NotKept> {
        if status.is_informational() || matches!(status.as_u16(), 206 | 304) || status.is_server_error() {
            return Err(NotKept::Status);
        }
        if headers.get_all(VARY).iter().any(|v| v.as_bytes().contains(&b'*')) {
            return Err(NotKept::Vary);
        }
        let plain = Directives::of(headers, CACHE_CONTROL.as_str());
        let targeted =
            headers.contains_key(CDN_CACHE_CONTROL).then(|| Directives::of(headers, CDN_CACHE_CONTROL));
        let counts = targeted.unwrap_or(plain);
        if counts.no_store || counts.private {
            return Err(NotKept::Directive);
        }
        let shared = plain.public || plain.must_revalidate || plain.s_maxage.is_some();
        if request.contains_key(AUTHORIZATION) && !shared {
            return Err(NotKept::Authorization);
        }
        let pushed = window(counts, status, headers, now);
        let plain =
            if plain.no_store || plain.private { Window::NONE } else { window(plain, status, headers, now) };
        let validates = headers.contains_key(http::header::ETAG) || headers.contains_key(LAST_MODIFIED);
        if pushed.fresh.is_zero()
            && pushed.while_revalidating.is_zero()
            && pushed.if_error.is_zero()
            && !validates
        {
            return Err(NotKept::NoLifetime);
        }
        Ok(Self { pushed, plain })
    }

    /// The window that counts now.
    pub(crate) const fn window(&self, feed_is_live: bool) -> Window {
        if feed_is_live { self.pushed } else { self.plain }
    }
}

fn window(directives: Directives, status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Window {
    let seconds = Duration::from_secs;
    let explicit = directives.s_maxage.or(directives.max_age).map(seconds).or_else(|| expires(headers, now));
    let heuristic = || {
        let modified = date(headers, LAST_MODIFIED.as_str())?;
        let age = date(headers, DATE.as_str()).unwrap_or(now).duration_since(modified).ok()?;
        HEURISTIC.contains(&status.as_u16()).then(|| (age / 10).min(MAX_HEURISTIC))
    };
    let fresh =
        if directives.no_cache { Duration::ZERO } else { explicit.or_else(heuristic).unwrap_or_default() };
    let strict = directives.must_revalidate || directives.no_cache;
    Window {
        fresh,
        while_revalidating: if strict { Duration::ZERO } else { seconds(directives.stale_while_revalidate) },
        if_error: if strict { Duration::ZERO } else { seconds(directives.stale_if_error) },
    }
}

/// `Expires` less `Date`. An unreadable `Expires` is in the past (RFC 9111 section 5.3).
fn expires(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    headers.get(EXPIRES)?;
    let from = date(headers, DATE.as_str()).unwrap_or(now);
    Some(
        date(headers, EXPIRES.as_str()).and_then(|until| until.duration_since(from).ok()).unwrap_or_default(),
    )
}

fn date(headers: &HeaderMap, name: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

/// The age an answer came with (RFC 9111 section 4.2.3): what `Age` says or what `Date` shows, whichever is more.
pub(crate) fn initial_age(headers: &HeaderMap, now: SystemTime) -> Duration {
    let said =
        headers.get(http::header::AGE).and_then(|v| v.to_str().ok()?.split(',').next()?.trim().parse().ok());
    let apparent =
        date(headers, DATE.as_str()).and_then(|sent| now.duration_since(sent).ok()).unwrap_or_default();
    Duration::from_secs(said.unwrap_or(0)).max(apparent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        fields.iter().map(|(n, v)| (http::HeaderName::from_static(n), v.parse().unwrap())).collect()
    }

    fn fresh(fields: &[(&'static str, &str)]) -> Result<(u64, u64), NotKept> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        Lifetimes::of(&HeaderMap::new(), StatusCode::OK, &headers(fields), now)
            .map(|l| (l.pushed.fresh.as_secs(), l.plain.fresh.as_secs()))
    }

    #[test]
    fn the_most_specific_lifetime_counts() {
        assert_eq!(fresh(&[("cache-control", "max-age=10")]), Ok((10, 10)));
        assert_eq!(fresh(&[("cache-control", "max-age=10, s-maxage=20")]), Ok((20, 20)));
        assert_eq!(
            fresh(&[("cache-control", "max-age=1"), ("cdn-cache-control", "max-age=3600")]),
            Ok((3600, 1))
        );
        assert_eq!(fresh(&[("cache-control", "no-store"), ("cdn-cache-control", "max-age=5")]), Ok((5, 0)));
        let dated = [("date", "Fri, 15 Jan 2027 08:00:00 GMT"), ("expires", "Fri, 15 Jan 2027 08:01:00 GMT")];
        assert_eq!(fresh(&dated), Ok((60, 60)));
        assert_eq!(fresh(&[("expires", "0"), ("etag", "\"a\"")]), Ok((0, 0)));
    }

    #[test]
    fn heuristics_need_a_date_of_change() {
        let modified =
            [("date", "Fri, 15 Jan 2027 08:00:00 GMT"), ("last-modified", "Fri, 15 Jan 2027 07:50:00 GMT")];
        assert_eq!(fresh(&modified), Ok((60, 60)));
        assert_eq!(fresh(&[]), Err(NotKept::NoLifetime));
    }

    #[test]
    fn what_must_not_be_shared_is_not_kept() {
        for refused in ["no-store", "private", "private, max-age=60", "max-age=60, no-store"] {
            assert_eq!(fresh(&[("cache-control", refused)]), Err(NotKept::Directive), "{refused}");
        }
        assert_eq!(fresh(&[("cache-control", "max-age=9"), ("vary", "*")]), Err(NotKept::Vary));
        let asked = headers(&[("authorization", "Bearer x")]);
        let of = |cc: &str| {
            Lifetimes::of(&asked, StatusCode::OK, &headers(&[("cache-control", cc)]), SystemTime::UNIX_EPOCH)
                .is_ok()
        };
        assert!(!of("max-age=9") && of("public, max-age=9") && of("s-maxage=9"));
    }

    #[test]
    fn strict_answers_are_never_served_stale() {
        let window = |cc: &str| {
            let headers = headers(&[("cache-control", cc)]);
            Lifetimes::of(&HeaderMap::new(), StatusCode::OK, &headers, SystemTime::UNIX_EPOCH).unwrap().plain
        };
        assert_eq!(window("max-age=1, stale-if-error=60").if_error.as_secs(), 60);
        assert_eq!(window("max-age=1, stale-if-error=60, must-revalidate").if_error.as_secs(), 0);
    }
}
