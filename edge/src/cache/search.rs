//! `No-Vary-Search`: which parameters of a query an answer does not depend on (draft-ietf-httpbis-no-vary-search). Pure.
//!
//! A variance makes classes of queries: those of one class are answered alike. Each class has one canonical query, by
//! which its answer is kept.

use http::header::HeaderMap;
use sfv::{BareItem, Dictionary, InnerList, ListEntry, Parser};
use std::collections::BTreeSet;

/// The field.
pub(crate) const NO_VARY_SEARCH: &str = "no-vary-search";
/// Names of parameters in one field; a field with more counts as absent.
const MAX_PARAMS: usize = 64;
/// Bytes of the field; a longer one counts as absent.
const MAX_FIELD: usize = 4 << 10;

/// Which parameters matter.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Counted {
    /// All but these.
    AllBut(BTreeSet<String>),
    /// None but these.
    NoneBut(BTreeSet<String>),
}

/// What an answer says of the queries it is for. Equal ones make the same classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variance {
    counted: Counted,
    /// The order of parameters with different names matters.
    by_order: bool,
}

impl Variance {
    /// What an answer's fields say. `None` when they say nothing, or nothing that is understood: every query is a class of
    /// its own then.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        headers.get(NO_VARY_SEARCH)?;
        let lines: Vec<&[u8]> = headers.get_all(NO_VARY_SEARCH).iter().map(|line| line.as_bytes()).collect();
        let text = lines.join(&b", "[..]);
        if text.len() > MAX_FIELD {
            return None;
        }
        let said = Parser::new(&text).parse::<Dictionary>().ok()?;
        let by_order = match said.get("key-order") {
            None => true,
            Some(entry) => !boolean(entry)?,
        };
        let except = match said.get("except") {
            None => None,
            Some(ListEntry::InnerList(names)) => Some(keys(names)?),
            Some(ListEntry::Item(_)) => return None,
        };
        let counted = match (said.get("params"), except) {
            (None, None) => Counted::AllBut(BTreeSet::new()),
            (Some(ListEntry::InnerList(names)), None) => Counted::AllBut(keys(names)?),
            (Some(entry), except) => match (boolean(entry)?, except) {
                (true, except) => Counted::NoneBut(except.unwrap_or_default()),
                (false, None) => Counted::AllBut(BTreeSet::new()),
                (false, Some(_)) => return None,
            },
            (None, Some(_)) => return None,
        };
        let plain = by_order && counted == Counted::AllBut(BTreeSet::new());
        (!plain).then_some(Self { counted, by_order })
    }

    /// The canonical query of a query's class; `None` for that of no query at all.
    pub(crate) fn canonical(&self, query: Option<&str>) -> Option<String> {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let mut pairs: Vec<_> = pairs
            .filter(|(name, _)| match &self.counted {
                Counted::AllBut(names) => !names.contains(&**name),
                Counted::NoneBut(names) => names.contains(&**name),
            })
            .collect();
        if !self.by_order {
            // Values of one name keep their order.
            pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
        let spelt = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        (!spelt.is_empty()).then_some(spelt)
    }
}

fn boolean(entry: &ListEntry) -> Option<bool> {
    match entry {
        ListEntry::Item(item) => match item.bare_item {
            BareItem::Boolean(said) => Some(said),
            _ => None,
        },
        ListEntry::InnerList(_) => None,
    }
}

