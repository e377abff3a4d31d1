//! How many there are of each variant: a row of counters, and every change of it for ever.
//!
//! `available`, `reserved` and `sold` are changed by one conditional statement each, so that nothing is sold twice whoever
//! else is at it; the entry that says why is committed with it.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sluice_platform::cache::{self, Lifetime};
use sluice_platform::once::{Answer, Asked};
use sluice_platform::{ApiError, Caller, rooms};
use sluice_storage::rows::sea_orm::sea_query::{CaseStatement, Expr, ExprTrait, SimpleExpr};
use sluice_storage::rows::sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, QuerySelect,
};
use sluice_storage::rows::signed;
use sluice_storage::{Act, StorageError, Tx, Who};
use sluice_wire::EventKind;
use utoipa::ToSchema;

use crate::catalog::{self, invalid};
use crate::ids::{self, EntryId, VariantId};
use crate::raised::{self, Raised};
use crate::rows::{stock, stock_entry};
use crate::{Shop, room};

/// The most that come in at once.
const MAX_RECEIVED: i64 = 100_000_000;

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

/// Moves units: all of them in one statement, or, when there are not so many of a variant, none that counts: `None`, and the
/// transaction must not be committed. At most some hundred variants. The stocks after it.
pub(crate) async fn shift(
    tx: &Tx<'_>,
    raised: &mut Raised,
    what: Move,
    units: &[Units],
) -> Result<Option<Vec<stock::Model>>, ApiError> {
    let mut sums = BTreeMap::new();
    units.iter().for_each(|units| *sums.entry(units.variant).or_insert(0) += units.quantity);
    if sums.is_empty() {
        return Ok(Some(vec![]));
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
    if what.adds()[0] != 0 {
        let change = |row: &stock::Model| {
            let id = ids::of_column("shop_stock.variant", row.variant)?;
            Ok((raised::stock(id), EventKind::Changed, json!({ "available": row.available })))
        };
        let changes: Result<Vec<_>, StorageError> = rows.iter().map(change).collect();
        raised.emit_all(tx, changes?).await?;
        tell_rooms(tx, &rows).await?;
    }
    Ok(Some(rows))
}

/// Tells the waiting rooms in front of stocks what is left: one statement where none is open.
async fn tell_rooms(tx: &Tx<'_>, stocks: &[stock::Model]) -> Result<(), StorageError> {
    let names = |row: &stock::Model| {
        Ok((room::name(ids::of_column("shop_stock.variant", row.variant)?), row.available))
    };
    let left: BTreeMap<String, i64> = stocks.iter().map(names).collect::<Result<_, StorageError>>()?;
    for open in rooms::open_among(tx, left.keys().cloned()).await? {
        if let Some(left) = left.get(&open.name) {
            rooms::left(tx, &open.name, *left).await?;
        }
    }
    Ok(())
}

/// Changes the counters of variants that have enough.
async fn count(tx: &Tx<'_>, what: Move, sums: &BTreeMap<i64, i64>) -> Result<Vec<stock::Model>, ApiError> {
    let columns = [stock::Column::Available, stock::Column::Reserved, stock::Column::Sold];
    let columns: Vec<_> = columns.into_iter().zip(what.adds()).filter(|(_, add)| *add != 0).collect();
    let enough = sums.iter().fold(Condition::any(), |any, (variant, quantity)| {
        let of = Condition::all().add(stock::Column::Variant.eq(*variant));
        let takes = columns.iter().filter(|(_, add)| *add < 0);
        any.add(takes.fold(of, |all, (column, _)| all.add(column.gte(*quantity))))
    });
    let update = columns.iter().fold(stock::Entity::update_many().filter(enough), |update, (column, add)| {
        let add = sums.iter().fold(CaseStatement::new(), |case, (variant, quantity)| {
            case.case(stock::Column::Variant.eq(*variant), add * quantity)
        });
        update.col_expr(*column, Expr::col(*column).add(add.finally(0)))
    });
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
    quantity: i64,
}

/// Takes units in.
#[utoipa::path(post, path = "/v1/shop/stock/{variant}", tag = "stock", request_body = Receive,
    params(("variant" = String, Path, description = "a variant")),
    responses((status = 200, body = Available), (status = 401), (status = 403), (status = 404), (status = 422)))]
pub(crate) async fn receive(
    State(shop): State<Shop>,
    Path(variant): Path<VariantId>,
    caller: Caller,
    asked: Asked<Receive>,
) -> Result<Response, ApiError> {
    caller.needs("admin")?;
    let quantity = asked.body.quantity;
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
                let rows = shift(tx, &mut raised, Move::Receive, &[units]).await?;
                let row = rows.into_iter().flatten().next();
                let row = row.ok_or_else(|| ApiError::not_found(format!("no variant {variant}")))?;
                let (action, subject) = ("receive-stock", variant.to_string());
                let act = Act { action, subject, before: None, after: Some(json!(quantity)) };
                audit.record(tx, who, &act).await?;
                let body =
                    json!({ "variant": variant, "available": row.available, "versions": raised.json() });
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
}

/// A stock, with the sums of its entries.
#[utoipa::path(get, path = "/v1/shop/stock/{variant}/entries", tag = "stock",
    params(("variant" = String, Path, description = "a variant")),
    responses((status = 200, body = Account), (status = 401), (status = 403), (status = 404)))]
pub(crate) async fn entries(
    State(shop): State<Shop>,
    Path(variant): Path<VariantId>,
    caller: Caller,
) -> Result<Response, ApiError> {
    caller.needs("admin")?;
    let reader = shop.storage.database.reader();
    let row = stock::Entity::find_by_id(variant.as_i64()).one(reader).await?;
    let row = row.ok_or_else(|| ApiError::not_found(format!("no variant {variant}")))?;
    let sum: SimpleExpr = stock_entry::Column::Quantity.sum().cast_as("bigint");
    let sums: Vec<(String, i64)> = stock_entry::Entity::find()
        .select_only()
        .column(stock_entry::Column::Kind)
        .column_as(sum, "units")
        .filter(stock_entry::Column::Variant.eq(variant.as_i64()))
        .group_by(stock_entry::Column::Kind)
        .into_tuple()
        .all(reader)
        .await?;
    let stock::Model { available, reserved, sold, .. } = row;
    let body = Account { available, reserved, sold, entries: sums.into_iter().collect() };
    let mut answer = Json(body).into_response();
    cache::lifetime(answer.headers_mut(), Lifetime::Never);
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
