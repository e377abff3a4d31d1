//! Administrators make products and change them.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use sluice_platform::once::{Answer, Asked};
use sluice_platform::{ApiError, Caller};
use sluice_storage::rows::sea_orm::sea_query::OnConflict;
use sluice_storage::rows::sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use sluice_storage::rows::{signed, to_json};
use sluice_storage::{Act, Tx, Who};
use sluice_wire::{EventKind, VideoId};
use utoipa::ToSchema;

use super::checks::{self, MAX_VARIANTS, check, invalid, new_skus};
use super::written::Written;
use crate::Shop;
use crate::ids::{ProductId, VariantId};
use crate::raised::{self, Raised};
use crate::rows::{category, product, sku, stock, variant};

/// A product to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewProduct {
    pub(super) title: String,
    #[serde(default)]
    description: String,
    /// What kind of thing it is, 1 to 100 characters; absent, it is in no category.
    pub(super) category: Option<String>,
    /// `http://`, `https://` or paths of this site.
    #[serde(default)]
    images: Vec<String>,
    /// The id of a video of Sluice.
    #[schema(value_type = Option<String>)]
    video: Option<VideoId>,
    pub(super) variants: Vec<NewVariant>,
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
    pub(super) title: Option<String>,
    pub(super) description: Option<String>,
    /// Empty, it is in no category any more.
    pub(super) category: Option<String>,
    pub(super) images: Option<Vec<String>>,
    /// The id of a video of Sluice.
    #[schema(value_type = Option<String>)]
    pub(super) video: Option<VideoId>,
    /// Whether it is shown and sold.
    pub(super) active: Option<bool>,
    /// Variants to change.
    #[serde(default)]
    pub(super) variants: Vec<EditVariant>,
    /// Variants to add.
    #[serde(default)]
    pub(super) add: Vec<NewVariant>,
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
    (status = 201), (status = 401), (status = 403), (status = 409, description = "a SKU is taken, or there twice"), (status = 422),
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
    new.category.as_deref().map(checks::category).transpose()?;
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
                sort_into(tx, id, new.category.as_deref()).await?;
                let variants = keep(tx, id, &new.variants, vec![]).await?;
                let written = Written::of_new(new);
                let raised = told(shop, tx, caller, id, (EventKind::Created, written)).await?;
                Ok(Answer::created(json!({ "id": id, "variants": variants, "versions": raised.text() })))
            })
        })
        .await
}

/// Changes a product.
#[utoipa::path(patch, path = "/v1/shop/products/{id}", tag = "catalog", request_body = Edit,
    params(("id" = String, Path, description = "a product")), responses(
    (status = 200), (status = 401), (status = 403), (status = 404), (status = 409, description = "a SKU is taken, or there twice"),
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
    edit.category.as_deref().filter(|name| !name.is_empty()).map(checks::category).transpose()?;
    if !edit.add.is_empty() {
        new_skus(&edit.add)?;
    }
    let shop = &shop;
    shop.once
        .write(&asked, &owner, &|tx| {
            Box::pin(async move {
                let (changed, written) = change(tx, id, edit).await?;
                let variants = keep(tx, id, &edit.add, changed).await?;
                let raised = told(shop, tx, caller, id, (EventKind::Changed, written)).await?;
                Ok(Answer::ok(json!({ "id": id, "variants": variants, "versions": raised.text() })))
            })
        })
        .await
}

/// Makes variants, each with an empty stock, and keeps those that were changed: three statements for all of them, and one where
/// none is made.
async fn keep(
    tx: &Tx<'_>,
    product: ProductId,
    new: &[NewVariant],
    changed: Vec<variant::Model>,
) -> Result<Vec<VariantId>, ApiError> {
    let made: Vec<VariantId> = new.iter().map(|_| tx.ids().make()).collect();
    let mut rows: Vec<_> = changed.into_iter().map(variant::ActiveModel::from).collect();
    for (id, one) in made.iter().zip(new) {
        rows.push(variant::ActiveModel {
            id: Set(id.as_i64()),
            product: Set(product.as_i64()),
            sku: Set(one.sku.clone()),
            title: Set(one.title.clone()),
            options: Set(to_json(&one.options)?),
            prices: Set(to_json(&one.prices)?),
        });
    }
    if rows.is_empty() {
        return Ok(made);
    }
    use variant::Column::{Id, Options, Prices, Title};
    let there = OnConflict::column(Id).update_columns([Title, Options, Prices]).to_owned();
    variant::Entity::insert_many(rows).on_conflict(there).exec_without_returning(tx.conn()).await?;
    if made.is_empty() {
        return Ok(made);
    }
    let names = made.iter().zip(new);
    let names =
        names.map(|(id, one)| sku::ActiveModel { sku: Set(one.sku.clone()), variant: Set(id.as_i64()) });
    let free = OnConflict::column(sku::Column::Sku).do_nothing().to_owned();
    let given = sku::Entity::insert_many(names).on_conflict(free).exec_with_returning(tx.conn()).await?;
    if let Some(taken) = new.iter().find(|one| !given.iter().any(|row| row.sku == one.sku)) {
        return Err(ApiError::conflict(format!("the SKU {:?} is taken", taken.sku)));
    }
    let empty = made.iter().map(|id| stock::ActiveModel {
        variant: Set(id.as_i64()),
        available: Set(0),
        reserved: Set(0),
        sold: Set(0),
    });
    stock::Entity::insert_many(empty).exec_without_returning(tx.conn()).await?;
    Ok(made)
}