/// Names of parameters, written as they stand in a query. `None` when one is no string, or there are too many.
fn keys(names: &InnerList) -> Option<BTreeSet<String>> {
    let name = |text: &str| {
        // A name alone is read as a query's is: `+` and percent signs decoded.
        let escaped = text.replace('=', "%3D").replace('&', "%26");
        form_urlencoded::parse(escaped.as_bytes())
            .next()
            .map_or_else(String::new, |(name, _)| name.into_owned())
    };
    let names: Option<BTreeSet<String>> = names
        .items
        .iter()
        .map(|item| match &item.bare_item {
            BareItem::String(text) => Some(name(text.as_str())),
            _ => None,
        })
        .collect();
    names.filter(|names| names.len() <= MAX_PARAMS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(field: &str) -> Option<Variance> {
        let mut headers = HeaderMap::new();
        headers.insert(NO_VARY_SEARCH, field.parse().unwrap());
        Variance::of(&headers)
    }

    fn same(field: &str, a: &str, b: &str) -> bool {
        let variance = read(field).unwrap();
        variance.canonical(Some(a)) == variance.canonical(Some(b))
    }

    #[test]
    fn what_does_not_count_does_not_tell_queries_apart() {
        assert!(same("params=(\"utm\"), key-order", "utm=1&q=a&r=b", "r=b&q=a&utm=2"));
        assert!(!same("params=(\"utm\")", "q=a&r=b", "r=b&q=a"), "the order counts");
        assert!(!same("params=(\"utm\"), key-order", "q=a", "q=b"));
        assert!(!same("key-order", "q=a&q=b", "q=b&q=a"), "values of one name have an order");
        assert!(same("params", "a=1", ""));
        assert!(same("params, except=(\"q\")", "q=a&x=1", "y=2&q=a"));
        assert!(!same("params, except=(\"q\")", "q=a", "q=b"));
        assert!(same("params=(\"%C3%A9+%E6%B0%97\")", "é 気=1", "%C3%A9+%E6%B0%97=4"));
        for (a, b) in
            [("a=x", "%61=%78"), ("a=x&&&&", "a=x"), ("a=", "a"), ("a=%20", "a=+"), ("a=%f6", "a=%ef%bf%bd")]
        {
            assert!(same("key-order", a, b), "{a} {b}");
        }
        assert_eq!(read("params").unwrap().canonical(Some("a=1")), None);
        assert_eq!(read("params=(\"a\")"), read("params=(\"a\" \"a\"), key-order=?0, later=1"));
    }

    #[test]
    fn what_is_not_understood_says_nothing() {
        for nothing in [
            "unknown-key",
            "key-order=\"no\"",
            "params=\"no\"",
            "params=(no-string)",
            "params=(\"a\"), except=(\"x\")",
            "params=(), except=()",
            "params=?0, except=(\"x\")",
            "params, except=(no-string)",
            "params, except=\"x\"",
            "params, except=?1",
            "except=(\"x\")",
            "except=()",
            "params=?0",
            "params=()",
            "key-order=?0",
            "&&&",
            "",
        ] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
        let names = |count: usize| {
            let names: Vec<String> = (0..count).map(|n| format!("\"{n}\"")).collect();
            format!("params=({})", names.join(" "))
        };
        assert!(read(&names(MAX_PARAMS)).is_some() && read(&names(MAX_PARAMS + 1)).is_none());
    }

    fn field() -> impl Strategy<Value = String> {
        let names = prop::collection::vec("\"[a-c]\"", 1..3).prop_map(|names| names.join(" "));
        (names, 0..3, any::<bool>()).prop_map(|(names, kind, order)| {
            let params = match kind {
                0 => format!("params=({names})"),
                1 => format!("params, except=({names})"),
                _ => "params".into(),
            };
            format!("{params}, key-order=?{}", u8::from(order))
        })
    }

    fn query() -> impl Strategy<Value = Vec<(String, String)>> {
        prop::collection::vec(("[a-d]", "[x+%& =é]{0,2}"), 0..6)
    }

    fn spelt(pairs: &[(String, String)]) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    }

    /// The comparison as the draft has it, pair by pair.
    fn equal(variance: &Variance, a: &[(String, String)], b: &[(String, String)]) -> bool {
        let counted = |pairs: &[(String, String)]| {
            let mut pairs = pairs.to_vec();
            pairs.retain(|(name, _)| match &variance.counted {
                Counted::AllBut(names) => !names.contains(name),
                Counted::NoneBut(names) => names.contains(name),
            });
            if !variance.by_order {
                pairs.sort_by(|a, b| a.0.encode_utf16().cmp(b.0.encode_utf16()));
            }
            pairs
        };
        counted(a) == counted(b)
    }

    proptest! {
        #[test]
        fn classes_are_those_of_the_comparison(field in field(), a in query(), b in query()) {
            let variance = read(&field).unwrap();
            let of = |pairs: &[(String, String)]| variance.canonical(Some(&spelt(pairs)));
            prop_assert_eq!(of(&a) == of(&b), equal(&variance, &a, &b));
            // Classes: the canonical query is in its own class, and stands for it.
            let once = of(&a);
            prop_assert_eq!(variance.canonical(once.as_deref()), once);
        }

        #[test]
        fn what_does_not_count_may_be_anything_anywhere(a in query(), noise in prop::collection::vec((0usize..7, "[x-z]{0,3}"), 0..4)) {
            let variance = read("params=(\"utm\")").unwrap();
            let mut with = a.clone();
            for (at, value) in noise {
                with.insert(at.min(with.len()), ("utm".into(), value));
            }
            prop_assert_eq!(variance.canonical(Some(&spelt(&with))), variance.canonical(Some(&spelt(&a))));
        }

        #[test]
        fn the_order_of_names_does_not_count_where_it_is_said(a in query(), turned in 0usize..6) {
            let variance = read("key-order").unwrap();
            let mut names: Vec<&str> = a.iter().map(|(name, _)| name.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            let turn = turned.min(names.len());
            names.rotate_left(turn);
            let by_name = |name: &&str| a.iter().filter(|pair| pair.0 == **name).cloned().collect::<Vec<_>>();
            let b: Vec<_> = names.iter().flat_map(by_name).collect();
            prop_assert_eq!(variance.canonical(Some(&spelt(&a))), variance.canonical(Some(&spelt(&b))));
        }
    }
}
