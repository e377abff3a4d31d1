//! The catalog's documents.

use std::collections::BTreeMap;

use serde::Serialize;
use sluice_platform::ApiError;
use sluice_storage::rows::from_json;
use sluice_wire::VideoId;
use utoipa::ToSchema;

use super::languages;
use crate::config::Market;
use crate::ids::{self, ProductId, VariantId};
use crate::rows::{category, product, text, variant};

/// A page of products.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProductPage {
    /// ISO 4217.
    pub(super) currency: String,
    pub(super) products: Vec<Listed>,
    /// What to ask for as `after`; absent on the last page.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<ProductId>,
}

/// A product in a listing, or found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Listed {
    #[schema(value_type = String)]
    pub(super) id: ProductId,
    title: String,
    /// The language that its title was found in, a tag of BCP 47; absent where the title is the product's own.
    #[schema(example = "de")]
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    /// The first picture.
    image: Option<String>,
    /// The least price of its variants in this market, in minor units; absent where it is not sold.
    from: Option<i64>,
}

impl Listed {
    pub(crate) fn of(
        row: product::Model,
        text: Option<text::Model>,
        from: Option<i64>,
    ) -> Result<Self, ApiError> {
        let images: Vec<String> = from_json("shop_products.images", &row.images)?;
        let id = ids::of_column("shop_products.id", row.id)?;
        let (title, language) = text.map_or((row.title, None), |text| (text.title, Some(text.language)));
        Ok(Self { id, title, language, image: images.into_iter().next(), from })
    }

    /// The language of its title; `None` where that is its own.
    pub(crate) fn language(&self) -> Option<&str> {
        self.language.as_deref()
    }
}

/// A product at a market's prices.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Product {
    #[schema(value_type = String)]
    id: ProductId,
    title: String,
    description: String,
    /// The language that its texts were found in, a tag of BCP 47; absent where they are the product's own.
    #[schema(example = "de")]
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    /// What kind of thing it is; absent where it is in no category.
    category: Option<String>,
    /// URLs of pictures.
    images: Vec<String>,
    /// The id of a video of Sluice.
    #[schema(value_type = Option<String>)]
    video: Option<VideoId>,
    market: String,
    /// ISO 4217.
    currency: String,
    /// The tax that prices include, in basis points of the price without it.
    tax_bp: u32,
    variants: Vec<Variant>,
}

/// What is sold of a product.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Variant {
    #[schema(value_type = String)]
    pub(super) id: VariantId,
    pub(super) sku: String,
    pub(super) title: String,
    pub(super) options: BTreeMap<String, String>,
    /// Minor units, with the tax; absent where it is not sold.
    pub(super) price: Option<i64>,
}

impl Variant {
    /// At a market's price, with its title of these where it is among them.
    pub(super) fn of(
        row: variant::Model,
        market: &Market,
        titles: &BTreeMap<VariantId, String>,
    ) -> Result<Self, ApiError> {
        let prices: BTreeMap<String, i64> = from_json("shop_variants.prices", &row.prices)?;
        let id = ids::of_column("shop_variants.id", row.id)?;
        Ok(Self {
            id,
            options: from_json("shop_variants.options", &row.options)?,
            price: prices.get(&market.name).copied(),
            sku: row.sku,
            title: titles.get(&id).cloned().unwrap_or(row.title),
        })
    }
}

impl Product {
    pub(super) fn of(
        (row, text, category): (product::Model, Option<text::Model>, Option<category::Model>),
        variants: Vec<variant::Model>,
        market: &Market,
    ) -> Result<Self, ApiError> {
        let titles = languages::titles(text.as_ref())?;
        let variant = |row| Variant::of(row, market, &titles);
        let variants = variants.into_iter().map(variant).collect::<Result<_, _>>()?;
        let (title, description, language) = text.map_or((row.title, row.description, None), |text| {
            (text.title, text.description, Some(text.language))
        });
        Ok(Self {
            id: ids::of_column("shop_products.id", row.id)?,
            images: from_json("shop_products.images", &row.images)?,
            video: row.video.map(|video| ids::of_column("shop_products.video", video)).transpose()?,
            title,
            description,
            language,
            category: category.map(|row| row.category),
            market: market.name.clone(),
            currency: market.currency.clone(),
            tax_bp: market.tax_bp,
            variants,
        })
    }

    /// The language of its texts; `None` where they are its own.
    pub(super) fn language(&self) -> Option<&str> {
        self.language.as_deref()
    }

    /// Whether any of its variants has a price in its market.
    pub(super) fn is_sold(&self) -> bool {
        self.variants.iter().any(|variant| variant.price.is_some())
    }
}
