//! The books: double entries, minor units. What an order wrote is zero in all, in each currency, at any time.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use sluice_platform::{ApiError, Caller};
use sluice_storage::rows::sea_orm::sea_query::{Expr, ExprTrait};
use sluice_storage::rows::sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryOrder, QuerySelect};
use sluice_storage::rows::signed;
use sluice_storage::{StorageError, Tx};
use utoipa::ToSchema;

use crate::ids::EntryId;
use crate::orders::machine::Entries;
use crate::rows::{ledger, order};
use crate::{Shop, private};

/// What the gateway has of ours.
const GATEWAY: &str = "gateway";
/// What buyers have paid for and not got.
const BUYERS: &str = "buyers";
/// Turnover without tax.
const SALES: &str = "sales";
/// Tax that we owe.
const TAX: &str = "tax";
/// Orders with wrong books that are told of: one is an alarm already.
const MAX_UNBALANCED: u64 = 100;

/// The tax within a price, in minor units, rounded half up. `tax_bp` is in basis points of the price without it.
pub(crate) fn tax_within(gross: i64, tax_bp: u32) -> i64 {
    let (whole, part) = (10_000 + i128::from(tax_bp), i128::from(gross) * i128::from(tax_bp));
    i64::try_from((2 * part + whole) / (2 * whole)).unwrap_or(gross)
}

/// The lines that are written for an order of this total and tax.
fn lines(entries: Entries, total: i64, tax: i64) -> Vec<(&'static str, i64)> {
    match entries {
        Entries::None => vec![],
        Entries::Charge => vec![(GATEWAY, total), (BUYERS, -total)],
        Entries::Sale => vec![(BUYERS, total), (SALES, tax - total), (TAX, -tax)],
        Entries::Refund => vec![(BUYERS, total), (GATEWAY, -total)],
    }
}

/// Writes into the books what belongs to these orders, with the changes that it is for: one statement.
pub(crate) async fn write(tx: &Tx<'_>, made: &[(order::Model, Entries)]) -> Result<(), StorageError> {
    let row = |order: &order::Model, (name, amount): (&str, i64)| ledger::ActiveModel {
        account: Set(order.account),
        order_id: Set(order.id),
        id: Set(tx.ids().make::<EntryId>().as_i64()),
        name: Set(name.to_owned()),
        currency: Set(order.currency.clone()),
        amount: Set(amount),
        at_ms: Set(signed(tx.now_ms())),
    };
    let of = |(order, entries): &(order::Model, Entries)| {
        let rows = lines(*entries, order.total, order.tax).into_iter().map(|line| row(order, line));
        rows.collect::<Vec<_>>()
    };
    let rows: Vec<_> = made.iter().flat_map(of).collect();
    if !rows.is_empty() {
        ledger::Entity::insert_many(rows).exec_without_returning(tx.conn()).await?;
    }
    Ok(())
}

/// The books in sums.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Balance {
    /// By name and currency.
    accounts: Vec<Sum>,
    /// Orders whose entries are not zero in all: none, or the books are wrong.
    unbalanced: usize,
}

/// What one name has in one currency, in minor units.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sum {
    name: String,
    currency: String,
    amount: i64,
}

/// A sum as a whole number on either engine: PostgreSQL's of 64-bit numbers is a decimal.
fn sum() -> sluice_storage::rows::sea_orm::sea_query::SimpleExpr {
    ledger::Column::Amount.sum().cast_as("bigint")
}

/// The books in sums, for administrators.
#[utoipa::path(get, path = "/v1/shop/ledger/balance", tag = "ledger", responses(
    (status = 200, body = Balance), (status = 401), (status = 403),
))]
pub(crate) async fn balance(State(shop): State<Shop>, caller: Caller) -> Result<Response, ApiError> {
    caller.needs("admin")?;
    let reader = shop.storage.database.reader();
    let sums: Vec<(String, String, i64)> = ledger::Entity::find()
        .select_only()
        .columns([ledger::Column::Name, ledger::Column::Currency])
        .column_as(sum(), "amount")
        .group_by(ledger::Column::Name)
        .group_by(ledger::Column::Currency)
        .order_by_asc(ledger::Column::Name)
        .order_by_asc(ledger::Column::Currency)
        .into_tuple()
        .all(reader)
        .await?;
    let wrong: Vec<i64> = ledger::Entity::find()
        .select_only()
        .column(ledger::Column::OrderId)
        .group_by(ledger::Column::Account)
        .group_by(ledger::Column::OrderId)
        .group_by(ledger::Column::Currency)
        .having(Expr::expr(ledger::Column::Amount.sum()).ne(0))
        .limit(MAX_UNBALANCED)
        .into_tuple()
        .all(reader)
        .await?;
    let accounts = sums.into_iter().map(|(name, currency, amount)| Sum { name, currency, amount }).collect();
    Ok(private(Json(Balance { accounts, unbalanced: wrong.len() })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn books_are_zero_in_all(total in 0..1_000_000_000_000_i64, bp in 0..10_000_u32) {
            let tax = tax_within(total, bp);
            prop_assert!((0..=total).contains(&tax));
            for entries in [Entries::None, Entries::Charge, Entries::Sale, Entries::Refund] {
                prop_assert_eq!(lines(entries, total, tax).iter().map(|(_, amount)| amount).sum::<i64>(), 0);
            }
        }
    }

    #[test]
    fn tax_is_rounded_half_up() {
        assert_eq!([tax_within(11_900, 1_900), tax_within(1, 1_900), tax_within(100, 0)], [1_900, 0, 0]);
        assert_eq!((tax_within(3, 10_000), tax_within(1_190, 1_900)), (2, 190));
    }
}
