//! `GET /v1/shop/search`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::HeaderMap;
use serde::Serialize;
use sluice_platform::ApiError;
use sluice_storage::rows::sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use sluice_wire::headers::{SLUICE_AT_LEAST, SLUICE_FLOOR};
use sluice_wire::tag::parse_versions;
use sluice_wire::{Tag, Version};
use utoipa::ToSchema;

use super::facets::Facets;
use super::question::Question;
use super::tags;
use crate::Shop;
use crate::catalog::{Listed, OfProduct, public, spoken};
use crate::rows::{product, text};

/// A page of what was found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SearchPage {
    /// ISO 4217.
    currency: String,
    /// Products in all.
    total: u64,
    /// `from` is the least price of the variants that were asked for.
    products: Vec<Listed>,
    /// What to ask for as `cursor`; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    facets: Facets,
}

/// Products that are sold in a market, by words and by what they can be told apart by. Every word must be there: as it is, as a
/// beginning, or with one letter wrong, whatever its case and diacritics, in any language that the product has texts in. What is
/// chosen is true of one variant of each product;
/// of several values of a facet any one will do. Counts are exact, and each facet's own leave out what was chosen of it.
#[utoipa::path(get, path = "/v1/shop/search", tag = "catalog", params(
    ("market" = String, Query, description = "whose prices"),
    ("language" = Option<String>, Query, description = "in which texts are wanted, a tag of BCP 47: `de-CH`, or else `de`, or else the product's own", example = "de-CH"),
    ("q" = Option<String>, Query, description = "words, at most 200 characters; the first eight count"),
    ("category" = Option<Vec<String>>, Query, description = "any of these"),
    ("option" = Option<Vec<String>>, Query, description = "`NAME:VALUE` of a variant's options, such as `colour:red`"),
    ("price" = Option<String>, Query, description = "`MIN-MAX` in minor units, both of them among it; either may be absent"),
    ("in_stock" = Option<bool>, Query, description = "only what can be had"),
    ("sort" = Option<String>, Query, description = "`relevance` unless asked, `price`, `-price` or `newest`"),
    ("limit" = Option<u64>, Query, description = "1 to 100, 24 unless asked"),
    ("cursor" = Option<String>, Query, description = "the `next` of the page before, asked for in the same way"),
), responses(
    (status = 200, body = SearchPage, headers(("content-language" = String, description = "where all texts are in one language that was asked for"))),
    (status = 400), (status = 404, description = "no such market"),
    (status = 503, description = "The search has not seen what is demanded, or its index is made"),
))]
pub(crate) async fn search(
    State(shop): State<Shop>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let asked = Question::parse(query.as_deref().unwrap_or_default())?;
    let currency = shop.market(&asked.market)?.currency.clone();
    // Before all else: what is answered is no older, unless it says so.
    let log = shop.storage.log();
    let newest = log.versions_of(&tags()).await?;
    let (mut found, versions) = shop.search.find(&log, asked.clone(), newest, &demanded(&headers)).await?;
    let more = found.hits.len() > asked.limit;
    found.hits.truncate(asked.limit);
    let next = found.hits.last().filter(|_| more).map(|hit| hit.place.to_string());
    let ids = found.hits.iter().map(|hit| hit.place.product.as_i64());
    let shown = product::Entity::find().filter(product::Column::Id.is_in(ids));
    let shown = shown.filter(product::Column::Active.eq(true));
    let texts = OfProduct::in_language(asked.language.as_ref());
    let rows = shown.find_also_linked(texts).all(shop.storage.database.reader()).await?;
    let mut rows: BTreeMap<i64, (product::Model, Option<text::Model>)> =
        rows.into_iter().map(|(row, text)| (row.id, (row, text))).collect();
    let listed = found.hits.iter().filter_map(|hit| {
        let (row, text) = rows.remove(&hit.place.product.as_i64())?;
        Some(Listed::of(row, text, Some(hit.price)))
    });
    let products = listed.collect::<Result<_, _>>()?;
    let facets = Facets::of(&found, &asked);
    let body = SearchPage { currency, total: found.total, products, next, facets };
    let answer = public(Json(&body), &versions);
    Ok(spoken(answer, body.products.iter().map(Listed::language)))
}

/// The versions that whoever asks must be shown at least: a client that has written them, or an edge that has heard of them.
fn demanded(headers: &HeaderMap) -> Vec<(Tag, Version)> {
    let fields = [SLUICE_AT_LEAST, SLUICE_FLOOR].into_iter().flat_map(|name| headers.get_all(name));
    fields.filter_map(|value| value.to_str().ok()).flat_map(parse_versions).collect()
}
