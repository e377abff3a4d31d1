//! `POST /v1/shop/orders/{id}/parcels`: an administrator makes a parcel of what is left of an order, out of what is on a place's
//! shelf.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use sluice_platform::once::{Answer, Asked};
use sluice_platform::{ApiError, Caller};
use sluice_storage::rows::sea_orm::EntityTrait;
use sluice_storage::rows::signed;
use sluice_storage::{Tx, Who};
use utoipa::ToSchema;

use super::machine::ParcelState;
use super::show::{Parcel, ParcelMove, left, of_order, ordered};
use super::{or_unsold, told, turn};
use crate::Shop;
use crate::carts::{Line, tidy};
use crate::catalog::invalid;
use crate::ids::{OrderId, VariantId};
use crate::places::{DEFAULT, shelves};
use crate::rows::parcel;

/// Parcels of an order, those that came back among them: they are told with it, without pages.
const MAX_PARCELS: usize = 50;
/// Characters of a carrier's name, and of a code.
const MAX_TEXT: usize = 100;

/// A parcel to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewParcel {
    /// The place that it leaves from; absent, the default one, `main`.
    #[schema(example = "north")]
    place: Option<String>,
    /// 1 to 100 characters.
    #[schema(example = "Parcel Post")]
    carrier: String,
    /// What its carrier knows it by: 1 to 100 characters.
    #[schema(example = "PP0123456789DE")]
    code: String,
    /// What is in it; absent or empty, all that is left of the order.
    #[serde(default)]
    lines: Vec<Line>,
}

impl NewParcel {
    fn check(&self) -> Result<(), ApiError> {
        let text =
            |text: &str| (1..=MAX_TEXT).contains(&text.chars().count()) && !text.contains(char::is_control);
        if !text(&self.carrier) {
            return Err(invalid("carrier: 1 to 100 characters"));
        }
        if text(&self.code) { Ok(()) } else { Err(invalid("code: 1 to 100 characters")) }
    }
}

/// Makes a parcel of an order that is `confirmed`: what is in it leaves its place's shelf. Whoever follows the order hears of it.
#[utoipa::path(post, path = "/v1/shop/orders/{id}/parcels", tag = "parcels", request_body = NewParcel,
    params(("id" = String, Path, description = "an order")), responses(
    (status = 201, body = Parcel), (status = 401), (status = 403), (status = 404, description = "no such order or place"),
    (status = 409, description = "the order is not sold; more than is left of it; the place has not so many; or it has 50 parcels"),
    (status = 422),
))]
pub(crate) async fn pack(
    State(shop): State<Shop>,
    Path(id): Path<OrderId>,
    caller: Caller,
    asked: Asked<NewParcel>,
) -> Result<Response, ApiError> {
    caller.needs("admin")?;
    let (shop, new, owner) = (&shop, &asked.body, caller.owner());
    new.check()?;
    let wanted: &[Line] = &tidy(&new.lines)?;
    let who = &Who { name: caller.name.clone(), role: "admin" };
    let done =
        shop.once.write(&asked, &owner, &|tx| Box::pin(packed(shop, tx, id, (new, wanted), who))).await;
    or_unsold(shop, id, done).await
}

async fn packed(
    shop: &Shop,
    tx: &Tx<'_>,
    id: OrderId,
    (new, wanted): (&NewParcel, &[Line]),
    who: &Who,
) -> Result<Answer, ApiError> {
    let row = turn(tx, id).await?;
    let key = (row.account, row.id);
    let (ordered, parcels) = (ordered(tx.conn(), key).await?, of_order(tx.conn(), key).await?);
    if parcels.len() >= MAX_PARCELS {
        let detail = format!("the order has {MAX_PARCELS} parcels already");
        return Err(ApiError::new(409, "too-many-parcels", "Too many parcels", detail));
    }
    let lines = goods(&left(&ordered, &parcels), wanted)?;
    let place = new.place.as_deref().unwrap_or(DEFAULT);
    shelves::take(tx, place, &lines).await?;
    let state = ParcelState::Packed;
    let parcel = Parcel {
        id: tx.ids().make(),
        state,
        place: place.to_owned(),
        carrier: new.carrier.clone(),
        code: new.code.clone(),
        lines,
        moves: vec![ParcelMove { state, at_ms: signed(tx.now_ms()) }],
    };
    let row = parcel::ActiveModel::from(parcel.row(key)?);
    parcel::Entity::insert(row).exec_without_returning(tx.conn()).await?;
    Ok(Answer::created(told(shop, tx, (id, &parcel), who, ("pack-parcel", None)).await?))
}

/// What goes into a parcel, at least a unit: what is wanted, or all that is left where nothing is named.
fn goods(left: &BTreeMap<VariantId, i64>, wanted: &[Line]) -> Result<Vec<Line>, ApiError> {
    let more = |detail: String| ApiError::new(409, "nothing-left", "Not so many are left to send", detail);
    if left.is_empty() {
        return Err(more("all of the order is sent".to_owned()));
    }
    if wanted.is_empty() {
        let all = left.iter().map(|(variant, quantity)| Line { variant: *variant, quantity: *quantity });
        return Ok(all.collect());
    }
    let of = |line: &Line| left.get(&line.variant).copied().unwrap_or_default();
    match wanted.iter().find(|line| of(line) < line.quantity) {
        None => Ok(wanted.to_vec()),
        Some(line) => {
            Err(more(format!("{} of {} are left, and not {}", of(line), line.variant, line.quantity)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_is_left_goes_into_a_parcel() {
        let variant = |n: u32| VariantId::from_parts(1_800_000_000_000, n);
        let line = |n: u32, quantity: i64| Line { variant: variant(n), quantity };
        let left = BTreeMap::from([(variant(1), 2), (variant(2), 1)]);
        assert_eq!(goods(&left, &[]).unwrap(), [line(1, 2), line(2, 1)]);
        assert_eq!(goods(&left, &[line(1, 2)]).unwrap(), [line(1, 2)]);
        for (left, wanted) in
            [(&left, vec![line(1, 3)]), (&left, vec![line(3, 1)]), (&BTreeMap::new(), vec![])]
        {
            assert_eq!(goods(left, &wanted).unwrap_err().0.status, 409, "{wanted:?}");
        }
    }
}
