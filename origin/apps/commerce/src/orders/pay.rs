//! `POST /v1/shop/orders/{id}/payment`: a payment is written down before the gateway is asked, and asked for under a key of
//! its own, so that whoever finds it asks for the same.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use sluice_platform::once::{Answer, Asked};
use sluice_platform::{ApiError, Caller};
use sluice_service::crash;
use utoipa::ToSchema;

use super::Key;
use super::book::state_of;
use super::machine;
use super::show::Order;
use super::till::Step;
use crate::Shop;
use crate::catalog::invalid;
use crate::ids::OrderId;

/// What is paid with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pay {
    /// The gateway's token for it, such as `pm_card_visa`. No card's number is taken.
    method: String,
}

/// Pays an order. It is paid once, however often this is asked: an order that is past it is answered as it is. With an
/// `Idempotency-Key` the answer is the one that was given first, 202 as well: what became of the order since is asked for there.
#[utoipa::path(post, path = "/v1/shop/orders/{id}/payment", tag = "orders", request_body = Pay,
    params(("id" = String, Path, description = "an order")), responses(
    (status = 200, body = Order, description = "how it ended: `confirmed`, `released` (refused), `refunded`, `canceled`"),
    (status = 202, body = Order, description = "not known yet: it is taken to its end without being asked again"),
    (status = 401), (status = 404),
    (status = 409, description = "its time is over, it was canceled, or a request with this key is under way"), (status = 422),
))]
pub(crate) async fn pay(
    State(shop): State<Shop>,
    Path(id): Path<OrderId>,
    caller: Caller,
    asked: Asked<Pay>,
) -> Result<Response, ApiError> {
    let (key, method) = ((caller.account.as_i64(), id.as_i64()), asked.body.method.clone());
    if !is_token(&method) {
        return Err(invalid("method: a token of the gateway's, pm_ and letters; never a card's number"));
    }
    // A payment is several transactions with the gateway between them, so its answer cannot be kept with what it tells of. It is
    // kept after it, with those of others. A process that ends before that loses no more than the answer: the order has one
    // payment, under one key at the gateway, and whoever asks again is told how it stands.
    shop.afterwards.answer(&asked, &caller.owner(), paid(&shop, key, method)).await
}

/// Pays an order that waits for it, and says how it stands.
async fn paid(shop: &Shop, key: Key, method: String) -> Result<Answer, ApiError> {
    let mut at = shop.step(key, Step::Pay { method }).await?;
    if at.stepped {
        crash::point("shop-before-charge");
        shop.drive(&mut at).await?;
    }
    let order = match state_of(&at.row)? {
        machine::State::Confirmed if !at.lines.is_empty() => Order::of(at.row, at.lines)?,
        _ => shop.order(key).await?,
    };
    let moving = machine::State::parse(order.state()).is_some_and(machine::State::is_moving);
    let status = if moving { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok(Answer { status, body: order.and(&at.raised) })
}

/// True for what gateways call a means of payment. What could be a card's number is refused before it is kept anywhere.
fn is_token(method: &str) -> bool {
    let digits = method.bytes().fold((0, 0), |(run, most), c| {
        let run = if c.is_ascii_digit() { run + 1 } else { 0 };
        (run, most.max(run))
    });
    method.len() <= 100
        && method.starts_with("pm_")
        && method.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
        && digits.1 < 12
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_taken_and_card_numbers_are_not() {
        assert!(is_token("pm_card_visa") && is_token("pm_1MqLiJLkdIwHu7ixUEgbFdYF"));
        for bad in ["", "pm_4242424242424242", "4242424242424242", "pm_4242-4242", "card_visa", "pm_\n"] {
            assert!(!is_token(bad), "{bad}");
        }
    }
}
