//! Waiting rooms in front of stocks: administrators open them, edges hold the crowd (see [`sluice_platform::rooms`]).

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sluice_platform::once::{Answer, Asked};
use sluice_platform::rooms::Opening;
use sluice_platform::{ApiError, Caller};
use sluice_storage::rows::sea_orm::EntityTrait;
use sluice_storage::{Act, Who};
use sluice_wire::room::Guard;
use utoipa::ToSchema;

use crate::catalog::invalid;
use crate::ids::VariantId;
use crate::rows::stock;
use crate::{Shop, private};

/// What a room guards a variant's orders at.
const ORDERS: &str = "/v1/shop/orders";
/// The most units that one admission is for.
const MAX_EACH: i64 = 100;
/// The most admissions in a second.
const MAX_RATE: i64 = 10_000;
/// How long an admission may be good, in milliseconds.
const HOLD_MS: std::ops::RangeInclusive<u64> = 1_000..=600_000;

/// The name of the room in front of a variant.
pub(crate) fn name(variant: VariantId) -> String {
    format!("shop.{variant}")
}

/// How a room is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NewRoom {
    /// Units that one admission may take: 1 to 100.
    each: i64,
    /// Admissions in a second, on all edges together: 1 to 10000.
    rate: i64,
    /// Milliseconds for which an admission is good: 1000 to 600000. Not used until then, its unit is the next one's.
    hold_ms: u64,
}

impl Default for NewRoom {
    fn default() -> Self {
        Self { each: 1, rate: 50, hold_ms: 60_000 }
    }
}

impl NewRoom {
    fn check(&self) -> Result<(), ApiError> {
        let checks = [
            ((1..=MAX_EACH).contains(&self.each), "each: from 1 to 100"),
            ((1..=MAX_RATE).contains(&self.rate), "rate: from 1 to 10000"),
            (HOLD_MS.contains(&self.hold_ms), "hold_ms: from 1000 to 600000"),
        ];
        checks.iter().find(|(good, _)| !good).map_or(Ok(()), |(_, why)| Err(invalid(why)))
    }
}

/// A room.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Room {
    /// What clients ask edges for: tickets are at `/v1/rooms/NAME/tickets`.
    name: String,
    open: bool,
    each: i64,
    rate: i64,
    hold_ms: i64,
    /// Admissions that are good and not used yet.
    outstanding: u64,
    /// Admissions that became orders since it was opened.
    used: u64,
}

/// A variant's waiting room.
#[utoipa::path(get, path = "/v1/shop/rooms/{variant}", tag = "rooms",
    params(("variant" = String, Path, description = "a variant")),
    responses((status = 200, body = Room), (status = 401), (status = 403), (status = 404)))]
pub(crate) async fn show(
    State(shop): State<Shop>,
    Path(variant): Path<VariantId>,
    caller: Caller,
) -> Result<Response, ApiError> {
    caller.needs("admin")?;
    let (room, counts) = shop.rooms.show(&name(variant)).await?;
    let body = Room {
        name: room.name,
        open: room.open,
        each: room.each,
        rate: room.rate,
        hold_ms: room.hold_ms,
        outstanding: counts.outstanding,
        used: counts.used,
    };
    Ok(private(Json(body)))
}

/// Opens a waiting room in front of a variant: from now on an order of it needs an admission, which edges give to those whose
/// turn it is. Open already, it goes on as it is said now, with the line as it is.
#[utoipa::path(put, path = "/v1/shop/rooms/{variant}", tag = "rooms", request_body = NewRoom,
    params(("variant" = String, Path, description = "a variant")),
    responses((status = 200), (status = 401), (status = 403), (status = 404), (status = 409, description = "too many are open"),
        (status = 422)))]
pub(crate) async fn open(
    State(shop): State<Shop>,
    Path(variant): Path<VariantId>,
    caller: Caller,
    asked: Asked<NewRoom>,
) -> Result<Response, ApiError> {
    caller.needs("admin")?;
    let (new, owner) = (&asked.body, caller.owner());
    new.check()?;
    let guard = Guard { path: ORDERS.to_owned(), word: variant.to_string() };
    let opening = &Opening { guard, each: new.each, rate: new.rate, hold_ms: new.hold_ms };
    let (who, audit) = (&Who { name: caller.name.clone(), role: "admin" }, &shop.storage.audit());
    let (rooms, name) = (&shop.rooms, &name(variant));
    shop.once
        .write(&asked, &owner, &|tx| {
            Box::pin(async move {
                let row = stock::Entity::find_by_id(variant.as_i64()).one(tx.conn()).await?;
                let row = row.ok_or_else(|| ApiError::not_found(format!("no variant {variant}")))?;
                let version = rooms.open(tx, name, opening, row.available).await?;
                let after = Some(json!({ "each": opening.each, "rate": opening.rate }));
                let act = Act { action: "open-room", subject: variant.to_string(), before: None, after };
                audit.record(tx, who, &act).await?;
                let tickets = format!("/v1/rooms/{name}/tickets");
                let versions = format!("room:{name}={version}");
                Ok(Answer::ok(json!({ "name": name, "tickets": tickets, "versions": versions })))
            })
        })
        .await
}

/// Closes a variant's waiting room: orders need no admission any more.
#[utoipa::path(delete, path = "/v1/shop/rooms/{variant}", tag = "rooms",
    params(("variant" = String, Path, description = "a variant")),
    responses((status = 200), (status = 401), (status = 403), (status = 404)))]
pub(crate) async fn close(
    State(shop): State<Shop>,
    Path(variant): Path<VariantId>,
    caller: Caller,
) -> Result<Response, ApiError> {
    caller.needs("admin")?;
    let (who, audit) = (&Who { name: caller.name.clone(), role: "admin" }, &shop.storage.audit());
    let (rooms, name) = (&shop.rooms, &name(variant));
    let closed = shop.storage.database.write::<_, ApiError, _>(move |tx| {
        Box::pin(async move {
            let version = rooms.close(tx, name).await?;
            if version.is_some() {
                let subject = variant.to_string();
                let act = Act { action: "close-room", subject, before: None, after: None };
                audit.record(tx, who, &act).await?;
            }
            Ok(version)
        })
    });
    let versions = closed.await?.map(|version| format!("room:{name}={version}"));
    Ok(Answer::ok(json!({ "name": name, "versions": versions.unwrap_or_default() })).into_response())
}
