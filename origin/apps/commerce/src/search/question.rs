//! What is asked of the search: read from a request's query, all of it, or a problem that says what is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;

use sluice_platform::{ApiError, Page};
use sluice_storage::words;
use sluice_wire::Language;

use crate::catalog::invalid;
use crate::ids::ProductId;

/// The category's name among facets: options have names of a character or more.
pub(super) const CATEGORY: &str = "";
/// Characters of a question's words.
const MAX_QUESTION: usize = 200;
/// Words that are looked for; more are not looked at.
const MAX_WORDS: usize = 8;
/// Values of facets that are chosen at once.
const MAX_CHOSEN: usize = 50;

/// A question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Question {
    /// Folded, each once; all must be there.
    pub(super) words: Vec<String>,
    pub(super) market: String,
    /// What is found is shown in it; words of every language find it.
    pub(super) language: Option<Language>,
    /// Values by the facet's name: one of each facet's must be there.
    pub(super) chosen: BTreeMap<String, BTreeSet<String>>,
    /// In minor units.
    pub(super) price: Option<RangeInclusive<i64>>,
    pub(super) in_stock: bool,
    pub(super) sort: Sort,
    pub(super) limit: usize,
    pub(super) after: Option<Place>,
}

/// What comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Sort {
    /// What fits the words best, the newest of equals.
    #[default]
    Relevance,
    /// The cheapest.
    Price,
    /// The dearest.
    PriceDown,
    Newest,
}

/// Where a product stands in the order that was asked for: what is greater comes first. As text, a page's cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) rank: i64,
    pub(super) product: ProductId,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.rank, self.product)
    }
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        let (rank, product) = text.split_once('.')?;
        Some(Self { rank: rank.parse().ok()?, product: product.parse().ok()? })
    }
}

impl Sort {
    /// How far up a product is: by the worth of its words, and its least price.
    pub(super) const fn rank(self, worth: i64, price: i64) -> i64 {
        match self {
            Self::Relevance => worth,
            Self::Price => -price,
            Self::PriceDown => price,
            Self::Newest => 0,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "relevance" => Self::Relevance,
            "price" => Self::Price,
            "-price" => Self::PriceDown,
            "newest" => Self::Newest,
            _ => return None,
        })
    }
}

impl Question {
    /// Reads a query.
    ///
    /// # Errors
    /// 400 for a name that nobody knows, one that is there twice, or a bad cursor or limit; 422 for a value that cannot be.
    pub(super) fn parse(query: &str) -> Result<Self, ApiError> {
        let limit = usize::try_from(Page::default().size()).unwrap_or(usize::MAX);
        let mut asked = Self { limit, ..Self::default() };
        let mut seen = BTreeSet::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let once = !matches!(&*name, "category" | "option");
            if once && !seen.insert(name.to_string()) {
                return Err(ApiError::bad_request(format!("{name:.60}: once")));
            }
            asked.take(&name, &value)?;
        }
        if asked.market.is_empty() {
            return Err(ApiError::bad_request("market: whose prices"));
        }
        if asked.chosen.values().map(BTreeSet::len).sum::<usize>() > MAX_CHOSEN {
            return Err(invalid("category, option: at most 50 values"));
        }
        Ok(asked)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), ApiError> {
        match name {
            "q" => self.words = asked(value)?,
            "market" => value.clone_into(&mut self.market),
            "language" => {
                let language = value.parse::<Language>();
                let language =
                    language.map_err(|error| ApiError::bad_request(format!("language: {error}")))?;
                self.language = Some(language);
            }
            "category" => self.choose(CATEGORY, value),
            "option" => {
                let pair =
                    value.split_once(':').filter(|(name, value)| !name.is_empty() && !value.is_empty());
                let (name, value) = pair.ok_or_else(|| invalid("option: NAME:VALUE"))?;
                self.choose(name, value);
            }
            "price" => {
                self.price =
                    Some(prices(value).ok_or_else(|| invalid("price: MIN-MAX, either may be absent"))?)
            }
            "in_stock" => {
                self.in_stock = value.parse().map_err(|_| invalid("in_stock: true or false"))?;
            }
            "sort" => {
                let sort = Sort::parse(value);
                self.sort = sort.ok_or_else(|| invalid("sort: relevance, price, -price or newest"))?;
            }
            "limit" => {
                let limit = value.parse().map_err(|_| ApiError::bad_request("limit: a number"))?;
                let page = Page { limit: Some(limit), ..Page::default() };
                self.limit = usize::try_from(page.size()).unwrap_or(usize::MAX);
            }
            "cursor" => {
                let place = Place::parse(value);
                self.after = Some(place.ok_or_else(|| ApiError::bad_request("cursor: a page's `next`"))?);
            }
            _ => return Err(ApiError::bad_request(format!("{name:.60}: there is no such parameter"))),
        }
        Ok(())
    }

    fn choose(&mut self, name: &str, value: &str) {
        self.chosen.entry(name.to_owned()).or_default().insert(value.to_owned());
    }
}

