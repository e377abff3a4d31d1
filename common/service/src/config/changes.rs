//! What differs between two configurations, and what of it may change while a server serves.

use super::ProcessConfig;
use super::keys::flatten;
use std::collections::BTreeMap;

/// Keys that may change at every server.
const LIVE: [&str; 2] = ["drain_grace_ms", "log.filter"];

/// The keys whose values differ, sorted.
pub(crate) fn changed_keys<C: ProcessConfig>(before: &C, after: &C) -> Vec<String> {
    let leaves = |config: &C| {
        let mut leaves = BTreeMap::new();
        flatten("", &serde_json::to_value(config).expect("a configuration serialises"), &mut leaves);
        leaves
    };
    let (before, after) = (leaves(before), leaves(after));
    let mut changed: Vec<String> = before
        .iter()
        .filter(|(key, value)| after.get(*key) != Some(value))
        .map(|(key, _)| key.clone())
        .collect();
    changed.extend(after.into_keys().filter(|key| !before.contains_key(key)));
    changed.sort();
    changed
}

/// True for a key that may change while a server with this configuration serves.
pub(crate) fn is_live<C: ProcessConfig>(key: &str) -> bool {
    let matches = |live: &&str| key == *live || (live.ends_with('.') && key.starts_with(*live));
    LIVE.iter().any(matches) || C::live_keys().iter().any(matches)
}

#[cfg(test)]
mod tests {
    use super::super::{Faults, ServerConfig};
    use super::*;
    use serde::{Deserialize, Serialize};

    #[derive(Debug, Clone, Default, Serialize, Deserialize)]
    #[serde(default)]
    struct Example {
        #[serde(flatten)]
        server: ServerConfig,
        node: String,
        cache: BTreeMap<String, u64>,
    }

    impl ProcessConfig for Example {
        fn server(&self) -> &ServerConfig {
            &self.server
        }
        fn validate(&self, _: &mut Faults) {}
        fn live_keys() -> &'static [&'static str] {
            &["cache."]
        }
    }

    #[test]
    fn changes_are_found_by_key() {
        let before = Example::default();
        let mut after = before.clone();
        assert!(changed_keys(&before, &after).is_empty());
        after.server.log.filter = "debug".into();
        after.server.listen.h3 = true;
        after.cache.insert("bytes".into(), 1);
        // An empty section is a key of its own.
        assert_eq!(changed_keys(&before, &after), ["cache", "cache.bytes", "listen.h3", "log.filter"]);
    }

    #[test]
    fn what_is_live_is_named() {
        for live in ["log.filter", "drain_grace_ms", "cache.bytes"] {
            assert!(is_live::<Example>(live), "{live}");
        }
        for fixed in ["log.json", "node", "listen.http", "cached", "log.filters"] {
            assert!(!is_live::<Example>(fixed), "{fixed}");
        }
    }
}
