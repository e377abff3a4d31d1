//! `POST /v1/shop/webhooks/payments`: the gateway tells of a payment.
//!
//! What it tells is taken as a hint alone, for it may come twice, late or in another order: the gateway is asked what became
//! of the payment, and its answer counts.

use axum::body::Bytes;
use axum::extract::{Request, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use sluice_platform::ApiError;
use sluice_wire::AccountId;

use crate::Shop;
use crate::ids::OrderId;
use crate::orders::Key;

/// Bytes of an event: theirs have a few thousand.
const MAX_EVENT: usize = 256 << 10;
/// Characters of an event's id.
const MAX_ID: usize = 255;
/// How the types of events begin that may be about an order: its payment, or money that is given back.
const KINDS: [&str; 3] = ["payment_intent.", "refund.", "charge.refund"];

#[derive(Debug, Deserialize)]
struct Event {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    /// What it is about: anything, since others may use the same account of the gateway's.
    #[serde(default)]
    data: Value,
}

impl Event {
    /// The order that it is about; nothing where it is no payment, no money given back, or no order of ours.
    fn order(&self) -> Option<Key> {
        if !KINDS.iter().any(|kind| self.kind.starts_with(kind)) {
            return None;
        }
        let named = |name: &str| self.data.get("object")?.get("metadata")?.get(name)?.as_str();
        let order: OrderId = named("order")?.parse().ok()?;
        let account: AccountId = named("account")?.parse().ok()?;
        Some((account.as_i64(), order.as_i64()))
    }
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
    if let Some(order) = event.order() {
        // Where this fails once it is kept, whoever looks after the orders goes on: it is written down that somebody has to.
        shop.heard(order, event.id).await?;
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
