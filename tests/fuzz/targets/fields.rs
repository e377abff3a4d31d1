//! Header fields and queries: tags, versions and variants read back as they were written, a range stays inside what it is a
//! part of.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_wire::ImageVariant;
use sluice_wire::conditions::{Part, none_match, part};
use sluice_wire::tag::{parse_keys, parse_versions, render_keys, render_versions};

fuzz_target!(|input: (&str, u64)| {
    let (field, size) = input;
    let keys = parse_keys(field);
    assert_eq!(parse_keys(&render_keys(&keys)), keys);
    let versions = parse_versions(field);
    assert_eq!(parse_versions(&render_versions(&versions)), versions);
    if let Ok((variant, _)) = ImageVariant::parse(field) {
        assert_eq!(ImageVariant::parse(&variant.to_string()), Ok((variant, None)));
    }
    if let Part::Bytes(from, to) = part(field, size) {
        assert!(from < to && to <= size, "{from}..{to} of {size}");
    }
    if field.trim() == "*" {
        assert!(none_match(field, "\"any\""));
    }
});
