//! Whether two answers are of one representation: only then may bytes of both stand in one body.

use http::header::{CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, LAST_MODIFIED};
use http::{HeaderName, StatusCode};
use sluice_wire::conditions::{Span, span};

/// What names a representation byte for byte, as `If-Range` carries it: a strong entity tag, or a date where there is no
/// tag at all (RFC 9110 section 13.1.5).
pub(crate) fn validator(headers: &HeaderMap) -> Option<&HeaderValue> {
    match headers.get(ETAG) {
        Some(tag) => tag.as_bytes().starts_with(b"\"").then_some(tag),
        None => headers.get(LAST_MODIFIED),
    }
}

/// The part that an answer brings, if it is one.
pub(crate) fn part_of(status: StatusCode, headers: &HeaderMap) -> Option<Span> {
    let field = headers.get(CONTENT_RANGE).filter(|_| status == StatusCode::PARTIAL_CONTENT)?;
    span(field.to_str().ok()?)
}

/// True when an answer to `Range: bytes=have-` with `If-Range` goes on where a body of `length` bytes was cut. Fields that
/// such an answer may leave out are no contradiction (RFC 9110 section 15.3.7); others are.
pub(crate) fn continues(
    kept: &HeaderMap,
    have: u64,
    length: Option<u64>,
    status: StatusCode,
    headers: &HeaderMap,
) -> bool {
    let differs = |name: HeaderName| match (kept.get(&name), headers.get(&name)) {
        (Some(kept), Some(now)) => kept != now,
        _ => false,
    };
    let Some(part) = part_of(status, headers) else { return false };
    part.from == have
        && part.to == part.total
        && length.is_none_or(|length| length == part.total)
        && !differs(ETAG)
        && !differs(LAST_MODIFIED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (n.parse::<HeaderName>().unwrap(), v.parse().unwrap())).collect()
    }

    #[test]
    fn a_validator_is_strong() {
        let of = |pairs: &[(&str, &str)]| validator(&fields(pairs)).cloned();
        assert_eq!(of(&[("etag", "\"a\""), ("last-modified", "x")]).unwrap(), "\"a\"");
        assert_eq!(of(&[("etag", "W/\"a\""), ("last-modified", "x")]), None);
        assert_eq!(of(&[("last-modified", "x")]).unwrap(), "x");
    }

    #[test]
    fn only_the_rest_of_the_same_goes_on() {
        let kept = fields(&[("etag", "\"a\"")]);
        let goes_on = |status, pairs: &[(&str, &str)]| {
            continues(&kept, 5, Some(10), StatusCode::from_u16(status).unwrap(), &fields(pairs))
        };
        assert!(goes_on(206, &[("content-range", "bytes 5-9/10"), ("etag", "\"a\"")]));
        assert!(goes_on(206, &[("content-range", "bytes 5-9/10")]));
        assert!(!goes_on(206, &[("content-range", "bytes 5-9/10"), ("etag", "\"b\"")]), "another");
        assert!(!goes_on(206, &[("content-range", "bytes 4-9/10")]), "from elsewhere");
        assert!(!goes_on(206, &[("content-range", "bytes 5-8/10")]), "not to its end");
        assert!(!goes_on(206, &[("content-range", "bytes 5-10/11")]), "longer");
        assert!(!goes_on(200, &[]), "the whole of another");
    }
}
