//! Products and their variants: as anybody sees them, and as administrators make and change them.

mod alone;
mod checks;
mod documents;
mod edit;
mod languages;
mod sold;
mod texts;
mod written;

pub(crate) use alone::{__path_by_variant, by_variant};
pub(crate) use checks::invalid;
pub(crate) use documents::Listed;
use documents::{Product, ProductPage};
pub(crate) use edit::{__path_create, __path_edit, create, edit};
pub(crate) use languages::{OfProduct, spoken};
use sold::sold_in;
pub(crate) use texts::{__path_delete_texts, __path_put_texts, delete_texts, put_texts};

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use sluice_platform::cache::{self, Lifetime};
use sluice_platform::{ApiError, Page};
use sluice_storage::rows::from_json;
use sluice_storage::rows::sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use sluice_wire::{Language, Tag, Version};

use crate::config::Market;
use crate::ids::ProductId;
use crate::rows::{category, product, variant};
use crate::{Shop, raised};

/// Which market's prices are wanted, and in which language texts are. Both are in the address and nothing else is: what is kept for
/// one buyer is right for whoever asks for the same.
#[derive(Debug, Deserialize)]
pub(crate) struct InMarket {
    market: String,
    language: Option<Language>,
}

/// A page of the products that are sold in a market, the newest first.
#[utoipa::path(get, path = "/v1/shop/products", tag = "catalog", params(
    ("market" = String, Query, description = "whose prices"),
    ("language" = Option<String>, Query, description = "in which texts are wanted, a tag of BCP 47: `de-CH`, or else `de`, or else the product's own", example = "de-CH"),
    ("after" = Option<String>, Query, description = "the last product of the page before"),
    ("limit" = Option<u64>, Query, description = "1 to 100, 24 unless asked"),
), responses(
    (status = 200, body = ProductPage, headers(("content-language" = String, description = "where all texts are in one language that was asked for"))),
    (status = 400, description = "no language"), (status = 404, description = "no such market"),
))]
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
    let query = query.order_by_desc(product::Column::Id).limit(page.size() + 1);
    let texts = OfProduct::in_language(wanted.language.as_ref());
    let rows = query.find_also_linked(texts).all(reader).await?;
    let ids = rows.iter().map(|(row, _)| row.id);
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
    let listed = rows.into_iter().take(size).map(|(row, text)| {
        let from = from.get(&row.id).copied();
        Listed::of(row, text, from)
    });
    let products = listed.collect::<Result<Vec<Listed>, ApiError>>()?;
    let next = more.then(|| products.last().map(|last| last.id)).flatten();
    let body = ProductPage { currency: market.currency.clone(), products, next };
    let answer = public(Json(&body), &versions);
    Ok(spoken(answer, body.products.iter().map(Listed::language)))
}

/// A product with its variants, at a market's prices.
#[utoipa::path(get, path = "/v1/shop/products/{id}", tag = "catalog", params(
    ("id" = String, Path, description = "a product"),
    ("market" = String, Query, description = "whose prices"),
    ("language" = Option<String>, Query, description = "in which texts are wanted, a tag of BCP 47: `de-CH`, or else `de`, or else the product's own", example = "de-CH"),
), responses(
    (status = 200, body = Product, headers(("content-language" = String, description = "where all texts are in one language that was asked for"))),
    (status = 400, description = "no language"), (status = 404, description = "no such market or product, or it is not sold there"),
))]
pub(crate) async fn one(
    State(shop): State<Shop>,
    Path(id): Path<ProductId>,
    Query(wanted): Query<InMarket>,
) -> Result<Response, ApiError> {
    let market = shop.market(&wanted.market)?;
    let versions = shop.storage.log().versions_of(&[raised::product(id)]).await?;
    let reader = shop.storage.database.reader();
    let texts = OfProduct::in_language(wanted.language.as_ref());
    let found = product::Entity::find_by_id(id.as_i64()).find_also_linked(texts);
    let row = found.find_also_related(category::Entity).one(reader).await?;
    let row =
        row.filter(|(row, ..)| row.active).ok_or_else(|| ApiError::not_found(format!("no product {id}")))?;
    let variants = variant::Entity::find()
        .filter(variant::Column::Product.eq(id.as_i64()))
        .order_by_asc(variant::Column::Id)
        .all(reader)
        .await?;
    let product = Product::of(row, variants, market)?;
    if product.is_sold() {
        let answer = public(Json(&product), &versions);
        Ok(spoken(answer, std::iter::once(product.language())))
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
