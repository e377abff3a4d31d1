//! `POST /v1/shop/orders`: an order and the stock that it holds, in one transaction.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use sluice_platform::once::{Answer, Asked};
use sluice_platform::{ApiError, Caller};
use sluice_storage::Tx;
use sluice_storage::rows::sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use sluice_storage::rows::{from_json, signed};
use sluice_wire::EventKind;
use utoipa::ToSchema;

use super::machine;
use super::show::Order;
use crate::carts::{self, Line, tidy, whose};
use crate::catalog::invalid;
use crate::ids::{OrderId, VariantId};
use crate::raised::{self, Raised};
use crate::rows::{line, order, product, variant};
use crate::stock::{Move, shift};
use crate::{Shop, ledger};

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
#[utoipa::path(post, path = "/v1/shop/orders", tag = "orders", request_body = NewOrder, responses(
    (status = 201, body = Order), (status = 401), (status = 404, description = "no such market or variant"),
    (status = 409, description = "sold out: nothing of the order is kept"), (status = 422),
))]
pub(crate) async fn place(
    State(shop): State<Shop>,
    caller: Caller,
    asked: Asked<NewOrder>,
) -> Result<Response, ApiError> {
    let (new, owner, caller) = (&asked.body, caller.owner(), &caller);
    let cart = new.cart.as_deref().map(|name| whose(name, Some(caller))).transpose()?;
    if cart.is_some() != new.lines.is_empty() {
        return Err(invalid("lines or cart: one of them"));
    }
    shop.market(&new.market)?;
    let (shop, cart) = (&shop, &cart);
    shop.once
        .write(&asked, &owner, &|tx| {
            Box::pin(async move {
                let wanted = match cart {
                    Some(cart) => tidy(&carts::take(tx, cart).await?)?,
                    None => tidy(&new.lines)?,
                };
                if wanted.is_empty() {
                    return Err(invalid("cart: it is empty"));
                }
                let mut raised = Raised::default();
                let id: OrderId = tx.ids().make();
                let lines = priced(tx, (caller, id), &new.market, &wanted).await?;
                for line in &lines {
                    reserve(tx, &mut raised, line).await?;
                }
                let row = order(shop, tx, new, &lines)?;
                order::Entity::insert(order::ActiveModel::from(row.clone()))
                    .exec_without_returning(tx.conn())
                    .await?;
                let rows = lines.iter().cloned().map(line::ActiveModel::from);
                line::Entity::insert_many(rows).exec_without_returning(tx.conn()).await?;
                let live = json!({ "state": row.state });
                raised.emit(tx, &raised::order(id), EventKind::Created, live).await?;
                Ok(Answer::created(Order::of(row, lines)?.and(&raised)))
            })
        })
        .await
}

/// The lines at the prices that hold now.
async fn priced(
    tx: &Tx<'_>,
    (caller, order): (&Caller, OrderId),
    market: &str,
    wanted: &[Line],
) -> Result<Vec<line::Model>, ApiError> {
    let ids = wanted.iter().map(|line| line.variant.as_i64());
    let variants = variant::Entity::find().filter(variant::Column::Id.is_in(ids)).all(tx.conn()).await?;
    let ids = variants.iter().map(|variant| variant.product);
    let sold = product::Entity::find().filter(product::Column::Id.is_in(ids)).all(tx.conn()).await?;
    let priced = |wanted: &Line| {
        let missing = |id: VariantId| ApiError::not_found(format!("variant {id} is not sold in {market}"));
        let found = variants.iter().find(|row| row.id == wanted.variant.as_i64());
        let found =
            found.filter(|row| sold.iter().any(|product| product.id == row.product && product.active));
        let found = found.ok_or_else(|| missing(wanted.variant))?;
        let prices: BTreeMap<String, i64> = from_json("shop_variants.prices", &found.prices)?;
        Ok(line::Model {
            account: caller.account.as_i64(),
            order_id: order.as_i64(),
            variant: found.id,
            sku: found.sku.clone(),
            title: found.title.clone(),
            quantity: wanted.quantity,
            price: *prices.get(market).ok_or_else(|| missing(wanted.variant))?,
        })
    };
    wanted.iter().map(priced).collect()
}

/// Takes a line's stock off sale. A shortage is an error, and nothing of the order is kept.
async fn reserve(tx: &Tx<'_>, raised: &mut Raised, line: &line::Model) -> Result<(), ApiError> {
    let units = (line.variant, line.quantity);
    if shift(tx, raised, Move::Reserve, units, Some(line.order_id)).await?.is_some() {
        return Ok(());
    }
    let detail = format!("there are no {} of {:?} left", line.quantity, line.sku);
    Err(ApiError::new(409, "sold-out", "Sold out", detail))
}

fn order(shop: &Shop, tx: &Tx<'_>, new: &NewOrder, lines: &[line::Model]) -> Result<order::Model, ApiError> {
    let market = shop.market(&new.market)?;
    let total: i64 = lines.iter().map(|line| line.price * line.quantity).sum();
    let first = lines.first().expect("an order has a line");
    Ok(order::Model {
        account: first.account,
        id: first.order_id,
        market: new.market.clone(),
        currency: market.currency.clone(),
        total,
        tax: ledger::tax_within(total, market.tax_bp),
        state: machine::State::Reserved.as_str().to_owned(),
        held: true,
        until_ms: Some(signed(tx.now_ms() + shop.config.reserve_ms)),
        due_ms: None,
        created_ms: signed(tx.now_ms()),
        changed_ms: signed(tx.now_ms()),
    })
}
