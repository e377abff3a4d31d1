//! How many there are of each variant: a row of counters, and every change of it for ever.
//!
//! `available`, `reserved` and `sold` are changed by one conditional statement each, so that nothing is sold twice whoever
//! else is at it; the entry that says why is committed with it.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sluice_platform::once::{Answer, Asked};
use sluice_platform::rooms::{self, Room};
use sluice_platform::{ApiError, Caller};
use sluice_storage::rows::sea_orm::sea_query::{Expr, ExprTrait, IntoIden, SimpleExpr, TableRef, ValueTuple};
use sluice_storage::rows::sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait,
};
use sluice_storage::rows::signed;
use sluice_storage::{Act, StorageError, Tx, Who};
use sluice_wire::{EventKind, Tag};
use utoipa::ToSchema;

use crate::catalog::{self, invalid};
use crate::ids::{self, EntryId, VariantId};
use crate::places::DEFAULT;
use crate::places::shelves::{self, Shelf};
use crate::raised::{self, Raised};
use crate::rows::{stock, stock_entry};
use crate::{Shop, private, room};

/// The most that come in at once.
const MAX_RECEIVED: i64 = 100_000_000;
/// The list of variants and their units, in the statement that moves them.
const MOVED: &str = "moved";

/// What happens to units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    /// They come in.
    Receive,
    /// An order takes them off sale.
    Reserve,
    /// An order gives them back.
    Release,
    /// An order has them for good.
    Sell,
}

impl Move {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Reserve => "reserve",
            Self::Release => "release",
            Self::Sell => "sell",
        }
    }

    /// What it adds to `available`, `reserved` and `sold`, for one unit.
    const fn adds(self) -> [i64; 3] {
        match self {
            Self::Receive => [1, 0, 0],
            Self::Reserve => [-1, 1, 0],
            Self::Release => [1, -1, 0],
            Self::Sell => [0, -1, 1],
        }
    }
}

/// Units of a variant, and the order that they are moved for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Units {
    pub(crate) variant: i64,
    pub(crate) quantity: i64,
    pub(crate) order: Option<i64>,
}

/// What a move has made.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    /// The stocks after it.
    pub(crate) rows: Vec<stock::Model>,
    /// What is to be told of them, in the same transaction.
    pub(crate) changes: Vec<(Tag, EventKind, Value)>,
}

/// Moves units: all of them in one statement, or, when there are not so many of a variant, none that counts: `None`, and the
/// transaction must not be committed.
pub(crate) async fn shift(tx: &Tx<'_>, what: Move, units: &[Units]) -> Result<Option<Moved>, ApiError> {
    shift_behind(tx, what, units, None).await
}

/// The same, where this transaction has read which waiting rooms are open in front of these units: all of them, or `None`.
pub(crate) async fn shift_behind(
    tx: &Tx<'_>,
    what: Move,
    units: &[Units],
    open: Option<&[Room]>,
) -> Result<Option<Moved>, ApiError> {
    let mut sums = BTreeMap::new();
    units.iter().for_each(|units| *sums.entry(units.variant).or_insert(0) += units.quantity);
    if sums.is_empty() {
        return Ok(Some(Moved::default()));
    }
    let rows = count(tx, what, &sums).await?;
    if rows.len() != sums.len() {
        return Ok(None);
    }
    let entry = |units: &Units| stock_entry::ActiveModel {
        variant: Set(units.variant),
        id: Set(tx.ids().make::<EntryId>().as_i64()),
        kind: Set(what.as_str().to_owned()),
        quantity: Set(units.quantity),
        order_id: Set(units.order),
        at_ms: Set(signed(tx.now_ms())),
    };
    stock_entry::Entity::insert_many(units.iter().map(entry)).exec_without_returning(tx.conn()).await?;
    let mut changes = vec![];
    if what.adds()[0] != 0 {
        for row in &rows {
            let id = ids::of_column("shop_stock.variant", row.variant)?;
            changes.push((raised::stock(id), EventKind::Changed, json!({ "available": row.available })));
        }
        changes.extend(turned(what, &sums, &rows)?);
        tell_rooms(tx, &rows, open).await?;
    }
    Ok(Some(Moved { rows, changes }))
}

/// What is told of variants that ran out, or are there again: searches look for those that can be had.
fn turned(
    what: Move,
    sums: &BTreeMap<i64, i64>,
    after: &[stock::Model],
) -> Result<Option<(Tag, EventKind, Value)>, StorageError> {
    let [add, ..] = what.adds();
    let before = |row: &stock::Model| row.available - add * sums.get(&row.variant).copied().unwrap_or(0);
    let turned = after.iter().filter(|row| (before(row) > 0) != (row.available > 0));
    let ids = turned.map(|row| ids::of_column::<VariantId>("shop_stock.variant", row.variant));
    let ids = ids.collect::<Result<Vec<_>, _>>()?;
    let event = || (raised::availability(), EventKind::Changed, json!({ "variants": ids }));
    Ok((!ids.is_empty()).then(event))
}

