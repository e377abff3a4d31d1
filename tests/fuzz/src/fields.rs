//! Header fields and queries that wire reads.

use super::lines;
use sluice_wire::ImageVariant;
use sluice_wire::conditions::{MAX_RANGES, Part, none_match, part, parts, span};
use sluice_wire::tag::{parse_keys, parse_versions, render_keys, render_versions};

/// Tags, versions and variants read back as they were written; a range stays inside what it is a part of.
pub fn fields(bytes: &[u8]) {
    let (field, size) = lines(bytes);
    let size = size.trim().parse::<u64>().unwrap_or(1_000);
    let keys = parse_keys(&field);
    assert_eq!(parse_keys(&render_keys(&keys)), keys);
    let versions = parse_versions(&field);
    assert_eq!(parse_versions(&render_versions(&versions)), versions);
    if let Ok((variant, _)) = ImageVariant::parse(&field) {
        assert_eq!(ImageVariant::parse(&variant.to_string()), Ok((variant, None)));
    }
    if let Part::Bytes(from, to) = part(&field, size) {
        assert!(from < to && to <= size, "{from}..{to} of {size}");
    }
    several(&field, size);
    if let Some(span) = span(&field) {
        assert!(span.from < span.to && span.to <= span.total, "{span:?}");
        let again = format!("bytes {}-{}/{}", span.from, span.to - 1, span.total);
        assert_eq!(sluice_wire::conditions::span(&again), Some(span));
    }
    if field.trim() == "*" {
        assert!(none_match(&field, "\"any\""));
    }
}

/// Several ranges are few, in order, apart, and together no more than the whole.
fn several(field: &str, size: u64) {
    let parts = parts(field, size);
    assert!(!parts.is_empty() && parts.len() <= MAX_RANGES);
    let mut end = 0;
    for part in &parts {
        match *part {
            Part::Bytes(from, to) => {
                assert!(parts.len() == 1 || end <= from, "{parts:?}");
                assert!(from < to && to <= size, "{parts:?} of {size}");
                end = to;
            }
            Part::Whole | Part::Unsatisfiable => assert_eq!(parts.len(), 1),
        }
    }
}
