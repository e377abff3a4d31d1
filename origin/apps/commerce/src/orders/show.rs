//! Orders, as their buyers see them.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{self, Path, Query};
use axum::response::Response;
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use sluice_platform::once::{Answer, Asked};
use sluice_platform::{ApiError, Caller, Page};
use sluice_storage::StorageError;
use sluice_storage::rows::sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use utoipa::ToSchema;

use super::Key;
use super::book::of_these;
use super::machine::State;
use crate::ids::{self, OrderId, VariantId};
use crate::parcels::{self, Parcel};
use crate::raised::{self, Raised};
use crate::rows::{line, order, reason};
use crate::{Shop, private};

/// Says of an answer that it was given before.
const REPLAYED: &str = "idempotency-replayed";

/// An order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Order {
    #[schema(value_type = String)]
    id: OrderId,
    /// `reserved`, `paying`, `paid`, `confirmed`, `failed`, `released`, `refunding`, `refunded` or `canceled`.
    state: String,
    /// Why it ended without a sale: `expired` (not paid in time), `declined`, `buyer` (canceled by its buyer), `gateway` (which did
    /// not say for too long) or `sold-out` (when the money came).
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
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
    /// What of it was sent, the oldest first; in the answer about one order alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parcels: Vec<Parcel>,
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
            reason: None,
            market: row.market,
            currency: row.currency,
            total: row.total,
            tax: row.tax,
            held_until_ms: row.until_ms,
            created_ms: row.created_ms,
            changed_ms: row.changed_ms,
            lines: lines.into_iter().map(line).collect::<Result<_, _>>()?,
            parcels: vec![],
        })
    }

    /// With why it ended without a sale.
    pub(super) fn because(self, reason: Option<String>) -> Self {
        Self { reason, ..self }
    }

    /// With what of it was sent.
    fn sent(self, parcels: Vec<Parcel>) -> Self {
        Self { parcels, ..self }
    }

    /// Whether there is a reason to be told.
    fn is_unsold(&self) -> bool {
        State::parse(&self.state).is_some_and(State::is_unsold)
    }

    /// Its state's name.
    pub(super) fn state(&self) -> &str {
        &self.state
    }

    /// Its document with the versions that a write made.
    pub(super) fn and(&self, raised: &Raised) -> Value {
        let mut document = json!(self);
        document["versions"] = raised.text().into();
        document
    }
}

impl Shop {
    /// An order with its lines: two statements, and one more where it ended: why there was no sale, or what was sent. Another's is
    /// not there.
    pub(super) async fn order(&self, key: Key) -> Result<Order, ApiError> {
        let reader = self.storage.database.reader();
        let row = self.order_row(key).await?;
        let lines = line::Entity::find()
            .filter(line::Column::Account.eq(key.0))
            .filter(line::Column::OrderId.eq(key.1))
            .order_by_asc(line::Column::Variant)
            .all(reader)
            .await?;
        let order = Order::of(row, lines)?;
        if order.state == State::Confirmed.as_str() {
            return Ok(order.sent(parcels::of_order(reader, key).await?));
        }
        let why = if order.is_unsold() { reasons(reader, &[key]).await?.remove(&key) } else { None };
        Ok(order.because(why))
    }

    /// An order's row.
    pub(super) async fn order_row(&self, key: Key) -> Result<order::Model, ApiError> {
        let row = order::Entity::find_by_id(key).one(self.storage.database.reader()).await?;
        row.ok_or_else(|| ApiError::not_found("no such order of yours"))
    }
}

/// Why orders ended without a sale, of those that did.
pub(super) async fn reasons(
    conn: &impl ConnectionTrait,
    keys: &[Key],
) -> Result<BTreeMap<Key, String>, StorageError> {
    if keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    let these = of_these(keys, reason::Column::Account, reason::Column::OrderId);
    let rows = reason::Entity::find().filter(these).all(conn).await?;
    Ok(rows.into_iter().map(|row| ((row.account, row.order_id), row.reason)).collect())
}

/// The caller's orders, the newest first, without their lines.
#[utoipa::path(get, path = "/v1/shop/orders", tag = "orders", params(
    ("after" = Option<String>, Query, description = "the last order of the page before"),
    ("limit" = Option<u64>, Query, description = "1 to 100, 24 unless asked"),
), responses((status = 200, body = OrderPage), (status = 401)))]
pub(crate) async fn list(
    extract::State(shop): extract::State<Shop>,
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
    let key = |order: &Order| (caller.account.as_i64(), order.id.as_i64());
    let unsold: Vec<Key> = orders.iter().filter(|order| order.is_unsold()).map(key).collect();
    let mut why = reasons(shop.storage.database.reader(), &unsold).await?;
    let orders: Vec<Order> = orders
        .into_iter()
        .map(|order| {
            let why = why.remove(&key(&order));
            order.because(why)
        })
        .collect();
    let next = more.then(|| orders.last().map(|last| last.id)).flatten();
    Ok(private(Json(OrderPage { orders, next })))
}

/// An order of the caller's.
#[utoipa::path(get, path = "/v1/shop/orders/{id}", tag = "orders",
    params(("id" = String, Path, description = "an order")),
    responses((status = 200, body = Order), (status = 401), (status = 404)))]
pub(crate) async fn one(
    extract::State(shop): extract::State<Shop>,
    Path(id): Path<OrderId>,
    caller: Caller,
) -> Result<Response, ApiError> {
    Ok(private(Json(shop.order((caller.account.as_i64(), id.as_i64())).await?)))
}

/// A token with which the caller hears each change of an order and of its parcels, on the channel `order:ID`. With an `Idempotency-Key` the channel
/// is the same, and the token one that is good from now on.
#[utoipa::path(post, path = "/v1/shop/orders/{id}/channel", tag = "orders",
    params(("id" = String, Path, description = "an order")),
    responses((status = 200), (status = 401), (status = 404), (status = 409), (status = 422)))]
pub(crate) async fn channel(
    extract::State(shop): extract::State<Shop>,
    Path(id): Path<OrderId>,
    caller: Caller,
    asked: Asked<IgnoredAny>,
) -> Result<Response, ApiError> {
    shop.order_row((caller.account.as_i64(), id.as_i64())).await?;
    let (channel, owner) = (&raised::order(id).as_str().to_owned(), caller.owner());
    let mut replayed = None;
    if asked.key.is_some() {
        // What is kept is the channel: a token is good for minutes, its answer would be kept for a day.
        let named = shop
            .once
            .write(&asked, &owner, &|_| {
                Box::pin(async move { Ok(Answer::ok(json!({ "channel": channel }))) })
            })
            .await?;
        replayed = named.headers().get(REPLAYED).cloned();
    }
    let token = shop.accounts.channels(&caller, vec![channel.clone()]);
    let mut answer = private(Json(json!({ "channel": channel, "token": token })));
    if let Some(replayed) = replayed {
        answer.headers_mut().insert(REPLAYED, replayed);
    }
    Ok(answer)
}
