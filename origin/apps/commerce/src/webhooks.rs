//! `POST /v1/shop/webhooks/payments`: the gateway tells of a payment.
//!
//! What it tells is taken as a hint alone, for it may come twice, late or in another order: the gateway is asked what became
//! of the payment, and its answer counts.

use axum::body::Bytes;
use axum::extract::{Request, State};
use http::StatusCode;
use serde::Deserialize;
use sluice_platform::ApiError;
use sluice_storage::Tx;
use sluice_storage::rows::sea_orm::sea_query::{Expr, OnConflict};
use sluice_storage::rows::sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use sluice_storage::rows::signed;
use sluice_wire::AccountId;

use crate::Shop;
use crate::ids::OrderId;
use crate::orders::Key;
use crate::orders::machine;
use crate::rows::{order, payment, webhook_event};

/// Bytes of an event: theirs have a few thousand.
const MAX_EVENT: usize = 256 << 10;
/// Characters of an event's id.
const MAX_ID: usize = 255;

#[derive(Debug, Deserialize)]
struct Event {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    data: Data,
}

#[derive(Debug, Deserialize)]
struct Data {
    object: Object,
}

#[derive(Debug, Deserialize)]
struct Object {
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Debug, Default, Deserialize)]
struct Metadata {
    order: Option<OrderId>,
    account: Option<AccountId>,
}

/// Takes an event of the gateway's, once. One that is nothing to us is taken too, or it would be sent for days.
#[utoipa::path(post, path = "/v1/shop/webhooks/payments", tag = "webhooks", request_body = serde_json::Value,
    params(("Stripe-Signature" = String, Header, description = "t=SECONDS,v1=HEX")),
    responses((status = 200), (status = 400, description = "not signed by the gateway, or no event")))]
pub(crate) async fn payments(State(shop): State<Shop>, request: Request) -> Result<StatusCode, ApiError> {
    let header = request.headers().get("stripe-signature").and_then(|value| value.to_str().ok());
    let header = header.unwrap_or_default().to_owned();
    let long = |_| ApiError::new(413, "too-large", "Too large", "an event has at most 262144 bytes");
    let body = axum::body::to_bytes(request.into_body(), MAX_EVENT).await.map_err(long)?;
    let event = read(&shop, &header, &body)?;
    let Metadata { order: Some(order), account: Some(account) } = event.data.object.metadata else {
        return Ok(StatusCode::OK);
    };
    if !event.kind.starts_with("payment_intent.") {
        return Ok(StatusCode::OK);
    }
    let (key, id) = ((account.as_i64(), order.as_i64()), &event.id);
    let fresh = shop.storage.database.write::<_, ApiError, _>(|tx| Box::pin(keep(tx, key, id))).await?;
    if fresh {
        // Where this fails, whoever looks after the orders goes on: it is written down that somebody has to.
        if let Err(error) = shop.hear(key).await {
            tracing::warn!(%order, error = ?error.0, "an event was taken, its order not taken further yet");
        }
    }
    Ok(StatusCode::OK)
}

fn read(shop: &Shop, header: &str, body: &Bytes) -> Result<Event, ApiError> {
    let now_s = shop.storage.clock.now_ms() / 1_000;
    let signed = shop.secret.as_ref().is_some_and(|secret| secret.signed(header, body, now_s));
    if !signed {
        return Err(ApiError::bad_request("the signature is not the gateway's, or too old"));
    }
    let event: Event =
        serde_json::from_slice(body).map_err(|error| ApiError::bad_request(error.to_string()))?;
    if (1..=MAX_ID).contains(&event.id.len()) {
        Ok(event)
    } else {
        Err(ApiError::bad_request("no event's id"))
    }
}

/// Keeps an event, and that its order is to be looked after; false for one that is known, or of no order.
async fn keep(tx: &Tx<'_>, key: Key, id: &str) -> Result<bool, ApiError> {
    if payment::Entity::find_by_id(key).one(tx.conn()).await?.is_none() {
        return Ok(false);
    }
    let row = webhook_event::ActiveModel { id: Set(id.to_owned()), at_ms: Set(signed(tx.now_ms())) };
    let known = OnConflict::column(webhook_event::Column::Id).do_nothing().to_owned();
    if webhook_event::Entity::insert(row).on_conflict(known).exec_without_returning(tx.conn()).await? == 0 {
        return Ok(false);
    }
    let open = [machine::State::Paying, machine::State::Failed, machine::State::Released];
    order::Entity::update_many()
        .col_expr(order::Column::DueMs, Expr::value(signed(tx.now_ms())))
        .filter(order::Column::Account.eq(key.0))
        .filter(order::Column::Id.eq(key.1))
        .filter(order::Column::State.is_in(open.map(machine::State::as_str)))
        .exec(tx.conn())
        .await?;
    Ok(true)
}
