//! Variants: which of an answer's forms a request selects (RFC 9111 section 4.1).

use http::HeaderName;
use http::header::{ACCEPT_LANGUAGE, CONTENT_LANGUAGE, HeaderMap, VARY};

/// Variants kept of one target; the oldest gives way to one more. Enough for languages and codings, few enough that
/// nobody fills a cache by inventing field values.
pub(crate) const MAX_VARIANTS: usize = 32;
/// Fields that one answer may vary by; more make it unshared.
const MAX_FIELDS: usize = 8;
/// Request fields that an answer may vary by and still be one: a fill leaves them out.
const HARMLESS: [&str; 2] = ["accept-encoding", "origin"];

/// Request fields that an edge writes, each time otherwise: what varies by them is for one asker.
const WRITTEN: [&str; 5] = ["cdn-loop", "forwarded", "traceparent", "via", "x-forwarded-for"];

/// The request fields that an answer depends on, sorted, without the harmless ones. `None` when it names too many, or one that
/// cannot be told from the request as it came.
pub(crate) fn fields(answer: &HeaderMap) -> Option<Vec<HeaderName>> {
    let lines = answer.get_all(VARY);
    let names = lines.iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
    let mut fields: Vec<HeaderName> = names
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name: &HeaderName| !HARMLESS.contains(&name.as_str()))
        .collect();
    fields.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    fields.dedup();
    let told = fields.iter().all(|field| !WRITTEN.contains(&field.as_str()));
    (told && fields.len() <= MAX_FIELDS).then_some(fields)
}

/// The values of a request's selecting fields, normalised: equal texts select the same variant.
pub(crate) fn selection(fields: &[HeaderName], request: &HeaderMap) -> String {
    let mut text = String::new();
    for name in fields {
        text.push('\n');
        text.push_str(name.as_str());
        if request.contains_key(name) {
            text.push(':');
            text.push_str(&normal(name, request));
        }
    }
    text
}

/// What a kept variant's language makes of a selection: where answers vary by language, a request that asks for this one
/// first selects it, whatever other languages it asks for, if all else it selects by is the same. `varies` are the fields by
/// which answers vary, and what the variant's request selected by them.
pub(crate) fn selects_language(
    (fields, selected): (&[HeaderName], &str),
    answer: &HeaderMap,
    request: &HeaderMap,
) -> bool {
    let Some(has) = answer.get(CONTENT_LANGUAGE).and_then(|v| v.to_str().ok()) else { return false };
    fields.contains(&ACCEPT_LANGUAGE)
        && languages(request).first().is_some_and(|first| first.1.eq_ignore_ascii_case(has.trim()))
        && others(selected).eq(others(&selection(fields, request)))
}

/// A selection without what it says of languages.
fn others(selection: &str) -> impl Iterator<Item = &str> {
    selection.split('\n').filter(|line| line.split(':').next() != Some(ACCEPT_LANGUAGE.as_str()))
}

/// True when an answer says that it depends on a request field.
pub(crate) fn varies_by(answer: &HeaderMap, field: &str) -> bool {
    let names = answer.get_all(VARY).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
    names.map(str::trim).any(|name| name == "*" || name.eq_ignore_ascii_case(field))
}

fn normal(name: &HeaderName, request: &HeaderMap) -> String {
    if name == ACCEPT_LANGUAGE {
        let mut languages: Vec<String> =
            languages(request).into_iter().map(|(q, language)| format!("{language};{q}")).collect();
        languages.sort_unstable();
        return languages.join(",");
    }
    members(name, request).collect::<Vec<_>>().join(",")
}

fn members<'a>(name: &HeaderName, request: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
    let lines = request.get_all(name).into_iter();
    lines.filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).map(str::trim)
}

/// Languages with their weights in thousandths, the most wanted first.
fn languages(request: &HeaderMap) -> Vec<(u16, String)> {
    let mut languages: Vec<(u16, String)> = members(&ACCEPT_LANGUAGE, request)
        .filter(|member| !member.is_empty())
        .map(|member| {
            let (language, parameters) = member.split_once(';').unwrap_or((member, ""));
            let weight = parameters.trim().strip_prefix("q=").and_then(|q| q.trim().parse::<f32>().ok());
            let thousandths = (weight.unwrap_or(1.0).clamp(0.0, 1.0) * 1_000.0) as u16;
            (thousandths, language.trim().to_ascii_lowercase())
        })
        .collect();
    languages.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    languages
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn map(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn selection_of(vary: &str, request: &[(&'static str, &str)]) -> String {
        selection(&fields(&map(&[("vary", vary)])).unwrap(), &map(request))
    }

    #[test]
    fn equal_meanings_select_the_same_variant() {
        let language = |text: &str| selection_of("Accept-Language", &[("accept-language", text)]);
        assert_eq!(language("en, de"), language(" De ,   eN"));
        assert_ne!(language("en, de"), language("en, de;q=0.5"));
        let lines = [("foo", "1"), ("foo", " 2")];
        assert_eq!(selection_of("Foo", &[("foo", "1, 2")]), selection_of("foo", &lines));
        assert_ne!(selection_of("Foo", &[]), selection_of("Foo", &[("foo", "")]), "absent is not empty");
        assert_eq!(selection_of("Accept-Encoding", &[("accept-encoding", "br")]), "");
    }

    #[test]
    fn a_language_is_selected_where_all_else_is_the_same() {
        let german = map(&[("content-language", "de")]);
        let of = |vary: &str, stored: &[(&'static str, &str)], asked: &[(&'static str, &str)]| {
            let (fields, selected) = (fields(&map(&[("vary", vary)])).unwrap(), selection_of(vary, stored));
            selects_language((&fields, &selected), &german, &map(asked))
        };
        let (one, other) = (("accept-language", "de"), ("accept-language", "fr;q=0.5, de;q=1.0"));
        assert!(of("Accept-Language", &[one], &[other]));
        assert!(!of("Accept-Language", &[one], &[("accept-language", "fr")]));
        let both = "Cookie, Accept-Language";
        assert!(of(both, &[one, ("cookie", "a")], &[other, ("cookie", "a")]));
        assert!(!of(both, &[one, ("cookie", "a")], &[other, ("cookie", "b")]), "it is another's");
        assert!(!of("Cookie", &[("cookie", "a")], &[other, ("cookie", "b")]), "languages are not told apart");
    }

    #[test]
    fn what_varies_by_what_an_edge_writes_is_for_one() {
        assert_eq!(fields(&map(&[("vary", "Accept, X-Forwarded-For")])), None);
        assert!(
            varies_by(&map(&[("vary", "a, Origin")]), "origin")
                && varies_by(&map(&[("vary", "*")]), "origin")
        );
        assert!(!varies_by(&map(&[("vary", "originals")]), "origin"));
    }

    proptest! {
        #[test]
        fn the_order_of_languages_does_not_matter(mut languages in prop::collection::vec("[a-z]{2}", 1..5)) {
            let text = languages.join(", ");
            languages.reverse();
            let turned = languages.join(",");
            let of = |text: &str| selection_of("accept-language", &[("accept-language", text)]);
            prop_assert_eq!(of(&text), of(&turned));
        }
    }
}
