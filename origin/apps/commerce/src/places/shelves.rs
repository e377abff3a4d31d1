//! How many there are of a variant at each place: what came in there, less what left in parcels that did not come back.
//!
//! What is on all shelves of a variant is what ever came in, which the counters of its stock say, less what is in parcels. Only
//! what came in at a named place is written down ([`receipt`]): the rest is at the default one, as all was before there were
//! places, and an order or a payment writes nothing here.

use std::collections::BTreeMap;

use serde::Serialize;
use sluice_platform::ApiError;
use sluice_storage::rows::sea_orm::sea_query::{Alias, Expr, ExprTrait, OnConflict};
use sluice_storage::rows::sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter,
};
use sluice_storage::rows::signed;
use sluice_storage::{StorageError, Tx};
use utoipa::ToSchema;

use super::{DEFAULT, must_be};
use crate::carts::Line;
use crate::ids::{EntryId, VariantId};
use crate::rows::{receipt, shelf, stock};

/// A variant at a place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Shelf {
    /// Units that are there.
    #[schema(example = 40)]
    pub(crate) units: i64,
    /// Units that came in there.
    #[schema(example = 50)]
    received: i64,
    /// Units that left in parcels which did not come back.
    #[schema(example = 10)]
    shipped: i64,
}

impl stock::Model {
    /// Units that ever came in.
    pub(crate) const fn received(&self) -> i64 {
        self.available + self.reserved + self.sold
    }
}

/// The shelves of a variant by place, of so many units that ever came in: the default place is always among them.
pub(crate) fn shelves(received: i64, rows: &[shelf::Model]) -> BTreeMap<String, Shelf> {
    let named: i64 = rows.iter().filter(|row| row.place != DEFAULT).map(|row| row.received).sum();
    let mut all = BTreeMap::from([(DEFAULT.to_owned(), Shelf::default())]);
    for row in rows {
        all.insert(row.place.clone(), Shelf { units: 0, received: row.received, shipped: row.shipped });
    }
    for (place, shelf) in &mut all {
        if place == DEFAULT {
            shelf.received = received - named;
        }
        shelf.units = shelf.received - shelf.shipped;
    }
    all
}

/// The rows of some variants' shelves: one statement. A variant has at most as many as there are places.
pub(crate) async fn of_variants(
    conn: &impl ConnectionTrait,
    variants: Vec<i64>,
) -> Result<Vec<shelf::Model>, StorageError> {
    Ok(shelf::Entity::find().filter(shelf::Column::Variant.is_in(variants)).all(conn).await?)
}

/// Takes units in at a place that is named: three statements, and none for the default place, which has the rest of what came in.
///
/// # Errors
/// 404 without such a place.
pub(crate) async fn receive(
    tx: &Tx<'_>,
    place: &str,
    variant: VariantId,
    quantity: i64,
) -> Result<(), ApiError> {
    if place == DEFAULT {
        return Ok(());
    }
    must_be(tx, place).await?;
    let entry = receipt::ActiveModel {
        variant: Set(variant.as_i64()),
        id: Set(tx.ids().make::<EntryId>().as_i64()),
        place: Set(place.to_owned()),
        quantity: Set(quantity),
        at_ms: Set(signed(tx.now_ms())),
    };
    receipt::Entity::insert(entry).exec_without_returning(tx.conn()).await?;
    Ok(add(tx, place, vec![(variant, quantity, 0)]).await?)
}

/// Takes units off a place's shelf, all of them or none: two statements, and one more where some of them are at other places, too.
/// The engine lets no other transaction take what this one has seen.
///
/// # Errors
/// 409 `not-on-shelf` where there are not so many, 404 without such a place: the transaction must not be committed.
pub(crate) async fn take(tx: &Tx<'_>, place: &str, goods: &[Line]) -> Result<(), ApiError> {
    let variants = goods.iter().map(|line| line.variant.as_i64()).collect();
    let rows = of_variants(tx.conn(), variants).await?;
    // Where all of them are at the default place, there are as many as were sold and are in no parcel, and so enough.
    if place != DEFAULT || rows.iter().any(|row| row.place != DEFAULT) {
        let received = received(tx, place, goods).await?;
        let there = |line: &Line| (line.clone(), units(place, line.variant, &received, &rows));
        let lacks = goods.iter().map(there).find(|(line, there)| *there < line.quantity);
        if let Some((line, there)) = lacks {
            must_be(tx, place).await?;
            return Err(short(place, &line, there));
        }
    }
    let shipped = goods.iter().map(|line| (line.variant, 0, line.quantity)).collect();
    Ok(add(tx, place, shipped).await?)
}

