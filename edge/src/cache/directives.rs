//! `Cache-Control` (RFC 9111 section 5.2) and its targeted forms (RFC 9213), read.

use http::HeaderName;
use http::header::HeaderMap;
use sfv::{BareItem, Dictionary, ListEntry, Parser};

/// What a directive that may name fields is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The directive is absent.
    #[default]
    Absent,
    /// The whole answer.
    Answer,
    /// These fields alone.
    Fields(Vec<HeaderName>),
}

/// Directives that matter to a shared cache. Seconds that cannot be read count as 0: unreadable freshness is staleness
/// (RFC 9111 section 4.2.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Directives {
    pub(crate) no_store: bool,
    pub(crate) no_cache: Scope,
    pub(crate) private: Scope,
    pub(crate) public: bool,
    pub(crate) must_revalidate: bool,
    pub(crate) must_understand: bool,
    pub(crate) only_if_cached: bool,
    pub(crate) max_age: Option<u64>,
    pub(crate) s_maxage: Option<u64>,
    pub(crate) max_stale: Option<u64>,
    pub(crate) min_fresh: Option<u64>,
    pub(crate) stale_while_revalidate: u64,
    pub(crate) stale_if_error: Option<u64>,
}

impl Directives {
    /// Reads a field by name; several lines are one list. The first of several equal directives counts.
    pub(crate) fn of(headers: &HeaderMap, name: &str) -> Self {
        let mut read = Self::default();
        for line in headers.get_all(name).iter().filter_map(|v| v.to_str().ok()) {
            for directive in members(line) {
                let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
                read.take(&name.trim().to_ascii_lowercase(), value.trim());
            }
        }
        read
    }

    /// Reads a targeted field: a dictionary of RFC 8941. `None` when it is absent, empty or breaks that grammar: it is
    /// then ignored as a whole (RFC 9213 section 2.1), as is a single member of the wrong type.
    pub(crate) fn targeted(headers: &HeaderMap, name: &str) -> Option<Self> {
        let lines: Vec<&[u8]> = headers.get_all(name).iter().map(http::HeaderValue::as_bytes).collect();
        let dictionary = Parser::new(&lines.join(&b", "[..])).parse::<Dictionary>().ok()?;
        if dictionary.is_empty() {
            return None;
        }
        let mut read = Self::default();
        let mut understood = false;
        for (key, entry) in &dictionary {
            let ListEntry::Item(item) = entry else { continue };
            understood |= match &item.bare_item {
                BareItem::Integer(n) => read.take(key.as_str(), &i64::from(*n).max(0).to_string()),
                BareItem::Boolean(true) => read.take(key.as_str(), ""),
                _ => false,
            };
        }
        understood.then_some(read)
    }

    /// True when anything here decides freshness or forbids keeping.
    fn take(&mut self, name: &str, value: &str) -> bool {
        let seconds = || value.trim_matches('"').parse::<u64>().unwrap_or_else(|_| saturated(value));
        match name {
            "no-store" => self.no_store = true,
            "no-cache" => self.no_cache.widen(value),
            "private" => self.private.widen(value),
            "public" => self.public = true,
            "must-revalidate" | "proxy-revalidate" => self.must_revalidate = true,
            "must-understand" => self.must_understand = true,
            "only-if-cached" => self.only_if_cached = true,
            "max-age" => _ = self.max_age.get_or_insert_with(seconds),
            "s-maxage" => _ = self.s_maxage.get_or_insert_with(seconds),
            "max-stale" => self.max_stale = Some(if value.is_empty() { u64::MAX } else { seconds() }),
            "min-fresh" => self.min_fresh = Some(seconds()),
            "stale-while-revalidate" => self.stale_while_revalidate = seconds(),
            "stale-if-error" => self.stale_if_error = Some(seconds()),
            _ => return false,
        }
        true
    }

    /// Fields that may not be kept with the answer, because `no-cache` or `private` names them.
    pub(crate) fn unkept_fields(&self) -> impl Iterator<Item = &HeaderName> {
        [&self.no_cache, &self.private].into_iter().flat_map(|scope| match scope {
            Scope::Fields(names) => names.as_slice(),
            Scope::Absent | Scope::Answer => &[],
        })
    }
}

impl Scope {
    fn widen(&mut self, value: &str) {
        let names = value.trim_matches('"');
        if value.starts_with('"') && !names.is_empty() && *self != Self::Answer {
            let mut named: Vec<HeaderName> = names.split(',').filter_map(|n| n.trim().parse().ok()).collect();
            if let Self::Fields(before) = self {
                named.append(before);
            }
            *self = Self::Fields(named);
        } else {
            *self = Self::Answer;
        }
    }
}

/// A number too large to hold is the largest; anything else unreadable is 0.
fn saturated(value: &str) -> u64 {
    let digits = value.trim_matches('"');
    if !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit()) { u64::MAX } else { 0 }
}

/// Members of a list, split at the commas outside quoted strings.
fn members(line: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    line.split(move |c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
    .map(str::trim)
    .filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Directives {
        let mut headers = HeaderMap::new();
        headers.insert("cache-control", text.parse().unwrap());
        Directives::of(&headers, "cache-control")
    }

    fn targeted(text: &str) -> Option<Directives> {
        let mut headers = HeaderMap::new();
        headers.insert("cdn-cache-control", text.parse().unwrap());
        Directives::targeted(&headers, "cdn-cache-control")
    }

    #[test]
    fn directives_are_read_whatever_their_case_and_quotes() {
        let all = read("Max-Age=\"60\", NO-STORE, s-maxage=5, max-age=9, foo=\"a, no-cache\"");
        assert_eq!((all.max_age, all.s_maxage, all.no_store), (Some(60), Some(5), true));
        assert_eq!(all.no_cache, Scope::Absent, "what stands in quotes is no directive");
        assert_eq!(read("max-age=99999999999999999999999").max_age, Some(u64::MAX));
        assert_eq!(read("max-age=1.5").max_age, Some(0));
        assert_eq!(read("no-cache=\"a, b\"").unkept_fields().count(), 2);
        assert_eq!(read("private=\"a\", private").private, Scope::Answer);
    }

    #[test]
    fn a_targeted_field_is_a_dictionary_or_nothing() {
        assert_eq!(targeted("max-age=10, no-store").map(|d| (d.max_age, d.no_store)), Some((Some(10), true)));
        for ignored in ["max-age=10, &&&", "max-age=\"10\"", "", "Max-Age=1"] {
            assert_eq!(targeted(ignored), None, "{ignored}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_the_reader_fail(text in "[ -~]{0,80}") {
            read(&text);
            targeted(&text);
        }
    }
}
