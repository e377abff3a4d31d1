//! The description of the shop's interface, at `/v1/shop/openapi.json`.

use axum::response::Response;
use sluice_platform::description;
use utoipa::OpenApi;

use crate::{carts, catalog, ledger, orders, parcels, places, room, search, stock, webhooks};

#[derive(OpenApi)]
#[openapi(
    info(title = "Sluice shop", description = "Catalog, stock, carts, orders, payments, parcels.", version = "1"),
    paths(
        catalog::list, catalog::one, catalog::create, catalog::edit, catalog::by_variant,
        catalog::put_texts, catalog::delete_texts,
        search::search,
        stock::show, stock::receive, stock::entries,
        places::list, places::keep,
        room::show, room::open, room::close,
        carts::create, carts::show, carts::put,
        orders::list, orders::one, orders::place, orders::pay, orders::cancel, orders::channel,
        parcels::list, parcels::pack, parcels::onward,
        ledger::balance, webhooks::payments
    ),
    security((), ("bearer" = []))
)]
struct Description;

/// The description.
pub(crate) async fn show() -> Response {
    description(Description::openapi())
}
