//! A variant by its own id: what a basket and an order say of a line, which names nothing but variants.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Serialize;
use sluice_platform::ApiError;
use sluice_storage::rows::from_json;
use sluice_storage::rows::sea_orm::{
    ColumnTrait, EntityTrait, Linked, QueryFilter, QueryOrder, QuerySelect, RelationDef,
};
use utoipa::ToSchema;

use super::documents::Variant;
use super::{InMarket, public};
use crate::config::Market;
use crate::ids::{self, ProductId, VariantId};
use crate::rows::{product, variant};
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
), responses(
    (status = 200, body = OneVariant), (status = 404, description = "no such market or variant, or it is sold no longer"),
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
        .find_also_linked(ItsProduct)
        .all(reader)
        .await?;
    let others = rows.len() > 1;
    let found = rows.into_iter().next().and_then(|(row, of)| Some((row, of?)));
    let (row, of) = found.filter(|(_, of)| of.active).ok_or_else(missing)?;
    Ok(public(Json(OneVariant::of(row, Whole::of(of, others)?, market)?), &versions))
}

/// From variants to their products.
struct ItsProduct;

impl Linked for ItsProduct {
    type FromEntity = variant::Entity;
    type ToEntity = product::Entity;

    fn link(&self) -> Vec<RelationDef> {
        let its = variant::Entity::belongs_to(product::Entity);
        vec![its.from(variant::Column::Product).to(product::Column::Id).into()]
    }
}

impl Whole {
    fn of(row: product::Model, others: bool) -> Result<Self, ApiError> {
        let images: Vec<String> = from_json("shop_products.images", &row.images)?;
        let id = ids::of_column("shop_products.id", row.id)?;
        Ok(Self { id, title: row.title, image: images.into_iter().next(), others })
    }
}

impl OneVariant {
    fn of(row: variant::Model, product: Whole, market: &Market) -> Result<Self, ApiError> {
        let Variant { id, sku, title, options, price } = Variant::of(row, market)?;
        Ok(Self {
            id,
            sku,
            title,
            options,
            price,
            market: market.name.clone(),
            currency: market.currency.clone(),
            tax_bp: market.tax_bp,
            product,
        })
    }
}
