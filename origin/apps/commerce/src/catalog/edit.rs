//! Administrators make products and change them.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use sluice_platform::once::{Answer, Asked};
use sluice_platform::{ApiError, Caller};
use sluice_storage::rows::sea_orm::sea_query::OnConflict;
use sluice_storage::rows::sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter,
};
use sluice_storage::rows::{signed, to_json};
use sluice_storage::{Act, Tx, Who};
use sluice_wire::{EventKind, VideoId};
use utoipa::ToSchema;

use super::checks::{MAX_VARIANTS, check, invalid, new_skus};
use crate::Shop;
use crate::ids::{ProductId, VariantId};
use crate::raised::{self, Raised};
use crate::rows::{product, sku, stock, variant};

/// A product to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewProduct {
    title: String,
    #[serde(default)]
    description: String,
    /// `http://`, `https://` or paths of this site.
    #[serde(default)]
    images: Vec<String>,
    /// The id of a video of Sluice.
    #[schema(value_type = Option<String>)]
    video: Option<VideoId>,
    variants: Vec<NewVariant>,
}

/// A variant to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewVariant {
    /// Unlike any other of the shop.
    pub(super) sku: String,
    pub(super) title: String,
    #[serde(default)]
    options: BTreeMap<String, String>,
    /// Minor units by market, with the tax.
    prices: BTreeMap<String, i64>,
}

/// What is to be otherwise; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Edit {
    title: Option<String>,
    description: Option<String>,
    images: Option<Vec<String>>,
    /// The id of a video of Sluice.
    #[schema(value_type = Option<String>)]
    video: Option<VideoId>,
    /// Whether it is shown and sold.
    active: Option<bool>,
    /// Variants to change.
    #[serde(default)]
    variants: Vec<EditVariant>,
    /// Variants to add.
    #[serde(default)]
    add: Vec<NewVariant>,
}

/// A variant to change; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EditVariant {
    #[schema(value_type = String)]
    id: VariantId,
    title: Option<String>,
    options: Option<BTreeMap<String, String>>,
    prices: Option<BTreeMap<String, i64>>,
}

/// Makes a product.
#[utoipa::path(post, path = "/v1/shop/products", tag = "catalog", request_body = NewProduct, responses(
    (status = 201), (status = 401), (status = 403), (status = 409, description = "a SKU is taken"), (status = 422),
))]
pub(crate) async fn create(
    State(shop): State<Shop>,
    caller: Caller,
    asked: Asked<NewProduct>,
) -> Result<Response, ApiError> {
    caller.needs("admin")?;
    let (new, caller, owner) = (&asked.body, &caller, caller.owner());
    let variants = new.variants.iter().map(|variant| (&variant.options, &variant.prices));
    check(&shop.config, &[&new.title], &new.description, &new.images, variants)?;
    new_skus(&new.variants)?;
    let shop = &shop;
    shop.once
        .write(&asked, &owner, &|tx| {
            Box::pin(async move {
                let id: ProductId = tx.ids().make();
                let row = product::ActiveModel {
                    id: Set(id.as_i64()),
                    title: Set(new.title.clone()),
                    description: Set(new.description.clone()),
                    images: Set(to_json(&new.images)?),
                    video: Set(new.video.map(VideoId::as_i64)),
                    active: Set(true),
                    created_ms: Set(signed(tx.now_ms())),
                    changed_ms: Set(signed(tx.now_ms())),
                };
                product::Entity::insert(row).exec_without_returning(tx.conn()).await?;
                let variants = add(tx, id, &new.variants).await?;
                let raised = told(shop, tx, caller, id, EventKind::Created).await?;
                Ok(Answer::created(json!({ "id": id, "variants": variants, "versions": raised.json() })))
            })
        })
        .await
}

/// Changes a product.
#[utoipa::path(patch, path = "/v1/shop/products/{id}", tag = "catalog", request_body = Edit,
    params(("id" = String, Path, description = "a product")), responses(
    (status = 200), (status = 401), (status = 403), (status = 404), (status = 409, description = "a SKU is taken"),
    (status = 422),
))]
pub(crate) async fn edit(
    State(shop): State<Shop>,
    Path(id): Path<ProductId>,
    caller: Caller,
    asked: Asked<Edit>,
) -> Result<Response, ApiError> {
    caller.needs("admin")?;
    let (edit, caller, owner) = (&asked.body, &caller, caller.owner());
    let (none, no_prices) = (BTreeMap::new(), BTreeMap::new());
    let changed = edit.variants.iter();
    let changed =
        changed.map(|v| (v.options.as_ref().unwrap_or(&none), v.prices.as_ref().unwrap_or(&no_prices)));
    let added = edit.add.iter().map(|variant| (&variant.options, &variant.prices));
    let titles: Vec<&String> =
        edit.title.iter().chain(edit.variants.iter().filter_map(|v| v.title.as_ref())).collect();
    let description = edit.description.as_deref().unwrap_or_default();
    check(
        &shop.config,
        &titles,
        description,
        edit.images.as_deref().unwrap_or_default(),
        changed.chain(added),
    )?;
    if !edit.add.is_empty() {
        new_skus(&edit.add)?;
    }
    let shop = &shop;
    shop.once
        .write(&asked, &owner, &|tx| {
            Box::pin(async move {
                change(tx, id, edit).await?;
                let variants = add(tx, id, &edit.add).await?;
                let raised = told(shop, tx, caller, id, EventKind::Changed).await?;
                Ok(Answer::ok(json!({ "id": id, "variants": variants, "versions": raised.json() })))
            })
        })
        .await
}

