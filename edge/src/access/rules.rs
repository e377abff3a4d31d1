//! Rules: which path needs what. The longest prefix wins.

use super::rate::Rate;
use serde::Deserialize;
use sluice_wire::Country;
use sluice_wire::token::path;
use std::collections::HashMap;

/// Rules of one file. Each costs one look-up of a map for each segment of a path, so that this many cost no more than few.
const MAX_RULES: usize = 10_000;

/// What a path needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Need {
    /// Nothing.
    Open,
    /// A token.
    Token,
    /// A signed URL.
    Signed,
    /// One of the two.
    Either,
}

impl Need {
    pub(crate) const fn takes_tokens(self) -> bool {
        matches!(self, Self::Token | Self::Either)
    }

    pub(crate) const fn takes_signed(self) -> bool {
        matches!(self, Self::Signed | Self::Either)
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// The paths it is about, as rules compare them.
    pub(crate) prefix: String,
    /// The methods it is about; all when there are none. GET is HEAD too.
    #[serde(default)]
    pub(crate) methods: Vec<String>,
    /// What they need.
    pub(crate) need: Need,
    /// Tenants of which a token must be.
    #[serde(default)]
    pub(crate) tenants: Vec<String>,
    /// From where it may be asked for.
    #[serde(default)]
    pub(crate) countries: Countries,
    /// How often it may be asked for.
    #[serde(default)]
    pub(crate) rate: Option<Rate>,
}

/// Countries by ISO 3166-1 alpha-2.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Countries {
    /// These alone; an unknown place is none of them.
    only: Vec<Country>,
    /// Never these; an unknown place is none of them.
    never: Vec<Country>,
}

impl Countries {
    pub(crate) fn allow(&self, country: Option<Country>) -> bool {
        let among = |list: &[Country]| country.is_some_and(|country| list.contains(&country));
        (self.only.is_empty() || among(&self.only)) && !among(&self.never)
    }

    const fn is_anywhere(&self) -> bool {
        self.only.is_empty() && self.never.is_empty()
    }
}

impl Rule {
    fn is_about(&self, method: &str) -> bool {
        let named = |method: &str| self.methods.iter().any(|one| one == method);
        self.methods.is_empty() || named(method) || (method == "HEAD" && named("GET"))
    }

    /// What a private video asks of whoever wants its media at a path: `/v/ID/...`.
    pub(crate) fn of_video(path: &str) -> Self {
        let end = path.match_indices('/').nth(2).map_or(path.len(), |(at, _)| at);
        Self {
            prefix: path.get(..end).unwrap_or(path).to_owned(),
            methods: vec![],
            need: Need::Either,
            tenants: vec![],
            countries: Countries::default(),
            rate: None,
        }
    }

    /// What tells it from every other rule.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.prefix, self.methods.join(","))
    }

    /// True when nothing is asked of anybody.
    pub(crate) fn is_open(&self) -> bool {
        self.need == Need::Open && self.rate.is_none() && self.countries.is_anywhere()
    }

    fn check(&self) -> Result<(), String> {
        let of = |what: &str| Err(format!("rule {}: {what}", self.prefix));
        if !path::is_prefix(&self.prefix) {
            return of("prefix: write it from /, decoded, without dot segments or doubled slashes");
        }
        if !self.methods.iter().all(|m| !m.is_empty() && m.bytes().all(|c| c.is_ascii_uppercase())) {
            return of("methods: name methods in capital letters");
        }
        if self.rate.is_some_and(|rate| rate.requests == 0 || rate.seconds == 0) {
            return of("rate: requests and seconds are at least 1");
        }
        if !self.tenants.is_empty() && self.need != Need::Token {
            return of("tenants: only a token says whose it is; set need = \"token\"");
        }
        Ok(())
    }
}

/// All rules.
#[derive(Debug, Default)]
pub(crate) struct Rules(HashMap<String, Vec<Rule>>);

impl Rules {
    /// Reads a file of rules: `[[rule]]` tables.
    ///
    /// # Errors
    /// What is wrong with the first rule that is.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            #[serde(default)]
            rule: Vec<Rule>,
        }
        let file: File = toml::from_str(text).map_err(|error| error.to_string().replace('\n', " "))?;
        if file.rule.len() > MAX_RULES {
            return Err(format!("at most {MAX_RULES} rules"));
        }
        let mut rules: HashMap<String, Vec<Rule>> = HashMap::new();
        for rule in file.rule {
            rule.check()?;
            let beside = rules.entry(rule.prefix.clone()).or_default();
            let both = |other: &Rule| match (rule.methods.is_empty(), other.methods.is_empty()) {
                (false, false) => rule.methods.iter().any(|method| other.methods.contains(method)),
                (named, other) => named && other,
            };
            if beside.iter().any(both) {
                return Err(format!("rule {}: two rules for the same methods", rule.prefix));
            }
            // A rule that names its methods goes before one for all others.
            let at = if rule.methods.is_empty() { beside.len() } else { 0 };
            beside.insert(at, rule);
        }
        Ok(Self(rules))
    }

    /// False when there is not a single one.
    pub(crate) fn are_any(&self) -> bool {
        !self.0.is_empty()
    }

    /// The rule of a path, as rules compare it: of the longest prefix that covers it and has one for the method.
    pub(crate) fn of(&self, method: &str, path: &str) -> Option<&Rule> {
        prefixes(path)
            .filter_map(|prefix| self.0.get(prefix))
            .find_map(|rules| rules.iter().find(|rule| rule.is_about(method)))
    }
}

