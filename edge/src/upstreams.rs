//! Which origins serve which paths: an app may have processes of its own, and when they are gone the others go on.

use serde::{Deserialize, Serialize};
use sluice_service::Faults;
use std::collections::HashSet;

/// Prefixes that can be named.
const MAX_UPSTREAMS: usize = 256;

/// Origins of what is below a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamConfig {
    /// The path, such as `/v1/shop`: itself, and all that is below it.
    pub prefix: String,
    /// Its origins, by preference.
    pub origins: Vec<String>,
}

/// The origins of a path by the longest prefix that covers it; `None` where it is everybody's.
pub(crate) fn of<'a>(upstreams: &'a [UpstreamConfig], path: &str) -> Option<&'a [String]> {
    let covers =
        |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let covering = upstreams.iter().filter(|upstream| covers(&upstream.prefix));
    covering.max_by_key(|upstream| upstream.prefix.len()).map(|upstream| upstream.origins.as_slice())
}

/// Adds what is wrong with a list.
pub(crate) fn faults(upstreams: &[UpstreamConfig], faults: &mut Faults) {
    if upstreams.len() > MAX_UPSTREAMS {
        faults.add("upstreams", format!("at most {MAX_UPSTREAMS}"));
    }
    let mut prefixes = HashSet::new();
    for UpstreamConfig { prefix, origins } in upstreams {
        if prefix.len() < 2 || !prefix.starts_with('/') || prefix.ends_with('/') {
            faults.add("upstreams", format!("{prefix:?} is no prefix: /v1/shop is one"));
        }
        if !prefixes.insert(prefix) {
            faults.add("upstreams", format!("{prefix} is there twice"));
        }
        if origins.is_empty() {
            faults.add("upstreams", format!("{prefix} needs at least one origin"));
        }
        for origin in origins.iter().filter(|url| !url.starts_with("http://") && !url.starts_with("https://"))
        {
            faults.add("upstreams", format!("{origin} is no http:// or https:// address"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_counts_and_only_at_a_segments_end() {
        let upstream =
            |prefix: &str| UpstreamConfig { prefix: prefix.into(), origins: vec![format!("http:/{prefix}")] };
        let all = [upstream("/v1/shop"), upstream("/v1/shop/stock"), upstream("/v1/chat")];
        let found = |path: &str| of(&all, path).map(|origins| origins[0].as_str());
        assert_eq!(found("/v1/shop"), Some("http://v1/shop"));
        assert_eq!(found("/v1/shop/products"), Some("http://v1/shop"));
        assert_eq!(found("/v1/shop/stock/x"), Some("http://v1/shop/stock"));
        assert_eq!((found("/v1/shopping"), found("/v/a")), (None, None));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let of = |prefix: &str, origin: &str| {
            let mut found = Faults::default();
            faults(&[UpstreamConfig { prefix: prefix.into(), origins: vec![origin.into()] }], &mut found);
            !found.is_empty()
        };
        assert!(!of("/v1/shop", "http://a"));
        assert!(
            of("/v1/shop/", "http://a") && of("v1", "http://a") && of("/", "http://a") && of("/v1/shop", "a")
        );
    }
}
