//! Deliveries: what of a sold order left which place in which parcel, and where that is.
//!
//! - [`machine`]: where a parcel may go, a pure function
//! - `pack`: an administrator makes a parcel; `onward`: and says where it is; `show`: what was sent, and what is left
//!
//! Each change is one transaction, with what it takes off a shelf or puts back, and with an event of the order's tag: whoever
//! follows the order hears it. The order's row is written with each, so that changes of one order's parcels take turns; nothing else
//! writes an order that is sold.

mod machine;
mod onward;
mod pack;
mod show;

pub(crate) use onward::{__path_onward, onward};
pub(crate) use pack::{__path_pack, pack};
pub(crate) use show::{__path_list, Parcel, list, of_order};

use serde_json::{Value, json};
use sluice_platform::ApiError;
use sluice_storage::rows::sea_orm::sea_query::Expr;
use sluice_storage::rows::sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use sluice_storage::rows::signed;
use sluice_storage::{Act, Tx, Who};
use sluice_wire::EventKind;

use crate::Shop;
use crate::ids::OrderId;
use crate::raised::{self, Raised};
use crate::rows::order;
use crate::schema::SOLD;

/// Takes the turn of an order that is sold: one statement. Its row.
///
/// # Errors
/// 404 where no order with this id is sold; [`or_unsold`] says whether there is one at all.
async fn turn(tx: &Tx<'_>, id: OrderId) -> Result<order::Model, ApiError> {
    let rows = order::Entity::update_many()
        .col_expr(order::Column::ChangedMs, Expr::value(signed(tx.now_ms())))
        .filter(order::Column::Id.eq(id.as_i64()))
        .filter(Expr::cust(SOLD))
        .exec_with_returning(tx.conn())
        .await?;
    rows.into_iter().next().ok_or_else(|| absent(id))
}

fn absent(id: OrderId) -> ApiError {
    ApiError::not_found(format!("no order {id}"))
}

/// What was done; 409 `not-sold` where an order was not found among those that are sold, and is there. That costs a statement
/// where none was found.
async fn or_unsold<T>(shop: &Shop, id: OrderId, done: Result<T, ApiError>) -> Result<T, ApiError> {
    if !done.as_ref().is_err_and(|error| *error == absent(id)) {
        return done;
    }
    let versions = shop.storage.log().versions_of(&[raised::order(id)]).await?;
    if versions.iter().all(|(_, version)| version.0 == 0) {
        return done;
    }
    let detail = format!("the order {id} is not confirmed: only what is paid is sent");
    Err(ApiError::new(409, "not-sold", "Not sold", detail))
}

/// Tells of a parcel as it is now, and writes down who made it so: a statement beside the event's. Its document.
async fn told(
    shop: &Shop,
    tx: &Tx<'_>,
    (order, parcel): (OrderId, &Parcel),
    who: &Who,
    (action, before): (&'static str, Option<Value>),
) -> Result<Value, ApiError> {
    let mut raised = Raised::default();
    raised.emit_all(tx, [(raised::order(order), EventKind::Changed, json!({ "parcel": parcel }))]).await?;
    let after = Some(parcel.noted(order));
    let act = Act { action, subject: parcel.id.to_string(), before, after };
    shop.storage.audit().record(tx, who, &act).await?;
    let mut document = json!(parcel);
    document["versions"] = raised.text().into();
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orders::machine::State;

    #[test]
    fn what_is_sold_is_called_as_in_the_rows() {
        assert_eq!(SOLD, format!("state = '{}'", State::Confirmed.as_str()));
    }
}
