//! Marks: by which purges of a URL, or of a prefix of it, find an object. Pure.
//!
//! A mark is a hash that every edge makes alike. Two URLs of one mark are purged together, which costs a fetch and no more.
//! Schemes share marks: who purges a page means the page.

use crate::tenant::Tenant;
use sluice_wire::limits::MAX_PREFIX_DEPTH;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Keeps marks of prefixes apart from those of URLs.
const PREFIX: u64 = 0x736c_7569_6365_0003;

/// The mark of exactly this target (path and query).
pub(crate) fn of_url(tenant: &Tenant, target: &str) -> u64 {
    xxh3_64_with_seed(target.as_bytes(), seed(tenant))
}

/// The mark of what is at this path and below it.
pub(crate) fn of_prefix(tenant: &Tenant, path: &str) -> u64 {
    xxh3_64_with_seed(path.trim_end_matches('/').as_bytes(), seed(tenant) ^ PREFIX)
}

/// Every mark of a target: its own, and those of the prefixes it is below.
pub(crate) fn all(tenant: &Tenant, target: &str) -> Box<[u64]> {
    let seed = seed(tenant);
    let path = target.split('?').next().unwrap_or(target).trim_end_matches('/');
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    let prefix =
        |end: usize| xxh3_64_with_seed(path.as_bytes().get(..end).unwrap_or_default(), seed ^ PREFIX);
    let mut marks = vec![of_url(tenant, target)];
    marks.extend(ends.take(MAX_PREFIX_DEPTH + 1).map(prefix));
    marks.dedup();
    marks.into()
}

fn seed(tenant: &Tenant) -> u64 {
    xxh3_64_with_seed(tenant.authority().unwrap_or_else(|| tenant.as_str()).as_bytes(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_target_is_below_its_prefixes_by_whole_segments() {
        let tenant = Tenant::own();
        let below = |target: &str, prefix: &str| all(&tenant, target).contains(&of_prefix(&tenant, prefix));
        for prefix in ["/", "/a", "/a/", "/a/b", "/a/b/c"] {
            assert!(below("/a/b/c", prefix) && below("/a/b/c?d=/e", prefix), "{prefix}");
        }
        for prefix in ["/a/b/c/d", "/a/bc", "/b", "/A", "/a/b/c?d"] {
            assert!(!below("/a/b/c", prefix), "{prefix}");
        }
        assert!(below("/", "/") && below("/a/", "/a"));
        let (http, https) = (Tenant::told("http://h").unwrap(), Tenant::told("https://h").unwrap());
        assert_eq!(all(&http, "/a?b"), all(&https, "/a?b"), "schemes share marks");
        assert_ne!(of_url(&http, "/a"), of_url(&Tenant::own(), "/a"));
    }

    proptest! {
        #[test]
        fn marks_are_few_and_hold_every_ancestor(segments in prop::collection::vec("[a-c]{1,2}", 0..40)) {
            let path = format!("/{}", segments.join("/"));
            let tenant = Tenant::own();
            let marks = all(&tenant, &path);
            prop_assert!(marks.len() <= MAX_PREFIX_DEPTH + 2);
            for depth in 0..=segments.len().min(MAX_PREFIX_DEPTH) {
                let prefix = format!("/{}", segments[..depth].join("/"));
                prop_assert!(marks.contains(&of_prefix(&tenant, &prefix)), "{}", prefix);
            }
        }
    }
}
