//! Products and their variants: as anybody sees them, and as administrators make and change them.

mod alone;
mod checks;
mod documents;
mod edit;
mod sold;
mod written;

pub(crate) use alone::{__path_by_variant, by_variant};
pub(crate) use checks::invalid;
pub(crate) use documents::Listed;
use documents::{Product, ProductPage};
pub(crate) use edit::{__path_create, __path_edit, create, edit};
use sold::sold_in;

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use sluice_platform::cache::{self, Lifetime};
use sluice_platform::{ApiError, Page};
use sluice_storage::rows::from_json;
use sluice_storage::rows::sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use sluice_wire::{Tag, Version};

use crate::config::Market;
use crate::ids::ProductId;
use crate::rows::{category, product, variant};
use crate::{Shop, raised};

/// Which market's prices are wanted.
#[derive(Debug, Deserialize)]
pub(crate) struct InMarket {
    market: String,
}

/// A page of the products that are sold in a market, the newest first.
#[utoipa::path(get, path = "/v1/shop/products", tag = "catalog", params(
    ("market" = String, Query, description = "whose prices"),
    ("after" = Option<String>, Query, description = "the last product of the page before"),
    ("limit" = Option<u64>, Query, description = "1 to 100, 24 unless asked"),
), responses((status = 200, body = ProductPage), (status = 404, description = "no such market")))]
pub(crate) async fn list(
    State(shop): State<Shop>,
    Query(wanted): Query<InMarket>,
    Query(page): Query<Page>,
) -> Result<Response, ApiError> {
    let market = shop.market(&wanted.market)?;
    let after = page.after.as_deref().map(str::parse::<ProductId>).transpose();
    let after = after.map_err(|_| ApiError::bad_request("after: the id of a product"))?;
    let reader = shop.storage.database.reader();
    let versions = shop.storage.log().versions_of(&[raised::products()]).await?;
    let mut query = product::Entity::find().filter(product::Column::Active.eq(true)).filter(sold_in(market));
    if let Some(after) = after {
        query = query.filter(product::Column::Id.lt(after.as_i64()));
    }
    let rows = query.order_by_desc(product::Column::Id).limit(page.size() + 1).all(reader).await?;
    let ids = rows.iter().map(|row| row.id);
    let variants = variant::Entity::find().filter(variant::Column::Product.is_in(ids)).all(reader).await?;
    let mut from: BTreeMap<i64, i64> = BTreeMap::new();
    for variant in variants {
        let prices: BTreeMap<String, i64> = from_json("shop_variants.prices", &variant.prices)?;
        if let Some(price) = prices.get(&wanted.market) {
            from.entry(variant.product).and_modify(|least| *least = (*least).min(*price)).or_insert(*price);
        }
    }
    let size = usize::try_from(page.size()).unwrap_or(usize::MAX);
    let more = rows.len() > size;
    let products: Result<Vec<Listed>, ApiError> =
        rows.into_iter().take(size).map(|row| Listed::of(row.clone(), from.get(&row.id).copied())).collect();
    let products = products?;
    let next = more.then(|| products.last().map(|last| last.id)).flatten();
    let body = ProductPage { currency: market.currency.clone(), products, next };
    Ok(public(Json(body), &versions))
}

/// A product with its variants, at a market's prices.
#[utoipa::path(get, path = "/v1/shop/products/{id}", tag = "catalog", params(
    ("id" = String, Path, description = "a product"),
    ("market" = String, Query, description = "whose prices"),
), responses(
    (status = 200, body = Product), (status = 404, description = "no such market or product, or it is not sold there"),
))]
pub(crate) async fn one(
    State(shop): State<Shop>,
    Path(id): Path<ProductId>,
    Query(wanted): Query<InMarket>,
) -> Result<Response, ApiError> {
    let market = shop.market(&wanted.market)?;
    let versions = shop.storage.log().versions_of(&[raised::product(id)]).await?;
    let reader = shop.storage.database.reader();
    let found = product::Entity::find_by_id(id.as_i64()).find_also_related(category::Entity);
    let row = found.one(reader).await?;
    let row =
        row.filter(|(row, _)| row.active).ok_or_else(|| ApiError::not_found(format!("no product {id}")))?;
    let variants = variant::Entity::find()
        .filter(variant::Column::Product.eq(id.as_i64()))
        .order_by_asc(variant::Column::Id)
        .all(reader)
        .await?;
    let product = Product::of(row, variants, market)?;
    if product.is_sold() {
        Ok(public(Json(product), &versions))
    } else {
        Err(ApiError::not_found(format!("product {id} is not sold in {}", market.name)))
    }
}

/// An answer that every cache of ours may keep until one of its tags is raised. The versions were read before the rows.
pub(crate) fn public(answer: impl IntoResponse, versions: &[(Tag, Version)]) -> Response {
    let mut answer = answer.into_response();
    cache::lifetime(answer.headers_mut(), Lifetime::Pushed);
    cache::version(answer.headers_mut(), versions);
    answer
}

impl Shop {
    /// A market.
    ///
    /// # Errors
    /// 404.
    pub(crate) fn market(&self, name: &str) -> Result<&Market, ApiError> {
        self.config
            .markets
            .iter()
            .find(|market| market.name == name)
            .ok_or_else(|| ApiError::not_found(format!("no market {name:?}")))
    }
}
