//! What may be kept and for how long (RFC 9111, RFC 5861, RFC 9213): pure functions of an answer's fields.

use super::date;
use super::directives::{Directives, Scope};
use http::StatusCode;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, COOKIE, DATE, ETAG, EXPIRES, HeaderMap, LAST_MODIFIED, SET_COOKIE, VARY,
};
use sluice_wire::headers::{CDN_CACHE_CONTROL, SLUICE_CACHE_CONTROL};
use std::time::{Duration, SystemTime};

/// Statuses that may be kept without explicit freshness (RFC 9110 section 15.1); 206 is kept as slices alone.
const HEURISTIC: [u16; 11] = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501];
/// Statuses whose caching rules are known here, for `must-understand`.
const UNDERSTOOD: [u16; 17] =
    [200, 203, 204, 300, 301, 302, 303, 307, 308, 400, 403, 404, 405, 410, 414, 451, 501];
/// The longest heuristic freshness: a day.
const MAX_HEURISTIC: Duration = Duration::from_secs(86_400);
/// The longest lifetime: RFC 9111 section 1.2.2 asks for at least 2^31 seconds.
const MAX_SECONDS: u64 = 1 << 31;

/// What the operator of an edge decides about keeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Keep answers with `Set-Cookie`, and replay it to everybody.
    pub(crate) keep_cookies: bool,
    /// How long an answer without a word on it may be served stale when no parent can be reached.
    pub(crate) when_disconnected: Duration,
    /// How long a 404 or 410 without freshness is kept.
    pub(crate) negative: Duration,
}

/// How long an answer is fresh, and how long it may be served after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) fresh: Duration,
    /// While news is asked for (RFC 5861 section 3).
    pub(crate) while_revalidating: Duration,
    /// When a parent answers with an error (RFC 5861 section 4).
    pub(crate) if_error: Duration,
    /// When no parent answers (RFC 9111 section 4.2.4).
    pub(crate) if_disconnected: Duration,
}

impl Window {
    const NONE: Self = Self::strict(Duration::ZERO);

    const fn strict(fresh: Duration) -> Self {
        let none = Duration::ZERO;
        Self { fresh, while_revalidating: none, if_error: none, if_disconnected: none }
    }
}

/// The windows of an answer, by which of its fields may be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lifetimes {
    /// While the event feed is live: `Sluice-Cache-Control` counts, since what changes is pushed.
    pub(crate) pushed: Window,
    /// While it is not.
    pub(crate) plain: Window,
    /// An answer that may be given to requests with credentials too (RFC 9111 section 3.5).
    pub(crate) for_authorised: bool,
}

/// Why an answer is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotKept {
    Status,
    Directive,
    Vary,
    Authorization,
    Cookie,
    NoLifetime,
}

impl NotKept {
    /// True when those who wait for the same answer now may have it, though nobody after them.
    pub(crate) const fn may_be_shared_now(self) -> bool {
        matches!(self, Self::NoLifetime)
    }
}

impl Lifetimes {
    /// Of an answer that is not kept.
    pub(crate) const NONE: Self = Self { pushed: Window::NONE, plain: Window::NONE, for_authorised: false };

