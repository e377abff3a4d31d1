//! `PATCH /v1/shop/orders/{id}/parcels/{parcel}`: an administrator says where a parcel is.

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use sluice_platform::once::{Answer, Asked};
use sluice_platform::{ApiError, Caller};
use sluice_storage::rows::sea_orm::sea_query::Expr;
use sluice_storage::rows::sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use sluice_storage::rows::{signed, to_json};
use sluice_storage::{Tx, Who};
use utoipa::ToSchema;

use super::machine::ParcelState;
use super::show::{Parcel, ParcelMove};
use super::{or_unsold, told, turn};
use crate::Shop;
use crate::ids::{OrderId, ParcelId};
use crate::places::shelves;
use crate::rows::{order, parcel};

/// Where a parcel is now.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MoveParcel {
    /// `handed-over`, `in-transit` and `delivered`, one after the other; or `returned`, from each before `delivered`.
    #[schema(example = "handed-over")]
    state: ParcelState,
}

/// Says where a parcel is. One that is `returned` is on its place's shelf again, and may be sent once more in another. Whoever
/// follows the order hears of it.
#[utoipa::path(patch, path = "/v1/shop/orders/{id}/parcels/{parcel}", tag = "parcels", request_body = MoveParcel,
    params(("id" = String, Path, description = "an order"), ("parcel" = String, Path, description = "a parcel of it")), responses(
    (status = 200, body = Parcel), (status = 401), (status = 403), (status = 404),
    (status = 409, description = "it does not come there from where it is"), (status = 422),
))]
pub(crate) async fn onward(
    State(shop): State<Shop>,
    Path((id, parcel)): Path<(OrderId, ParcelId)>,
    caller: Caller,
    asked: Asked<MoveParcel>,
) -> Result<Response, ApiError> {
    caller.needs("admin")?;
    let (shop, to, owner) = (&shop, asked.body.state, caller.owner());
    let who = &Who { name: caller.name.clone(), role: "admin" };
    let done = shop.once.write(&asked, &owner, &|tx| Box::pin(moved(shop, tx, (id, parcel), to, who))).await;
    or_unsold(shop, id, done).await
}

async fn moved(
    shop: &Shop,
    tx: &Tx<'_>,
    (id, parcel): (OrderId, ParcelId),
    to: ParcelState,
    who: &Who,
) -> Result<Answer, ApiError> {
    let order = turn(tx, id).await?;
    let key = (order.account, order.id, parcel.as_i64());
    let row = parcel::Entity::find_by_id(key).one(tx.conn()).await?;
    let row = row.ok_or_else(|| ApiError::not_found(format!("order {id} has no parcel {parcel}")))?;
    let mut at = Parcel::of(row)?;
    let from = at.state;
    if !from.may_become(to) {
        let detail = format!("a parcel that is {} does not become {}", from.as_str(), to.as_str());
        return Err(ApiError::new(409, "illegal-move", "It does not come there from where it is", detail));
    }
    at.state = to;
    at.moves.push(ParcelMove { state: to, at_ms: signed(tx.now_ms()) });
    keep(tx, &order, &at).await?;
    if to == ParcelState::Returned {
        shelves::put_back(tx, &at.place, &at.lines).await?;
    }
    let before = Some(json!({ "state": from }));
    Ok(Answer::ok(told(shop, tx, (id, &at), who, ("move-parcel", before)).await?))
}

/// Writes where a parcel is: one statement.
async fn keep(tx: &Tx<'_>, order: &order::Model, at: &Parcel) -> Result<(), ApiError> {
    parcel::Entity::update_many()
        .col_expr(parcel::Column::State, Expr::value(at.state.as_str()))
        .col_expr(parcel::Column::Moves, Expr::value(to_json(&at.moves)?))
        .filter(parcel::Column::Account.eq(order.account))
        .filter(parcel::Column::OrderId.eq(order.id))
        .filter(parcel::Column::Id.eq(at.id.as_i64()))
        .exec(tx.conn())
        .await?;
    Ok(())
}
