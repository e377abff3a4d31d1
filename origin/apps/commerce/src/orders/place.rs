//! `POST /v1/shop/orders`: what is asked for, checked before it queues at the [`Counter`](super::Counter).

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use serde::Deserialize;
use sluice_platform::once::Asked;
use sluice_platform::{ApiError, Caller};
use utoipa::ToSchema;

use super::counter::Wanted;
use super::show::Order;
use crate::Shop;
use crate::carts::{Line, tidy, whose};
use crate::catalog::invalid;

/// What somebody buys: lines, or all that is in a cart.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewOrder {
    market: String,
    #[serde(default)]
    lines: Vec<Line>,
    /// `mine`, or the name of a cart, which is emptied by it.
    cart: Option<String>,
}

/// Orders, and holds the stock until it is paid or the time is over. With an `Idempotency-Key` once, however often it is sent.
/// Where a waiting room is open for a variant, the order uses up an admission to it.
#[utoipa::path(post, path = "/v1/shop/orders", tag = "orders", request_body = NewOrder, params(
    ("sluice-admission" = Option<String>, Header, description = "admissions to waiting rooms, separated by commas"),
), responses(
    (status = 201, body = Order), (status = 401), (status = 404, description = "no such market or variant"),
    (status = 403, description = "a waiting room is open: an admission is needed, or is not good"),
    (status = 409, description = "sold out, or the admission was used: nothing of the order is kept"), (status = 422),
))]
pub(crate) async fn place(
    State(shop): State<Shop>,
    caller: Caller,
    headers: HeaderMap,
    asked: Asked<NewOrder>,
) -> Result<Response, ApiError> {
    let (new, owner) = (&asked.body, caller.owner());
    let cart = new.cart.as_deref().map(|name| whose(name, Some(&caller))).transpose()?;
    if cart.is_some() != new.lines.is_empty() {
        return Err(invalid("lines or cart: one of them"));
    }
    shop.market(&new.market)?;
    let (account, market, lines) = (caller.account.as_i64(), new.market.clone(), tidy(&new.lines)?);
    let brought = shop.rooms.brought(&headers);
    shop.counter.ask(&asked, &owner, Wanted { account, market, lines, cart, brought }).await
}