/// The words of a question, each once.
fn asked(text: &str) -> Result<Vec<String>, ApiError> {
    if text.chars().count() > MAX_QUESTION {
        return Err(invalid("q: at most 200 characters"));
    }
    let mut all: Vec<String> = words(text).take(MAX_WORDS).collect();
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// `MIN-MAX`, in minor units.
fn prices(text: &str) -> Option<RangeInclusive<i64>> {
    let number = |text: &str, absent| {
        let digits = text.bytes().all(|c| c.is_ascii_digit());
        if text.is_empty() { Some(absent) } else { text.parse::<i64>().ok().filter(|_| digits) }
    };
    let (min, max) = text.split_once('-').filter(|_| text != "-")?;
    let range = number(min, 0)?..=number(max, i64::MAX)?;
    (!range.is_empty()).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(query: &str) -> u16 {
        Question::parse(query).unwrap_err().0.status
    }

    #[test]
    fn a_question_is_read_whole_or_refused() {
        let id = ProductId::from_parts(1_800_000_000_000, 1);
        let query = format!(
            "q=R%C3%89D+shirt&market=de&category=Shirts&category=Hats&option=size:M&price=500-2000&in_stock=true\
             &sort=-price&limit=5&cursor=1190.{id}"
        );
        let asked = Question::parse(&query).unwrap();
        assert_eq!((asked.words.join(" "), asked.price), ("red shirt".into(), Some(500..=2_000)));
        assert_eq!(asked.chosen[CATEGORY].len(), 2);
        assert!(asked.chosen["size"].contains("M"));
        assert_eq!((asked.sort, asked.limit, asked.in_stock), (Sort::PriceDown, 5, true));
        assert_eq!(asked.after, Some(Place { rank: 1_190, product: id }));
        let language = Question::parse("market=de&language=DE-ch").unwrap().language;
        assert_eq!(language.map(|language| language.to_string()), Some("de-CH".into()));
        assert_eq!(Question::parse("market=de&limit=1000").unwrap().limit, 100);
        assert_eq!(Question::parse("market=de&price=-900").unwrap().price, Some(0..=900));
        for bad in [
            "",
            "q=a",
            "market=de&market=us",
            "market=de&colour=red",
            "market=de&limit=x",
            "market=de&language=german",
            "market=de&language=",
            "market=de&cursor=7",
        ] {
            assert_eq!(refused(bad), 400, "{bad}");
        }
        for bad in ["price=9-1", "price=-", "price=1", "price=a-b", "in_stock=1", "sort=best", "option=red"] {
            assert_eq!(refused(&format!("market=de&{bad}")), 422, "{bad}");
        }
        assert_eq!(refused(&format!("market=de&q={}", "a".repeat(201))), 422);
    }

    proptest! {
        #[test]
        fn a_cursor_is_read_as_it_is_written(rank in any::<i64>(), ms in 0_u64..1 << 40) {
            let place = Place { rank, product: ProductId::from_parts(ms, 1) };
            prop_assert_eq!(Place::parse(&place.to_string()), Some(place));
        }

        #[test]
        fn no_query_is_more_than_refused(query in "\\PC{0,200}") {
            drop(Question::parse(&query));
        }
    }
}
