//! What a request asks of a representation that is at hand: a range, or only news (RFC 9110 sections 13 and 14).

/// The part of a representation that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it: no range, one that is not understood, or several (a server may ignore those).
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
    }

    #[test]
    fn validators_are_compared_weakly() {
        assert!(none_match("\"a\", W/\"b\"", "\"b\""));
        assert!(none_match("*", "\"b\""));
        assert!(!none_match("\"a\"", "\"b\""));
    }
}
