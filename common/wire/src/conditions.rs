//! What a request asks of a representation that is at hand: a range, or only news (RFC 9110 sections 13 and 14).

/// Ranges of one request that are heeded. More are a way to make a server work, not a way to read (RFC 9110 section
/// 17.15): the whole is given instead.
pub const MAX_RANGES: usize = 5;

/// The part of a representation that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it: no range, or one that is not understood.
    Whole,
    /// From the first byte to before the second, within the representation.
    Bytes(u64, u64),
    /// None of it: 416.
    Unsatisfiable,
}

/// Reads a `Range` field for a representation of `size` bytes (RFC 9110 section 14.1.2).
#[must_use]
pub fn part(range: &str, size: u64) -> Part {
    let Some((unit, spec)) = range.split_once('=') else { return Part::Whole };
    let spec = spec.trim();
    if !unit.trim().eq_ignore_ascii_case("bytes") || spec.contains(',') {
        return Part::Whole;
    }
    let Some((first, last)) = spec.split_once('-') else { return Part::Whole };
    // A number that does not fit is beyond every representation.
    let value = |text: &str| text.parse::<u64>().unwrap_or(u64::MAX);
    match (number(first), number(last)) {
        (Some(first), None) if last.is_empty() => within(value(first), size, size),
        (Some(first), Some(last)) if value(first) <= value(last) => {
            within(value(first), value(last).saturating_add(1), size)
        }
        (None, Some(suffix)) if first.is_empty() => match value(suffix) {
            0 => Part::Unsatisfiable,
            suffix => within(size.saturating_sub(suffix), size, size),
        },
        _ => Part::Whole,
    }
}

/// Reads a `Range` field that may name several ranges. One part when there is one, when the whole is to be given
/// instead, or when none can be satisfied; else the parts in the order asked for, without those that cannot be satisfied.
/// More than [`MAX_RANGES`], overlapping or descending ones give the whole.
#[must_use]
pub fn parts(range: &str, size: u64) -> Vec<Part> {
    let Some((unit, specs)) = range.split_once('=').filter(|(_, specs)| specs.contains(',')) else {
        return vec![part(range, size)];
    };
    let specs: Vec<&str> = specs.split(',').map(str::trim).filter(|spec| !spec.is_empty()).collect();
    let parts: Vec<Part> = specs.iter().map(|spec| part(&format!("{unit}={spec}"), size)).collect();
    if parts.is_empty() || parts.len() > MAX_RANGES || parts.contains(&Part::Whole) {
        return vec![Part::Whole];
    }
    let bytes: Vec<Part> = parts.into_iter().filter(|part| *part != Part::Unsatisfiable).collect();
    let ascending = bytes.windows(2).all(|pair| match pair {
        [Part::Bytes(_, end), Part::Bytes(begin, _)] => end <= begin,
        _ => false,
    });
    match bytes.len() {
        0 => vec![Part::Unsatisfiable],
        _ if !ascending => vec![Part::Whole],
        _ => bytes,
    }
}

/// Where the part that a 206 brings lies in its representation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its first byte.
    pub from: u64,
    /// Its last byte and one.
    pub to: u64,
    /// Bytes of the whole.
    pub total: u64,
}

/// Reads a `Content-Range` field that names a part and the length of the whole (RFC 9110 section 14.4). `None` for any
/// other, and for one that contradicts itself.
#[must_use]
pub fn span(field: &str) -> Option<Span> {
    let (range, total) = field.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let value = |text| number(text)?.parse::<u64>().ok();
    let (from, last, total) = (value(first)?, value(last)?, value(total)?);
    (from <= last && last < total).then_some(Span { from, to: last + 1, total })
}

fn number(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|c| c.is_ascii_digit())).then_some(text)
}

fn within(from: u64, to: u64, size: u64) -> Part {
    if from < size { Part::Bytes(from, to.min(size)) } else { Part::Unsatisfiable }
}

/// True when an `If-None-Match` field names this entity tag, by weak comparison (RFC 9110 section 13.1.2): answer 304.
#[must_use]
pub fn none_match(field: &str, etag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    field.trim() == "*" || field.split(',').any(|tag| opaque(tag) == opaque(etag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        for (range, wanted) in [
            ("bytes=0-499", Part::Bytes(0, 500)),
            ("bytes=500-", Part::Bytes(500, 1000)),
            ("bytes=-200", Part::Bytes(800, 1000)),
            ("bytes=-2000", Part::Bytes(0, 1000)),
            ("bytes=990-99999999999999999999999", Part::Bytes(990, 1000)),
            ("BYTES = 0-0", Part::Bytes(0, 1)),
            ("bytes=1000-", Part::Unsatisfiable),
            ("bytes=-0", Part::Unsatisfiable),
            ("bytes=5-4", Part::Whole),
            ("bytes=0-1,5-6", Part::Whole),
            ("items=0-1", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("bytes", Part::Whole),
        ] {
            assert_eq!(part(range, 1000), wanted, "{range}");
        }
        assert_eq!(part("bytes=0-", 0), Part::Unsatisfiable);
    }

    proptest! {
        #[test]
        fn a_part_is_never_empty_or_outside(range in "bytes=[0-9]{0,5}-[0-9]{0,5}", size in 0u64..5000) {
            if let Part::Bytes(from, to) = part(&range, size) {
                prop_assert!(from < to && to <= size);
            }
        }

        #[test]
        fn several_parts_never_make_more_than_there_is(ranges in prop::collection::vec("[0-9]{0,3}-[0-9]{0,3}", 1..9), size in 0u64..999) {
            let parts = parts(&format!("bytes={}", ranges.join(", ")), size);
            let bytes: u64 = parts.iter().map(|p| if let Part::Bytes(from, to) = p { to - from } else { 0 }).sum();
            prop_assert!(!parts.is_empty() && parts.len() <= MAX_RANGES && bytes <= size);
        }
    }

    #[test]
    fn a_content_range_is_read_or_refused() {
        assert_eq!(span("bytes 5-9/100"), Some(Span { from: 5, to: 10, total: 100 }));
        for bad in
            ["bytes 5-9/*", "bytes */100", "bytes 9-5/100", "bytes 0-100/100", "items 0-1/2", "bytes +1-2/9"]
        {
            assert_eq!(span(bad), None, "{bad}");
        }
    }

    #[test]
    fn several_ranges_are_heeded_within_reason() {
        assert_eq!(parts("bytes=0-1,5-6", 10), [Part::Bytes(0, 2), Part::Bytes(5, 7)]);
        assert_eq!(parts("bytes=0-1, 50-60", 10), [Part::Bytes(0, 2)]);
        assert_eq!(parts("bytes=50-60,70-", 10), [Part::Unsatisfiable]);
        for whole in ["bytes=0-5,3-6", "bytes=5-6,0-1", "bytes=0-0,1-1,2-2,3-3,4-4,5-5", "bytes=0-1,x"] {
            assert_eq!(parts(whole, 10), [Part::Whole], "{whole}");
        }
    }

    #[test]
    fn validators_are_compared_weakly() {
        assert!(none_match("\"a\", W/\"b\"", "\"b\""));
        assert!(none_match("*", "\"b\""));
        assert!(!none_match("\"a\"", "\"b\""));
    }
}