/// What may cover a path, longest first: itself, and all that ends before or after one of its slashes.
fn prefixes(path: &str) -> impl Iterator<Item = &str> {
    let slashes = path.rmatch_indices('/').map(|(at, _)| at);
    let both = slashes.flat_map(|at| [path.get(..=at), path.get(..at)]);
    std::iter::once(path).chain(both.flatten()).filter(|prefix| !prefix.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_longest_prefix_wins_and_methods_tell_rules_apart() {
        let rules = Rules::parse(
            r#"
            [[rule]]
            prefix = "/"
            need = "token"
            [[rule]]
            prefix = "/v/"
            need = "either"
            [[rule]]
            prefix = "/v/free"
            need = "open"
            [[rule]]
            prefix = "/v/free"
            methods = ["PUT", "POST"]
            need = "token"
            tenants = ["acme"]
            "#,
        )
        .unwrap();
        let need = |method, path| rules.of(method, path).map(|rule| rule.need);
        assert_eq!(need("GET", "/"), Some(Need::Token));
        assert_eq!(need("GET", "/v"), Some(Need::Token));
        assert_eq!(need("GET", "/v/a/b.m4s"), Some(Need::Either));
        assert_eq!(need("GET", "/v/free"), Some(Need::Open));
        assert_eq!(need("HEAD", "/v/free/x"), Some(Need::Open));
        assert_eq!(need("PUT", "/v/free/x"), Some(Need::Token));
        assert_eq!(need("GET", "/v/freedom"), Some(Need::Either));
        assert_eq!(need("GET", "/V/free"), Some(Need::Token));
        assert_eq!(Rules::default().of("GET", "/"), None);
    }

    #[test]
    fn faulty_rules_are_named() {
        let one = |body: &str| Rules::parse(&format!("[[rule]]\n{body}")).unwrap_err();
        assert!(one("prefix = \"v\"\nneed = \"open\"").contains("rule v: prefix"));
        assert!(one("prefix = \"/%61\"\nneed = \"open\"").contains("prefix"));
        assert!(one("prefix = \"/\"\nneed = \"none\"").contains("need"));
        assert!(one("prefix = \"/\"").contains("need"));
        assert!(one("prefix = \"/\"\nneed = \"open\"\nned = 1").contains("ned"));
        assert!(one("prefix = \"/\"\nneed = \"open\"\nmethods = [\"get\"]").contains("methods"));
        assert!(
            one("prefix = \"/\"\nneed = \"open\"\ncountries = { only = [\"de\"] }")
                .contains("two capital letters")
        );
        assert!(
            one("prefix = \"/\"\nneed = \"open\"\nrate = { requests = 0, seconds = 1 }").contains("rate")
        );
        assert!(one("prefix = \"/\"\nneed = \"signed\"\ntenants = [\"a\"]").contains("tenants"));
        let twice = "prefix = \"/\"\nneed = \"open\"\n[[rule]]\nprefix = \"/\"\nneed = \"token\"";
        assert!(one(twice).contains("two rules"));
    }

    #[test]
    fn countries_are_these_alone_or_never() {
        let of = |only: &[&str], never: &[&str]| {
            let list = |codes: &[&str]| codes.iter().filter_map(|code| Country::parse(code)).collect();
            Countries { only: list(only), never: list(never) }
        };
        assert!(
            of(&[], &[]).allow(None)
                && of(&[], &["FR"]).allow(None)
                && of(&[], &["FR"]).allow(Country::parse("DE"))
        );
        assert!(!of(&["DE"], &[]).allow(None) && !of(&[], &["FR"]).allow(Country::parse("FR")));
        assert!(
            of(&["DE"], &[]).allow(Country::parse("DE")) && !of(&["DE"], &["DE"]).allow(Country::parse("DE"))
        );
    }

    proptest! {
        #[test]
        fn prefixes_are_all_that_cover(prefix in "(/[ab]{1,2}){0,3}/?", path in "(/[ab]{1,2}){1,4}/?") {
            let covers = path::covers(&prefix, &path) && !prefix.is_empty();
            prop_assert_eq!(prefixes(&path).any(|one| one == prefix), covers, "{} {}", prefix, path);
        }
    }
}
