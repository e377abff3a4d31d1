//! Which products are sold in a market.

use sluice_storage::rows::sea_orm::sea_query::{Expr, ExprTrait};
use sluice_storage::rows::sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait};

use crate::config::Market;
use crate::rows::{product, variant};

/// That one of a product's variants has a price there: looked up product by product, so that a page ends at its limit.
pub(super) fn sold_in(market: &Market) -> Expr {
    let its = Expr::col((variant::Entity, variant::Column::Product));
    let its = its.equals((product::Entity, product::Column::Id));
    // A market's name is of letters and hyphens, and prices are numbers: this is in the map as its key alone.
    let priced = variant::Column::Prices.contains(format!("\"{}\":", market.name));
    let variants = variant::Entity::find().select_only().column(variant::Column::Id);
    Expr::exists(variants.filter(its).filter(priced).into_query())
}
