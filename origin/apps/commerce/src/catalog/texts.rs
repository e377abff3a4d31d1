//! Administrators write a product's texts in other languages than its own, and take them back.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use sluice_platform::once::{Answer, Asked};
use sluice_platform::{ApiError, Caller};
use sluice_storage::Tx;
use sluice_storage::rows::sea_orm::sea_query::{OnConflict, Order, Query};
use sluice_storage::rows::sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, QuerySelect,
};
use sluice_storage::rows::{signed, to_json};
use sluice_wire::{EventKind, Language};
use utoipa::ToSchema;

use super::checks::{check, invalid};
use super::edit::told;
use super::written::Written;
use crate::Shop;
use crate::ids::{ProductId, VariantId};
use crate::rows::{product, text, variant};

/// Languages of a product, beside its own: those of a continent.
const MAX_LANGUAGES: u64 = 32;

/// A product's texts in a language: all of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTexts {
    #[schema(example = "Wollhemd")]
    title: String,
    #[serde(default)]
    #[schema(example = "Aus Wolle, warm und leicht.")]
    description: String,
    /// Titles by variant; a variant that is not among them has its own.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, String>)]
    variants: BTreeMap<VariantId, String>,
}

/// Says how a product is called and described in a language; what was said before is replaced. At most 32 languages a product.
#[utoipa::path(put, path = "/v1/shop/products/{id}/texts/{language}", tag = "catalog", request_body = NewTexts, params(
    ("id" = String, Path, description = "a product"),
    ("language" = String, Path, description = "a tag of BCP 47, in any case", example = "de-CH"),
), responses(
    (status = 200, description = "Written"), (status = 400, description = "no language, or no document"), (status = 401), (status = 403),
    (status = 404, description = "no such product, or it has no such variant"), (status = 422),
))]
pub(crate) async fn put_texts(
    State(shop): State<Shop>,
    Path((id, language)): Path<(ProductId, Language)>,
    caller: Caller,
    asked: Asked<NewTexts>,
) -> Result<Response, ApiError> {
    caller.needs("admin")?;
    let (new, caller, owner) = (&asked.body, &caller, caller.owner());
    let titles: Vec<&String> = std::iter::once(&new.title).chain(new.variants.values()).collect();
    check(&shop.config, &titles, &new.description, &[], std::iter::empty())?;
    let (shop, language) = (&shop, &language);
    shop.once
        .write(&asked, &owner, &|tx| {
            Box::pin(async move {
                hold(tx, id).await?;
                let was = replaced(tx, id, language).await?;
                has_variants(tx, id, new).await?;
                let row = text::Model {
                    product: id.as_i64(),
                    language: language.to_string(),
                    title: new.title.clone(),
                    description: new.description.clone(),
                    variants: to_json(&new.variants)?,
                    changed_ms: signed(tx.now_ms()),
                };
                let written = Written::of_texts(was.as_ref(), Some(&row))?;
                keep(tx, row).await?;
                let raised = told(shop, tx, caller, id, (EventKind::Changed, written)).await?;
                Ok(Answer::ok(json!({ "id": id, "language": language, "versions": raised.text() })))
            })
        })
        .await
}

/// Takes back how a product is called and described in a language.
#[utoipa::path(delete, path = "/v1/shop/products/{id}/texts/{language}", tag = "catalog", params(
    ("id" = String, Path, description = "a product"),
    ("language" = String, Path, description = "a tag of BCP 47, in any case", example = "de-CH"),
), responses(
    (status = 200, description = "Taken back"), (status = 400, description = "no language"), (status = 401), (status = 403),
    (status = 404, description = "no such product, or it has no texts in that language"),
))]
pub(crate) async fn delete_texts(
    State(shop): State<Shop>,
    Path((id, language)): Path<(ProductId, Language)>,
    caller: Caller,
    asked: Asked<IgnoredAny>,
) -> Result<Response, ApiError> {
    caller.needs("admin")?;
    let (caller, owner) = (&caller, caller.owner());
    let (shop, language) = (&shop, &language);
    shop.once
        .write(&asked, &owner, &|tx| {
            Box::pin(async move {
                hold(tx, id).await?;
                let these = text::Entity::delete_many()
                    .filter(text::Column::Product.eq(id.as_i64()))
                    .filter(text::Column::Language.eq(language.as_str()));
                let gone = these.exec_with_returning(tx.conn()).await?.into_iter().next();
                let missing = || ApiError::not_found(format!("product {id} has no texts in {language}"));
                let was = gone.ok_or_else(missing)?;
                let written = Written::of_texts(Some(&was), None)?;
                let raised = told(shop, tx, caller, id, (EventKind::Changed, written)).await?;
                Ok(Answer::ok(json!({ "id": id, "language": language, "versions": raised.text() })))
            })
        })
        .await
}

/// Has a product's changes come one after the other, so that their languages are counted. One statement.
async fn hold(tx: &Tx<'_>, id: ProductId) -> Result<(), ApiError> {
    let row = product::ActiveModel { changed_ms: Set(signed(tx.now_ms())), ..Default::default() };
    let this = product::Entity::update_many().set(row).filter(product::Column::Id.eq(id.as_i64()));
    match this.exec(tx.conn()).await?.rows_affected {
        0 => Err(ApiError::not_found(format!("no product {id}"))),
        _ => Ok(()),
    }
}

/// What is there already of a language, where there is room for it: one statement, which finds the last language that there may
/// be, too.
async fn replaced(tx: &Tx<'_>, id: ProductId, language: &Language) -> Result<Option<text::Model>, ApiError> {
    let last = Query::select()
        .column(text::Column::Language)
        .from(text::Entity)
        .and_where(text::Column::Product.eq(id.as_i64()))
        .order_by(text::Column::Language, Order::Asc)
        .offset(MAX_LANGUAGES - 1)
        .limit(1)
        .to_owned();
    let this = text::Column::Language.eq(language.as_str());
    let rows = text::Entity::find()
        .filter(text::Column::Product.eq(id.as_i64()))
        .filter(Condition::any().add(this).add(text::Column::Language.in_subquery(last)))
        .all(tx.conn())
        .await?;
    let is_full = !rows.is_empty();
    let was = rows.into_iter().find(|row| row.language == language.as_str());
    if was.is_none() && is_full {
        return Err(invalid("language: at most 32 of a product"));
    }
    Ok(was)
}

/// That variants which are named are the product's. One statement, and none where none is named.
async fn has_variants(tx: &Tx<'_>, id: ProductId, new: &NewTexts) -> Result<(), ApiError> {
    if new.variants.is_empty() {
        return Ok(());
    }
    let its: Vec<i64> = variant::Entity::find()
        .select_only()
        .column(variant::Column::Id)
        .filter(variant::Column::Product.eq(id.as_i64()))
        .into_tuple()
        .all(tx.conn())
        .await?;
    match new.variants.keys().find(|variant| !its.contains(&variant.as_i64())) {
        Some(other) => Err(ApiError::not_found(format!("the product has no variant {other}"))),
        None => Ok(()),
    }
}

/// Puts texts in the place of those that are there.
async fn keep(tx: &Tx<'_>, row: text::Model) -> Result<(), ApiError> {
    use text::Column::{ChangedMs, Description, Language, Product, Title, Variants};
    let there = OnConflict::columns([Product, Language])
        .update_columns([Title, Description, Variants, ChangedMs])
        .to_owned();
    let row = text::ActiveModel::from(row);
    text::Entity::insert(row).on_conflict(there).exec_without_returning(tx.conn()).await?;
    Ok(())
}
