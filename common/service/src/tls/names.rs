//! Names of certificates (RFC 9525 section 6.3): whole names, wildcards of one label, addresses. Pure.

use std::collections::HashMap;
use std::net::IpAddr;

/// The names that a certificate is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// In lower case.
    exact: Vec<String>,
    /// What follows `*.`, in lower case.
    wildcards: Vec<String>,
    addresses: Vec<IpAddr>,
}

impl Names {
    /// Of the subject's alternative names. A wildcard counts as a whole first label alone; others name nothing.
    pub(crate) fn new<'a>(
        dns: impl IntoIterator<Item = &'a str>,
        addresses: impl IntoIterator<Item = IpAddr>,
    ) -> Self {
        let mut names = Self { addresses: addresses.into_iter().collect(), ..Self::default() };
        for name in dns {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            match name.strip_prefix("*.") {
                Some(rest) if rest.contains('.') && !rest.contains('*') => names.wildcards.push(rest.into()),
                None if !name.is_empty() && !name.contains('*') => names.exact.push(name),
                _ => {}
            }
        }
        names
    }

    /// True when the certificate is for this host (a name or an address, without a port).
    pub(crate) fn covers(&self, host: &str) -> bool {
        if let Ok(address) = host.parse::<IpAddr>() {
            return self.addresses.contains(&address);
        }
        let host = host.trim_end_matches('.');
        let is = |name: &String| name.eq_ignore_ascii_case(host);
        self.exact.iter().any(is)
            || host.split_once('.').is_some_and(|(label, rest)| {
                !label.is_empty() && self.wildcards.iter().any(|name| name.eq_ignore_ascii_case(rest))
            })
    }
}

/// Which certificate a name chooses.
#[derive(Debug, Default)]
pub(crate) struct Index {
    exact: HashMap<String, usize>,
    wildcards: HashMap<String, usize>,
}

impl Index {
    /// Of certificates in order: of two that are for the same name the first is chosen.
    pub(crate) fn new<'a>(all: impl IntoIterator<Item = &'a Names>) -> Self {
        let mut index = Self::default();
        for (at, names) in all.into_iter().enumerate() {
            for name in &names.exact {
                index.exact.entry(name.clone()).or_insert(at);
            }
            for name in &names.wildcards {
                index.wildcards.entry(name.clone()).or_insert(at);
            }
        }
        index
    }

    /// The place of the certificate for a name: one that names it whole before a wildcard.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let by_wildcard = || self.wildcards.get(name.split_once('.')?.1);
        self.exact.get(&name).or_else(by_wildcard).copied()
    }
}

/// The host of an authority: without its port, and an IPv6 address without its brackets.
pub(crate) fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split_once(']').map_or(rest, |(host, _)| host);
    }
    authority.split_once(':').map_or(authority, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_is_covered_whole_by_wildcard_or_as_an_address() {
        let names = Names::new(
            ["Video.Example.org", "*.cdn.example.org", "f*.example.org", "*", "*.*.example"],
            ["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()],
        );
        for host in ["video.example.org", "VIDEO.example.org.", "a.cdn.example.org", "127.0.0.1", "::1"] {
            assert!(names.covers(host), "{host}");
        }
        for host in [
            "example.org",
            "a.b.cdn.example.org",
            "cdn.example.org",
            ".cdn.example.org",
            "f1.example.org",
            "127.0.0.2",
            "",
        ] {
            assert!(!names.covers(host), "{host}");
        }
    }

    #[test]
    fn whole_names_go_before_wildcards_and_the_first_of_two_is_chosen() {
        let wildcard = Names::new(["*.example.org"], []);
        let exact = Names::new(["a.example.org"], []);
        let again = Names::new(["a.example.org", "b.example.com"], []);
        let index = Index::new([&wildcard, &exact, &again]);
        assert_eq!(index.find("A.example.org"), Some(1));
        assert_eq!(index.find("c.example.org"), Some(0));
        assert_eq!(index.find("b.example.com"), Some(2));
        assert_eq!(index.find("x.y.example.org"), None);
        assert_eq!(index.find("localhost"), None);
    }

    #[test]
    fn an_authority_s_host_has_neither_port_nor_brackets() {
        for (authority, host) in [
            ("a.example:443", "a.example"),
            ("a.example", "a.example"),
            ("[::1]:443", "::1"),
            ("[::1]", "::1"),
        ] {
            assert_eq!(host_of(authority), host);
        }
    }

    proptest! {
        #[test]
        fn what_the_index_chooses_covers_the_name(
            all in prop::collection::vec(prop::collection::vec("(\\*\\.)?[ab]{1,2}\\.[cd](\\.e)?", 1..4), 1..6),
            name in "[ab]{1,2}\\.[ab]{1,2}\\.[cd](\\.e)?|[ab]{1,2}\\.[cd]",
        ) {
            let all: Vec<Names> = all.iter().map(|names| Names::new(names.iter().map(String::as_str), [])).collect();
            match Index::new(&all).find(&name) {
                Some(at) => prop_assert!(all[at].covers(&name)),
                None => prop_assert!(all.iter().all(|names| !names.covers(&name))),
            }
        }
    }
}