    /// Decides on an answer that has just come.
    pub(crate) fn of(
        request: &HeaderMap,
        status: StatusCode,
        headers: &HeaderMap,
        now: SystemTime,
        policy: Policy,
    ) -> Result<Self, NotKept> {
        if status.is_informational() || matches!(status.as_u16(), 206 | 304) {
            return Err(NotKept::Status);
        }
        if headers.get_all(VARY).iter().any(|v| v.as_bytes().contains(&b'*')) {
            return Err(NotKept::Vary);
        }
        let cache_control = Directives::of(headers, CACHE_CONTROL.as_str());
        let cdn = Directives::targeted(headers, CDN_CACHE_CONTROL);
        let own = Directives::targeted(headers, SLUICE_CACHE_CONTROL);
        let expires = cdn.is_none();
        let plain = cdn.unwrap_or(cache_control);
        let counts = own.as_ref().unwrap_or(&plain);
        if forbids(counts, status) {
            return Err(NotKept::Directive);
        }
        let for_authorised = plain.public || plain.must_revalidate || plain.s_maxage.is_some();
        if request.contains_key(AUTHORIZATION) && !for_authorised {
            return Err(NotKept::Authorization);
        }
        if headers.contains_key(SET_COOKIE) && !policy.keep_cookies {
            return Err(NotKept::Cookie);
        }
        // What was asked for with cookies may be for their bearer alone: it is for all where it says so.
        let personal = request.contains_key(COOKIE);
        let window = |directives: &Directives, expires| {
            window(directives, expires, (status, headers, personal), now, policy)
        };
        let pushed = window(counts, expires && own.is_none());
        let plain = if forbids(&plain, status) { Window::NONE } else { window(&plain, expires) };
        let says =
            counts.public || counts.max_age.or(counts.s_maxage).is_some() || headers.contains_key(EXPIRES);
        let validates = (headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED))
            && (says || HEURISTIC.contains(&status.as_u16()));
        let usable = |w: &Window| !(w.fresh + w.while_revalidating + w.if_error).is_zero();
        if !validates && !usable(&pushed) && !usable(&plain) {
            return Err(NotKept::NoLifetime);
        }
        Ok(Self { pushed, plain, for_authorised })
    }

    /// The window that counts now.
    pub(crate) const fn window(&self, feed_is_live: bool) -> Window {
        if feed_is_live { self.pushed } else { self.plain }
    }
}

/// `no-store` gives way to `must-understand` for statuses whose rules are known (RFC 9111 section 5.2.2.3).
fn forbids(directives: &Directives, status: StatusCode) -> bool {
    let understood = UNDERSTOOD.contains(&status.as_u16());
    let no_store = directives.no_store && !(directives.must_understand && understood);
    no_store || directives.private == Scope::Answer || (directives.must_understand && !understood)
}

fn window(
    directives: &Directives,
    expires_counts: bool,
    (status, headers, personal): (StatusCode, &HeaderMap, bool),
    now: SystemTime,
    policy: Policy,
) -> Window {
    let seconds = |s: u64| Duration::from_secs(s.min(MAX_SECONDS));
    let explicit = directives
        .s_maxage
        .or(directives.max_age)
        .map(seconds)
        .or_else(|| expires_counts.then(|| expires(headers, now)).flatten());
    let negative = || {
        let gone = matches!(status.as_u16(), 404 | 410) && !policy.negative.is_zero() && !personal;
        gone.then_some(policy.negative)
    };
    let heuristic = || {
        let modified = field(headers, LAST_MODIFIED.as_str())?;
        let age = field(headers, DATE.as_str()).unwrap_or(now).duration_since(modified).ok()?;
        let allowed = directives.public || (HEURISTIC.contains(&status.as_u16()) && !personal);
        allowed.then(|| (age / 10).min(MAX_HEURISTIC))
    };
    let fresh = explicit.or_else(heuristic).or_else(negative).unwrap_or_default();
    if directives.no_cache == Scope::Answer {
        return Window::NONE;
    }
    if directives.must_revalidate {
        return Window::strict(fresh);
    }
    let said = directives.stale_if_error.map(seconds);
    // s-maxage alone means proxy-revalidate (RFC 9111 section 5.2.2.10); stale-if-error beside it is a clear word.
    let strict = directives.s_maxage.is_some() || (personal && explicit.is_none() && !directives.public);
    let silent = if strict { Duration::ZERO } else { policy.when_disconnected };
    Window {
        fresh,
        while_revalidating: seconds(directives.stale_while_revalidate),
        if_error: said.unwrap_or_default(),
        if_disconnected: said.unwrap_or(silent),
    }
}

