//! One walk over what matches the words: the page, the total, and every facet's counts, exactly.
//!
//! A facet's counts leave its own choice out: they say what one would see having chosen that value instead, or too. So a variant
//! counts for everything where all that was chosen is true of it, and where one thing alone is not, for that thing's own counts.
//! Documents come in their order, those of a product one after the other: what was counted for a product last is not counted again.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::{Column, ColumnValues, StrColumn, TermOrdHit};
use tantivy::{DocId, Score, SegmentOrdinal, SegmentReader};

use super::facets::{RANGES, range_of};
use super::fields::{FACETS, ID, IN_STOCK, facet, price_of};
use super::question::{Place, Question, Sort};
use crate::ids::ProductId;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Products.
    pub(super) total: u64,
    /// Those of the page, the first one first, and one more where there are more.
    pub(super) hits: Vec<Hit>,
    /// Products by a facet's name and value, as one text.
    pub(super) values: BTreeMap<String, u64>,
    /// Products by range of price.
    pub(super) ranges: Vec<u64>,
    /// The least price and the highest, whatever prices were asked for.
    pub(super) span: Option<(i64, i64)>,
    /// Products that can be had.
    pub(super) in_stock: u64,
}

/// A product that was found, and the least price of its variants that fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hit {
    pub(super) place: Place,
    pub(super) price: i64,
}

/// Gathers what a question asks for.
#[derive(Debug)]
pub(super) struct Gather<'a> {
    question: &'a Question,
    price: String,
}

impl<'a> Gather<'a> {
    pub(super) fn new(question: &'a Question) -> Self {
        Self { question, price: price_of(&question.market) }
    }
}

impl Collector for Gather<'_> {
    type Fruit = Found;
    type Child = Segment;

    fn for_segment(&self, _: SegmentOrdinal, reader: &SegmentReader) -> tantivy::Result<Segment> {
        let (columns, asked) = (reader.fast_fields(), self.question);
        let facets = columns.str(FACETS)?;
        let chosen = asked.chosen.iter().map(|(name, values)| {
            let values = values.iter().map(String::as_str);
            facets.as_ref().map_or_else(|| Ok(Chosen::default()), |column| Chosen::of(column, name, values))
        });
        Ok(Segment {
            chosen: chosen.collect::<std::io::Result<_>>()?,
            products: columns.u64(ID)?.first_or_default_col(u64::MAX),
            prices: columns.column_opt(&self.price)?,
            in_stock: columns.column_opt(IN_STOCK)?,
            values: Tally::of(facets.as_ref().map_or(0, |column| column.num_terms())),
            facets,
            price: asked.price.clone(),
            only_in_stock: asked.in_stock,
            page: Page::of(asked),
            ranges: Tally::of(RANGES),
            stocked: Tally::of(1),
            span: None,
            ords: vec![],
        })
    }

    fn requires_scoring(&self) -> bool {
        self.question.sort == Sort::Relevance && !self.question.words.is_empty()
    }

    fn merge_fruits(&self, segments: Vec<tantivy::Result<Found>>) -> tantivy::Result<Found> {
        let mut all = Found { ranges: vec![0; RANGES], ..Found::default() };
        for found in segments {
            let found = found?;
            all.total += found.total;
            all.in_stock += found.in_stock;
            all.hits.extend(found.hits);
            for (value, count) in found.values {
                *all.values.entry(value).or_default() += count;
            }
            all.ranges.iter_mut().zip(found.ranges).for_each(|(sum, count)| *sum += count);
            all.span = widest(all.span, found.span);
        }
        all.hits.sort_unstable_by(|a, b| b.cmp(a));
        all.hits.truncate(self.question.limit + 1);
        Ok(all)
    }
}

fn widest(one: Option<(i64, i64)>, other: Option<(i64, i64)>) -> Option<(i64, i64)> {
    match (one, other) {
        (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
        (one, other) => one.or(other),
    }
}

/// What was chosen of a facet, as a segment numbers its values.
#[derive(Debug, Default)]
struct Chosen {
    ords: Vec<u64>,
    /// All values of the facet.
    all: Range<u64>,
}

impl Chosen {
    fn of<'a>(
        column: &StrColumn,
        name: &str,
        values: impl Iterator<Item = &'a str>,
    ) -> std::io::Result<Self> {
        let dictionary = column.dictionary();
        let mut ords = vec![];
        for value in values {
            ords.extend(dictionary.term_ord(facet(name, value))?);
        }
        let first = facet(name, "");
        // What comes after all texts that begin so: the next character in the separator's place.
        let past = format!("{name}\u{20}");
        let at = |text: &str| {
            dictionary.term_ord_or_next(text).map(|hit| match hit {
                TermOrdHit::Exact(ord) | TermOrdHit::Next(ord) => ord,
            })
        };
        Ok(Self { ords, all: at(&first)?..at(&past)? })
    }
}

/// Counts of products, each counted once though several of its variants say so.
#[derive(Debug)]
struct Tally(Vec<(u64, u64)>);

impl Tally {
    /// Nothing yet, of so many things.
    fn of(things: usize) -> Self {
        Self(vec![(0, u64::MAX); things])
    }

    fn count(&mut self, thing: usize, product: u64) {
        if let Some((count, last)) = self.0.get_mut(thing)
            && *last != product
        {
            (*count, *last) = (*count + 1, product);
        }
    }