/// Units of a variant at a place.
fn units(place: &str, variant: VariantId, received: &BTreeMap<i64, i64>, rows: &[shelf::Model]) -> i64 {
    let variant = variant.as_i64();
    let of_it: Vec<shelf::Model> = rows.iter().filter(|row| row.variant == variant).cloned().collect();
    let received = received.get(&variant).copied().unwrap_or_default();
    shelves(received, &of_it).get(place).map_or(0, |shelf| shelf.units)
}

/// Puts units back on a place's shelf: one statement.
pub(crate) async fn put_back(tx: &Tx<'_>, place: &str, goods: &[Line]) -> Result<(), StorageError> {
    add(tx, place, goods.iter().map(|line| (line.variant, 0, -line.quantity)).collect()).await
}

/// Units that ever came in of some variants, which only the default place's shelves depend on: a statement there, and none
/// elsewhere.
async fn received(tx: &Tx<'_>, place: &str, goods: &[Line]) -> Result<BTreeMap<i64, i64>, StorageError> {
    if place != DEFAULT {
        return Ok(BTreeMap::new());
    }
    let these = stock::Column::Variant.is_in(goods.iter().map(|line| line.variant.as_i64()));
    let rows = stock::Entity::find().filter(these).all(tx.conn()).await?;
    Ok(rows.into_iter().map(|row| (row.variant, row.received())).collect())
}

/// Adds to what came into a place and to what left it, by variant, of which there is one at least: one statement.
async fn add(tx: &Tx<'_>, place: &str, changes: Vec<(VariantId, i64, i64)>) -> Result<(), StorageError> {
    let rows = changes.into_iter().map(|(variant, received, shipped)| shelf::ActiveModel {
        variant: Set(variant.as_i64()),
        place: Set(place.to_owned()),
        received: Set(received),
        shipped: Set(shipped),
    });
    let sum = |column: shelf::Column| {
        Expr::col((shelf::Entity, column)).add(Expr::col((Alias::new("excluded"), column)))
    };
    let again = OnConflict::columns([shelf::Column::Variant, shelf::Column::Place])
        .value(shelf::Column::Received, sum(shelf::Column::Received))
        .value(shelf::Column::Shipped, sum(shelf::Column::Shipped))
        .to_owned();
    shelf::Entity::insert_many(rows).on_conflict(again).exec_without_returning(tx.conn()).await?;
    Ok(())
}

fn short(place: &str, line: &Line, there: i64) -> ApiError {
    let Line { variant, quantity } = line;
    let detail = format!("{place:?} has {there} of {variant}, and not {quantity}");
    ApiError::new(409, "not-on-shelf", "Not on the shelf", detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(place: &str, received: i64, shipped: i64) -> shelf::Model {
        shelf::Model { variant: 7, place: place.to_owned(), received, shipped }
    }

    #[test]
    fn what_is_at_no_named_place_is_at_the_default_one() {
        let units = |rows: &[shelf::Model]| -> Vec<(String, i64)> {
            shelves(10, rows).into_iter().map(|(place, shelf)| (place, shelf.units)).collect()
        };
        let of = |place: &str, units: i64| (place.to_owned(), units);
        assert_eq!(units(&[]), [of("main", 10)]);
        assert_eq!(units(&[row("main", 0, 3)]), [of("main", 7)]);
        assert_eq!(units(&[row("east", 4, 1), row("main", 0, 3)]), [of("east", 3), of("main", 3)]);
    }

    proptest! {
        /// The shelves together have what came in and is in no parcel.
        #[test]
        fn shelves_and_parcels_are_all_that_came_in(
            at_main in 0..100_i64, left in 0..100_i64, named in prop::collection::vec((0..100_i64, 0..100_i64), 0..8),
        ) {
            let mut rows = vec![row(DEFAULT, 0, left)];
            rows.extend(named.iter().enumerate().map(|(n, (came, went))| row(&format!("p{n}"), *came, *went)));
            let received = at_main + named.iter().map(|(came, _)| came).sum::<i64>();
            let shipped = left + named.iter().map(|(_, went)| went).sum::<i64>();
            let all = shelves(received, &rows);
            prop_assert_eq!(all.values().map(|shelf| shelf.units).sum::<i64>(), received - shipped);
            prop_assert_eq!(all[DEFAULT].units, at_main - left);
        }
    }
}
