//! Orders, as their buyers see them.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};
use sluice_platform::cache::{self, Lifetime};
use sluice_platform::{ApiError, Caller, Page};
use sluice_storage::rows::sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use utoipa::ToSchema;

use super::Key;
use crate::Shop;
use crate::ids::{self, OrderId, VariantId};
use crate::raised::{self, Raised};
use crate::rows::{line, order};

/// An order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Order {
    #[schema(value_type = String)]
    id: OrderId,
    /// `reserved`, `paying`, `paid`, `confirmed`, `failed`, `released`, `refunding` or `refunded`.
    state: String,
    market: String,
    /// ISO 4217.
    currency: String,
    /// Minor units, with the tax.
    total: i64,
    /// The tax within it.
    tax: i64,
    /// Until when its stock is held, in Unix milliseconds; absent where it is held for good, or not at all.
    held_until_ms: Option<i64>,
    created_ms: i64,
    changed_ms: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<OrderLine>,
}

/// A line of an order, as things were when it was placed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrderLine {
    #[schema(value_type = String)]
    variant: VariantId,
    sku: String,
    title: String,
    quantity: i64,
    /// Minor units of one.
    price: i64,
}

/// A page of orders.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrderPage {
    orders: Vec<Order>,
    /// What to ask for as `after`; absent on the last page.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<OrderId>,
}

impl Order {
    pub(super) fn of(row: order::Model, lines: Vec<line::Model>) -> Result<Self, ApiError> {
        let line = |row: line::Model| {
            let line::Model { sku, title, quantity, price, .. } = row;
            let variant = ids::of_column("shop_order_lines.variant", row.variant)?;
            Ok::<_, ApiError>(OrderLine { variant, sku, title, quantity, price })
        };
        Ok(Self {
            id: ids::of_column("shop_orders.id", row.id)?,
            state: row.state,
            market: row.market,
            currency: row.currency,
            total: row.total,
            tax: row.tax,
            held_until_ms: row.until_ms,
            created_ms: row.created_ms,
            changed_ms: row.changed_ms,
            lines: lines.into_iter().map(line).collect::<Result<_, _>>()?,
        })
    }

    /// Its state's name.
    pub(super) fn state(&self) -> &str {
        &self.state
    }

    /// Its document with the versions that a write made.
    pub(super) fn and(&self, raised: &Raised) -> Value {
        let mut document = json!(self);
        document["versions"] = raised.json();
        document
    }
}

impl Shop {
    /// An order with its lines: two statements. Another's is not there.
    pub(super) async fn order(&self, key: Key) -> Result<Order, ApiError> {
        let reader = self.storage.database.reader();
        let row = self.order_row(key).await?;
        let lines = line::Entity::find()
            .filter(line::Column::Account.eq(key.0))
            .filter(line::Column::OrderId.eq(key.1))
            .order_by_asc(line::Column::Variant)
            .all(reader)
            .await?;
        Order::of(row, lines)
    }

    /// An order's row.
    pub(super) async fn order_row(&self, key: Key) -> Result<order::Model, ApiError> {
        let row = order::Entity::find_by_id(key).one(self.storage.database.reader()).await?;
        row.ok_or_else(|| ApiError::not_found("no such order of yours"))
    }
}

/// The caller's orders, the newest first, without their lines.
#[utoipa::path(get, path = "/v1/shop/orders", tag = "orders", params(
    ("after" = Option<String>, Query, description = "the last order of the page before"),
    ("limit" = Option<u64>, Query, description = "1 to 100, 24 unless asked"),
), responses((status = 200, body = OrderPage), (status = 401)))]
pub(crate) async fn list(
    State(shop): State<Shop>,
    Query(page): Query<Page>,
    caller: Caller,
) -> Result<Response, ApiError> {
    let after = page.after.as_deref().map(str::parse::<OrderId>).transpose();
    let after = after.map_err(|_| ApiError::bad_request("after: the id of an order"))?;
    let mut query = order::Entity::find().filter(order::Column::Account.eq(caller.account.as_i64()));
    if let Some(after) = after {
        query = query.filter(order::Column::Id.lt(after.as_i64()));
    }
    let query = query.order_by_desc(order::Column::Id).limit(page.size() + 1);
    let mut rows = query.all(shop.storage.database.reader()).await?;
    let size = usize::try_from(page.size()).unwrap_or(usize::MAX);
    let more = rows.len() > size;
    rows.truncate(size);
    let orders: Vec<Order> = rows.into_iter().map(|row| Order::of(row, vec![])).collect::<Result<_, _>>()?;
    let next = more.then(|| orders.last().map(|last| last.id)).flatten();
    Ok(private(Json(OrderPage { orders, next })))
}

/// An order of the caller's.
#[utoipa::path(get, path = "/v1/shop/orders/{id}", tag = "orders",
    params(("id" = String, Path, description = "an order")),
    responses((status = 200, body = Order), (status = 401), (status = 404)))]
pub(crate) async fn one(
    State(shop): State<Shop>,
    Path(id): Path<OrderId>,
    caller: Caller,
) -> Result<Response, ApiError> {
    Ok(private(Json(shop.order((caller.account.as_i64(), id.as_i64())).await?)))
}

/// A token with which the caller hears each change of an order, on the channel `order:ID`.
#[utoipa::path(post, path = "/v1/shop/orders/{id}/channel", tag = "orders",
    params(("id" = String, Path, description = "an order")),
    responses((status = 200), (status = 401), (status = 404)))]
pub(crate) async fn channel(
    State(shop): State<Shop>,
    Path(id): Path<OrderId>,
    caller: Caller,
) -> Result<Response, ApiError> {
    shop.order_row((caller.account.as_i64(), id.as_i64())).await?;
    let channel = raised::order(id).as_str().to_owned();
    let token = shop.accounts.channels(&caller, vec![channel.clone()]);
    Ok(private(Json(json!({ "channel": channel, "token": token }))))
}

fn private(answer: impl IntoResponse) -> Response {
    let mut answer = answer.into_response();
    cache::lifetime(answer.headers_mut(), Lifetime::Never);
    answer
}