/// Makes variants, each with an empty stock.
async fn add(tx: &Tx<'_>, product: ProductId, new: &[NewVariant]) -> Result<Vec<VariantId>, ApiError> {
    let mut made = vec![];
    for one in new {
        let id: VariantId = tx.ids().make();
        let name = sku::ActiveModel { sku: Set(one.sku.clone()), variant: Set(id.as_i64()) };
        let free = OnConflict::column(sku::Column::Sku).do_nothing().to_owned();
        let taken = sku::Entity::insert(name).on_conflict(free).exec_without_returning(tx.conn()).await? == 0;
        if taken {
            return Err(ApiError::conflict(format!("the SKU {:?} is taken", one.sku)));
        }
        let row = variant::ActiveModel {
            id: Set(id.as_i64()),
            product: Set(product.as_i64()),
            sku: Set(one.sku.clone()),
            title: Set(one.title.clone()),
            options: Set(to_json(&one.options)?),
            prices: Set(to_json(&one.prices)?),
        };
        variant::Entity::insert(row).exec_without_returning(tx.conn()).await?;
        let empty = stock::ActiveModel {
            variant: Set(id.as_i64()),
            available: Set(0),
            reserved: Set(0),
            sold: Set(0),
        };
        stock::Entity::insert(empty).exec_without_returning(tx.conn()).await?;
        made.push(id);
    }
    Ok(made)
}

async fn change(tx: &Tx<'_>, id: ProductId, edit: &Edit) -> Result<(), ApiError> {
    let found = product::Entity::find_by_id(id.as_i64()).one(tx.conn()).await?;
    let mut row =
        product::ActiveModel::from(found.ok_or_else(|| ApiError::not_found(format!("no product {id}")))?);
    row.changed_ms = Set(signed(tx.now_ms()));
    if let Some(title) = &edit.title {
        row.title = Set(title.clone());
    }
    if let Some(description) = &edit.description {
        row.description = Set(description.clone());
    }
    if let Some(images) = &edit.images {
        row.images = Set(to_json(images)?);
    }
    if let Some(video) = edit.video {
        row.video = Set(Some(video.as_i64()));
    }
    if let Some(active) = edit.active {
        row.active = Set(active);
    }
    row.update(tx.conn()).await?;
    let variants =
        variant::Entity::find().filter(variant::Column::Product.eq(id.as_i64())).all(tx.conn()).await?;
    if variants.len() + edit.add.len() > MAX_VARIANTS {
        return Err(invalid("variants: at most 100 of a product"));
    }
    for one in &edit.variants {
        let found = variants.iter().find(|row| row.id == one.id.as_i64());
        let missing = || ApiError::not_found(format!("the product has no variant {}", one.id));
        let mut row = variant::ActiveModel::from(found.cloned().ok_or_else(missing)?);
        if let Some(title) = &one.title {
            row.title = Set(title.clone());
        }
        if let Some(options) = &one.options {
            row.options = Set(to_json(options)?);
        }
        if let Some(prices) = &one.prices {
            row.prices = Set(to_json(prices)?);
        }
        row.update(tx.conn()).await?;
    }
    Ok(())
}

/// Tells of the change, and writes down who made it.
async fn told(
    shop: &Shop,
    tx: &Tx<'_>,
    caller: &Caller,
    id: ProductId,
    kind: EventKind,
) -> Result<Raised, ApiError> {
    let mut raised = Raised::default();
    raised.emit(tx, &raised::product(id), kind, json!({ "product": id })).await?;
    raised.emit(tx, &raised::products(), EventKind::Changed, json!({ "product": id })).await?;
    let who = Who { name: caller.name.clone(), role: "admin" };
    let act = Act { action: "edit-product", subject: id.to_string(), before: None, after: None };
    shop.storage.audit().record(tx, &who, &act).await?;
    Ok(raised)
}
