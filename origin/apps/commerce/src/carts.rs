//! Carts: an account's own (`mine`), or one that whoever has its name may fill.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sluice_platform::once::{Answer, Asked};
use sluice_platform::{ApiError, Caller};
use sluice_storage::rows::sea_orm::sea_query::OnConflict;
use sluice_storage::rows::sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use sluice_storage::rows::{from_json, signed, to_json};
use sluice_storage::{StorageError, Tx};
use utoipa::ToSchema;

use crate::catalog::invalid;
use crate::ids::VariantId;
use crate::rows::cart;
use crate::{Shop, private};

/// Lines of a cart and of an order.
pub(crate) const MAX_LINES: usize = 50;
/// Units of a line: more are a matter for a talk.
pub(crate) const MAX_QUANTITY: i64 = 1_000;
/// How long a cart that nobody touches is kept: a month.
const KEPT_MS: u64 = 30 * 24 * 3_600_000;
/// Bytes of chance in a cart's name.
const NAME: usize = 16;

/// So many of a variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    #[schema(value_type = String)]
    pub(crate) variant: VariantId,
    /// From 1 to 1000.
    pub(crate) quantity: i64,
}

/// A cart.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cart {
    pub(crate) lines: Vec<Line>,
}

/// Whose cart a name means: `mine` needs an account, another is 32 hexadecimal digits.
pub(crate) fn whose(name: &str, caller: Option<&Caller>) -> Result<String, ApiError> {
    if name == "mine" {
        let signed_out =
            || ApiError::new(401, "unauthorised", "Not signed in", "sign in to have a cart of your own");
        return caller.map(Caller::owner).ok_or_else(signed_out);
    }
    let good = name.len() == 2 * NAME && name.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    if good { Ok(name.to_owned()) } else { Err(ApiError::not_found("no such cart")) }
}

/// Lines as they may be: known quantities, each variant once, in order.
pub(crate) fn tidy(lines: &[Line]) -> Result<Vec<Line>, ApiError> {
    let fine = lines.iter().all(|line| (1..=MAX_QUANTITY).contains(&line.quantity));
    if lines.len() > MAX_LINES || !fine {
        return Err(invalid("lines: at most 50, each of 1 to 1000"));
    }
    let mut sums = BTreeMap::new();
    lines.iter().for_each(|line| *sums.entry(line.variant).or_insert(0) += line.quantity);
    Ok(sums.into_iter().map(|(variant, quantity)| Line { variant, quantity }).collect())
}

/// Names a cart for who has no account. Who knows the name has the cart. An `Idempotency-Key` counts with an account.
#[utoipa::path(post, path = "/v1/shop/carts", tag = "carts", responses((status = 201), (status = 401), (status = 409), (status = 422)))]
pub(crate) async fn create(
    State(shop): State<Shop>,
    caller: Option<Caller>,
    asked: Asked<IgnoredAny>,
) -> Result<Response, ApiError> {
    let name: [u8; NAME] = rand::random();
    let answer = &Answer::created(json!({ "cart": hex::encode(name) }));
    // Keys of nobody would be everybody's: who guesses one would be given another's cart. Nothing is kept of a name, so that a
    // second one is as good.
    let Some(caller) = caller.filter(|_| asked.key.is_some()) else {
        return Ok(answer.clone().into_response());
    };
    let owner = caller.owner();
    shop.once.write(&asked, &owner, &|_| Box::pin(async move { Ok(answer.clone()) })).await
}

/// What is in a cart.
#[utoipa::path(get, path = "/v1/shop/carts/{cart}", tag = "carts",
    params(("cart" = String, Path, description = "`mine`, or a name")),
    responses((status = 200, body = Cart), (status = 401), (status = 404)))]
pub(crate) async fn show(
    State(shop): State<Shop>,
    Path(name): Path<String>,
    caller: Option<Caller>,
) -> Result<Response, ApiError> {
    let id = whose(&name, caller.as_ref())?;
    let row = cart::Entity::find_by_id(id).one(shop.storage.database.reader()).await?;
    let lines = row.map(|row| from_json("shop_carts.lines", &row.lines)).transpose()?.unwrap_or_default();
    Ok(private(Json(Cart { lines })))
}

/// Says what is in a cart.
#[utoipa::path(put, path = "/v1/shop/carts/{cart}", tag = "carts", request_body = Cart,
    params(("cart" = String, Path, description = "`mine`, or a name")),
    responses((status = 200, body = Cart), (status = 401), (status = 404), (status = 422)))]
pub(crate) async fn put(
    State(shop): State<Shop>,
    Path(name): Path<String>,
    caller: Option<Caller>,
    asked: Asked<Cart>,
) -> Result<Answer, ApiError> {
    let (id, lines) = (&whose(&name, caller.as_ref())?, &tidy(&asked.body.lines)?);
    let put = shop.storage.database.write::<_, StorageError, _>(|tx| Box::pin(keep(tx, id, lines)));
    put.await?;
    Ok(Answer::ok(json!({ "lines": lines })))
}

async fn keep(tx: &Tx<'_>, id: &str, lines: &[Line]) -> Result<(), StorageError> {
    let row = cart::ActiveModel {
        id: Set(id.to_owned()),
        lines: Set(to_json(&lines)?),
        changed_ms: Set(signed(tx.now_ms())),
    };
    let again = OnConflict::column(cart::Column::Id)
        .update_columns([cart::Column::Lines, cart::Column::ChangedMs])
        .to_owned();
    cart::Entity::insert(row).on_conflict(again).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// What is in some carts, for orders. One that is not there is empty.
pub(crate) async fn read(tx: &Tx<'_>, ids: &[&str]) -> Result<BTreeMap<String, Vec<Line>>, StorageError> {
    let rows =
        cart::Entity::find().filter(cart::Column::Id.is_in(ids.iter().copied())).all(tx.conn()).await?;
    rows.into_iter().map(|row| Ok((row.id, from_json("shop_carts.lines", &row.lines)?))).collect()
}

/// Empties carts that became orders.
pub(crate) async fn empty(tx: &Tx<'_>, ids: &[&str]) -> Result<(), StorageError> {
    let these = cart::Column::Id.is_in(ids.iter().copied());
    cart::Entity::delete_many().filter(these).exec(tx.conn()).await?;
    Ok(())
}

/// Forgets carts that nobody touched for long.
pub(crate) async fn forget(shop: &Shop) -> Result<(), StorageError> {
    let forget = shop.storage.database.write::<_, StorageError, _>(|tx| {
        Box::pin(async move {
            let old = cart::Column::ChangedMs.lt(signed(tx.now_ms().saturating_sub(KEPT_MS)));
            cart::Entity::delete_many().filter(old).exec(tx.conn()).await?;
            Ok(())
        })
    });
    forget.await
}
