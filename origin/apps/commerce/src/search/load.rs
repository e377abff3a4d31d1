//! Products as they are searched for, out of the rows.

use std::collections::{BTreeMap, BTreeSet};

use sluice_storage::rows::from_json;
use sluice_storage::rows::sea_orm::sea_query::{Expr, Query};
use sluice_storage::rows::sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use sluice_storage::{Database, StorageError};

use super::fields::{Entry, Item, Other};
use crate::ids::{self, ProductId, VariantId};
use crate::rows::{category, product, stock, text, variant};

/// Products that are read in one go.
pub(super) const PAGE: usize = 200;
/// Characters of a description in another language that are read: what comes after them finds nothing. A page may have 32 such
/// descriptions of each product.
const MAX_DESCRIPTION: usize = 4_000;

/// The products that are shown, of those that come after one; at most [`PAGE`], in order.
pub(super) async fn page(database: &Database, after: i64) -> Result<Vec<Entry>, StorageError> {
    let shown = product::Entity::find().filter(product::Column::Id.gt(after)).limit(PAGE as u64);
    entries(database, shown).await
}

/// Those of some products that are shown; at most [`PAGE`].
pub(super) async fn some(database: &Database, products: &[ProductId]) -> Result<Vec<Entry>, StorageError> {
    let ids = products.iter().map(|id| id.as_i64());
    entries(database, product::Entity::find().filter(product::Column::Id.is_in(ids))).await
}

/// The products of some variants.
pub(super) async fn products_of(
    database: &Database,
    variants: &BTreeSet<VariantId>,
) -> Result<BTreeSet<ProductId>, StorageError> {
    let ids: Vec<i64> = variants.iter().map(|id| id.as_i64()).collect();
    let mut found = BTreeSet::new();
    for ids in ids.chunks(PAGE) {
        let of = variant::Entity::find().filter(variant::Column::Id.is_in(ids.iter().copied()));
        for row in of.all(database.reader()).await? {
            found.insert(ids::of_column("shop_variants.product", row.product)?);
        }
    }
    Ok(found)
}

async fn entries(database: &Database, of: Select<product::Entity>) -> Result<Vec<Entry>, StorageError> {
    let reader = database.reader();
    let shown = of.filter(product::Column::Active.eq(true)).order_by_asc(product::Column::Id);
    let products = shown.find_also_related(category::Entity).all(reader).await?;
    let ids: Vec<i64> = products.iter().map(|(row, _)| row.id).collect();
    let mut others = Others::read(database, &ids).await?;
    let of_these = variant::Column::Product.is_in(ids);
    let variants = variant::Entity::find()
        .filter(of_these.clone())
        .order_by_asc(variant::Column::Id)
        .all(reader)
        .await?;
    let these =
        Query::select().column(variant::Column::Id).from(variant::Entity).and_where(of_these).to_owned();
    let there = stock::Entity::find()
        .filter(stock::Column::Variant.in_subquery(these))
        .filter(stock::Column::Available.gt(0))
        .all(reader)
        .await?;
    let there: BTreeSet<i64> = there.into_iter().map(|row| row.variant).collect();
    let mut by_product: BTreeMap<i64, Vec<Item>> = BTreeMap::new();
    for row in variants {
        let titles = others.titles.remove(&row.id).unwrap_or_default();
        by_product.entry(row.product).or_default().push(item(row, titles, &there)?);
    }
    let entry = |(row, category): (product::Model, Option<category::Model>)| {
        Ok(Entry {
            id: ids::of_column("shop_products.id", row.id)?,
            variants: by_product.remove(&row.id).unwrap_or_default(),
            others: others.products.remove(&row.id).unwrap_or_default(),
            title: row.title,
            description: row.description,
            category: category.map(|row| row.category),
        })
    };
    products.into_iter().map(entry).collect()
}

/// What products and variants are called in other languages, by their numbers.
#[derive(Debug, Default)]
struct Others {
    products: BTreeMap<i64, Vec<Other>>,
    titles: BTreeMap<i64, Vec<String>>,
}

impl Others {
    async fn read(database: &Database, products: &[i64]) -> Result<Self, StorageError> {
        let begun = Expr::cust(format!("SUBSTR(description, 1, {MAX_DESCRIPTION})"));
        let rows = text::Entity::find()
            .select_only()
            .column(text::Column::Product)
            .column(text::Column::Language)
            .column(text::Column::Title)
            .column(text::Column::Variants)
            .column(text::Column::ChangedMs)
            .expr_as(begun, "description")
            .filter(text::Column::Product.is_in(products.iter().copied()))
            .order_by_asc(text::Column::Language)
            .all(database.reader())
            .await?;
        let mut all = Self::default();
        for row in rows {
            let titles: BTreeMap<VariantId, String> = from_json("shop_texts.variants", &row.variants)?;
            for (variant, title) in titles {
                all.titles.entry(variant.as_i64()).or_default().push(title);
            }
            let other = Other { title: row.title, description: row.description };
            all.products.entry(row.product).or_default().push(other);
        }
        Ok(all)
    }
}

fn item(row: variant::Model, others: Vec<String>, there: &BTreeSet<i64>) -> Result<Item, StorageError> {
    Ok(Item {
        options: from_json("shop_variants.options", &row.options)?,
        prices: from_json("shop_variants.prices", &row.prices)?,
        in_stock: there.contains(&row.id),
        title: row.title,
        others,
        sku: row.sku,
    })
}