/// Tells the waiting rooms in front of stocks what is left: where none is open, one statement, or none where that was read before.
async fn tell_rooms(tx: &Tx<'_>, stocks: &[stock::Model], open: Option<&[Room]>) -> Result<(), StorageError> {
    let names = |row: &stock::Model| {
        Ok((room::name(ids::of_column("shop_stock.variant", row.variant)?), row.available))
    };
    let left: BTreeMap<String, i64> = stocks.iter().map(names).collect::<Result<_, StorageError>>()?;
    let read = match open {
        Some(_) => vec![],
        None => rooms::open_among(tx, left.keys().cloned()).await?,
    };
    for open in open.unwrap_or(&read) {
        if let Some(left) = left.get(&open.name) {
            rooms::left(tx, &open.name, *left).await?;
        }
    }
    Ok(())
}

/// Changes the counters of variants that have enough: one statement, which looks each of them up by its key, however many
/// there are. It has two parameters for each variant, and one that inserts their entries, lines or events at most seven for
/// each line of an order: with 64 orders of 50 lines (`together`, `carts::MAX_LINES`) 22,400, of the 32,766 that SQLite takes
/// and the 65,535 that PostgreSQL does.
async fn count(tx: &Tx<'_>, what: Move, sums: &BTreeMap<i64, i64>) -> Result<Vec<stock::Model>, ApiError> {
    let units = sums.iter().map(|(variant, quantity)| ValueTuple::from((*variant, *quantity))).collect();
    // Both engines call the columns of such a list so.
    let [variant, quantity] = ["column1", "column2"].map(|column| Expr::col((MOVED, column)));
    let columns = [stock::Column::Available, stock::Column::Reserved, stock::Column::Sold];
    let columns = columns.into_iter().zip(what.adds()).filter(|(_, add)| *add != 0);
    let of = |column| Expr::col((stock::Entity, column));
    let mut update = stock::Entity::update_many().filter(of(stock::Column::Variant).eq(variant));
    QueryTrait::query(&mut update).from(TableRef::ValuesList(units, MOVED.into_iden()));
    for (column, add) in columns {
        if add < 0 {
            update = update.filter(of(column).gte(quantity.clone()));
        }
        update = update.col_expr(column, of(column).add(quantity.clone().mul(add)));
    }
    Ok(update.exec_with_returning(tx.conn()).await?)
}

/// How many can be ordered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Available {
    #[schema(value_type = String)]
    variant: VariantId,
    available: i64,
}

/// How many of a variant can be ordered.
#[utoipa::path(get, path = "/v1/shop/stock/{variant}", tag = "stock",
    params(("variant" = String, Path, description = "a variant")),
    responses((status = 200, body = Available), (status = 404)))]
pub(crate) async fn show(
    State(shop): State<Shop>,
    Path(variant): Path<VariantId>,
) -> Result<Response, ApiError> {
    let versions = shop.storage.log().versions_of(&[raised::stock(variant)]).await?;
    let row = stock::Entity::find_by_id(variant.as_i64()).one(shop.storage.database.reader()).await?;
    let row = row.ok_or_else(|| ApiError::not_found(format!("no variant {variant}")))?;
    Ok(catalog::public(Json(Available { variant, available: row.available }), &versions))
}

/// Units that came in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Receive {
    /// From 1 to 100000000.
    #[schema(example = 50)]
    quantity: i64,
    /// The place at which they came in; absent, the default one, `main`.
    #[schema(example = "north")]
    place: Option<String>,
}

/// Takes units in.
#[utoipa::path(post, path = "/v1/shop/stock/{variant}", tag = "stock", request_body = Receive,
    params(("variant" = String, Path, description = "a variant")),
    responses((status = 200, body = Available), (status = 401), (status = 403),
        (status = 404, description = "no such variant or place"), (status = 422)))]
