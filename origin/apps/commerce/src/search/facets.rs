//! Counts as clients get them, and the ranges of prices, which are the same for every question.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use utoipa::ToSchema;

use super::collect::Found;
use super::fields::BETWEEN;
use super::question::{CATEGORY, Question};

/// Ranges of prices: three to a power of ten (1, 2, 5), as far as prices go.
pub(super) const RANGES: usize = 39;
/// Options that are told of, and values of each and of the category; the commonest, and what is chosen.
const MAX_OPTIONS: usize = 20;
const MAX_VALUES: usize = 50;

/// What the products that were found can be told apart by, with how many there would be.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Facets {
    /// The commonest first.
    categories: Vec<FacetValue>,
    /// The options of variants; the commonest first.
    options: Vec<OptionFacet>,
    price: Prices,
    /// Products that can be had.
    in_stock: u64,
}

/// A value, and how many products there are with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FacetValue {
    pub(super) value: String,
    pub(super) count: u64,
    /// Whether it was asked for.
    pub(super) chosen: bool,
}

/// An option of variants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct OptionFacet {
    pub(super) name: String,
    /// The commonest first.
    pub(super) values: Vec<FacetValue>,
}

/// Prices, whatever price was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Prices {
    /// The least, in minor units; absent where nothing is found.
    min: Option<i64>,
    /// The highest.
    max: Option<i64>,
    /// Those in which there is something, the cheapest first.
    ranges: Vec<PriceRange>,
}

/// Prices from one to another, both of them among them, in minor units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct PriceRange {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) count: u64,
}

/// Which range a price is in.
pub(super) fn range_of(price: i64) -> usize {
    let price = price.max(1);
    let power = price.ilog10();
    let step = match price / 10_i64.pow(power) {
        1 => 0,
        2..=4 => 1,
        _ => 2,
    };
    (power as usize * 3 + step).min(RANGES - 1)
}

/// The first price of a range.
fn begin_of(range: usize) -> i64 {
    let steps = [1, 2, 5];
    let power = u32::try_from(range / 3).unwrap_or(u32::MAX);
    10_i64.saturating_pow(power).saturating_mul(steps[range % 3])
}

impl Facets {
    /// Those of what was found.
    pub(super) fn of(found: &Found, asked: &Question) -> Self {
        let mut all = counted(found, asked);
        let categories = all.remove(CATEGORY).unwrap_or_default();
        let sum = |values: &[FacetValue]| values.iter().map(|value| value.count).sum::<u64>();
        let mut options: Vec<_> =
            all.into_iter().map(|(name, values)| OptionFacet { name, values }).collect();
        options.sort_by_cached_key(|option| {
            let chosen = option.values.iter().any(|value| value.chosen);
            (Reverse(chosen), Reverse(sum(&option.values)), option.name.clone())
        });
        options.truncate(MAX_OPTIONS);
        for values in options.iter_mut().map(|option| &mut option.values) {
            *values = shown(std::mem::take(values));
        }
        let ranges = found.ranges.iter().enumerate().filter(|(_, count)| **count > 0);
        let ranges =
            ranges.map(|(n, count)| PriceRange { from: begin_of(n), to: begin_of(n + 1) - 1, count: *count });
        let (min, max) = found.span.unzip();
        let price = Prices { min, max, ranges: ranges.collect() };
        Self { categories: shown(categories), options, price, in_stock: found.in_stock }
    }
}

/// Every value that was counted or chosen, by its facet.
fn counted(found: &Found, asked: &Question) -> BTreeMap<String, Vec<FacetValue>> {
    let mut all: BTreeMap<String, Vec<FacetValue>> = BTreeMap::new();
    let mut missing: BTreeSet<(&str, &str)> = asked
        .chosen
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |value| (name.as_str(), value.as_str())))
        .collect();
    for (text, count) in &found.values {
        let Some((name, value)) = text.split_once(BETWEEN) else { continue };
        let chosen = missing.remove(&(name, value));
        let value = FacetValue { value: value.to_owned(), count: *count, chosen };
        all.entry(name.to_owned()).or_default().push(value);
    }
    for (name, value) in missing {
        let value = FacetValue { value: value.to_owned(), count: 0, chosen: true };
        all.entry(name.to_owned()).or_default().push(value);
    }
    all
}

/// The commonest values, and those that were chosen.
fn shown(mut values: Vec<FacetValue>) -> Vec<FacetValue> {
    values.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
    let mut n = 0;
    values.retain(|value| {
        n += 1;
        n <= MAX_VALUES || value.chosen
    });
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_price_is_within_its_range_and_ranges_meet(price in 1..=1_000_000_000_000_i64) {
            let range = range_of(price);
            prop_assert!((begin_of(range)..begin_of(range + 1)).contains(&price));
            prop_assert!(range + 1 < RANGES, "there is one to spare");
        }
    }

    #[test]
    fn the_commonest_come_first_and_what_is_chosen_is_always_there() {
        let mut found = Found { span: Some((5, 90)), ..Found::default() };
        let text = |n: usize| format!("size{BETWEEN}{n:03}");
        found.values = (0..80).map(|n| (text(n), 100 - u64::try_from(n).unwrap())).collect();
        let chosen = ["079", "not there"].map(str::to_owned);
        let asked =
            Question { chosen: BTreeMap::from([("size".into(), chosen.into())]), ..Question::default() };
        let facets = Facets::of(&found, &asked);
        let values = &facets.options[0].values;
        assert_eq!((values.len(), &*values[0].value, values[0].count), (52, "000", 100));
        let rest: Vec<_> =
            values.iter().filter(|value| value.chosen).map(|value| (&*value.value, value.count)).collect();
        assert_eq!(rest, [("079", 21), ("not there", 0)]);
    }
}
