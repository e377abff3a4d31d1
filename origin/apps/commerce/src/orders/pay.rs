//! `POST /v1/shop/orders/{id}/payment`: a payment is written down before the gateway is asked, and asked for under a key of
//! its own, so that whoever finds it asks for the same.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use sluice_platform::once::{Answer, Asked};
use sluice_platform::{ApiError, Caller};
use sluice_service::crash;
use sluice_storage::Tx;
use sluice_storage::rows::sea_orm::{ActiveValue::Set, EntityTrait};
use sluice_storage::rows::signed;
use utoipa::ToSchema;

use super::Key;
use super::machine::{self, Happened, change};
use super::show::Order;
use super::turn::{state_of, store};
use crate::Shop;
use crate::catalog::invalid;
use crate::config::Config;
use crate::ids::{OrderId, PaymentId};
use crate::raised::Raised;
use crate::rows::{order, payment};

/// What is paid with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pay {
    /// The gateway's token for it, such as `pm_card_visa`. No card's number is taken.
    method: String,
}

/// Pays an order. It is paid once, however often this is asked: an order that is past it is answered as it is.
#[utoipa::path(post, path = "/v1/shop/orders/{id}/payment", tag = "orders", request_body = Pay,
    params(("id" = String, Path, description = "an order")), responses(
    (status = 200, body = Order, description = "how it ended: `confirmed`, `released` (refused), `refunded`"),
    (status = 202, body = Order, description = "not known yet: it is taken to its end without being asked again"),
    (status = 401), (status = 404), (status = 409, description = "its time is over"), (status = 422),
))]
pub(crate) async fn pay(
    State(shop): State<Shop>,
    Path(id): Path<OrderId>,
    caller: Caller,
    asked: Asked<Pay>,
) -> Result<Response, ApiError> {
    let (key, method) = ((caller.account.as_i64(), id.as_i64()), &asked.body.method);
    if !is_token(method) {
        return Err(invalid("method: a token of the gateway's, pm_ and letters; never a card's number"));
    }
    let config = &shop.config;
    let begun =
        shop.storage.database.write::<_, ApiError, _>(|tx| Box::pin(begin(tx, config, key, method))).await?;
    let mut raised = Raised::default();
    if let Some(begun) = begun {
        crash::point("shop-before-charge");
        raised.and(begun);
        raised.and(shop.drive(key).await?);
    }
    let order = shop.order(key).await?;
    let moving = machine::State::parse(order.state()).is_some_and(machine::State::is_moving);
    let status = if moving { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok(Answer { status, body: order.and(&raised) }.into_response())
}

/// Writes the payment down; `None` where there is one already.
async fn begin(tx: &Tx<'_>, config: &Config, key: Key, method: &str) -> Result<Option<Raised>, ApiError> {
    let row = order::Entity::find_by_id(key).one(tx.conn()).await?;
    let row = row.ok_or_else(|| ApiError::not_found("no such order of yours"))?;
    let over = row.until_ms.is_some_and(|until| until <= signed(tx.now_ms()));
    let made = change(state_of(&row)?, row.held, Happened::Pay).filter(|_| !over);
    let Some(made) = made else {
        let paid = payment::Entity::find_by_id(key).one(tx.conn()).await?.is_some();
        let late = || ApiError::new(409, "expired", "Expired", "the order's time is over: order again");
        return if paid { Ok(None) } else { Err(late()) };
    };
    let mut raised = Raised::default();
    if store(tx, &mut raised, config, &row, made).await?.is_none() {
        return Ok(None);
    }
    let new = payment::ActiveModel {
        account: Set(key.0),
        order_id: Set(key.1),
        id: Set(tx.ids().make::<PaymentId>().as_i64()),
        method: Set(method.to_owned()),
        intent: Set(None),
        created_ms: Set(signed(tx.now_ms())),
    };
    payment::Entity::insert(new).exec_without_returning(tx.conn()).await?;
    Ok(Some(raised))
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