/// `Expires` less `Date`. An unreadable `Expires` is in the past (RFC 9111 section 5.3), as are two that differ.
fn expires(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    headers.get(EXPIRES)?;
    let from = field(headers, DATE.as_str()).unwrap_or(now);
    Some(
        field(headers, EXPIRES.as_str())
            .and_then(|until| until.duration_since(from).ok())
            .unwrap_or_default(),
    )
}

fn field(headers: &HeaderMap, name: &str) -> Option<SystemTime> {
    date::parse(headers.get(name)?.to_str().ok()?)
}

/// The age an answer came with (RFC 9111 section 4.2.3): what `Age` says or what `Date` shows, whichever is more. The
/// first member of a list of ages counts; one that is no number of seconds does not.
pub(crate) fn initial_age(headers: &HeaderMap, now: SystemTime) -> Duration {
    let said = headers.get(http::header::AGE).and_then(|v| {
        let first = v.to_str().ok()?.split(',').next()?.trim();
        let digits = !first.is_empty() && first.bytes().all(|c| c.is_ascii_digit());
        digits.then(|| first.parse().unwrap_or(MAX_SECONDS).min(MAX_SECONDS))
    });
    let apparent =
        field(headers, DATE.as_str()).and_then(|sent| now.duration_since(sent).ok()).unwrap_or_default();
    Duration::from_secs(said.unwrap_or(0)).max(apparent)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const POLICY: Policy =
        Policy { keep_cookies: false, when_disconnected: Duration::from_secs(600), negative: Duration::ZERO };

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn kept(status: u16, fields: &[(&'static str, &str)]) -> Result<Lifetimes, NotKept> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let status = StatusCode::from_u16(status).unwrap();
        Lifetimes::of(&HeaderMap::new(), status, &headers(fields), now, POLICY)
    }

    fn fresh(fields: &[(&'static str, &str)]) -> Result<(u64, u64), NotKept> {
        kept(200, fields).map(|l| (l.pushed.fresh.as_secs(), l.plain.fresh.as_secs()))
    }

    #[test]
    fn the_most_specific_lifetime_counts() {
        assert_eq!(fresh(&[("cache-control", "max-age=10")]), Ok((10, 10)));
        assert_eq!(fresh(&[("cache-control", "max-age=10, s-maxage=20")]), Ok((20, 20)));
        let cdn = [("cache-control", "no-store"), ("cdn-cache-control", "max-age=3600")];
        assert_eq!(fresh(&cdn), Ok((3600, 3600)), "a targeted field replaces Cache-Control");
        let ours = [("cache-control", "max-age=1"), ("sluice-cache-control", "max-age=3600")];
        assert_eq!(fresh(&ours), Ok((3600, 1)), "ours counts while changes are pushed");
        let ours = [("cache-control", "no-store"), ("sluice-cache-control", "max-age=5")];
        assert_eq!(fresh(&ours), Ok((5, 0)));
        let dated = [("date", "Fri, 15 Jan 2027 08:00:00 GMT"), ("expires", "Fri, 15 Jan 2027 08:01:00 GMT")];
        assert_eq!(fresh(&dated), Ok((60, 60)));
        assert_eq!(fresh(&[("expires", "0"), ("etag", "\"a\"")]), Ok((0, 0)));
    }

    #[test]
    fn what_was_asked_for_with_cookies_is_for_all_where_it_says_so() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let cookie = headers(&[("cookie", "who=ann")]);
        let of = |status, fields: &[(&'static str, &str)]| {
            Lifetimes::of(&cookie, StatusCode::from_u16(status).unwrap(), &headers(fields), now, POLICY)
        };
        let dated = [("last-modified", "Fri, 15 Jan 2027 07:50:00 GMT")];
        assert_eq!(of(200, &dated).unwrap().plain, Window::strict(Duration::ZERO), "it may be ann's");
        assert!(!kept(200, &dated).unwrap().plain.if_disconnected.is_zero());
        assert_eq!(of(200, &[("cache-control", "max-age=9")]).unwrap().plain.fresh.as_secs(), 9);
        let public = [("cache-control", "public"), dated[0]];
        assert!(!of(200, &public).unwrap().plain.fresh.is_zero());
    }

    #[test]
    fn a_validator_alone_makes_no_refusal_one_to_keep() {
        for status in [401, 403, 500] {
            assert_eq!(kept(status, &[("etag", "\"a\"")]), Err(NotKept::NoLifetime), "{status}");
            assert!(kept(status, &[("etag", "\"a\""), ("cache-control", "max-age=5")]).is_ok(), "{status}");
        }
        assert!(kept(200, &[("etag", "\"a\"")]).is_ok());
    }

    #[test]
    fn heuristics_need_a_date_of_change_and_a_status_that_allows_them() {
        let modified =
            [("date", "Fri, 15 Jan 2027 08:00:00 GMT"), ("last-modified", "Fri, 15 Jan 2027 07:50:00 GMT")];
        assert_eq!(fresh(&modified), Ok((60, 60)));
        assert_eq!(fresh(&[]), Err(NotKept::NoLifetime));
        assert_eq!(kept(404, &modified).unwrap().plain.fresh.as_secs(), 60);
        assert_eq!(kept(502, &modified), Err(NotKept::NoLifetime));
        assert_eq!(kept(502, &[("cache-control", "max-age=5")]).unwrap().plain.fresh.as_secs(), 5);
    }

    #[test]
    fn what_must_not_be_shared_is_not_kept() {
        for refused in ["no-store", "private", "private, max-age=60", "max-age=60, no-store"] {
            assert_eq!(fresh(&[("cache-control", refused)]), Err(NotKept::Directive), "{refused}");
        }
        assert_eq!(fresh(&[("cache-control", "max-age=9"), ("vary", "*")]), Err(NotKept::Vary));
        assert_eq!(fresh(&[("cache-control", "max-age=9"), ("set-cookie", "a=b")]), Err(NotKept::Cookie));
        let understood = "max-age=9, no-store, must-understand";
        assert_eq!(fresh(&[("cache-control", understood)]), Ok((9, 9)));
        assert_eq!(kept(599, &[("cache-control", understood)]), Err(NotKept::Directive));
        let asked = headers(&[("authorization", "Bearer x")]);
        let of = |cc: &str| {
            let headers = headers(&[("cache-control", cc)]);
            Lifetimes::of(&asked, StatusCode::OK, &headers, SystemTime::UNIX_EPOCH, POLICY).is_ok()
        };
        assert!(!of("max-age=9") && of("public, max-age=9") && of("s-maxage=9"));
    }

    #[test]
    fn strict_answers_are_never_served_stale() {
        let window = |cc: &str| kept(200, &[("cache-control", cc)]).unwrap().plain;
        assert_eq!(window("max-age=1, stale-if-error=60").if_error.as_secs(), 60);
        assert_eq!(window("max-age=1, stale-if-error=60, must-revalidate").if_error.as_secs(), 0);
        assert_eq!(window("max-age=1").if_disconnected, POLICY.when_disconnected);
        for strict in ["max-age=1, proxy-revalidate", "s-maxage=1", "max-age=1, must-revalidate"] {
            assert_eq!(window(strict).if_disconnected, Duration::ZERO, "{strict}");
        }
    }

    #[test]
    fn an_age_that_is_no_number_does_not_count() {
        let age = |text: &str| initial_age(&headers(&[("age", text)]), SystemTime::UNIX_EPOCH).as_secs();
        assert_eq!((age("5"), age("0, 99"), age("-1"), age("1.5"), age("x")), (5, 0, 0, 0, 0));
        assert_eq!(age("99999999999999999999"), MAX_SECONDS);
    }
}