pub(crate) async fn receive(
    State(shop): State<Shop>,
    Path(variant): Path<VariantId>,
    caller: Caller,
    asked: Asked<Receive>,
) -> Result<Response, ApiError> {
    caller.needs("admin")?;
    let (quantity, place) = (asked.body.quantity, asked.body.place.as_deref());
    if !(1..=MAX_RECEIVED).contains(&quantity) {
        return Err(invalid("quantity: from 1 to 100000000"));
    }
    let (who, owner) = (&Who { name: caller.name.clone(), role: "admin" }, caller.owner());
    let audit = &shop.storage.audit();
    shop.once
        .write(&asked, &owner, &|tx| {
            Box::pin(async move {
                let mut raised = Raised::default();
                let units = Units { variant: variant.as_i64(), quantity, order: None };
                let Moved { rows, changes } = shift(tx, Move::Receive, &[units]).await?.unwrap_or_default();
                let row = rows.into_iter().next();
                let row = row.ok_or_else(|| ApiError::not_found(format!("no variant {variant}")))?;
                shelves::receive(tx, place.unwrap_or(DEFAULT), variant, quantity).await?;
                raised.emit_all(tx, changes).await?;
                let (action, subject) = ("receive-stock", variant.to_string());
                let at = |place: &str| json!({ "quantity": quantity, "place": place });
                let after = place.map_or_else(|| json!(quantity), at);
                let act = Act { action, subject, before: None, after: Some(after) };
                audit.record(tx, who, &act).await?;
                let body =
                    json!({ "variant": variant, "available": row.available, "versions": raised.text() });
                Ok(Answer::ok(body))
            })
        })
        .await
}

/// A stock and what came of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Account {
    available: i64,
    reserved: i64,
    sold: i64,
    /// Units by what happened to them.
    entries: BTreeMap<String, i64>,
    /// What is on the shelves, by place: all together what came in and is in no parcel. `available` and `reserved` are parts of it.
    places: BTreeMap<String, Shelf>,
}

/// A stock, with the sums of its entries, and what is at each place: all of one moment.
#[utoipa::path(get, path = "/v1/shop/stock/{variant}/entries", tag = "stock",
    params(("variant" = String, Path, description = "a variant")),
    responses((status = 200, body = Account), (status = 401), (status = 403), (status = 404)))]
pub(crate) async fn entries(
    State(shop): State<Shop>,
    Path(variant): Path<VariantId>,
    caller: Caller,
) -> Result<Response, ApiError> {
    caller.needs("admin")?;
    // What the default place has is what is at no other: a sum of counters and shelves that are of one moment.
    let view = shop.storage.database.snapshot().await?;
    let row = stock::Entity::find_by_id(variant.as_i64()).one(&view).await?;
    let row = row.ok_or_else(|| ApiError::not_found(format!("no variant {variant}")))?;
    let sum: SimpleExpr = stock_entry::Column::Quantity.sum().cast_as("bigint");
    let sums: Vec<(String, i64)> = stock_entry::Entity::find()
        .select_only()
        .column(stock_entry::Column::Kind)
        .column_as(sum, "units")
        .filter(stock_entry::Column::Variant.eq(variant.as_i64()))
        .group_by(stock_entry::Column::Kind)
        .into_tuple()
        .all(&view)
        .await?;
    let places = shelves::shelves(row.received(), &shelves::of_variants(&view, vec![row.variant]).await?);
    view.commit().await?;
    let stock::Model { available, reserved, sold, .. } = row;
    let body = Account { available, reserved, sold, entries: sums.into_iter().collect(), places };
    Ok(private(Json(body)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_is_told_when_a_stock_runs_out_and_when_it_is_there_again() {
        let told = |what, units: i64, available| {
            let row = stock::Model { variant: 7, available, reserved: 0, sold: 0 };
            turned(what, &BTreeMap::from([(7, units)]), &[row]).unwrap().is_some()
        };
        assert!(told(Move::Reserve, 2, 0) && !told(Move::Reserve, 2, 1));
        assert!(told(Move::Receive, 3, 3) && !told(Move::Receive, 3, 4));
        assert!(told(Move::Release, 1, 1) && !told(Move::Release, 1, 2));
    }

    proptest! {
        /// Counters that refuse to go below nothing, and the entries of what they let through, say the same.
        #[test]
        fn entries_and_counters_agree(moves in prop::collection::vec((0..4_usize, 1..20_i64), 0..60)) {
            let all = [Move::Receive, Move::Reserve, Move::Release, Move::Sell];
            let (mut counters, mut sums) = ([0_i64; 3], [0_i64; 4]);
            for (which, quantity) in moves {
                let next: Vec<i64> =
                    counters.iter().zip(all[which].adds()).map(|(has, add)| has + add * quantity).collect();
                if next.iter().all(|n| *n >= 0) {
                    counters = [next[0], next[1], next[2]];
                    sums[which] += quantity;
                }
            }
            let [receive, reserve, release, sell] = sums;
            prop_assert_eq!(counters, [receive - reserve + release, reserve - release - sell, sell]);
            prop_assert_eq!(counters.iter().sum::<i64>(), receive);
        }
    }
}
