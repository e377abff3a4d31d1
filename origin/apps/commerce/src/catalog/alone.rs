//! A variant by its own id: what a basket and an order say of a line, which names nothing but variants.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Serialize;
use sluice_platform::ApiError;
use sluice_storage::rows::from_json;
use sluice_storage::rows::sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use utoipa::ToSchema;

use super::documents::Variant;
use super::languages::{OfVariant, titles};
use super::{InMarket, public, spoken};
use crate::config::Market;
use crate::ids::{self, ProductId, VariantId};
use crate::rows::{product, text, variant};
use crate::{Shop, raised};

/// A variant at a market's price, and what it is one of.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OneVariant {
    #[schema(value_type = String)]
    id: VariantId,
    sku: String,
    title: String,
    options: BTreeMap<String, String>,
    /// Minor units, with the tax; absent where it is not sold.
    price: Option<i64>,
    market: String,
    /// ISO 4217.
    currency: String,
    /// The tax that the price includes, in basis points of the price without it.
    tax_bp: u32,
    /// The language that titles were found in, a tag of BCP 47; absent where they are the product's own.
    #[schema(example = "de")]
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    product: Whole,
}

/// The product that a variant is one of.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Whole {
    #[schema(value_type = String)]
    id: ProductId,
    title: String,
    /// The first picture.
    image: Option<String>,
    /// Whether it has other variants.
    others: bool,
}

/// A variant, with its product.
#[utoipa::path(get, path = "/v1/shop/variants/{variant}", tag = "catalog", params(
    ("variant" = String, Path, description = "a variant"),
    ("market" = String, Query, description = "whose price"),
    ("language" = Option<String>, Query, description = "in which texts are wanted, a tag of BCP 47: `de-CH`, or else `de`, or else the product's own", example = "de-CH"),
), responses(
    (status = 200, body = OneVariant, headers(("content-language" = String, description = "where all texts are in one language that was asked for"))),
    (status = 400, description = "no language"), (status = 404, description = "no such market or variant, or it is sold no longer"),
))]
pub(crate) async fn by_variant(
    State(shop): State<Shop>,
    Path(id): Path<VariantId>,
    Query(wanted): Query<InMarket>,
) -> Result<Response, ApiError> {
    let market = shop.market(&wanted.market)?;
    let missing = || ApiError::not_found(format!("no variant {id}"));
    let reader = shop.storage.database.reader();
    // Whose it is never changes. All else is read once the version of that is known.
    let row = variant::Entity::find_by_id(id.as_i64()).one(reader).await?.ok_or_else(missing)?;
    let product: ProductId = ids::of_column("shop_variants.product", row.product)?;
    let versions = shop.storage.log().versions_of(&[raised::product(product)]).await?;
    // The variant, and one other where there is any.
    let rows = variant::Entity::find()
        .filter(variant::Column::Product.eq(product.as_i64()))
        .order_by_desc(variant::Column::Id.eq(id.as_i64()))
        .limit(2)
        .find_also_linked(OfVariant::in_language(wanted.language.as_ref()))
        .find_also_related(product::Entity)
        .all(reader)
        .await?;
    let others = rows.len() > 1;
    let found = rows.into_iter().next().and_then(|(row, text, of)| Some((row, text, of?)));
    let (row, text, of) = found.filter(|(.., of)| of.active).ok_or_else(missing)?;
    let one = OneVariant::of(row, (Whole::of(of, others)?, text), market)?;
    let answer = public(Json(&one), &versions);
    Ok(spoken(answer, std::iter::once(one.language.as_deref())))
}

impl Whole {
    fn of(row: product::Model, others: bool) -> Result<Self, ApiError> {
        let images: Vec<String> = from_json("shop_products.images", &row.images)?;
        let id = ids::of_column("shop_products.id", row.id)?;
        Ok(Self { id, title: row.title, image: images.into_iter().next(), others })
    }
}

impl OneVariant {
    /// With its product, whose title is of these texts where there are any.
    fn of(
        row: variant::Model,
        (mut product, text): (Whole, Option<text::Model>),
        market: &Market,
    ) -> Result<Self, ApiError> {
        let Variant { id, sku, title, options, price } = Variant::of(row, market, &titles(text.as_ref())?)?;
        let language = text.map(|text| {
            product.title = text.title;
            text.language
        });
        Ok(Self {
            id,
            sku,
            title,
            options,
            price,
            market: market.name.clone(),
            currency: market.currency.clone(),
            tax_bp: market.tax_bp,
            language,
            product,
        })
    }
}
