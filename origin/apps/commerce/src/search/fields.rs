//! What the index holds: a document for each variant of a product that is shown, those of a product side by side, so that filters
//! which must be true of one thing are true of one thing, and products are counted by counting where one ends.

use std::collections::{BTreeMap, BTreeSet};

use sluice_storage::words;
use tantivy::schema::{FAST, Field, INDEXED, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::{TantivyDocument, Term};

use super::question::CATEGORY;
use crate::config::Market;
use crate::ids::ProductId;

/// Words of a title, and of all else, that a product is found by.
const MAX_TITLE: usize = 64;
const MAX_TEXT: usize = 400;
/// Words of its descriptions in other languages, in all: those of eight languages at [`MAX_TEXT`], and of more in equal parts.
const MAX_OTHERS: usize = 3_200;
/// Between a facet's name and a value of it.
pub(super) const BETWEEN: char = '\u{1f}';
/// Names of columns.
pub(super) const ID: &str = "id";
pub(super) const FACETS: &str = "facets";
pub(super) const IN_STOCK: &str = "in_stock";

/// A product as it is searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: ProductId,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) category: Option<String>,
    /// In other languages.
    pub(super) others: Vec<Other>,
    pub(super) variants: Vec<Item>,
}

/// A product's title and description in another language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Other {
    pub(super) title: String,
    pub(super) description: String,
}

/// A variant as it is searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) title: String,
    /// In other languages.
    pub(super) others: Vec<String>,
    pub(super) sku: String,
    pub(super) options: BTreeMap<String, String>,
    /// Minor units by market.
    pub(super) prices: BTreeMap<String, i64>,
    pub(super) in_stock: bool,
}

/// The index's fields.
#[derive(Debug)]
pub(super) struct Fields {
    pub(super) schema: Schema,
    pub(super) title: Field,
    pub(super) text: Field,
    id: Field,
    facets: Field,
    in_stock: Field,
    prices: BTreeMap<String, Field>,
}

/// The column of a market's prices.
pub(super) fn price_of(market: &str) -> String {
    format!("price_{market}")
}

/// A value of a facet, as one text.
pub(super) fn facet(name: &str, value: &str) -> String {
    format!("{name}{BETWEEN}{value}")
}

impl Entry {
    /// Bytes of its documents, about: all texts of the product are in each variant's.
    pub(super) fn bytes(&self) -> usize {
        let others = self.others.iter().map(|other| other.title.len() + other.description.len());
        let own = self.title.len() + self.description.len() + others.sum::<usize>();
        let titles = |item: &Item| item.title.len() + item.others.iter().map(String::len).sum::<usize>();
        self.variants.iter().map(|item| own + titles(item)).sum()
    }
}

impl Fields {
    /// Those of a shop with these markets.
    pub(super) fn new(markets: &[Market]) -> Self {
        let mut schema = Schema::builder();
        // Whether a word is there counts, and not how often or where: a product is not better for saying it twice.
        let indexing = TextFieldIndexing::default()
            .set_tokenizer("whitespace")
            .set_index_option(IndexRecordOption::Basic)
            .set_fieldnorms(false);
        let text = TextOptions::default().set_indexing_options(indexing);
        let prices = markets
            .iter()
            .map(|market| (market.name.clone(), schema.add_i64_field(&price_of(&market.name), FAST)));
        let prices = prices.collect();
        Self {
            prices,
            id: schema.add_u64_field(ID, INDEXED | FAST),
            title: schema.add_text_field("title", text.clone()),
            text: schema.add_text_field("text", text),
            facets: schema.add_text_field(FACETS, TextOptions::default().set_fast("raw")),
            in_stock: schema.add_bool_field(IN_STOCK, FAST),
            schema: schema.build(),
        }
    }

    /// What all documents of a product have.
    pub(super) fn product(&self, id: ProductId) -> Term {
        Term::from_field_u64(self.id, id.as_u64())
    }

    /// The documents of a product. Markets that are not of this shop are passed over.
    pub(super) fn documents(&self, entry: &Entry) -> Vec<TantivyDocument> {
        let mut about = bounded([entry.description.as_str()].into_iter(), MAX_TEXT);
        let part = MAX_TEXT.min(MAX_OTHERS / entry.others.len().max(1));
        for other in &entry.others {
            about.extend(bounded([other.description.as_str()].into_iter(), part));
        }
        let category = entry.category.as_deref();
        let document = |item: &Item| {
            let mut document = TantivyDocument::default();
            document.add_u64(self.id, entry.id.as_u64());
            let mut title = bounded([entry.title.as_str(), &item.title].into_iter(), MAX_TITLE);
            for other in entry.others.iter().map(|other| &other.title).chain(&item.others) {
                title.extend(bounded([other.as_str()].into_iter(), MAX_TITLE));
            }
            document.add_text(self.title, joined(&title));
            let own = category
                .into_iter()
                .chain([item.sku.as_str()])
                .chain(item.options.values().map(String::as_str));
            let mut text = bounded(own, MAX_TEXT);
            text.extend(about.iter().cloned());
            document.add_text(self.text, joined(&text));
            let options = item.options.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            for (name, value) in category.map(|name| (CATEGORY, name)).into_iter().chain(options) {
                document.add_text(self.facets, facet(name, value));
            }
            document.add_bool(self.in_stock, item.in_stock);
            for (market, price) in &item.prices {
                if let Some(field) = self.prices.get(market) {
                    document.add_i64(*field, *price);
                }
            }
            document
        };
        entry.variants.iter().map(document).collect()
    }
}

/// Different words of some texts, the first ones where there are too many.
fn bounded<'a>(texts: impl Iterator<Item = &'a str>, most: usize) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for word in texts.flat_map(words) {
        if all.len() == most {
            break;
        }
        all.insert(word);
    }
    all
}

fn joined(words: &BTreeSet<String>) -> String {
    words.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}