    fn counts(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(|(count, _)| *count)
    }
}

/// The products of a page, as they come.
#[derive(Debug)]
struct Page {
    sort: Sort,
    after: Option<Place>,
    keep: usize,
    total: u64,
    /// The product whose variants come now: its number, its worth, its least price.
    now: Option<(u64, i64, i64)>,
    best: BinaryHeap<Reverse<Hit>>,
}

impl Page {
    fn of(asked: &Question) -> Self {
        let (sort, after, keep) = (asked.sort, asked.after, asked.limit + 1);
        Self { sort, after, keep, total: 0, now: None, best: BinaryHeap::with_capacity(keep + 1) }
    }

    fn take(&mut self, product: u64, worth: i64, price: i64) {
        match &mut self.now {
            Some((now, best, least)) if *now == product => {
                (*best, *least) = ((*best).max(worth), (*least).min(price));
            }
            _ => {
                self.settle();
                self.now = Some((product, worth, price));
            }
        }
    }

    /// All variants of a product have come.
    fn settle(&mut self) {
        let Some((product, worth, price)) = self.now.take() else { return };
        self.total += 1;
        let Ok(product) = ProductId::from_u64(product) else { return };
        let place = Place { rank: self.sort.rank(worth, price), product };
        if self.after.is_none_or(|after| place < after) {
            self.best.push(Reverse(Hit { place, price }));
            if self.best.len() > self.keep {
                self.best.pop();
            }
        }
    }
}

/// What of the choice is not true of a variant.
enum Miss {
    Nothing,
    Facet(usize),
    Price,
    /// It is not in stock, or more than one thing is not true.
    More,
}

/// The walk through a segment.
pub(super) struct Segment {
    products: Arc<dyn ColumnValues<u64>>,
    prices: Option<Column<i64>>,
    in_stock: Option<Column<bool>>,
    facets: Option<StrColumn>,
    chosen: Vec<Chosen>,
    price: Option<RangeInclusive<i64>>,
    only_in_stock: bool,
    page: Page,
    values: Tally,
    ranges: Tally,
    stocked: Tally,
    span: Option<(i64, i64)>,
    ords: Vec<u64>,
}

impl Segment {
    fn miss(&self, price: i64, in_stock: bool) -> Miss {
        if self.only_in_stock && !in_stock {
            return Miss::More;
        }
        let mut miss = Miss::Nothing;
        if self.price.as_ref().is_some_and(|range| !range.contains(&price)) {
            miss = Miss::Price;
        }
        for (n, chosen) in self.chosen.iter().enumerate() {
            if !chosen.ords.iter().any(|ord| self.ords.contains(ord)) {
                if !matches!(miss, Miss::Nothing) {
                    return Miss::More;
                }
                miss = Miss::Facet(n);
            }
        }
        miss
    }

    fn count_values(&mut self, product: u64, among: Option<Range<u64>>) {
        for ord in &self.ords {
            if among.as_ref().is_none_or(|among| among.contains(ord)) {
                self.values.count(usize::try_from(*ord).unwrap_or(usize::MAX), product);
            }
        }
    }

    fn count_price(&mut self, product: u64, price: i64) {
        self.ranges.count(range_of(price), product);
        self.span = widest(self.span, Some((price, price)));
    }
}

impl SegmentCollector for Segment {
    type Fruit = tantivy::Result<Found>;

    fn collect(&mut self, doc: DocId, score: Score) {
        let Some(price) = self.prices.as_ref().and_then(|column| column.first(doc)) else { return };
        let product = self.products.get_val(doc);
        let in_stock = self.in_stock.as_ref().is_some_and(|column| column.first(doc) == Some(true));
        self.ords.clear();
        if let Some(column) = &self.facets {
            self.ords.extend(column.ords().values_for_doc(doc));
        }
        match self.miss(price, in_stock) {
            Miss::Nothing => {
                // The worths of a few words: whole numbers that a float holds exactly.
                self.page.take(product, score as i64, price);
                self.count_values(product, None);
                self.count_price(product, price);
                if in_stock {
                    self.stocked.count(0, product);
                }
            }
            Miss::Facet(n) => {
                let among = self.chosen.get(n).map(|chosen| chosen.all.clone());
                self.count_values(product, among);
            }
            Miss::Price => self.count_price(product, price),
            Miss::More => {}
        }
    }

    fn harvest(mut self) -> tantivy::Result<Found> {
        self.page.settle();
        let mut values = BTreeMap::new();
        if let Some(column) = &self.facets {
            let counted = (0..).zip(self.values.counts()).filter(|(_, count)| *count > 0);
            let (ords, counts): (Vec<u64>, Vec<u64>) = counted.unzip();
            let mut counts = counts.into_iter();
            column.dictionary().sorted_ords_to_term_cb(&ords, |text| {
                let text = String::from_utf8_lossy(text).into_owned();
                values.insert(text, counts.next().unwrap_or(0));
            })?;
        }
        Ok(Found {
            total: self.page.total,
            hits: self.page.best.into_iter().map(|Reverse(hit)| hit).collect(),
            values,
            ranges: self.ranges.counts().collect(),
            span: self.span,
            in_stock: self.stocked.counts().sum(),
        })
    }
}