/// Puts a product into a category; an empty one takes it out of the one that it is in.
async fn sort_into(tx: &Tx<'_>, product: ProductId, category: Option<&str>) -> Result<(), ApiError> {
    match category {
        None => {}
        Some("") => {
            category::Entity::delete_by_id(product.as_i64()).exec(tx.conn()).await?;
        }
        Some(name) => {
            let row =
                category::ActiveModel { product: Set(product.as_i64()), category: Set(name.to_owned()) };
            let kept = OnConflict::column(category::Column::Product)
                .update_column(category::Column::Category)
                .to_owned();
            category::Entity::insert(row).on_conflict(kept).exec_without_returning(tx.conn()).await?;
        }
    }
    Ok(())
}

/// Changes a product's own row; its variants as they are to be, those that change, and what is written down of it all. Three
/// statements, and two where no variant does.
async fn change(tx: &Tx<'_>, id: ProductId, edit: &Edit) -> Result<(Vec<variant::Model>, Written), ApiError> {
    let found = product::Entity::find_by_id(id.as_i64()).find_also_related(category::Entity);
    let (was, category) =
        found.one(tx.conn()).await?.ok_or_else(|| ApiError::not_found(format!("no product {id}")))?;
    let mut written = Written::of_edit(&was, category.as_ref(), edit)?;
    let mut row = product::ActiveModel { changed_ms: Set(signed(tx.now_ms())), ..Default::default() };
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
    let this = product::Entity::update_many().set(row).filter(product::Column::Id.eq(id.as_i64()));
    this.exec(tx.conn()).await?;
    sort_into(tx, id, edit.category.as_deref()).await?;
    if edit.variants.is_empty() && edit.add.is_empty() {
        return Ok((vec![], written));
    }
    let all = variant::Entity::find().filter(variant::Column::Product.eq(id.as_i64())).all(tx.conn()).await?;
    if all.len() + edit.add.len() > MAX_VARIANTS {
        return Err(invalid("variants: at most 100 of a product"));
    }
    let rows = changed(&all, &edit.variants)?;
    written.variants(&all, &rows)?;
    Ok((rows, written))
}

/// Variants as they are to be, each once.
fn changed(all: &[variant::Model], edits: &[EditVariant]) -> Result<Vec<variant::Model>, ApiError> {
    let mut rows = BTreeMap::new();
    for one in edits {
        let found = all.iter().find(|row| row.id == one.id.as_i64());
        let missing = || ApiError::not_found(format!("the product has no variant {}", one.id));
        let row = rows.entry(one.id).or_insert(found.cloned().ok_or_else(missing)?);
        if let Some(title) = &one.title {
            row.title.clone_from(title);
        }
        if let Some(options) = &one.options {
            row.options = to_json(options)?;
        }
        if let Some(prices) = &one.prices {
            row.prices = to_json(prices)?;
        }
    }
    Ok(rows.into_values().collect())
}

/// Tells of the change, and writes down who made it, and what it is.
pub(super) async fn told(
    shop: &Shop,
    tx: &Tx<'_>,
    caller: &Caller,
    id: ProductId,
    (kind, written): (EventKind, Written),
) -> Result<Raised, ApiError> {
    let mut raised = Raised::default();
    let live = json!({ "product": id });
    let changes = [(raised::product(id), kind, live.clone()), (raised::products(), EventKind::Changed, live)];
    raised.emit_all(tx, changes).await?;
    let who = Who { name: caller.name.clone(), role: "admin" };
    let (before, after) = written.told();
    let act = Act { action: "edit-product", subject: id.to_string(), before, after };
    shop.storage.audit().record(tx, &who, &act).await?;
    Ok(raised)
}
