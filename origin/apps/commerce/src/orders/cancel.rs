//! `POST /v1/shop/orders/{id}/cancel`: a buyer does not want an order that is not paid yet.
//!
//! It is canceled first, and its payment ended at the gateway after that: whoever is told that it is canceled is not sold it. Money
//! that the gateway took meanwhile is given back.

use std::sync::Arc;

use axum::extract::{self, Path};
use axum::response::Response;
use serde::Deserialize;
use sluice_platform::once::{Answer, Asked, Batch};
use sluice_platform::{ApiError, Caller};
use sluice_service::crash;
use sluice_storage::{StorageError, Tx};
use utoipa::ToSchema;

use super::book::state_of;
use super::machine::{Reason, State};
use super::show::{Order, reasons};
use super::till::{Ask, Step, Till, Told};
use crate::Shop;
use crate::ids::OrderId;

/// Nothing is to be said; it may be left out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cancel {}

/// Cancels an order that is not paid yet, `reserved` or `paying`: its stock is on sale again. One that is canceled, or was by
/// its buyer, whatever became of money that the gateway took meanwhile, is answered as it is.
#[utoipa::path(post, path = "/v1/shop/orders/{id}/cancel", tag = "orders", request_body = Option<Cancel>,
    params(("id" = String, Path, description = "an order")), responses(
    (status = 200, body = Order, description = "`canceled`; later, where the gateway took money, `refunding`, `refunded`"),
    (status = 401), (status = 404), (status = 409, description = "too late: it is paid, or has ended otherwise"),
    (status = 422),
))]
pub(crate) async fn cancel(
    extract::State(shop): extract::State<Shop>,
    Path(id): Path<OrderId>,
    caller: Caller,
    asked: Asked<Option<Cancel>>,
) -> Result<Response, ApiError> {
    let (key, owner) = ((caller.account.as_i64(), id.as_i64()), caller.owner());
    let (till, ask) = (&Till::new(Arc::clone(&shop.config)), &Ask { key, step: Step::Tell(Told::Cancel) });
    // Not beside the till, which may be about the same order: one of the two would be done for nothing.
    let answer =
        shop.till.in_turn(shop.once.write(&asked, &owner, &|tx| Box::pin(canceled(tx, till, ask)))).await??;
    crash::point("shop-canceled");
    // Where it was being paid, the gateway is told; should this fail, whoever looks after orders does so.
    if let Err(error) = shop.hear(key).await {
        tracing::warn!(order = %id, error = ?error.0, "an order was canceled, its payment not ended yet");
    }
    Ok(answer)
}

async fn canceled(tx: &Tx<'_>, till: &Till, ask: &Ask) -> Result<Answer, ApiError> {
    let none = || StorageError::Corrupt("the till decides on each that asks".into());
    let at = till.write(tx, &[ask]).await?.pop().ok_or_else(none)??;
    let state = state_of(&at.row)?;
    let why = reasons(tx.conn(), &[at.key()]).await?.remove(&at.key());
    if state != State::Canceled && why.as_deref() != Some(Reason::Buyer.as_str()) {
        let detail = format!("the order is {} already", state.as_str());
        return Err(ApiError::new(409, "too-late", "Too late", detail));
    }
    Ok(Answer::ok(Order::of(at.row, at.lines)?.because(why).and(&at.raised)))
}
