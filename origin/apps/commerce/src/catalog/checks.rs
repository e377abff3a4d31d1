//! What administrators may write into the catalog.

use std::collections::{BTreeMap, BTreeSet};

use sluice_platform::ApiError;

use super::edit::NewVariant;
use crate::config::Config;

/// Variants of a product: sizes times colours of a shirt.
pub(super) const MAX_VARIANTS: usize = 100;
/// Pictures of a product.
const MAX_IMAGES: usize = 20;
/// Options of a variant.
const MAX_OPTIONS: usize = 10;
/// Characters of a category.
const MAX_CATEGORY: usize = 100;
/// Characters of a title, a SKU, an option or a URL.
const MAX_TEXT: usize = 500;
/// Characters of a description: a few pages.
const MAX_DESCRIPTION: usize = 20_000;
/// The highest price, in minor units: a thousand orders of it fit 64 bits with room to spare.
const MAX_PRICE: i64 = 1_000_000_000_000;

/// Everything that is wrong with texts, pictures, options and prices, at once.
pub(super) fn check<'a>(
    config: &Config,
    titles: &[&String],
    description: &str,
    images: &[String],
    variants: impl Iterator<Item = (&'a BTreeMap<String, String>, &'a BTreeMap<String, i64>)>,
) -> Result<(), ApiError> {
    let text = |text: &str| (1..=MAX_TEXT).contains(&text.chars().count());
    let url = |at: &String| {
        text(at) && (at.starts_with('/') || at.starts_with("https://") || at.starts_with("http://"))
    };
    let mut faults = vec![];
    let mut need = |good: bool, fault: &str| {
        if !good {
            faults.push(fault.to_owned());
        }
    };
    need(titles.iter().all(|title| text(title)), "title: 1 to 500 characters");
    need(description.chars().count() <= MAX_DESCRIPTION, "description: at most 20000 characters");
    need(images.len() <= MAX_IMAGES && images.iter().all(url), "images: at most 20 URLs");
    for (options, prices) in variants {
        let fine = options.iter().all(|(name, value)| text(name) && text(value));
        need(fine && options.len() <= MAX_OPTIONS, "options: at most 10, of 1 to 500 characters");
        let known = prices.keys().all(|name| config.markets.iter().any(|market| market.name == *name));
        need(known, "prices: by the names of markets");
        need(prices.values().all(|price| (1..=MAX_PRICE).contains(price)), "prices: from 1 to 1000000000000");
    }
    if faults.is_empty() { Ok(()) } else { Err(invalid(&faults.join("; "))) }
}

/// Whether a product can be in a category.
pub(super) fn category(name: &str) -> Result<(), ApiError> {
    if (1..=MAX_CATEGORY).contains(&name.chars().count()) && !name.contains(char::is_control) {
        return Ok(());
    }
    Err(invalid("category: 1 to 100 characters"))
}

/// Whether variants can be made: their number, their SKUs, each of them once, their titles.
pub(super) fn new_skus(variants: &[NewVariant]) -> Result<(), ApiError> {
    let sku = |sku: &str| (1..=64).contains(&sku.len()) && sku.bytes().all(|c| c.is_ascii_graphic());
    let title = |title: &str| (1..=MAX_TEXT).contains(&title.chars().count());
    let fine = variants.iter().all(|variant| sku(&variant.sku) && title(&variant.title));
    if !(1..=MAX_VARIANTS).contains(&variants.len()) || !fine {
        let detail =
            "variants: 1 to 100, each with a SKU of 1 to 64 visible characters and a title of 1 to 500";
        return Err(invalid(detail));
    }
    let mut seen = BTreeSet::new();
    match variants.iter().find(|variant| !seen.insert(variant.sku.as_str())) {
        Some(twice) => Err(ApiError::conflict(format!("the SKU {:?} is there twice", twice.sku))),
        None => Ok(()),
    }
}

/// 422.
pub(crate) fn invalid(detail: &str) -> ApiError {
    ApiError::new(422, "invalid", "Invalid", detail)
}
