//! Parcels as documents: what is in one, and where it is; and what of an order was sent, and what is left.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sluice_platform::{ApiError, Caller};
use sluice_storage::StorageError;
use sluice_storage::rows::sea_orm::sea_query::Expr;
use sluice_storage::rows::sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use sluice_storage::rows::{flag, from_json, to_json};
use utoipa::ToSchema;

use super::machine::ParcelState;
use super::{absent, or_unsold};
use crate::carts::Line;
use crate::ids::{self, OrderId, ParcelId, VariantId};
use crate::orders::Key;
use crate::rows::{line, order, parcel};
use crate::schema::SOLD;
use crate::{Shop, private};

/// A parcel of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Parcel {
    #[schema(value_type = String, example = "0d8c1f3k5m7p9")]
    pub(super) id: ParcelId,
    pub(super) state: ParcelState,
    /// The place that it left from.
    #[schema(example = "north")]
    pub(super) place: String,
    #[schema(example = "Parcel Post")]
    pub(super) carrier: String,
    /// What its carrier knows it by.
    #[schema(example = "PP0123456789DE")]
    pub(super) code: String,
    /// What is in it.
    pub(super) lines: Vec<Line>,
    /// The states that it came to, the oldest first; the last is the one that it is in.
    pub(super) moves: Vec<ParcelMove>,
}

/// When a parcel came to a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ParcelMove {
    pub(super) state: ParcelState,
    /// In Unix milliseconds.
    #[schema(example = 1_795_435_200_000_i64)]
    pub(super) at_ms: i64,
}

/// What of an order was sent, and what is left of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Parcels {
    /// What is in no parcel, or in one that came back.
    left: Vec<Line>,
    /// The oldest first: 50 at most.
    parcels: Vec<Parcel>,
}

impl Parcel {
    pub(super) fn of(row: parcel::Model) -> Result<Self, StorageError> {
        Ok(Self {
            id: ids::of_column("shop_parcels.id", row.id)?,
            state: flag("shop_parcels.state", &row.state, ParcelState::parse)?,
            place: row.place,
            carrier: row.carrier,
            code: row.code,
            lines: from_json("shop_parcels.lines", &row.lines)?,
            moves: from_json("shop_parcels.moves", &row.moves)?,
        })
    }

    /// Its row, as one of an order's.
    pub(super) fn row(&self, (account, order_id): Key) -> Result<parcel::Model, StorageError> {
        Ok(parcel::Model {
            account,
            order_id,
            id: self.id.as_i64(),
            place: self.place.clone(),
            carrier: self.carrier.clone(),
            code: self.code.clone(),
            state: self.state.as_str().to_owned(),
            lines: to_json(&self.lines)?,
            moves: to_json(&self.moves)?,
        })
    }

    /// What is written down of it.
    pub(super) fn noted(&self, order: OrderId) -> Value {
        let Self { state, place, carrier, code, .. } = self;
        json!({ "order": order, "state": state, "place": place, "carrier": carrier, "code": code })
    }
}

/// An order's parcels, the oldest first: one statement.
pub(crate) async fn of_order(conn: &impl ConnectionTrait, key: Key) -> Result<Vec<Parcel>, StorageError> {
    let rows = parcel::Entity::find()
        .filter(parcel::Column::Account.eq(key.0))
        .filter(parcel::Column::OrderId.eq(key.1))
        .order_by_asc(parcel::Column::Id)
        .all(conn)
        .await?;
    rows.into_iter().map(Parcel::of).collect()
}

/// What was ordered: one statement.
pub(super) async fn ordered(conn: &impl ConnectionTrait, key: Key) -> Result<Vec<Line>, StorageError> {
    let rows = line::Entity::find()
        .filter(line::Column::Account.eq(key.0))
        .filter(line::Column::OrderId.eq(key.1))
        .order_by_asc(line::Column::Variant)
        .all(conn)
        .await?;
    let line = |row: line::Model| {
        let variant = ids::of_column("shop_order_lines.variant", row.variant)?;
        Ok(Line { variant, quantity: row.quantity })
    };
    rows.into_iter().map(line).collect()
}

/// What of an order is in no parcel, or in one that came back.
pub(super) fn left(ordered: &[Line], parcels: &[Parcel]) -> BTreeMap<VariantId, i64> {
    let mut left: BTreeMap<VariantId, i64> =
        ordered.iter().map(|line| (line.variant, line.quantity)).collect();
    let out = parcels.iter().filter(|parcel| parcel.state != ParcelState::Returned);
    out.flat_map(|parcel| &parcel.lines)
        .for_each(|line| *left.entry(line.variant).or_default() -= line.quantity);
    left.retain(|_, quantity| *quantity > 0);
    left
}

/// What of an order was sent, and what is left of it, for administrators; its buyer has the parcels in the order. Only an order that
/// is `confirmed` is sent.
#[utoipa::path(get, path = "/v1/shop/orders/{id}/parcels", tag = "parcels",
    params(("id" = String, Path, description = "an order")),
    responses((status = 200, body = Parcels), (status = 401), (status = 403), (status = 404),
        (status = 409, description = "it is not sold")))]
pub(crate) async fn list(
    State(shop): State<Shop>,
    Path(id): Path<OrderId>,
    caller: Caller,
) -> Result<Response, ApiError> {
    caller.needs("admin")?;
    let reader = shop.storage.database.reader();
    let sold = order::Entity::find().filter(order::Column::Id.eq(id.as_i64())).filter(Expr::cust(SOLD));
    let sold = sold.one(reader).await?.ok_or_else(|| absent(id));
    let row = or_unsold(&shop, id, sold).await?;
    let key = (row.account, row.id);
    let (ordered, parcels) = (ordered(reader, key).await?, of_order(reader, key).await?);
    let left = left(&ordered, &parcels).into_iter();
    let left = left.map(|(variant, quantity)| Line { variant, quantity }).collect();
    Ok(private(Json(Parcels { left, parcels })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_back_is_left_to_send() {
        let variant = |n: u32| VariantId::from_parts(1_800_000_000_000, n);
        let line = |n: u32, quantity: i64| Line { variant: variant(n), quantity };
        let parcel = |state: ParcelState, lines: Vec<Line>| Parcel {
            id: ParcelId::from_parts(1_800_000_000_000, 9),
            state,
            place: "main".into(),
            carrier: "c".into(),
            code: "1".into(),
            lines,
            moves: vec![],
        };
        let all = [line(1, 3), line(2, 1)];
        let of = |parcels: &[Parcel]| left(&all, parcels).into_iter().collect::<Vec<_>>();
        assert_eq!(of(&[]), [(variant(1), 3), (variant(2), 1)]);
        let sent = parcel(ParcelState::Delivered, vec![line(1, 2), line(2, 1)]);
        assert_eq!(of(std::slice::from_ref(&sent)), [(variant(1), 1)]);
        let back = parcel(ParcelState::Returned, vec![line(1, 1)]);
        assert_eq!(of(&[sent.clone(), back]), [(variant(1), 1)]);
        assert!(of(&[sent, parcel(ParcelState::Packed, vec![line(1, 1)])]).is_empty());
    }
}
